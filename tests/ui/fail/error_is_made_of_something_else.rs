use txn::{Sqlite, Tx, Verdict, transactional};

struct Status(u16);

fn to_text(error: txn::Error) -> String {
    error.to_string()
}

fn of_sqlx(_: sqlx::Error) -> Status {
    Status(500)
}

fn to_status(_: txn::Error) -> Status {
    Status(500)
}

fn by_value(_: Status) -> Verdict {
    Verdict::Commit
}

fn is_ok(status: &Status) -> bool {
    status.0 < 400
}

#[transactional(error = to_text)]
async fn returns_text(tx: &mut Tx<Sqlite>) -> Result<(), Status> {
    tx.set_rollback_only("");
    Ok(())
}

#[transactional(error = of_sqlx)]
async fn takes_another(tx: &mut Tx<Sqlite>) -> Result<(), Status> {
    tx.set_rollback_only("");
    Ok(())
}

#[transactional(error = to_status)]
async fn says_nothing(tx: &mut Tx<Sqlite>) -> Status {
    tx.set_rollback_only("");
    Status(200)
}

#[transactional(error = to_status, outcome = by_value)]
async fn is_moved(tx: &mut Tx<Sqlite>) -> Status {
    tx.set_rollback_only("");
    Status(200)
}

#[transactional(error = to_status, outcome = is_ok)]
async fn is_a_bool(tx: &mut Tx<Sqlite>) -> Status {
    tx.set_rollback_only("");
    Status(200)
}

#[transactional(outcome = Missing::verdict)]
async fn is_missing(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    tx.set_rollback_only("");
    Ok(())
}

fn main() {}
