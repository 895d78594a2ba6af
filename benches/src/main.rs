//! The harness: `cargo xtask bench`.

use std::process::ExitCode;

/// It does not return a `Result`, because that would bury the reason under a backtrace if those are
/// on.
fn main() -> ExitCode {
    let Err(error) = txn_benches::main() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("\nerror: {error:#}");
    ExitCode::FAILURE
}
