use anyhow::Result;
use fastrand::Rng;

use super::{Done, Effect, Workload, any_account};
use crate::peer::Peer;

/// Three savepoints, one after the other, and a statement in each.
pub struct Nested;

impl Workload for Nested {
    const EFFECT: Effect = Effect::NONE;

    async fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> Result<Done> {
        peer.nested(3, any_account(rng)).await?;
        Ok(Done::Finished)
    }
}
