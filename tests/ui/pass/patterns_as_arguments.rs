use txn::{Sqlite, Tx, transactional};

struct Point {
    x: i64,
    y: i64,
}

#[transactional]
async fn move_to(
    tx: &mut Tx<Sqlite>,
    Point { x, y }: Point,
    (mut dx, _): (i64, i64),
    [first, ..]: [i64; 3],
) -> Result<i64, txn::Error> {
    dx += x + y + first;
    Ok(sqlx::query_scalar("SELECT ?")
        .bind(dx)
        .fetch_one(tx)
        .await?)
}

fn main() {}
