//! Measures how soon others get the lock of a scope that was dropped during a query of 20 s.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::oneshot;
use tokio::time::sleep;
use txn::{Db, Tx, transactional};
use txn_chaos::{Engine, query};

use crate::summary::Locks;

const TAKE: &str = "UPDATE txn_chaos_locks SET n = n + 1 WHERE id = 1";
const PAUSE: Duration = Duration::from_millis(10);

/// Measures until there are enough measurements, or the time is over.
pub(crate) async fn measure<E: Engine>(
    db: &Db<E>,
    seed: u64,
    is_enough: impl Fn(u64) -> bool,
) -> Locks {
    let mut locks = Locks::default();
    let mut rng = StdRng::seed_from_u64(seed);
    while !is_enough(locks.released.count()) {
        let delay = Duration::from_micros(rng.random_range(0..20_000));
        // Faults of the server may prevent a measurement.
        if let Some(dropped) = hold_and_drop(db, delay).await
            && let Ok(locked) = take(db).await
        {
            locks.released.add(locked - dropped);
            db.settled().await;
            locks.settled.add(dropped.elapsed());
        } else {
            sleep(PAUSE).await;
        }
    }
    locks
}

/// Drops a scope during its query, and returns when.
async fn hold_and_drop<E: Engine>(db: &Db<E>, delay: Duration) -> Option<Instant> {
    let (held, is_held) = oneshot::channel();
    let delay = async {
        // An error means that the scope has ended as well.
        is_held.await.ok();
        sleep(delay).await;
    };
    tokio::select! {
        _ = hold(db, held) => None,
        () = delay => Some(Instant::now()),
    }
}

#[transactional(name = "storm.hold")]
async fn hold<E: Engine>(tx: &mut Tx<E>, held: oneshot::Sender<()>) -> Result<(), sqlx::Error> {
    query(TAKE).execute(&mut *tx).await?;
    held.send(()).ok();
    query(E::SLOW).execute(tx).await?;
    Ok(())
}

/// Takes the lock, and returns when it had it.
#[transactional(name = "storm.take")]
async fn take<E: Engine>(tx: &mut Tx<E>) -> Result<Instant, sqlx::Error> {
    query(TAKE).execute(tx).await?;
    Ok(Instant::now())
}
