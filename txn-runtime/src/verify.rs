//! A COMMIT whose answer was lost: the server can be asked what became of the transaction.
//!
//! Costs no round trip while nothing is lost: the transaction's id is asked for along with BEGIN.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::Db;
use crate::engine::Engine;

/// What the server says of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It was committed.
    Committed,
    /// It was not, and will not be.
    Aborted,
    /// It is not over yet: the server has not noticed that its client is gone.
    InProgress,
    /// The server does not know any more.
    Forgotten,
}

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Asks until there is an answer; `None` if there is none within the settle timeout.
pub(crate) async fn verify<DB: Engine>(db: &Db<DB>, transaction: &str) -> Option<Verified> {
    let answer = timeout(db.settle_timeout(), ask_until_over(db, transaction)).await;
    answer
        .ok()
        .filter(|verified| *verified != Verified::Forgotten)
}

async fn ask_until_over<DB: Engine>(db: &Db<DB>, transaction: &str) -> Verified {
    let mut pause = FIRST_PAUSE;
    loop {
        match ask(db, transaction).await {
            Ok(Verified::InProgress) => {}
            Ok(verified) => return verified,
            Err(error) => {
                tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "cannot ask about a commit yet");
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn ask<DB: Engine>(db: &Db<DB>, transaction: &str) -> Result<Verified, sqlx::Error> {
    let Some(question) = DB::ask_about(transaction) else {
        return Ok(Verified::Forgotten);
    };
    let mut answer = Verified::Forgotten;
    db.ask(&question, |row| answer = DB::verified(row)).await?;
    Ok(answer)
}
