use anyhow::Result;
use fastrand::Rng;

use super::{Done, Effect, Workload, any_account};
use crate::peer::Peer;

/// Nested function calls that join one transaction, around one statement.
pub struct Joined<const DEPTH: usize>;

impl<const DEPTH: usize> Workload for Joined<DEPTH> {
    const EFFECT: Effect = Effect::NONE;

    async fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> Result<Done> {
        peer.joined(DEPTH, any_account(rng)).await?;
        Ok(Done::Finished)
    }
}
