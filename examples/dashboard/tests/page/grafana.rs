//! The dashboard for Grafana names only metrics and labels that exist.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::page::Page;

const DASHBOARD: &str = include_str!("../../grafana.json");
const PREFIXES: [&str; 2] = ["txn_", "db_"];

#[test]
fn its_data_source_is_a_variable() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let variable = &dashboard["templating"]["list"][0];
    assert_eq!(variable["name"], "datasource");
    assert_eq!(
        (&variable["type"], &variable["query"]),
        (&"datasource".into(), &"prometheus".into())
    );
    let panels = dashboard["panels"].as_array().unwrap().iter();
    for target in panels
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
    {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_metric_that_it_names_is_served() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut names = Names::default();
    names.collect(&dashboard);
    assert!(names.metrics.len() > 15, "{names:?}");
    // Everything that is counted can happen on PostgreSQL.
    let page = Page::open(&["--engine", "postgres", "--storm", "--workers", "60"]).await;
    for fault in ["lock", "terminate", "crash"] {
        page.begin(fault).await;
        page.over(fault).await;
    }
    page.until_served(|text| names.missing(text)).await;
    page.close().await;
}

#[derive(Debug, Default)]
struct Names {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Names {
    /// Collects all queries, wherever they are in the JSON.
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(query) if matches!(name.as_str(), "expr" | "query") => {
                            self.read(query);
                        }
                        _ => self.collect(value),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.collect(value)),
            _ => {}
        }
    }

    /// Collects the names of a query: labels within braces and after `by (`, and metrics elsewhere.
    fn read(&mut self, query: &str) {
        // `label_values(metric, label)`
        let query = query.replace(", db_", "{db_").replace("by (", "{");
        let mut is_label = false;
        for part in query.split_inclusive(['{', '}', ')']) {
            let names = match is_label {
                true => &mut self.labels,
                false => &mut self.metrics,
            };
            let words = part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let is_ours = |word: &&str| PREFIXES.iter().any(|prefix| word.starts_with(prefix));
            names.extend(words.filter(is_ours).map(String::from));
            is_label = part.ends_with('{');
        }
    }

    fn missing(&self, text: &str) -> Vec<String> {
        let is_served = |metric: &str| {
            let mut lines = text.lines().filter_map(|line| line.strip_prefix(metric));
            lines.any(|rest| rest.starts_with(['{', ' ']))
        };
        let has_label = |label: &str| {
            text.contains(&format!("{{{label}=\"")) || text.contains(&format!(",{label}=\""))
        };
        let metrics = self.metrics.iter().filter(|metric| !is_served(metric));
        let labels = self.labels.iter().filter(|label| !has_label(label));
        metrics.chain(labels).cloned().collect()
    }
}
