use txn::transactional;

#[transactional]
trait Orders {
    fn name(&self) -> String;
}

fn main() {}
