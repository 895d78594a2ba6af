//! The round trips of a transaction are counted by a proxy.

use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, insert, patient};
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

async fn by_proxy() -> (Fixture<DB>, Proxy, Db<DB>) {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let builder = patient(options).max_sessions(1);
    let db = builder.connect().await.unwrap();
    (fixture, proxy, db)
}

#[transactional(isolation = serializable, timeout = "1min")]
async fn insert_from(tx: &mut Tx<DB>, first: i64, count: i64) -> Result<(), Error> {
    for id in first..first + count {
        insert(tx, id).await?;
    }
    Ok(())
}

/// Isolation and timeout ride on BEGIN; giving the session back costs nothing.
#[tokio::test]
async fn n_statements_cost_n_plus_two_round_trips() {
    let (_fixture, proxy, db) = by_proxy().await;
    insert_from(&db, 0, 1).await.unwrap();
    for count in [0, 1, 5] {
        let before = proxy.round_trips();
        insert_from(&db, 10 * (count + 1), count).await.unwrap();
        let spent = i64::try_from(proxy.round_trips() - before).unwrap();
        assert_eq!(spent, count + 2);
    }
}

#[transactional]
async fn joined(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional]
async fn compose(tx: &mut Tx<DB>, first: i64, joins: i64, nests: i64) -> Result<(), Error> {
    for id in first..first + joins {
        joined(tx, id).await?;
    }
    for id in first + joins..first + joins + nests {
        nested(tx, id).await?;
    }
    Ok(())
}

/// The RELEASE of a nested scope rides on the next SAVEPOINT, or is not needed.
#[tokio::test]
async fn a_joined_scope_costs_no_round_trip_and_a_nested_one_costs_one() {
    let (_fixture, proxy, db) = by_proxy().await;
    compose(&db, 0, 1, 1).await.unwrap();
    for (first, joins, nests) in [(10, 3, 0), (20, 0, 3), (30, 2, 2)] {
        let before = proxy.round_trips();
        compose(&db, first, joins, nests).await.unwrap();
        let spent = i64::try_from(proxy.round_trips() - before).unwrap();
        assert_eq!(spent, 2 + joins + 2 * nests, "{joins} {nests}");
    }
    assert_eq!(proxy.count("RELEASE SAVEPOINT txn_1; SAVEPOINT txn_2"), 2);
}
