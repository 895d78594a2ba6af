#[txn::test]
async fn transfers() -> Result<(), txn::Error> {
    Ok(())
}

fn main() {}
