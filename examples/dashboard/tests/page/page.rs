//! A dashboard that runs in this process, and its page in a browser.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use serde::de::DeserializeOwned;
use thirtyfour::{By, TypingData};
use tokio::time::sleep;
use txn_dashboard::{Arguments, Audit, Dashboard};

use crate::browser::Browser;

/// The longest wait. It is far beyond what anything takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Page {
    dashboard: Dashboard,
    browser: Browser,
}

impl Page {
    pub(crate) async fn open(arguments: &[&str]) -> Self {
        let dashboard = start(arguments).await;
        let browser = Browser::start().await;
        let patience = browser.driver.set_script_timeout(PATIENCE).await;
        patience.unwrap();
        let url = format!("http://{}", dashboard.address());
        browser.driver.goto(url).await.unwrap();
        Self { dashboard, browser }
    }

    /// Ends the browser, closes the bank, and asserts that no money is lost.
    pub(crate) async fn close(self) {
        let audit = self.end().await;
        assert!(audit.is_right(), "{audit}");
    }

    pub(crate) async fn end(self) -> Audit {
        self.browser.driver.clone().quit().await.unwrap();
        drop(self.browser);
        self.dashboard.stop().await.unwrap()
    }

    /// Evaluates a JavaScript expression on the page.
    pub(crate) async fn value<T: DeserializeOwned>(&self, expression: &str) -> T {
        let script = format!("return {expression}");
        let value = self.browser.driver.execute(script, vec![]).await;
        let value = value.unwrap_or_else(|error| panic!("`{expression}`: {error}"));
        value.convert().unwrap()
    }

    /// Waits until the expression is true. `what` is for the message.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        let begun = Instant::now();
        while !self.value::<bool>(&format!("!!({expression})")).await {
            let text = "document.body.innerText";
            if begun.elapsed() > PATIENCE {
                panic!("not in time: {what}\n{}", self.value::<String>(text).await);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an expression changes its value.
    pub(crate) async fn until_changed(&self, what: &str, expression: &str) {
        let now: serde_json::Value = self.value(expression).await;
        self.until(what, &format!("{expression} != {now}")).await;
    }

    pub(crate) async fn click(&self, id: &str) {
        let found = self.browser.driver.find(By::Id(id)).await.unwrap();
        found.click().await.unwrap();
    }

    /// Presses the button of a fault, and waits until that has begun. It may be over by then.
    pub(crate) async fn begin(&self, fault: &str) {
        let button = format!("document.getElementById('fault-{fault}')");
        self.until(fault, &format!("{button} && !{button}.disabled"))
            .await;
        let begun = format!("+{button}.dataset.begun");
        let before: u64 = self.value(&begun).await;
        self.click(&format!("fault-{fault}")).await;
        self.until(fault, &format!("{begun} > {before}")).await;
    }

    pub(crate) async fn over(&self, fault: &str) {
        let button = format!("document.getElementById('fault-{fault}')");
        self.until("it is over", &format!("!{button}.disabled"))
            .await;
    }

    /// Makes the page remember whether the expression is true at any time from now on, because a
    /// short state may be missed otherwise.
    pub(crate) async fn remember(&self, name: &str, expression: &str) {
        let script = format!(
            "window.{name} = false;
            const look = () => {{ window.{name} ||= !!({expression}); }};
            const watched =
                {{ subtree: true, childList: true, characterData: true, attributes: true }};
            new MutationObserver(look).observe(document.body, watched);"
        );
        self.browser.driver.execute(script, vec![]).await.unwrap();
    }

    /// Injects a fault until all these expressions have been true, because they may not become true
    /// the first time on a busy machine.
    pub(crate) async fn inject_until<const N: usize>(&self, fault: &str, shows: [&str; N]) {
        let begun = Instant::now();
        for (n, expression) in shows.iter().enumerate() {
            self.remember(&format!("shown{n}"), expression).await;
        }
        let all: Vec<String> = (0..N).map(|n| format!("window.shown{n}")).collect();
        let all = format!("[{}]", all.join(", "));
        loop {
            self.begin(fault).await;
            self.over(fault).await;
            let shown: Vec<bool> = self.value(&all).await;
            if shown.iter().all(|shown| *shown) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not in time: {shown:?}");
        }
    }

    pub(crate) async fn press(&self, id: &str, keys: impl Into<TypingData>) {
        let found = self.browser.driver.find(By::Id(id)).await.unwrap();
        found.send_keys(keys).await.unwrap();
    }

    /// Waits until `missing` returns nothing for the metrics that Prometheus gets.
    pub(crate) async fn until_served(&self, missing: impl Fn(&str) -> Vec<String>) {
        let begun = Instant::now();
        loop {
            let missing = missing(&self.metrics().await);
            if missing.is_empty() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not served: {missing:?}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Returns the metrics as Prometheus gets them.
    pub(crate) async fn metrics(&self) -> String {
        let fetch = "fetch('/metrics').then(answer => answer.text())";
        self.value(fetch).await
    }
}

/// Starts a dashboard. Its pool has its own name in the metrics, which all tests share.
pub(crate) async fn start(arguments: &[&str]) -> Dashboard {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("bank-{number}");
    let own = ["dashboard", "--port", "0", "--name", &name];
    let arguments = Arguments::parse_from(own.iter().chain(arguments));
    Dashboard::start(&arguments).await.unwrap()
}

/// Returns the expression for the number after a name in a chart's legend, or 0 if the name is
/// absent.
pub(crate) fn figure(chart: &str, name: &str) -> String {
    let found = format!("document.querySelector('#chart-{chart} [data-name=\"{name}\"] b')");
    format!("(parseFloat({found}?.textContent.replaceAll(',', '')) || 0)")
}

/// Returns the expression for whether the chart has shown something under this name in the last
/// minute.
pub(crate) fn shown(chart: &str, name: &str) -> String {
    format!("document.querySelector('#chart-{chart} [data-name=\"{name}\"]')")
}

pub(crate) fn text(id: &str) -> String {
    format!("document.getElementById('{id}').textContent")
}

/// Returns the expression for the number in an element's text.
pub(crate) fn number(id: &str) -> String {
    format!("(parseFloat({}.replaceAll(',', '')) || 0)", text(id))
}
