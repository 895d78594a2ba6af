//! The child process that counts allocations. It is the same program with another allocator.

fn main() -> anyhow::Result<()> {
    let mut result = Ok(());
    let counted = allocation_counter::measure(|| result = txn_benches::main());
    println!("{} {}", counted.count_total, counted.bytes_max);
    result
}
