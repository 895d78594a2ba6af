use anyhow::Result;
use fastrand::Rng;

use super::{ACCOUNTS, Done, Effect, Workload};
use crate::peer::{Peer, Transfer};

/// Two UPDATEs and an INSERT.
pub struct Transfers;

impl Workload for Transfers {
    const EFFECT: Effect = Effect { rows: 1, sum: 0 };

    async fn once<P: Peer>(peer: &mut P, rng: &mut Rng) -> Result<Done> {
        peer.transfer(any_transfer(rng)).await?;
        Ok(Done::Finished)
    }
}

pub fn any_transfer(rng: &mut Rng) -> Transfer {
    let low = rng.i64(1..ACCOUNTS);
    Transfer {
        low,
        high: rng.i64(low + 1..=ACCOUNTS),
        cents: rng.i64(-500..=500),
    }
}
