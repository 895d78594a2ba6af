use txn::{Db, Outcome, Sqlite, Tx, Verdict, transactional};

struct Response(u16);

impl Outcome for Response {
    fn verdict(&self) -> Verdict {
        match self.0 {
            200..=399 => Verdict::Commit,
            _ => Verdict::Rollback,
        }
    }

    fn from_error(_: txn::Error) -> Self {
        Self(500)
    }
}

#[transactional]
async fn handle(tx: &mut Tx<Sqlite>, id: i64) -> Response {
    match sqlx::query("SELECT ?").bind(id).execute(tx).await {
        Ok(_) => Response(201),
        Err(_) => Response(500),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    assert_eq!(handle(&db, 5).await.0, 201);
    Ok(())
}
