use anyhow::Result;
use fastrand::Rng;

use super::{Done, Effect, Workload, any_account};
use crate::peer::Peer;

/// BEGIN, one SELECT by key, COMMIT.
pub struct Touch;

impl Workload for Touch {
    const EFFECT: Effect = Effect::NONE;

    async fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> Result<Done> {
        peer.touch(any_account(rng)).await?;
        Ok(Done::Finished)
    }
}
