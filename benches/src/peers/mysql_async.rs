//! mysql_async, with its pool in the default configuration, which resets returned sessions.

use anyhow::{Context, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{OptsBuilder, Pool, PoolConstraints, PoolOpts, TxOpts};

use super::statements::one;
use crate::peer::{Peer, Transfer};
use crate::place::{Place, Size};
use crate::sql::positional as sql;

pub struct MySqlAsync(Pool);

impl Peer for MySqlAsync {
    async fn open(place: &Place, size: Size) -> Result<Vec<Self>> {
        let limits = PoolConstraints::new(0, size.sessions).context("sessions")?;
        let options = OptsBuilder::default()
            .ip_or_hostname(&place.host)
            .tcp_port(place.port)
            .prefer_socket(false)
            // A row that is set to its old value counts as well, as with sqlx.
            .client_found_rows(true)
            .user(Some(&place.user))
            .pass(Some(&place.password))
            .db_name(Some(&place.database))
            .pool_opts(PoolOpts::default().with_constraints(limits));
        let pool = Pool::new(options);
        Ok(size.share(&pool).into_iter().map(Self).collect())
    }

    async fn touch(&mut self, id: i64) -> Result<()> {
        let mut tx = self.0.start_transaction(TxOpts::default()).await?;
        read(&mut tx, id).await?;
        Ok(tx.commit().await?)
    }

    async fn transfer(&mut self, transfer: Transfer) -> Result<()> {
        let Transfer { low, high, cents } = transfer;
        let mut tx = self.0.start_transaction(TxOpts::default()).await?;
        tx.exec_drop(sql::ADD, (-cents, low)).await?;
        one(tx.affected_rows())?;
        tx.exec_drop(sql::ADD, (cents, high)).await?;
        one(tx.affected_rows())?;
        tx.exec_drop(sql::BOOK, (low, high, cents)).await?;
        Ok(tx.commit().await?)
    }
}

async fn read(on: &mut impl Queryable, id: i64) -> Result<()> {
    let balance: Option<i64> = on.exec_first(sql::READ, (id,)).await?;
    std::hint::black_box(balance.context("an account of this id")?);
    Ok(())
}
