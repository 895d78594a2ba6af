//! Tests that measure their process run in one that runs nothing else.

use std::process::Command;

use txn_test_servers::{shared_mariadb_url, shared_postgres_url};

const IN_CHILD: &str = "TXN_TEST_IN_CHILD";

/// Returns whether this is that process. If it is not, the test at this path is run in such a
/// process, to its end.
pub(crate) fn in_a_process_of_its_own(path: &str) -> bool {
    if std::env::var_os(IN_CHILD).is_some() {
        return true;
    }
    let (_, test) = path.split_once("::").expect("a path begins with its crate");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(IN_CHILD, "1")
        .env("TXN_TEST_POSTGRES_URL", shared_postgres_url())
        .env("TXN_TEST_MYSQL_URL", shared_mariadb_url())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&child.stderr)
    );
    false
}

/// The memory of this process that is resident.
pub(crate) fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.unwrap().trim().trim_end_matches(" kB");
    figure.parse().unwrap()
}
