//! Row streams whose first rows come fast: more of them than the server keeps back before it sends
//! some.

use txn::{MySql, Postgres, Sqlite};

use crate::support::engine::TestEngine;

pub(crate) trait Streams: TestEngine {
    /// A stream whose end comes after an hour, or as good as never.
    const ENDLESS_ROWS: &'static str;
    /// A stream whose end comes after half a second or more.
    const SLOW_ROWS: &'static str;
}

impl Streams for Sqlite {
    const ENDLESS_ROWS: &'static str = "WITH RECURSIVE n(i) AS \
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000000000) \
         SELECT i FROM n WHERE i < 2 OR i = 9000000000";
    const SLOW_ROWS: &'static str = "WITH RECURSIVE n(i) AS \
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600000) \
         SELECT i FROM n WHERE i < 2 OR i = 600000";
}

impl Streams for Postgres {
    const ENDLESS_ROWS: &'static str =
        "SELECT i, CASE WHEN i > 5000 THEN pg_sleep(3600) END FROM generate_series(1, 5001) i";
    const SLOW_ROWS: &'static str =
        "SELECT i, CASE WHEN i > 5000 THEN pg_sleep(0.5) END FROM generate_series(1, 5001) i";
}

impl Streams for MySql {
    const ENDLESS_ROWS: &'static str =
        "SELECT seq, IF(seq > 9000, SLEEP(3600), 0) FROM seq_1_to_9001";
    const SLOW_ROWS: &'static str = "SELECT seq, IF(seq > 9000, SLEEP(0.5), 0) FROM seq_1_to_9001";
}
