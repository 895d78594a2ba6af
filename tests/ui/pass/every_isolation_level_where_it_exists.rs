use txn::{MySql, Postgres, Sqlite, Tx, transactional};

#[transactional(isolation = read_uncommitted)]
async fn dirty(_tx: &mut Tx<MySql>) -> Result<(), txn::Error> {
    Ok(())
}

#[transactional(isolation = read_committed)]
async fn fresh(_tx: &mut Tx<Postgres>) -> Result<(), txn::Error> {
    Ok(())
}

#[transactional(isolation = repeatable_read, read_only)]
async fn snapshot(_tx: &mut Tx<Postgres>) -> Result<(), txn::Error> {
    Ok(())
}

#[transactional(isolation = serializable)]
async fn serial(_tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    Ok(())
}

#[transactional(isolation = serializable, read_only, deferrable)]
async fn report(_tx: &mut Tx<Postgres>) -> Result<(), txn::Error> {
    Ok(())
}

fn main() {}
