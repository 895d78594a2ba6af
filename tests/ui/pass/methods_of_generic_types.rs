use txn::{Sqlite, Tx, transactional};

struct Table<T, const WIDTH: usize> {
    rows: Vec<[T; WIDTH]>,
}

impl<T: ToString, const WIDTH: usize> Table<T, WIDTH> {
    #[transactional]
    async fn write(&self, tx: &mut Tx<Sqlite>) -> Result<usize, txn::Error> {
        for cell in self.rows.iter().flatten() {
            let query = sqlx::query("SELECT ?").bind(cell.to_string());
            query.execute(tx).await?;
        }
        Ok(WIDTH)
    }
}

fn main() {}
