//! A service that owns its `Db`. Callers of its trait see no session, and every method is still one
//! transaction.
//!
//! - The binding form `#[transactional(self.db as tx)]` leaves the signature as the trait has it.
//! - Methods with a `&mut Tx` parameter join the transaction of their caller.
//! - A `nested` method may fail alone.
//!
//! ```text
//! cargo run --example repository
//! ```

use async_trait::async_trait;
use thiserror::Error;
use txn::{Db, Sqlite, Tx, transactional};

#[derive(Debug, Error)]
enum ShopError {
    #[error("not enough of {0} in stock")]
    SoldOut(String),
    #[error("voucher {0} is unknown or used up")]
    NoVoucher(String),
    #[error(transparent)]
    Database(#[from] txn::Error),
}

impl From<sqlx::Error> for ShopError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

struct NewOrder {
    article: String,
    pieces: i64,
    voucher: Option<String>,
}

/// An order as it was accepted.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    id: i64,
    discounted: bool,
}

/// The shop, as the rest of the program sees it. Nothing in it mentions databases.
#[async_trait]
trait Orders: Send + Sync {
    async fn place(&self, order: NewOrder) -> Result<Order, ShopError>;
    async fn in_stock(&self, article: &str) -> Result<i64, ShopError>;
}

struct Shop {
    db: Db<Sqlite>,
}

#[async_trait]
impl Orders for Shop {
    #[transactional(self.db as tx)]
    async fn place(&self, order: NewOrder) -> Result<Order, ShopError> {
        let insert = "INSERT INTO orders (article, pieces) VALUES (?, ?) RETURNING id";
        let query = sqlx::query_scalar(insert).bind(&order.article);
        let id = query.bind(order.pieces).fetch_one(tx).await?;
        self.take(tx, &order.article, order.pieces).await?;
        let discounted = match &order.voucher {
            Some(voucher) => self.discount(tx, id, voucher).await.is_ok(),
            None => false,
        };
        Ok(Order { id, discounted })
    }

    #[transactional(self.db as tx, read_only)]
    async fn in_stock(&self, article: &str) -> Result<i64, ShopError> {
        let select = "SELECT pieces FROM stock WHERE article = ?";
        Ok(sqlx::query_scalar(select)
            .bind(article)
            .fetch_one(tx)
            .await?)
    }
}

impl Shop {
    async fn open(db: Db<Sqlite>) -> Result<Self, ShopError> {
        sqlx::raw_sql(
            "CREATE TABLE stock (article TEXT PRIMARY KEY, pieces INTEGER NOT NULL);
             CREATE TABLE orders (id INTEGER PRIMARY KEY, article TEXT NOT NULL, \
             pieces INTEGER NOT NULL, voucher TEXT);
             CREATE TABLE vouchers (code TEXT PRIMARY KEY, uses INTEGER NOT NULL);
             INSERT INTO stock VALUES ('lamp', 5);
             INSERT INTO vouchers VALUES ('SPRING', 1);",
        )
        .execute(&db)
        .await?;
        Ok(Self { db })
    }

    #[transactional]
    async fn take(&self, tx: &mut Tx<Sqlite>, article: &str, pieces: i64) -> Result<(), ShopError> {
        let update = "UPDATE stock SET pieces = pieces - ? WHERE article = ? AND pieces >= ?";
        let query = sqlx::query(update).bind(pieces).bind(article).bind(pieces);
        match query.execute(tx).await?.rows_affected() {
            0 => Err(ShopError::SoldOut(article.to_owned())),
            _ => Ok(()),
        }
    }

    /// Redeems a voucher in a nested scope, so that an order with an invalid voucher is kept at the
    /// full price.
    #[transactional(nested)]
    async fn discount(&self, tx: &mut Tx<Sqlite>, order: i64, code: &str) -> Result<(), ShopError> {
        let note = sqlx::query("UPDATE orders SET voucher = ? WHERE id = ?");
        note.bind(code).bind(order).execute(tx).await?;
        let redeem = sqlx::query("UPDATE vouchers SET uses = uses - 1 WHERE code = ? AND uses > 0");
        match redeem.bind(code).execute(tx).await?.rows_affected() {
            0 => Err(ShopError::NoVoucher(code.to_owned())),
            _ => Ok(()),
        }
    }

    async fn orders(&self) -> Result<Vec<(i64, Option<String>)>, ShopError> {
        let select = "SELECT pieces, voucher FROM orders ORDER BY id";
        Ok(sqlx::query_as(select).fetch_all(&self.db).await?)
    }
}

fn lamps(pieces: i64, voucher: Option<&str>) -> NewOrder {
    NewOrder {
        article: "lamp".to_owned(),
        pieces,
        voucher: voucher.map(str::to_owned),
    }
}

/// Sells through the trait alone.
async fn sell(shop: &dyn Orders) -> Result<(), ShopError> {
    let first = shop.place(lamps(2, Some("SPRING"))).await?;
    println!("2 lamps with a voucher: {first:?}");
    assert!(first.discounted);

    let second = shop.place(lamps(1, Some("SPRING"))).await?;
    println!("1 lamp with the voucher that is used up: {second:?}");
    assert!(!second.discounted);

    let refused = shop
        .place(lamps(9, None))
        .await
        .expect_err("2 lamps are left");
    println!("9 lamps: {refused}; {} left", shop.in_stock("lamp").await?);
    assert_eq!(shop.in_stock("lamp").await?, 2);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), ShopError> {
    let shop = Shop::open(Db::connect("sqlite::memory:").await?).await?;
    sell(&shop).await?;

    // The third order was rolled back with its transaction, and the second one's voucher to its
    // savepoint.
    let orders = shop.orders().await?;
    println!("pieces and voucher of each order: {orders:?}");
    assert_eq!(orders, [(2, Some("SPRING".to_owned())), (1, None)]);
    shop.db.close().await;
    Ok(())
}
