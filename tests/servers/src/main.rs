//! Holds both servers for as long as it runs: `eval` its output's lines and every `cargo test`
//! uses them instead of starting its own.

use std::io::{self, Read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let run = txn_test_servers::Run::start()?;
    for (name, value) in run.environment()? {
        println!("export {name}='{value}'");
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
