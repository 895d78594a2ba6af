//! Invariant 3: all transaction SQL goes through here.
//!
//! A future of each function may be dropped at any point, and the session's own drop then settles
//! it. That works because the state says that a transaction is open from before BEGIN is sent until
//! the server has confirmed the end of the transaction.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx_core::transaction::TransactionManager;

use crate::engine::{Engine, OwnLimits, Refusal};
use crate::model::open_scope::ScopeState;
use crate::model::options::Options;
use crate::model::transaction::Access;
use crate::model::untracked::Untracked;
use crate::pool::Session;
use crate::pool::executor::{By, operate};

/// Why a COMMIT was not answered with success.
#[derive(Debug)]
pub(crate) enum CommitFailure {
    /// There was no healthy transaction to commit.
    Refused(Refusal, sqlx::Error),
    /// The engine could not commit.
    Failed(sqlx::Error),
    /// The answer was lost, or says that the server does not know.
    Unknown(sqlx::Error),
}

/// Begins a transaction, in one round trip. Returns its id if commits are to be verified.
pub(crate) async fn begin<DB: Engine>(
    session: &mut Session<DB>,
    options: &Options,
    limit: Option<Duration>,
) -> Result<Option<String>, sqlx::Error> {
    if session.is_behind() {
        let limit = session.db().settle_timeout();
        // Boxed: see the head of scope.rs.
        Box::pin(session.catch_up(limit)).await?;
    }
    session.state.begins(Access {
        read_only: options.read_only,
        limited: limit.is_some(),
    });
    if session.bounds().are_a_savepoint() {
        return enter_sandbox(session).await.map(|()| None);
    }
    // Boxed: see the head of scope.rs.
    let own = match limit {
        Some(_) => Box::pin(session.limits_of_its_own()).await?,
        None => OwnLimits::default(),
    };
    let mut sql = DB::begin(options, limit, own);
    if let (true, Some(reset)) = (session.is_to_be_reset(), DB::RESET) {
        sql = format!("BEGIN; {reset}; COMMIT; {sql}").into();
    }
    // The commit of a reader loses nothing, so only writers need an id.
    let identify = DB::IDENTIFY.filter(|_| session.db().verifies_commits() && !options.read_only);
    let Some(identify) = identify else {
        return session.run(AssertSqlSafe(sql)).await.map(|()| None);
    };
    sql += identify;
    let mut id = None;
    let read = |row: &DB::Row| id = DB::transaction_id(row);
    session.ask(AssertSqlSafe(sql), read).await?;
    Ok(id)
}

/// Commits. After a failure the state says that the session is outside of the transaction only if
/// that is certain.
pub(crate) async fn commit<DB: Engine>(session: &mut Session<DB>) -> Result<(), CommitFailure> {
    let access = session.state.access();
    session.state.commits();
    session.activity().enter(ScopeState::Committing);
    let bounds = session.bounds();
    let Err(error) = session.end(bounds.commit::<DB>(access)).await else {
        session.state.ended();
        return Ok(());
    };
    session.state.commit_failed();
    let database = match &error {
        sqlx::Error::Database(database) if !DB::is_out_of_step(&error) => &**database,
        _ if DB::is_out_of_step(&error) => return Err(CommitFailure::Unknown(error)),
        _ => return Err(CommitFailure::Failed(error)),
    };
    if bounds.are_ended_by::<DB>(database) {
        session.state.ended();
    }
    match DB::refused_commit(database) {
        Some(why) => Err(CommitFailure::Refused(why, error)),
        None if bounds.are_left_open_by::<DB>(database) => Err(CommitFailure::Unknown(error)),
        None => Err(CommitFailure::Failed(error)),
    }
}

/// How much of a transaction a rollback has undone.
#[derive(Debug)]
#[must_use]
pub(crate) enum RolledBack {
    /// Nothing of the transaction is left.
    Fully,
    /// Something that ran in the transaction had ended it, and may have committed a part of it.
    Partly(Box<Untracked>),
}

/// Rolls back, after it has drained what is on the wire.
pub(crate) async fn rollback<DB: Engine>(
    session: &mut Session<DB>,
) -> Result<RolledBack, sqlx::Error> {
    session.activity().enter(ScopeState::RollingBack);
    finish_exchange(session).await?;
    let is_over = match session.state.to_look_at() {
        None => false,
        Some(untracked) if untracked.ends => true,
        Some(_) => !Box::pin(session.is_in_its_transaction()).await?,
    };
    let rolled_back = match session.looked_at() {
        Some(untracked) if is_over => {
            // It is noted before the ROLLBACK is sent, which may fail, or be given up.
            session.state.ended_unseen(untracked.clone());
            RolledBack::Partly(untracked)
        }
        _ => RolledBack::Fully,
    };
    let bounds = session.bounds();
    let access = session.state.access();
    match session.end(bounds.rollback::<DB>(access)).await {
        Err(sqlx::Error::Database(error)) if bounds.are_gone_by::<DB>(&*error) => {}
        result => result?,
    }
    session.state.ended();
    Ok(rolled_back)
}

/// Drains what a dropped operation left on the wire. The drain is boxed, because it has room for a
/// cancel, and most rollbacks need none.
async fn finish_exchange<DB: Engine>(session: &mut Session<DB>) -> Result<(), sqlx::Error> {
    if !session.state.is_idle() {
        Box::pin(session.drain()).await?;
    }
    Ok(())
}

/// Sets savepoint `level`. The RELEASE of a savepoint that is no longer needed rides in front.
pub(crate) async fn savepoint<DB: Engine>(
    session: &mut Session<DB>,
    level: u32,
    release: Option<u32>,
) -> Result<(), sqlx::Error> {
    let anchor = session.bounds().anchor::<DB>();
    let sql = match release {
        Some(ended) => format!("RELEASE SAVEPOINT txn_{ended}; SAVEPOINT txn_{level}{anchor}"),
        None => format!("SAVEPOINT txn_{level}{anchor}"),
    };
    session.run(AssertSqlSafe(sql)).await
}

/// Undoes everything since savepoint `level`, which stays set. It may be repeated.
pub(crate) async fn rollback_to<DB: Engine>(
    session: &mut Session<DB>,
    level: u32,
) -> Result<(), sqlx::Error> {
    finish_exchange(session).await?;
    let anchor = session.bounds().anchor::<DB>();
    let sql = format!("ROLLBACK TO SAVEPOINT txn_{level}{anchor}");
    session.run(AssertSqlSafe(sql)).await
}

/// Sets the savepoint at which the scopes of a sandbox begin. Each of them sets it anew when it
/// commits, so that a rollback to it does no harm wherever a scope was dropped.
pub(crate) async fn open_sandbox<DB: Engine>(session: &mut Session<DB>) -> Result<(), sqlx::Error> {
    session.run("SAVEPOINT txn_box").await
}

/// Opens a scope in a sandbox, whose savepoint is set already.
async fn enter_sandbox<DB: Engine>(session: &mut Session<DB>) -> Result<(), sqlx::Error> {
    match DB::SANDBOX_READ_ONLY {
        Some(read_only) if session.state.access().read_only => session.run(read_only).await,
        _ => Ok(()),
    }
}

/// Makes the driver count no transaction. Called outside of a transaction.
///
/// The driver lowers its count only when it ends a level on the server, so a transaction with
/// that many savepoints is begun here for it to end.
pub(crate) async fn let_the_driver_count_none<DB: Engine>(
    session: &mut Session<DB>,
) -> Result<(), sqlx::Error> {
    let levels = DB::TransactionManager::get_transaction_depth(session.raw());
    if levels == 0 {
        return Ok(());
    }
    session.run("BEGIN").await?;
    for level in 1..levels {
        let savepoint = format!("SAVEPOINT _sqlx_savepoint_{level}");
        session.run(AssertSqlSafe(savepoint)).await?;
    }
    for _ in 0..levels {
        operate(session, None, By::Runtime, DB::TransactionManager::rollback).await?;
    }
    Ok(())
}
