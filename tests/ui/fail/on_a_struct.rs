use txn::transactional;

#[transactional]
struct Shop {
    name: String,
}

fn main() {}
