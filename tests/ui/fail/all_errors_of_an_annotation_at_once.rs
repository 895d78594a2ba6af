use txn::transactional;

#[transactional(nestd, isolation = chaos, name = "")]
fn debit(from: i64) -> Result<i64, txn::Error> {
    Ok(from)
}

fn main() {}
