//! rusqlite in one thread, without switching threads, which shows what SQLite itself can do. It has
//! one task, however many the others have.

use anyhow::Result;
use rusqlite::{Connection, TransactionBehavior};

use super::statements::one;
use crate::peer::{Peer, Transfer};
use crate::place::{Place, Size};
use crate::sql::numbered as sql;

pub struct Rusqlite(Connection);

impl Peer for Rusqlite {
    async fn open(place: &Place, _: Size) -> Result<Vec<Self>> {
        let connection = Connection::open(&place.host)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(vec![Self(connection)])
    }

    async fn touch(&mut self, id: i64) -> Result<()> {
        let tx = self.0.transaction()?;
        let balance = tx
            .prepare_cached(sql::READ)?
            .query_row([id], |row| row.get::<_, i64>(0))?;
        std::hint::black_box(balance);
        Ok(tx.commit()?)
    }

    async fn transfer(&mut self, transfer: Transfer) -> Result<()> {
        let Transfer { low, high, cents } = transfer;
        let tx = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (cents, id) in [(-cents, low), (cents, high)] {
            one(u64::try_from(
                tx.prepare_cached(sql::ADD)?.execute([cents, id])?,
            )?)?;
        }
        tx.prepare_cached(sql::BOOK)?.execute([low, high, cents])?;
        Ok(tx.commit()?)
    }
}
