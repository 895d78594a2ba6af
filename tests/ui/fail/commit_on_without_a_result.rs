use txn::{Outcome, Sqlite, Tx, Verdict, transactional};

struct Response(u16);

impl Outcome for Response {
    fn verdict(&self) -> Verdict {
        Verdict::Commit
    }
    fn from_error(_: txn::Error) -> Self {
        Response(500)
    }
}

#[transactional(commit_on(Response(404)))]
async fn handle(tx: &mut Tx<Sqlite>) -> Response {
    tx.set_rollback_only("dry run");
    Response(200)
}

fn main() {}
