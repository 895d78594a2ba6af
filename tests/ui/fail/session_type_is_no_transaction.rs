use txn::transactional;

struct RequestTx;

#[transactional]
async fn handle(tx: &mut RequestTx) -> Result<(), txn::Error> {
    Ok(())
}

fn main() {}
