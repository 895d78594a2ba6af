//! The harness: `cargo xtask bench`.

fn main() -> anyhow::Result<()> {
    txn_benches::main()
}
