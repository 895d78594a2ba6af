//! Memory does not grow while half of the scopes are dropped. It is measured in a process of its
//! own, since the other tests of this one allocate too.

use tokio::task::yield_now;
use txn::{Error, Tx, transactional};

use super::{DB, Fixture, insert};
use crate::support::child_process::{in_a_process_of_its_own, resident_kib};
use crate::support::drop_points::poll_at_most;
use crate::support::observer::Observed;

#[transactional]
async fn write(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional]
async fn write_and_stay(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    loop {
        yield_now().await; // always asks for one more poll
    }
}

/// Runs this many scopes, and drops those for which `dropped` is true, each at another point.
async fn run(db: &Fixture<DB>, scopes: usize, dropped: impl Fn(usize) -> bool) {
    for n in 0..scopes {
        // The same few rows are written over and over, because the database must not grow either.
        let id = (n % 8).try_into().unwrap();
        if !dropped(n) {
            write(&**db, id).await.ok();
            continue;
        }
        let scope = Box::pin(write_and_stay(&**db, 100 + id));
        let ended = poll_at_most(1 + n / 2 % 6, scope).await;
        assert!(ended.is_none(), "{ended:?}");
        if DB::DROP_COSTS_SESSION {
            // Connections that were given up would pile up at the server.
            drop(db.session().await.unwrap());
        }
    }
    db.assert_at_rest().await;
}

async fn assert_flat(few: usize, many: usize, dropped: impl Fn(usize) -> bool) {
    let db = Fixture::<DB>::of_sessions(2).await;
    run(&db, few, &dropped).await;
    let after_few = resident_kib();
    run(&db, many - few, &dropped).await;
    let after_many = resident_kib();
    assert!(
        after_many <= after_few + after_few / 10,
        "{after_few} KiB after {few} scopes, {after_many} KiB after {many}"
    );
    eprintln!("{after_few} KiB after {few} scopes, {after_many} KiB after {many}");
}

#[tokio::test]
async fn memory_does_not_grow() {
    if in_a_process_of_its_own(concat!(module_path!(), "::memory_does_not_grow")) {
        // If each drop costs a session, most of the time is spent on opening the next.
        let many = if DB::DROP_COSTS_SESSION { 40_000 } else { 100_000 };
        assert_flat(10_000, many, |n| n % 2 == 0).await;
    }
}

#[tokio::test]
async fn memory_does_not_grow_under_cancellation() {
    let name = concat!(module_path!(), "::memory_does_not_grow_under_cancellation");
    if in_a_process_of_its_own(name) {
        assert_flat(2_000, 10_000, |_| true).await;
    }
}
