use anyhow::Result;
use fastrand::Rng;

use super::{Done, Effect, Workload, any_account};
use crate::peer::Peer;

/// `touch` in a read-only transaction.
pub struct ReadOnly;

impl Workload for ReadOnly {
    const EFFECT: Effect = Effect::NONE;

    async fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> Result<Done> {
        peer.read_only(any_account(rng)).await?;
        Ok(Done::Finished)
    }
}
