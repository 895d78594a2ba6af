use anyhow::Result;
use fastrand::Rng;

use super::{Done, Effect, Workload, any_account};
use crate::peer::Peer;

/// Ten functions that take part in one transaction, around one statement.
pub struct Joined;

impl Workload for Joined {
    const EFFECT: Effect = Effect::NONE;

    async fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> Result<Done> {
        peer.joined(10, any_account(rng)).await?;
        Ok(Done::Finished)
    }
}
