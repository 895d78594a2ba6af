#[txn::test]
mod transfers {
    pub fn ten() {}
}

fn main() {}
