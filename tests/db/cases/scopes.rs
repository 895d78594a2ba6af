//! Open scopes, as an operator sees them.

use txn::{Error, Tx, transactional};

use super::*;

const HERE: u32 = line!();

#[transactional]
/// Its location is this function's, not the attribute's.
async fn shown(tx: &mut Tx<DB>) -> Result<String, Error> {
    Ok(format!("{tx:?}"))
}

macro_rules! made_by_a_macro {
    ($name:ident) => {
        #[transactional]
        async fn $name(tx: &mut Tx<DB>) -> Result<String, Error> {
            Ok(format!("{tx:?}"))
        }
    };
}

made_by_a_macro!(made);

#[tokio::test]
async fn a_transaction_shows_where_in_the_source_it_was_begun() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let at = |line: u32| format!("begun_at: Some({}:{line})", file!());
    let debug = shown(&*db).await.unwrap();
    assert!(debug.contains(&at(HERE + 4)), "{debug}");
    let debug = made(&*db).await.unwrap();
    assert!(debug.contains(&at(HERE + 17)), "{debug}");
    let (here, tx) = (line!(), db.begin().await.unwrap());
    let debug = format!("{tx:?}");
    assert!(debug.contains(&at(here)), "{debug}");
}
