//! A process is killed with scopes open: nobody is left to settle here, and the server does it.
//!
//! Between statements the server sees the end of the connection at once. While a query runs,
//! PostgreSQL (14 or newer) looks every second, as the runtime asks it to on connect; MySQL and
//! MariaDB look when the query has ended, or its `timeout` is over.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use sqlx::{AssertSqlSafe, Executor};
use tokio::time::timeout;
use txn::{Db, Error, Tx, transactional};

use super::*;
use crate::support::observer::PATIENCE;

const URL: &str = "TXN_TEST_KILLED_URL";
const QUERY: &str = "TXN_TEST_KILLED_QUERY";
/// The line that the child prints when its row is written.
const WRITTEN: &str = "written, and not committed";

#[transactional]
async fn write_and_stay(tx: &mut Tx<DB>, query: Option<String>) -> Result<(), Error> {
    insert(tx, 1).await?;
    println!("{WRITTEN}");
    if let Some(query) = query {
        tx.execute(AssertSqlSafe(query)).await?;
    }
    std::future::pending().await
}

/// This test does nothing by itself: it is the program of the process that the tests below kill.
#[tokio::test]
async fn the_process_that_is_killed() {
    if let Ok(url) = std::env::var(URL) {
        let db = Db::<DB>::connect(&url).await.unwrap();
        let ended = write_and_stay(&db, std::env::var(QUERY).ok()).await;
        panic!("ended before it was killed: {ended:?}");
    }
}

/// Starts that process, and returns when it has written.
fn start(db: &Fixture<DB>, query: Option<&str>) -> Child {
    let test = concat!(module_path!(), "::the_process_that_is_killed");
    let (_binary, test) = test.split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]);
    command.env(URL, db.url()).stdout(Stdio::piped());
    if let Some(query) = query {
        command.env(QUERY, query);
    }
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains(WRITTEN)), "the process ended before it wrote");
    child
}

/// Kills that process, and waits for the lock on the key that it had inserted.
async fn kill(db: &Fixture<DB>, mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
    let mut tx = db.begin().await.unwrap();
    let free = timeout(PATIENCE, insert(&mut tx, 1)).await;
    free.expect("its locks outlive it").unwrap();
    tx.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_between_statements_is_rolled_back_at_once() {
    let db = Fixture::<DB>::new().await;
    let child = start(&db, None);
    kill(&db, child).await;
    assert!(db.ids().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_in_a_query_is_rolled_back_when_the_server_looks() {
    let Some(running) = DB::RUNNING else {
        return; // these look when the query has ended
    };
    let db = Fixture::<DB>::new().await;
    let query = format!("{} /* {} */", DB::SLOW_QUERY, db.url().rsplit('=').next().unwrap());
    let child = start(&db, Some(&query));
    let count = format!("{running} '{query}'");
    loop {
        let row = db.fetch_one(AssertSqlSafe(count.clone())).await.unwrap();
        if DB::number(&row) == 1 {
            break;
        }
    }
    kill(&db, child).await;
    assert!(db.ids().await.is_empty());
}
