//! A figure for `cargo xtask bench compile`; nothing is asserted of it.

use std::hint::black_box;
use std::time::Instant;

use super::tokens;
use crate::annotate;

const FUNCTION: &str = r#"
    pub async fn pay(tx: &mut Tx<Postgres>, id: i64, cents: i64) -> Result<i64, sqlx::Error> {
        let balance: i64 = sqlx::query_scalar("SELECT balance FROM account WHERE id = $1")
            .bind(id)
            .fetch_one(tx)
            .await?;
        sqlx::query("UPDATE account SET balance = $1 WHERE id = $2")
            .bind(balance - cents)
            .bind(id)
            .execute(tx)
            .await?;
        Ok(balance)
    }
"#;

#[test]
#[ignore = "measures, and checks nothing"]
fn time_per_function() {
    const TIMES: u32 = 2_000;
    let item = tokens(FUNCTION);
    let begun = Instant::now();
    for _ in 0..TIMES {
        black_box(annotate(tokens(""), black_box(item.clone())));
    }
    let millis = begun.elapsed().as_secs_f64() * 1e3 / f64::from(TIMES);
    println!("milliseconds per function: {millis:.4}");
}
