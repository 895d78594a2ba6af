//! Resets a session to how it was opened.

use sqlx::postgres::PgConnection;
use sqlx::{Executor, Postgres};

use crate::engine::{AsOpened, ConnectOptionsOf, Renewal, Resets};

/// The equivalent of DISCARD ALL, which cannot be sent along with other statements, and would drop
/// the prepared statements of the driver too. The setting of the greeting is made again.
const SQL: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; RESET ROLE; \
    UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES; \
    DO $txn$ DECLARE prepared text; BEGIN \
    PERFORM pg_catalog.pg_advisory_unlock_all(); \
    FOR prepared IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql LOOP \
    EXECUTE pg_catalog.format('DEALLOCATE %I', prepared); END LOOP; \
    IF pg_catalog.current_setting('client_connection_check_interval', true) = '0' THEN BEGIN \
    PERFORM pg_catalog.set_config('client_connection_check_interval', '1s', false); \
    EXCEPTION WHEN OTHERS THEN NULL; END; END IF; \
    END $txn$";

impl Resets for Postgres {
    const RESET: Option<&'static str> = Some(SQL);

    async fn reset(
        connection: &mut PgConnection,
        _options: &ConnectOptionsOf<Self>,
        _as_opened: &AsOpened,
    ) -> Result<Renewal, sqlx::Error> {
        connection.execute(SQL).await?;
        Ok(Renewal::AsNew)
    }

    const LEAVES: &'static [&'static str] = &[
        "CALL",
        "DEALLOCATE",
        "DECLARE",
        "DISCARD",
        "DO",
        "LISTEN",
        "LOAD",
        "RESET",
        "UNLISTEN",
    ];

    const PASSES: &'static [&'static str] = &["CONSTRAINTS", "LOCAL", "TRANSACTION"];
}
