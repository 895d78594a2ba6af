use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use tokio::time::timeout;

use super::{Done, Effect, Workload, any_transfer};
use crate::peer::Peer;

/// Transfers, a quarter of which is dropped after a random number of polls.
pub struct Cancel;

impl Workload for Cancel {
    const EFFECT: Effect = Effect { rows: 1, sum: 0 };
    const DROPS: bool = true;

    async fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> Result<Done> {
        let transfer = any_transfer(rng);
        if rng.u8(0..4) > 0 {
            peer.transfer(transfer).await?;
            return Ok(Done::Finished);
        }
        let polls = rng.u8(1..8);
        drop_after(polls, peer.transfer(transfer)).await
    }
}

/// Transfers, each of which is dropped if it takes longer than a random limit of at most 12 ms.
pub struct Killed;

impl Workload for Killed {
    const EFFECT: Effect = Effect { rows: 1, sum: 0 };
    const DROPS: bool = true;

    async fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> Result<Done> {
        let limit = Duration::from_micros(rng.u64(0..12_000));
        match timeout(limit, peer.transfer(any_transfer(rng))).await {
            Ok(done) => done.map(|()| Done::Finished),
            Err(_) => Ok(Done::Dropped),
        }
    }
}

async fn drop_after(polls: u8, work: impl Future<Output = Result<()>>) -> Result<Done> {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(|context| {
        left -= 1;
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(done.map(|()| Done::Finished)),
            Poll::Pending if left == 0 => Poll::Ready(Ok(Done::Dropped)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
