//! What MySQL and MariaDB are asked from outside of a session, and how they name themselves.

use sqlx::Row;
use sqlx::mysql::{MySql, MySqlRow};

use crate::engine::{Controlled, Target};

/// The epoch of the server: where it is, the random part that all its UUIDs have in common since it
/// started (the clock sequence, and the node if it has no address), and the second in which it
/// started. That second is exact, because both times are taken at the beginning of the statement.
/// All of it is hashed into one word, since a path may contain anything.
macro_rules! server {
    () => {
        "SHA2(CONCAT_WS('/', @@hostname, @@port, @@socket, @@datadir, \
         /*!50700 @@server_uuid, */ SUBSTR(UUID(), 20), \
         UNIX_TIMESTAMP() - (SELECT variable_value FROM /*M! information_schema.global_status */ \
         /*!50700 performance_schema.global_status */ WHERE variable_name = 'Uptime')), 256)"
    };
}

/// The greetings ask for less and less. They set what the runtime relies on, since the
/// configuration of the server, or its `init_connect`, may have set something else for everybody.
pub(super) const GREETINGS: [&str; 2] = [
    concat!(
        "SET ",
        relied_on!(),
        "; SELECT CONNECTION_ID(), ",
        server!()
    ),
    concat!("SET ", relied_on!(), "; SELECT CONNECTION_ID(), NULL"),
];

/// The question who waits for whose lock, up to the list of sessions. Each server has tables of its
/// own for that.
const WHO_BLOCKS: &str = "/*M! \
    SELECT w.trx_mysql_thread_id, b.trx_mysql_thread_id FROM information_schema.innodb_lock_waits \
    JOIN information_schema.innodb_trx w ON w.trx_id = requesting_trx_id \
    JOIN information_schema.innodb_trx b ON b.trx_id = blocking_trx_id \
    WHERE w.trx_mysql_thread_id IN */ /*!80000 \
    SELECT w.processlist_id, b.processlist_id FROM performance_schema.data_lock_waits \
    JOIN performance_schema.threads w ON w.thread_id = requesting_thread_id \
    JOIN performance_schema.threads b ON b.thread_id = blocking_thread_id \
    WHERE w.processlist_id IN */";

impl Controlled for MySql {
    /// The request has a row for each session that says whether this is its server, and a KILL if
    /// it is. KILL takes no expression, so that it is prepared from a text.
    fn cancel(targets: &[Target]) -> String {
        let mut sql = concat!("SET @txn_server = ", server!()).to_owned();
        for (at, target) in targets.iter().enumerate() {
            let id = target.id;
            let server = target.server.as_deref().unwrap_or_default();
            // A connection that will be closed anyway is killed whole: unlike KILL QUERY, that
            // cannot overtake the query that it is meant for. The KILL of a session that is gone
            // would fail and end the request, so that the process list is asked first.
            let kill = if target.is_kept {
                "QUERY"
            } else {
                "CONNECTION"
            };
            sql += &format!(
                "; SELECT {at}, @txn_server = '{server}'; \
                 SET @txn_kill = IF(@txn_server = '{server}' AND EXISTS (SELECT 1 \
                 FROM information_schema.processlist WHERE id = {id}), \
                 'KILL {kill} {id}', 'DO 0'); \
                 PREPARE txn_kill FROM @txn_kill; EXECUTE txn_kill"
            );
        }
        sql
    }

    fn heard(row: &MySqlRow) -> Option<(i64, bool)> {
        let is_here: Option<i64> = row.try_get(1).ok()?;
        Some((row.try_get(0).ok()?, is_here == Some(1)))
    }

    fn ask_who_blocks(sessions: &str) -> Option<String> {
        Some(format!("{WHO_BLOCKS} ({sessions})"))
    }

    fn blocked(row: &MySqlRow) -> Option<(u64, u64)> {
        Some((row.try_get(0).ok()?, row.try_get(1).ok()?))
    }
}
