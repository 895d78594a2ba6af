//! SeaORM, with its pool (sqlx's).

use anyhow::{Context, Result};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend,
    Statement, TransactionTrait, Value,
};

use super::statements::one;
use crate::peer::{Peer, Transfer};
use crate::place::{Place, Size};
use crate::sql::numbered as sql;

pub struct SeaOrm(DatabaseConnection);

impl Peer for SeaOrm {
    async fn open(place: &Place, size: Size) -> Result<Vec<Self>> {
        let mut options = ConnectOptions::new(&place.url);
        options
            .max_connections(u32::try_from(size.sessions)?)
            .sqlx_logging(false);
        let db = Database::connect(options).await?;
        Ok(size.share(&db).into_iter().map(Self).collect())
    }

    async fn touch(&mut self, id: i64) -> Result<()> {
        let tx = self.0.begin().await?;
        read(&tx, id).await?;
        Ok(tx.commit().await?)
    }

    async fn transfer(&mut self, transfer: Transfer) -> Result<()> {
        let Transfer { low, high, cents } = transfer;
        let tx = self.0.begin().await?;
        add(&tx, low, -cents).await?;
        add(&tx, high, cents).await?;
        let book = statement(sql::BOOK, [low, high, cents]);
        tx.execute_raw(book).await?;
        Ok(tx.commit().await?)
    }

    async fn read_only(&mut self, id: i64) -> Result<()> {
        let access = Some(AccessMode::ReadOnly);
        let tx = self.0.begin_with_config(None, access).await?;
        read(&tx, id).await?;
        Ok(tx.commit().await?)
    }

    async fn nested(&mut self, depth: usize, id: i64) -> Result<()> {
        let tx = self.0.begin().await?;
        for _ in 0..depth {
            let inner = tx.begin().await?;
            read(&inner, id).await?;
            inner.commit().await?;
        }
        Ok(tx.commit().await?)
    }
}

fn statement<const N: usize>(sql: &str, values: [i64; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values.map(Value::from))
}

async fn read(on: &impl ConnectionTrait, id: i64) -> Result<()> {
    let row = on.query_one_raw(statement(sql::READ, [id])).await?;
    let row = row.context("an account of this id")?;
    std::hint::black_box(row.try_get_by_index::<i64>(0)?);
    Ok(())
}

async fn add(on: &impl ConnectionTrait, id: i64, cents: i64) -> Result<()> {
    let added = on.execute_raw(statement(sql::ADD, [cents, id])).await?;
    one(added.rows_affected())
}
