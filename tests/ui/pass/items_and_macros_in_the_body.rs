use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn report(tx: &mut Tx<Sqlite>) -> Result<String, txn::Error> {
    use std::fmt::Write as _;
    const QUERY: &str = "SELECT 1";
    fn double(n: i64) -> i64 {
        n * 2
    }
    macro_rules! text {
        ($n:expr) => {
            format!("{}", $n)
        };
    }
    let n: i64 = sqlx::query_scalar(QUERY).fetch_one(&mut *tx).await?;
    let mut text = text!(double(n));
    let _ = write!(text, "!");
    Ok(text)
}

fn main() {}
