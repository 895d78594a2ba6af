//! One scope: begun, and dropped as ordered.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use crate::order::{Ending, cut};
use crate::record::{Fee, Lightning, Outcome, Record};
use crate::subject::{Failure, Subject};
use crate::witness::Witness;

/// Far beyond every limit that is set anywhere.
const FOREVER: Duration = Duration::from_secs(90);

type Ended = Result<Option<Result<Fee, Failure>>, Box<dyn Any + Send>>;

pub(crate) async fn strike<S: Subject>(subject: S, record: &Arc<Record>) {
    let scope = subject.transfer(Arc::clone(record));
    let scope = Witness::new(scope, subject, Arc::clone(record));
    let outcome = match timeout(FOREVER, let_end(scope, record)).await {
        Ok(ended) => outcome(ended),
        Err(_) => Outcome::Broken("hung"),
    };
    record.end(outcome);
}

/// `None`: it was dropped.
async fn let_end<F>(scope: F, record: &Record) -> Ended
where
    F: Future<Output = Result<Fee, Failure>> + Send + 'static,
{
    match record.order.ending {
        Ending::Live | Ending::Panic(_) => caught(scope.map(Some)).await,
        Ending::Timeout(limit) => caught(timeout(limit, scope).map(Result::ok)).await,
        Ending::Select(moment) => caught(cut(scope, record.until(moment))).await,
        Ending::Abort(moment) => abort(scope, record.until(moment)).await,
    }
}

async fn caught<T>(scope: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    AssertUnwindSafe(scope).catch_unwind().await
}

async fn abort<F>(scope: F, moment: impl Future<Output = ()>) -> Ended
where
    F: Future<Output = Result<Fee, Failure>> + Send + 'static,
{
    let mut task = tokio::spawn(scope);
    let ended = cut(&mut task, moment).await;
    task.abort();
    let ended = match ended {
        Some(ended) => ended,
        None => task.await,
    };
    match ended {
        Ok(result) => Ok(Some(result)),
        Err(error) => error.try_into_panic().map_or(Ok(None), Err),
    }
}

fn outcome(ended: Ended) -> Outcome {
    match ended {
        Ok(None) => Outcome::Dropped,
        Ok(Some(Ok(fee))) => Outcome::Ok(fee),
        Ok(Some(Err(Failure::Unknown))) => Outcome::Unknown,
        Ok(Some(Err(failure))) => Outcome::Err(failure.name()),
        Err(payload) if payload.is::<Lightning>() => Outcome::Panicked,
        Err(_) => Outcome::Broken("panicked by itself"),
    }
}
