use anyhow::Result;
use fastrand::Rng;

use super::{Done, Effect, Workload, any_account};
use crate::peer::Peer;

/// Savepoints, one after the other, and a statement in each.
pub struct Nested<const DEPTH: usize>;

impl<const DEPTH: usize> Workload for Nested<DEPTH> {
    const EFFECT: Effect = Effect::NONE;

    async fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> Result<Done> {
        peer.nested(DEPTH, any_account(rng)).await?;
        Ok(Done::Finished)
    }
}
