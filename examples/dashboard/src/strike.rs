//! The storm: what becomes of the future of a transfer.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::time::{sleep, timeout};

use crate::bank::{Bank, Failure};
use crate::order::{Order, Stage};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Live,
    Timeout(Duration),
    Abort(Moment),
    Select(Moment),
}

/// When a future is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// It counts from here: else nearly all would be dropped while they wait for a session.
    from: Stage,
    after: After,
}

/// The timer is as coarse as a millisecond; turns of the scheduler are finer.
#[derive(Clone, Copy, Debug)]
enum After {
    Time(Duration),
    Turns(u32),
}

impl Ending {
    pub(crate) fn draw(storm: bool) -> Self {
        let mut rng = rand::rng();
        match rng.random_range(0..6) {
            _ if !storm => Self::Live,
            0 => Self::Timeout(Duration::from_millis(rng.random_range(1..10))),
            1 => Self::Abort(Moment::draw()),
            2 => Self::Select(Moment::draw()),
            _ => Self::Live,
        }
    }
}

impl Moment {
    fn draw() -> Self {
        let mut rng = rand::rng();
        let stages = [Stage::Called, Stage::Body, Stage::Ending];
        let after = match rng.random_bool(0.3) {
            true => After::Time(Duration::from_millis(rng.random_range(1..6))),
            false => After::Turns(rng.random_range(0..200)),
        };
        Self {
            from: stages[rng.random_range(0..stages.len())],
            after,
        }
    }

    async fn wait(self, order: &Order) {
        order.until(self.from).await;
        match self.after {
            After::Time(time) => sleep(time).await,
            After::Turns(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

/// One transfer; `None`: it was dropped.
pub(crate) async fn strike(
    bank: Arc<dyn Bank>,
    order: Order,
    ending: Ending,
) -> Option<Result<(), Failure>> {
    let order = Arc::new(order);
    let of_scope = Arc::clone(&order);
    let scope = async move { bank.transfer(&of_scope).await };
    match ending {
        Ending::Live => Some(scope.await),
        Ending::Timeout(limit) => timeout(limit, scope).await.ok(),
        Ending::Select(moment) => cut(scope, moment.wait(&order)).await,
        Ending::Abort(moment) => {
            let mut task = tokio::spawn(scope);
            let ended = cut(&mut task, moment.wait(&order)).await;
            task.abort();
            ended.and_then(Result::ok)
        }
    }
}

/// `None` if the moment came first.
async fn cut<F: Future>(future: F, moment: impl Future<Output = ()>) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = moment => None,
    }
}
