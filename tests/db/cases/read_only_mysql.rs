//! The accounts of a server may only read, for as long as its option says.

use sqlx::Executor;
use sqlx::mysql::MySqlConnectOptions;
use txn::{Db, Error, MySql, Tx, transactional};

use super::{DB, TestEngine, insert, number, patient};
use crate::support::server_engine::ServerEngine;

#[transactional]
async fn write(tx: &mut Tx<MySql>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[transactional]
async fn backend(tx: &mut Tx<MySql>) -> Result<i64, Error> {
    Ok(number(tx, MySql::BACKEND).await?)
}

#[tokio::test]
async fn its_answer_costs_the_session_and_a_check_that_writes_tells_of_it() {
    let server = MySql::server().start().unwrap();
    let admin = Db::<DB>::connect(&server.url()).await.unwrap();
    for prepare in [
        "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)",
        "CREATE USER app@localhost",
        "GRANT ALL ON test.* TO app@localhost",
        "SET GLOBAL read_only = ON",
    ] {
        admin.execute(prepare).await.unwrap();
    }
    let options: MySqlConnectOptions = server.url().parse().unwrap();
    let db = patient::<MySql>(options.username("app"));
    let db = db.max_sessions(1).connect().await.unwrap();
    let before = backend(&db).await.unwrap();
    let error = db.check_writable().await.unwrap_err();
    assert_eq!(error.code().as_deref(), Some("1290"), "{error}");
    db.check().await.unwrap();
    let second = backend(&db).await.unwrap();
    assert_ne!(second, before);
    let error = write(&db).await.unwrap_err();
    assert_eq!(error.code().as_deref(), Some("1290"), "{error}");
    assert_ne!(backend(&db).await.unwrap(), second);
    admin.execute("SET GLOBAL read_only = OFF").await.unwrap();
    db.check_writable().await.unwrap();
    write(&db).await.unwrap();
    let row = admin.fetch_one("SELECT COUNT(*) FROM t").await.unwrap();
    assert_eq!(DB::number(&row), 1);
}
