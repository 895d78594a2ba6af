//! Every option is tried in every place.

use txn::Db;

use super::places::{Inside, PLACES, Place};
use super::*;

struct Row {
    name: &'static str,
    root: for<'a> fn(&'a Db<DB>) -> LocalBoxFuture<'a, Ended>,
    /// How the root ends, and all that is sent.
    ends: Line,
    sent: &'static [Line],
    inside: Inside,
    /// The ends of the scopes around the scope, and what is sent from the opening to the end of
    /// this scope. A `#` is the number of the next savepoint, a `>` the next session.
    ends_inside: Line,
    sent_inside: &'static [Line],
}

macro_rules! row {
    (
        $name:ident $ends:expr, [$($sent:expr),*];
        inside $ends_inside:expr, [$($sent_inside:expr),*]
    ) => {
        Row {
            name: stringify!($name),
            root: |db| Box::pin(scopes::$name(db)),
            ends: $ends,
            sent: &[$($sent),*],
            inside: |tx| Box::pin(scopes::$name(tx)),
            ends_inside: $ends_inside,
            sent_inside: &[$($sent_inside),*],
        }
    };
}

const SAVEPOINT: Line = anchored!("SAVEPOINT txn_#");
const UNDO: Line = anchored!("ROLLBACK TO SAVEPOINT txn_#");
/// An engine without levels refuses the ones that it does not have.
const WEAK: Line = ["ok", "ok", "refused"];
const ONLY_ONE_LEVEL: Line = ["refused", "refused", "ok"];
const SECOND_WRITER: Line = ["ok", "ok", "refused"];
const PANIC: Line = all("panic");
const DROPPED: Line = all("dropped");
const TIMEOUT: Line = all("timeout");
const FAILED: Line = all("failed");

macro_rules! begin_weak {
    ($level:literal) => {
        [
            concat!("BEGIN ISOLATION LEVEL ", $level),
            concat!(
                "SET TRANSACTION ISOLATION LEVEL ",
                $level,
                "; START TRANSACTION; SAVEPOINT txn_0"
            ),
            "",
        ]
    };
}
const BODY_OF_WEAK: Line = [BODY[0], BODY[1], ""];
const COMMIT_OF_WEAK: Line = [COMMIT[0], COMMIT[1], ""];
const BODY_OF_SQLITE: Line = ["", "", BODY[2]];

const BEGIN_SERIALIZABLE: Line = [
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION; SAVEPOINT txn_0",
    "BEGIN IMMEDIATE",
];
const BEGIN_LIMITED: Line = [
    "BEGIN; SET LOCAL statement_timeout = N; SET LOCAL idle_in_transaction_session_timeout = N",
    "SET @txn_wait_timeout = @@SESSION.wait_timeout, \
     SESSION wait_timeout = LEAST(@@SESSION.wait_timeout, N) \
     /*M! , @txn_statement_time = @@SESSION.max_statement_time, SESSION max_statement_time = \
     IF(@@SESSION.max_statement_time = N, N, LEAST(@@SESSION.max_statement_time, N)) */ \
     /*!80000 , @txn_statement_time = @@SESSION.max_execution_time, SESSION max_execution_time = \
     IF(@@SESSION.max_execution_time = N, N, LEAST(@@SESSION.max_execution_time, N)) */; \
     START TRANSACTION; SAVEPOINT txn_0",
    "BEGIN IMMEDIATE",
];
const COMMIT_LIMITED: Line = [
    COMMIT[0],
    "RELEASE SAVEPOINT txn_0; COMMIT; \
     SET SESSION wait_timeout = @txn_wait_timeout \
     /*M! , max_statement_time = @txn_statement_time */ \
     /*!80000 , max_execution_time = @txn_statement_time */",
    "COMMIT",
];
const ROLLBACK_LIMITED: Line = [
    "ROLLBACK",
    "ROLLBACK; \
     SET SESSION wait_timeout = @txn_wait_timeout \
     /*M! , max_statement_time = @txn_statement_time */ \
     /*!80000 , max_execution_time = @txn_statement_time */",
    "ROLLBACK",
];

/// Each scope is opened as a root, and inside of a plain one.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row!(plain OK, [BEGIN, BODY, COMMIT]; inside OK, [BODY]),
    row!(named OK, [BEGIN, BODY, COMMIT]; inside OK, [BODY]),
    row!(read_uncommitted WEAK, [begin_weak!("READ UNCOMMITTED"), BODY_OF_WEAK, COMMIT_OF_WEAK];
        inside REFUSED, []),
    row!(read_committed WEAK, [begin_weak!("READ COMMITTED"), BODY_OF_WEAK, COMMIT_OF_WEAK];
        inside REFUSED, []),
    row!(repeatable_read WEAK, [begin_weak!("REPEATABLE READ"), BODY_OF_WEAK, COMMIT_OF_WEAK];
        inside REFUSED, []),
    row!(serializable OK, [BEGIN_SERIALIZABLE, BODY, COMMIT];
        inside ONLY_ONE_LEVEL, [BODY_OF_SQLITE]),
    row!(reads OK, [BEGIN_READER, BODY, COMMIT_READER]; inside OK, [BODY]),
    row!(deferrable ["ok", "refused", "refused"], [
        ["BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", "", ""],
        [BODY[0], "", ""], [COMMIT[0], "", ""]
    ]; inside REFUSED, []),
    row!(limited OK, [BEGIN_LIMITED, BODY, COMMIT_LIMITED]; inside OK, [BODY]),
    row!(expires TIMEOUT, [BEGIN_LIMITED, BODY, ROLLBACK_LIMITED]; inside TIMEOUT, [BODY]),
    row!(retries OK, [BEGIN, BODY, COMMIT]; inside OK, [BODY]),
    row!(errs ERR, [BEGIN, BODY, ROLLBACK]; inside ERR, [BODY]),
    // The scopes around it get the error too, and have no `commit_on`.
    row!(errs_and_commits ERR, [BEGIN, BODY, COMMIT]; inside ERR, [BODY]),
    row!(ends_well_and_rolls_back OK, [BEGIN, BODY, ROLLBACK]; inside ROLLBACK_ONLY, [BODY]),
    row!(sets_rollback_only OK, [BEGIN, BODY, ROLLBACK]; inside ROLLBACK_ONLY, [BODY]),
    row!(panics PANIC, [BEGIN, BODY, ROLLBACK]; inside PANIC, [BODY]),
    row!(stops DROPPED, [BEGIN, BODY, ROLLBACK]; inside DROPPED, [BODY]),
    row!(fails FAILED, [BEGIN, FAILS, ROLLBACK]; inside FAILED, [FAILS]),
    // PostgreSQL is sent nothing more; SQLite is asked whether the failure has ended the
    // transaction.
    row!(swallows ["aborted", "ok", "ok"], [
        BEGIN, FAILS, ["", "", "BEGIN; ROLLBACK"], ["", BODY[1], BODY[2]],
        ["ROLLBACK", COMMIT[1], COMMIT[2]]
    ]; inside ["aborted", "ok", "ok"], [
        FAILS, ["", "", "BEGIN; ROLLBACK"], ["", BODY[1], BODY[2]]
    ]),

    row!(nested OK, [BEGIN, BODY, COMMIT]; inside OK, [SAVEPOINT, BODY]),
    row!(nested_reads OK, [BEGIN_READER, BODY, COMMIT_READER]; inside OK, [SAVEPOINT, BODY]),
    row!(nested_limited OK, [BEGIN_LIMITED, BODY, COMMIT_LIMITED]; inside OK, [SAVEPOINT, BODY]),
    row!(nested_repeatable_read WEAK,
        [begin_weak!("REPEATABLE READ"), BODY_OF_WEAK, COMMIT_OF_WEAK];
        inside REFUSED, []),
    row!(nested_expires TIMEOUT, [BEGIN_LIMITED, BODY, ROLLBACK_LIMITED];
        inside TIMEOUT, [SAVEPOINT, BODY, UNDO]),
    row!(nested_errs ERR, [BEGIN, BODY, ROLLBACK]; inside ERR, [SAVEPOINT, BODY, UNDO]),
    row!(nested_errs_and_commits ERR, [BEGIN, BODY, COMMIT]; inside ERR, [SAVEPOINT, BODY]),
    row!(nested_ends_well_and_rolls_back OK, [BEGIN, BODY, ROLLBACK];
        inside OK, [SAVEPOINT, BODY, UNDO]),
    row!(nested_sets_rollback_only OK, [BEGIN, BODY, ROLLBACK]; inside OK, [SAVEPOINT, BODY, UNDO]),
    row!(nested_panics PANIC, [BEGIN, BODY, ROLLBACK]; inside PANIC, [SAVEPOINT, BODY]),
    row!(nested_stops DROPPED, [BEGIN, BODY, ROLLBACK]; inside DROPPED, [SAVEPOINT, BODY]),
    row!(nested_fails FAILED, [BEGIN, FAILS, ROLLBACK]; inside FAILED, [SAVEPOINT, FAILS, UNDO]),

    row!(apart OK, [BEGIN, BODY, COMMIT]; inside SECOND_WRITER, [
        [">BEGIN", ">START TRANSACTION; SAVEPOINT txn_0", ""],
        [">SELECT 'body'", ">SELECT 'body'", ""],
        [">SAVEPOINT txn_end; COMMIT", ">RELEASE SAVEPOINT txn_0; COMMIT", ""]
    ]),
    row!(apart_serializable OK, [BEGIN_SERIALIZABLE, BODY, COMMIT]; inside SECOND_WRITER, [
        [
            ">BEGIN ISOLATION LEVEL SERIALIZABLE",
            ">SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION; SAVEPOINT txn_0",
            "",
        ],
        [">SELECT 'body'", ">SELECT 'body'", ""],
        [">SAVEPOINT txn_end; COMMIT", ">RELEASE SAVEPOINT txn_0; COMMIT", ""]
    ]),
    row!(apart_reads OK, [BEGIN_READER, BODY, COMMIT_READER]; inside OK, [
        [
            ">BEGIN READ ONLY",
            ">START TRANSACTION READ ONLY; SAVEPOINT txn_0",
            ">PRAGMA query_only = 1; BEGIN",
        ],
        all(">SELECT 'body'"),
        [
            ">SAVEPOINT txn_end; COMMIT",
            ">RELEASE SAVEPOINT txn_0; COMMIT",
            ">PRAGMA query_only = 0; COMMIT",
        ]
    ]),
    row!(apart_errs ERR, [BEGIN, BODY, ROLLBACK]; inside ["err", "err", "refused"], [
        [">BEGIN", ">START TRANSACTION; SAVEPOINT txn_0", ""],
        [">SELECT 'body'", ">SELECT 'body'", ""],
        [">ROLLBACK", ">ROLLBACK", ""]
    ]),
    // `mandatory` on `&Db` does not compile, so its root is made for it here.
    Row {
        name: "mandatory",
        root: |db| Box::pin(async move {
            let mut tx = db.begin().await?;
            scopes::mandatory(&mut tx).await?;
            Ok(tx.commit().await?)
        }),
        ends: OK,
        sent: &[BEGIN, BODY, COMMIT],
        inside: |tx| Box::pin(scopes::mandatory(tx)),
        ends_inside: OK,
        sent_inside: &[BODY],
    },
];

#[tokio::test]
async fn every_option_as_a_root() {
    let stage = Stage::of_sessions(1).await;
    for row in ROWS {
        stage
            .assert(row.name, (row.root)(&stage.db), row.ends, row.sent)
            .await;
    }
}

/// The places are joined, nested, on a second session, and two deep.
#[tokio::test]
async fn every_option_in_every_place_inside() {
    let stage = Stage::of_sessions(3).await;
    for place in &PLACES {
        for row in ROWS {
            let case = format!("{} {}", row.name, place.name);
            let (ends, mut expected) = expected(place, row);
            let call = Box::pin(place.open(&stage.db, row.inside));
            let (ended, mut sent) = stage.watch(call, expected.len()).await;
            if ends == "dropped" || ends == "panic" {
                // Each session is settled by itself.
                let session = |sql: &String| sql.len() - sql.trim_start_matches('>').len();
                sent.sort_by_key(session);
                expected.sort_by_key(session);
            }
            assert_eq!(sent, expected, "{case}, {ended}");
            assert_eq!(ended, ends, "{case}");
        }
    }
}

fn expected(place: &Place, row: &Row) -> (&'static str, Vec<String>) {
    let mut sent = column(place.open)
        .into_iter()
        .map(String::from)
        .collect::<Vec<_>>();
    let mut ends = "refused";
    if place.reached[DB::COLUMN] {
        let savepoint = (place.savepoints + 1).to_string();
        let session = ">".repeat(place.apart);
        let inside = column(row.sent_inside).into_iter();
        sent.extend(inside.map(|sql| session.clone() + &sql.replace('#', &savepoint)));
        ends = row.ends_inside[DB::COLUMN];
    }
    let close = match ends {
        "ok" => place.kept,
        "panic" | "dropped" => place.dropped,
        _ => place.undone,
    };
    sent.extend(column(close).into_iter().map(String::from));
    (ends, sent)
}
