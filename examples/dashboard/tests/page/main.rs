//! The example `dashboard` as its users meet it: its page in headless Chromium, on each engine.

mod browser;
mod grafana;
mod page;

use clap::Parser;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};
use thirtyfour::Key;
use txn_dashboard::{Arguments, Dashboard};
use txn_test_servers::{shared_mariadb_url, shared_postgres_url};

use crate::page::{PATIENCE, Page, figure, number, shown, start, text};

const RIGHT: &str = "document.getElementById('sum').textContent === '10,000.00' \
    && document.getElementById('money').classList.contains('good')";
const ENGINES: [&str; 3] = ["sqlite", "postgres", "mysql"];
const SERVERS: [&str; 2] = ["postgres", "mysql"];

fn is_served() -> String {
    format!("{} > 0 && {RIGHT}", figure("scopes", "committed"))
}

fn wrong() -> String {
    format!("{}.startsWith('WRONG')", text("verdict"))
}

fn curve(chart: &str) -> String {
    format!("document.querySelector('#chart-{chart} svg path')?.getAttribute('d') ?? null")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_loads_and_its_charts_move() {
    let page = Page::open(&[]).await;
    page.until("it is live", &format!("{} === 'live'", text("connection")))
        .await;
    for chart in ["scopes", "sessions", "waiting", "p50", "p99"] {
        page.until_changed(chart, &curve(chart)).await;
    }
    let committed = figure("scopes", "committed");
    page.until("commits are counted", &format!("{committed} > 0"))
        .await;
    page.until("scopes are listed", "document.querySelector('#open code')")
        .await;
    page.until("the sum is right", RIGHT).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_it_comes_from_elsewhere() {
    let page = Page::open(&[]).await;
    page.until("it is live", &format!("{} === 'live'", text("connection")))
        .await;
    let loaded = "performance.getEntriesByType('resource').map(entry => entry.name)\
        .filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'))";
    assert_eq!(page.value::<Vec<String>>(loaded).await, [""; 0]);
    let named = "document.documentElement.outerHTML.match(/(src|href)=.https?:[^ ]*/g) ?? []";
    assert_eq!(page.value::<Vec<String>>(named).await, [""; 0]);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_shows_drops_and_the_sum_stays_right() {
    for engine in ENGINES {
        let page = Page::open(&["--engine", engine]).await;
        page.until("the sum is right", RIGHT).await;
        page.remember("wrong", &wrong()).await;
        page.click("storm").await;
        let pressed = "document.getElementById('storm').getAttribute('aria-pressed') === 'true'";
        page.until("the button is pressed", pressed).await;
        page.until("drops are counted", &format!("{} > 100", number("dropped")))
            .await;
        for phase in ["waiting", "statement", "body", "committing"] {
            page.until("drops are shown by phase", &shown("drops", phase))
                .await;
        }
        page.until("rollbacks are shown", &shown("rollbacks", "dropped"))
            .await;
        page.until(
            "commits outlive their callers",
            &format!("{} > 0", number("untold")),
        )
        .await;
        page.until("the sum is right", RIGHT).await;
        assert!(!page.value::<bool>("window.wrong").await, "on {engine}");
        page.click("storm").await;
        let calm = format!("{} === 0", figure("drops", "statement"));
        page.until("the storm is over", &calm).await;
        page.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_can_be_turned_up_and_down() {
    let page = Page::open(&[]).await;
    let committed = figure("scopes", "committed");
    page.until("there is a load", &format!("{committed} > 0"))
        .await;
    page.press("workers", Key::Home).await;
    page.until(
        "nobody works",
        &format!("{} === '0 workers'", text("workers-shown")),
    )
    .await;
    page.until("nothing is committed", &format!("{committed} === 0"))
        .await;
    page.press("workers", Key::PageUp + Key::Right).await;
    page.until(
        "some work",
        &format!("{} === '41 workers'", text("workers-shown")),
    )
    .await;
    page.until("there is a load again", &format!("{committed} > 0"))
        .await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_shows_in_who_waits() {
    for engine in ENGINES {
        let page = Page::open(&["--engine", engine]).await;
        let waits =
            "[...document.querySelectorAll('#open td:last-child')].some(cell => cell.textContent)";
        let is_named = "document.querySelector('#fault-lock.active')";
        page.inject_until("lock", [waits, is_named]).await;
        page.until("service resumes", &is_served()).await;
        page.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_cannot_be_had_says_why() {
    let places: [(&[&str], &str); 3] = [
        (&[], "SQLite has no server"),
        (
            &["--database", shared_postgres_url()],
            "a server of our own",
        ),
        (&["--database", shared_mariadb_url()], "a server of our own"),
    ];
    for (arguments, why) in places {
        let page = Page::open(arguments).await;
        let crash = "document.getElementById('fault-crash')";
        page.until("the button is disabled", &format!("{crash}?.disabled"))
            .await;
        let says: String = page.value(&text("why-not")).await;
        let title: String = page.value(&format!("{crash}.title")).await;
        assert!(says.contains(why) && title.contains(why), "{says}, {title}");
        page.until("it is served", &is_served()).await;
        page.close().await;
    }
}

/// Without this test, a page that says that all is right would prove nothing.
#[tokio::test(flavor = "multi_thread")]
async fn money_and_commits_that_are_missing_show() {
    let losses = [
        "UPDATE txn_chaos_accounts SET balance = balance - 1 WHERE id = 1",
        "DELETE FROM txn_chaos_ledger",
    ];
    for loss in losses {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("bank.db").display());
        let page = Page::open(&["--database", &url]).await;
        page.until("it is served", &is_served()).await;
        let options: SqliteConnectOptions = url.parse().unwrap();
        let patient = options.busy_timeout(PATIENCE);
        let mut thief = SqliteConnection::connect_with(&patient).await.unwrap();
        thief.execute(loss).await.unwrap();
        page.until("it is seen", &wrong()).await;
        assert!(!page.end().await.is_right());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_resumes_after_each_fault_of_a_server() {
    for engine in SERVERS {
        let page = Page::open(&["--engine", engine]).await;
        for fault in ["terminate", "slow", "cut", "half_open"] {
            page.begin(fault).await;
            page.over(fault).await;
            page.until("service resumes", &is_served()).await;
        }
        let opens = format!("{} !== 'breaker closed'", text("breaker"));
        page.inject_until("crash", [&opens]).await;
        page.until("service resumes", &is_served()).await;
        page.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_an_error_that_says_what_to_do() {
    let first = start(&[]).await;
    let port = first.address().port().to_string();
    let second = Arguments::parse_from(["dashboard", "--port", &port]);
    let error = Dashboard::start(&second).await.err().unwrap().to_string();
    assert!(
        error.contains("is in use") && error.contains("--port 0"),
        "{error}"
    );
    assert!(first.stop().await.unwrap().is_right());
}
