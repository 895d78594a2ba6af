//! A dashboard that runs in this process, and its page in a browser.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use serde::de::DeserializeOwned;
use thirtyfour::{By, TypingData};
use tokio::time::sleep;
use txn_dashboard::{Arguments, Audit, Dashboard};

use crate::browser::Browser;

/// Far beyond what anything takes, also on a loaded machine.
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

    /// The browser ends, and the bank closes with its money right.
    pub(crate) async fn close(self) {
        let audit = self.end().await;
        assert!(audit.is_right(), "{audit}");
    }

    pub(crate) async fn end(self) -> Audit {
        self.browser.driver.clone().quit().await.unwrap();
        drop(self.browser);
        self.dashboard.stop().await.unwrap()
    }

    /// What JavaScript makes of an expression.
    pub(crate) async fn value<T: DeserializeOwned>(&self, expression: &str) -> T {
        let script = format!("return {expression}");
        let value = self.browser.driver.execute(script, vec![]).await;
        let value = value.unwrap_or_else(|error| panic!("`{expression}`: {error}"));
        value.convert().unwrap()
    }

    /// Waits until it holds; `what` is for the message.
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

    /// Waits until an expression has another value than now.
    pub(crate) async fn until_changed(&self, what: &str, expression: &str) {
        let now: serde_json::Value = self.value(expression).await;
        self.until(what, &format!("{expression} != {now}")).await;
    }

    pub(crate) async fn click(&self, id: &str) {
        let found = self.browser.driver.find(By::Id(id)).await.unwrap();
        found.click().await.unwrap();
    }

    /// Presses the button of a fault, and waits until that has begun; it may be over by then.
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

    /// Has the page note whether this has been true at a time from now on: what is short may be
    /// over before one looks.
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

    /// Injects a fault until all of this has been true: on a machine that is busy it may not show
    /// the first time.
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

    /// Waits until Prometheus gets all of it; what is still missing is said by `missing`.
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

    /// What Prometheus gets.
    pub(crate) async fn metrics(&self) -> String {
        let fetch = "fetch('/metrics').then(answer => answer.text())";
        self.value(fetch).await
    }
}

/// Each has a pool of its own in the metrics, which all tests share.
pub(crate) async fn start(arguments: &[&str]) -> Dashboard {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("bank-{number}");
    let own = ["dashboard", "--port", "0", "--name", &name];
    let arguments = Arguments::parse_from(own.iter().chain(arguments));
    Dashboard::start(&arguments).await.unwrap()
}

/// The number that is shown behind a name in a chart's legend, 0 if the name is not there.
pub(crate) fn figure(chart: &str, name: &str) -> String {
    let found = format!("document.querySelector('#chart-{chart} [data-name=\"{name}\"] b')");
    format!("(parseFloat({found}?.textContent.replaceAll(',', '')) || 0)")
}

/// Whether the chart has had something to show under this name in the last minute.
pub(crate) fn shown(chart: &str, name: &str) -> String {
    format!("document.querySelector('#chart-{chart} [data-name=\"{name}\"]')")
}

pub(crate) fn text(id: &str) -> String {
    format!("document.getElementById('{id}').textContent")
}

/// The number in an element's text.
pub(crate) fn number(id: &str) -> String {
    format!("(parseFloat({}.replaceAll(',', '')) || 0)", text(id))
}
