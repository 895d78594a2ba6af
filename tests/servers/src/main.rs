//! Runs both servers until its standard input is closed. A shell that `eval`s the lines it prints
//! shares the servers with every `cargo test`, which then starts none.

use std::io::{self, Read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let run = txn_test_servers::Run::start()?;
    for (name, value) in run.environment()? {
        println!("export {name}='{value}'");
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
