//! Limits may reach beyond the end of time, and may be zero.

use std::time::Duration;

use tokio::time::timeout;
use txn::{Db, DbBuilder, Error, Retry, Tx, transactional};

use super::{DB, Fixture, insert, patient};
use crate::support::observer::PATIENCE;

type Setting = (&'static str, fn(DbBuilder<DB>, Duration) -> DbBuilder<DB>);

const SETTINGS: [Setting; 10] = [
    ("acquire_timeout", |builder, limit| builder.acquire_timeout(limit)),
    ("settle_timeout", |builder, limit| builder.settle_timeout(limit)),
    ("idle_timeout", |builder, limit| builder.idle_timeout(limit)),
    ("max_lifetime", |builder, limit| builder.max_lifetime(limit)),
    ("queue_target", |builder, limit| builder.queue_target(limit)),
    ("queue_interval", |builder, limit| {
        builder.queue_target(Duration::ZERO).queue_interval(limit)
    }),
    ("breaker_after", |builder, limit| builder.breaker_after(limit)),
    ("check_timeout", |builder, limit| builder.check_timeout(limit)),
    ("warn_after", |builder, limit| builder.warn_after(limit)),
    ("retry", |builder, limit| {
        builder.retry(Retry::DEFAULT.base_delay(limit).max_delay(Duration::ZERO))
    }),
];

#[transactional(retry)]
async fn write(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

/// Does all that a handle can do. It need not succeed, but it must come to an end.
async fn use_all(db: &Db<DB>, id: i64) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    let waiting = timeout(Duration::from_millis(20), write(db, id + 1));
    waiting.await.ok();
    insert(&mut tx, id).await?;
    tx.commit().await?;
    db.check().await.ok();
    drop(db.begin().await?);
    db.settled().await;
    write(db, id + 2).await
}

#[tokio::test]
async fn no_setting_is_too_long() {
    let fixture = Fixture::<DB>::new().await;
    for (n, (name, set)) in (1..).zip(SETTINGS) {
        let builder = patient::<DB>(fixture.url().parse().unwrap()).max_sessions(1);
        let db = set(builder, Duration::MAX).connect().await;
        let db = db.unwrap_or_else(|error| panic!("{name}: {error}"));
        let used = use_all(&db, n * 10).await;
        assert!(used.is_ok(), "{name}: {used:?}");
        db.close().await;
    }
}

/// A call without time fails in time.
#[tokio::test]
async fn a_setting_of_no_time_at_all_neither_panics_nor_hangs() {
    let fixture = Fixture::<DB>::new().await;
    for (n, (name, set)) in (1..).zip(SETTINGS) {
        let builder = patient::<DB>(fixture.url().parse().unwrap()).max_sessions(1);
        let using = async {
            let db = set(builder, Duration::ZERO).connect().await?;
            let used = use_all(&db, n * 10).await;
            db.close().await;
            used
        };
        let used = timeout(PATIENCE, using).await;
        let used = used.unwrap_or_else(|_| panic!("{name}: for ever"));
        match name {
            "acquire_timeout" => {
                let served = used.is_ok() || used.as_ref().is_err_and(Error::is_acquire_timeout);
                assert!(served, "{name}: {used:?}");
            }
            // A cleanup without time closes its session.
            _ => assert!(used.is_ok(), "{name}: {used:?}"),
        }
    }
}

#[transactional(timeout = "18446744073709551615ms", retry(base_delay = "5000000000000h"))]
async fn for_ever(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional(nested, timeout = "5000000000000h")]
async fn nested_for_ever(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[tokio::test]
async fn no_timeout_of_a_scope_is_too_long() {
    let db = Fixture::<DB>::new().await;
    for_ever(&*db, 1).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    for_ever(&mut tx, 2).await.unwrap();
    nested_for_ever(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    let sandbox = db.sandbox().await.unwrap();
    for_ever(&*sandbox, 4).await.unwrap();
    sandbox.close().await;
    assert_eq!(db.ids().await, [1, 2, 3]);
}
