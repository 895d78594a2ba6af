//! The harness: `cargo xtask bench`.

use std::process::ExitCode;

/// Not `main() -> Result`, which would bury the reason under a backtrace where those are on.
fn main() -> ExitCode {
    let Err(error) = txn_benches::main() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("\nerror: {error:#}");
    ExitCode::FAILURE
}
