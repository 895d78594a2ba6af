use txn::transactional;

#[transactional]
async fn transfer(from: i64, to: i64) -> Result<i64, txn::Error> {
    Ok(from + to)
}

fn main() {}
