use anyhow::Result;
use fastrand::Rng;

use super::{Done, Effect, Workload};
use crate::peer::Peer;

/// BEGIN and COMMIT.
pub struct Empty;

impl Workload for Empty {
    const EFFECT: Effect = Effect::NONE;

    async fn once<P: Peer>(peer: &mut P, _: &mut Rng) -> Result<Done> {
        peer.empty().await?;
        Ok(Done::Finished)
    }
}
