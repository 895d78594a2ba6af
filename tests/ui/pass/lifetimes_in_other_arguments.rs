use txn::{Db, Sqlite, Tx, transactional};

#[transactional]
async fn label<'a>(tx: &mut Tx<Sqlite>, text: &'a str, _: &str) -> Result<&'a str, txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(text)
}

struct Names<'n>(&'n [String]);

impl<'n> Names<'n> {
    #[transactional]
    async fn first(&self, tx: &mut Tx<Sqlite>) -> Result<Option<&'n str>, txn::Error> {
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(self.0.first().map(String::as_str))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    let text = String::from("label");
    assert_eq!(label(&db, &text, "").await?, "label");
    assert_eq!(Names(&[text]).first(&db).await?, Some("label"));
    Ok(())
}
