//! Bad input that only MySQL and MariaDB refuse.

use txn::{Db, Error, MySql, transactional};

use super::Fixture;

/// A binding form does not name the engine: it is refused when the scope opens.
#[tokio::test]
async fn deferrable_is_refused_with_advice_before_the_body() {
    #[transactional(db as _tx, isolation = serializable, read_only, deferrable)]
    async fn deferred(db: &Db<MySql>) -> Result<(), Error> {
        unreachable!("the body runs in a transaction only")
    }
    let db = Fixture::<MySql>::new().await;
    let text = deferred(&db).await.unwrap_err().to_string();
    assert!(
        text.contains("remove `deferrable`") && text.contains("::deferred`)"),
        "{text}"
    );
    db.assert_at_rest().await;
}
