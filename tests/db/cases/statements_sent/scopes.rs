//! These scopes have each option, and each way to end.

use std::future::pending;

use txn::{Tx, transactional};

use super::{DB, Ended, Fault, TestEngine, body, fail, stop};

macro_rules! that_runs_its_body {
    ($($(#[$option:meta])+ $name:ident;)*) => {$(
        $(#[$option])+
        pub(super) async fn $name<E: TestEngine>(tx: &mut Tx<E>) -> Ended {
            body(tx).await
        }
    )*};
}

// The scopes are generic, so that an option that an engine lacks is refused when the scope opens
// and not when this is compiled.
that_runs_its_body! {
    #[transactional]
    plain;
    #[transactional(name = "named")]
    named;
    #[transactional(isolation = read_uncommitted)]
    read_uncommitted;
    #[transactional(isolation = read_committed)]
    read_committed;
    #[transactional(isolation = repeatable_read)]
    repeatable_read;
    #[transactional(isolation = serializable)]
    serializable;
    #[transactional(read_only)]
    reads;
    #[transactional(isolation = serializable, read_only, deferrable)]
    deferrable;
    #[transactional(timeout = "1min")]
    limited;
    #[transactional(retry)]
    retries;
    #[transactional(nested)]
    nested;
    #[transactional(nested, read_only)]
    nested_reads;
    #[transactional(nested, timeout = "1min")]
    nested_limited;
    #[transactional(nested, isolation = repeatable_read)]
    nested_repeatable_read;
    #[transactional(requires_new)]
    apart;
    #[transactional(requires_new, isolation = serializable)]
    apart_serializable;
    #[transactional(requires_new, read_only)]
    apart_reads;
    #[transactional(mandatory)]
    mandatory;
}

#[transactional(timeout = "2s")]
pub(super) async fn expires(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    pending().await
}

#[transactional(nested, timeout = "2s")]
pub(super) async fn nested_expires(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    pending().await
}

#[transactional]
pub(super) async fn errs(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    Err(Fault::Told)
}

#[transactional(nested)]
pub(super) async fn nested_errs(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    Err(Fault::Told)
}

#[transactional(requires_new)]
pub(super) async fn apart_errs(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    Err(Fault::Told)
}

#[transactional(commit_on(Fault::Told))]
pub(super) async fn errs_and_commits(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    Err(Fault::Told)
}

#[transactional(nested, commit_on(Fault::Told))]
pub(super) async fn nested_errs_and_commits(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    Err(Fault::Told)
}

#[transactional(rollback_on(()))]
pub(super) async fn ends_well_and_rolls_back(tx: &mut Tx<DB>) -> Ended {
    body(tx).await
}

#[transactional(nested, rollback_on(()))]
pub(super) async fn nested_ends_well_and_rolls_back(tx: &mut Tx<DB>) -> Ended {
    body(tx).await
}

#[transactional]
pub(super) async fn sets_rollback_only(tx: &mut Tx<DB>) -> Ended {
    tx.set_rollback_only("told to");
    body(tx).await
}

#[transactional(nested)]
pub(super) async fn nested_sets_rollback_only(tx: &mut Tx<DB>) -> Ended {
    tx.set_rollback_only("told to");
    body(tx).await
}

#[transactional]
pub(super) async fn panics(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    panic!("told to");
}

#[transactional(nested)]
pub(super) async fn nested_panics(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    panic!("told to");
}

#[transactional]
pub(super) async fn stops(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    stop().await
}

#[transactional(nested)]
pub(super) async fn nested_stops(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    stop().await
}

#[transactional]
pub(super) async fn fails(tx: &mut Tx<DB>) -> Ended {
    fail(tx).await
}

#[transactional(nested)]
pub(super) async fn nested_fails(tx: &mut Tx<DB>) -> Ended {
    fail(tx).await
}

/// This scope goes on after a failed statement.
#[transactional]
pub(super) async fn swallows(tx: &mut Tx<DB>) -> Ended {
    fail(tx).await.unwrap_err();
    body(tx).await
}
