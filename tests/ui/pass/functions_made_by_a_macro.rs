use txn::{Sqlite, Tx, transactional};

macro_rules! repository {
    ($name:ident, $tx:ty, $sql:literal) => {
        #[transactional]
        pub async fn $name(tx: &mut $tx, id: i64) -> Result<(), txn::Error> {
            sqlx::query($sql).bind(id).execute(tx).await?;
            Ok(())
        }
    };
}

repository!(find, Tx<Sqlite>, "SELECT ?");
repository!(lock, Tx<Sqlite>, "SELECT ?");

fn main() {}
