use anyhow::Result;
use fastrand::Rng;

use super::{Done, Effect, Workload};
use crate::peer::Peer;

/// Updates of the same row by all tasks.
pub struct Contended;

impl Workload for Contended {
    const EFFECT: Effect = Effect { rows: 0, sum: 1 };

    async fn once<P: Peer>(peer: &mut P, _: &mut Rng) -> Result<Done> {
        peer.add(1, 1).await?;
        Ok(Done::Finished)
    }
}
