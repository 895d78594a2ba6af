//! These statements are sent from one scope to the next, and around the end of a transaction.

use txn::transactional;

use super::scopes::{apart, errs, nested, nested_errs, nested_fails, plain};
use super::*;
use crate::support::dialect::Dialect;

struct Story {
    name: &'static str,
    tell: for<'a> fn(&'a Db<DB>) -> LocalBoxFuture<'a, Ended>,
    ends: Line,
    sent: &'static [Line],
}

macro_rules! story {
    ($name:literal, |$db:ident| $tell:expr, $ends:expr, [$($sent:expr),*]) => {
        Story {
            name: $name,
            tell: |$db| Box::pin($tell),
            ends: $ends,
            sent: &[$($sent),*],
        }
    };
}

const SAVEPOINT_1: Line = anchored!("SAVEPOINT txn_1");
const SAVEPOINT_2: Line = anchored!("SAVEPOINT txn_2");
const RELEASE_1_SAVEPOINT_2: Line = anchored!("RELEASE SAVEPOINT txn_1; SAVEPOINT txn_2");
const UNDO_1: Line = anchored!("ROLLBACK TO SAVEPOINT txn_1");
const HOOK: Line = all("SELECT 'hook'");
const CONFLICT: Line = [
    "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$",
    "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213",
    "", // none without a second connection
];
const ENDING_SCRIPT: Line = all("SELECT 1; ROLLBACK");
const PLAIN_SCRIPT: Line = all("SELECT 1; SELECT 2");
/// One of its statements is not known to read or write rows only.
const SCRIPT: Line = all("SELECT 1; EXPLAIN SELECT 2");
/// The question whether the transaction is still there.
const LOOK: Line = [
    "SAVEPOINT txn_probe; RELEASE SAVEPOINT txn_probe",
    "RELEASE SAVEPOINT txn_0; SAVEPOINT txn_0; SELECT 8129473568 LIMIT 1",
    "BEGIN; ROLLBACK",
];
/// The statements that undo what a script may have set on its session, before that goes back to the
/// pool.
const RESTORE: Line = [
    "",
    "SET autocommit = 1, completion_type = 'NO_CHAIN'; ROLLBACK",
    "",
];
/// A table, and a row that does not fit in, which only the COMMIT finds out.
const DEFERRED_TABLE: Line = [
    "CREATE TABLE d (id BIGINT PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)",
    "",
    "CREATE TABLE d (id BIGINT PRIMARY KEY REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
];
const DEFERRED_FAULT: Line = [
    "INSERT INTO d VALUES (1), (1)",
    "",
    "INSERT INTO d VALUES (1)",
];
const BIND: Line = [
    "SELECT n FROM t WHERE id = $1",
    "SELECT n FROM t WHERE id = ?",
    "SELECT n FROM t WHERE id = ?",
];

#[rustfmt::skip]
const STORIES: &[Story] = &[
    story!("a bound statement", |db| binds(db), OK, [BEGIN, BIND, COMMIT]),
    story!("by hand, committed", |db| async { Ok(begun(db).await?.commit().await?) }, OK,
        [BEGIN, BODY, COMMIT]),
    story!("by hand, rolled back", |db| async { Ok(begun(db).await?.rollback().await?) }, OK,
        [BEGIN, BODY, ROLLBACK]),
    story!("by hand, dropped", |db| async { begun(db).await.map(drop) }, OK,
        [BEGIN, BODY, ROLLBACK]),
    story!("RELEASE rides on the next SAVEPOINT, none before COMMIT", |db| siblings(db), OK,
        [BEGIN, SAVEPOINT_1, BODY, BODY, RELEASE_1_SAVEPOINT_2, BODY, COMMIT]),
    story!("an outer RELEASE takes the inner one with it", |db| cousins(db), OK,
        [BEGIN, SAVEPOINT_1, SAVEPOINT_2, BODY,
         anchored!("RELEASE SAVEPOINT txn_1; SAVEPOINT txn_3"), BODY, COMMIT]),
    story!("a savepoint is released once, however deep the next ones are", |db| nephews(db), OK,
        [BEGIN, SAVEPOINT_1, BODY, RELEASE_1_SAVEPOINT_2, anchored!("SAVEPOINT txn_3"), BODY, COMMIT]),
    story!("ROLLBACK TO once, and the savepoint is released like any other",
        |db| fails_then_goes_on(db), OK,
        [BEGIN, SAVEPOINT_1, BODY, UNDO_1, BODY, RELEASE_1_SAVEPOINT_2, BODY, COMMIT]),
    story!("a failed statement ends with its nested scope", |db| loses_a_statement(db), OK,
        [BEGIN, SAVEPOINT_1, FAILS, UNDO_1, BODY, COMMIT]),
    story!("a dropped nested scope is undone before the next statement", |db| drops_one(db), OK,
        [BEGIN, SAVEPOINT_1, BODY, UNDO_1, BODY, COMMIT]),
    story!("the savepoint of a dropped nested scope is released with the next",
        |db| drops_one_then_nests(db), OK,
        [BEGIN, SAVEPOINT_1, BODY, UNDO_1, RELEASE_1_SAVEPOINT_2, BODY, COMMIT]),
    story!("a dropped nested scope is undone before the COMMIT", |db| drops_the_last(db), OK,
        [BEGIN, SAVEPOINT_1, BODY, UNDO_1, COMMIT]),
    story!("a swallowed failure of a joined scope", |db| swallows_joined(db), ROLLBACK_ONLY,
        [BEGIN, BODY, BODY, ROLLBACK]),
    story!("a swallowed failed statement", |db| swallows_statement(db), ["aborted", "ok", "ok"],
        [BEGIN, FAILS, ["", "", "BEGIN; ROLLBACK"], ["ROLLBACK", COMMIT[1], COMMIT[2]]]),
    story!("a reader does not let a writer join, nor nest", |db| reads_around(db), REFUSED,
        [BEGIN_READER, ROLLBACK_READER]),
    story!("a writer apart from a reader", |db| reads_beside(db), OK, [BEGIN_READER,
        [">BEGIN", ">START TRANSACTION; SAVEPOINT txn_0", ">BEGIN IMMEDIATE"],
        all(">SELECT 'body'"),
        [">SAVEPOINT txn_end; COMMIT", ">RELEASE SAVEPOINT txn_0; COMMIT", ">COMMIT"],
        COMMIT_READER]),
    story!("the server refuses the writes of a reader", |db| reads_and_writes(db), all("failed"),
        [BEGIN_READER, all("INSERT INTO t (id, n) VALUES (1, 0)"), ROLLBACK_READER]),
    story!("a COMMIT of the user's is not sent", |db| commits_itself(db), OK,
        [BEGIN, BODY, COMMIT]),
    story!("a script that ends the transaction is known by its text",
        |db| runs(db, ENDING_SCRIPT[0]),
        all("aborted"), [BEGIN, ENDING_SCRIPT, ROLLBACK, RESTORE]),
    story!("a script that only reads and writes rows costs nothing more",
        |db| runs(db, PLAIN_SCRIPT[0]), OK,
        [BEGIN, PLAIN_SCRIPT, COMMIT]),
    story!("a script that may have ended it is looked at before the commit",
        |db| runs(db, SCRIPT[0]), OK,
        [BEGIN, SCRIPT, LOOK, COMMIT, RESTORE]),
    story!("a COMMIT that fails, and ends the transaction on PostgreSQL", |db| defers(db),
        ["failed", "ok", "failed"],
        [BEGIN, DEFERRED_TABLE, DEFERRED_FAULT, COMMIT, ["", "", "ROLLBACK"]]),
    story!("hooks before the commit", |db| checks(db, true), OK, [BEGIN, BODY, HOOK, COMMIT]),
    story!("a hook before the commit that fails", |db| checks(db, false), ERR,
        [BEGIN, BODY, HOOK, ROLLBACK]),
    story!("hooks after the commit", |db| hooks(db, true), OK, [BEGIN, BODY, COMMIT, HOOK]),
    story!("hooks after a rollback", |db| hooks(db, false), OK, [BEGIN, BODY, ROLLBACK, HOOK]),
    story!("a conflict is tried again as a whole", |db| conflicts_once(db), OK,
        [BEGIN, CONFLICT, ["ROLLBACK", "ROLLBACK", ""], [BEGIN[0], BEGIN[1], ""], BODY, COMMIT]),
];

#[tokio::test]
async fn what_is_sent_between_scopes_and_around_the_end() {
    let stage = Stage::of_sessions(2).await;
    for story in STORIES {
        stage
            .assert(story.name, (story.tell)(&stage.db), story.ends, story.sent)
            .await;
    }
}

async fn begun(db: &Db<DB>) -> Result<Tx<DB>, Fault> {
    let mut tx = db.begin().await?;
    plain(&mut tx).await?;
    Ok(tx)
}

#[transactional]
async fn binds(tx: &mut Tx<DB>) -> Ended {
    let query = sqlx::query(DB::SELECT_WITH_BIND).bind(1_i64);
    query.fetch_optional(tx).await?;
    Ok(())
}

#[transactional]
async fn siblings(tx: &mut Tx<DB>) -> Ended {
    nested(tx).await?;
    plain(tx).await?;
    nested(tx).await
}

#[transactional]
async fn cousins(tx: &mut Tx<DB>) -> Ended {
    nests(tx).await?;
    nested(tx).await
}

#[transactional]
async fn nephews(tx: &mut Tx<DB>) -> Ended {
    nested(tx).await?;
    nests(tx).await
}

#[transactional(nested)]
async fn nests(tx: &mut Tx<DB>) -> Ended {
    nested(tx).await
}

#[transactional]
async fn fails_then_goes_on(tx: &mut Tx<DB>) -> Ended {
    nested_errs(tx).await.unwrap_err();
    body(tx).await?;
    nested(tx).await
}

#[transactional]
async fn loses_a_statement(tx: &mut Tx<DB>) -> Ended {
    nested_fails(tx).await.unwrap_err();
    body(tx).await
}

async fn drop_nested(tx: &mut Tx<DB>) {
    let told = Notify::new();
    tokio::select! {
        ended = tells_and_waits(tx, &told) => panic!("{ended:?}"),
        () = told.notified() => {}
    }
}

#[transactional(nested)]
async fn tells_and_waits(tx: &mut Tx<DB>, told: &Notify) -> Ended {
    body(tx).await?;
    told.notify_one();
    pending().await
}

#[transactional]
async fn drops_one(tx: &mut Tx<DB>) -> Ended {
    drop_nested(tx).await;
    body(tx).await
}

#[transactional]
async fn drops_one_then_nests(tx: &mut Tx<DB>) -> Ended {
    drop_nested(tx).await;
    nested(tx).await
}

#[transactional]
async fn drops_the_last(tx: &mut Tx<DB>) -> Ended {
    drop_nested(tx).await;
    Ok(())
}

#[transactional]
async fn swallows_joined(tx: &mut Tx<DB>) -> Ended {
    errs(tx).await.unwrap_err();
    body(tx).await
}

#[transactional]
async fn swallows_statement(tx: &mut Tx<DB>) -> Ended {
    fail(tx).await.unwrap_err();
    Ok(())
}

#[transactional(read_only)]
async fn reads_around(tx: &mut Tx<DB>) -> Ended {
    let nested = nested(tx).await;
    assert_eq!(word(nested), "refused");
    plain(tx).await
}

#[transactional(read_only)]
async fn reads_beside(tx: &mut Tx<DB>) -> Ended {
    apart(tx).await
}

#[transactional(read_only)]
async fn reads_and_writes(tx: &mut Tx<DB>) -> Ended {
    Ok(insert(tx, 1).await?)
}

#[transactional]
async fn commits_itself(tx: &mut Tx<DB>) -> Ended {
    body(tx).await?;
    for sql in ["COMMIT", "/* now */ rollback", "SAVEPOINT mine"] {
        tx.execute(sql).await.unwrap_err();
    }
    Ok(())
}

#[transactional]
async fn runs(tx: &mut Tx<DB>, script: &'static str) -> Ended {
    tx.execute(script).await?;
    Ok(())
}

#[transactional]
async fn defers(tx: &mut Tx<DB>) -> Ended {
    for sql in [DEFERRED_TABLE, DEFERRED_FAULT].map(|line| line[DB::COLUMN]) {
        if !sql.is_empty() {
            tx.execute(sql).await?;
        }
    }
    Ok(())
}

async fn checks(db: &Db<DB>, passes: bool) -> Ended {
    let mut tx = begun(db).await?;
    tx.before_commit(move |tx| {
        Box::pin(async move {
            tx.execute(HOOK[0]).await?;
            passes.then_some(()).ok_or_else(|| "told to fail".into())
        })
    });
    Ok(tx.commit().await?)
}

async fn hooks(db: &Db<DB>, commits: bool) -> Ended {
    let mut tx = begun(db).await?;
    let speak = |db: Db<DB>| async move { db.execute(HOOK[0]).await.map(drop).unwrap() };
    match commits {
        true => tx.after_commit(speak(db.clone())),
        false => {
            let db = db.clone();
            tx.after_rollback(move |_| speak(db));
        }
    }
    match commits {
        true => tx.commit().await?,
        false => tx.rollback().await?,
    }
    Ok(())
}

#[transactional(retry)]
async fn conflicts_once(tx: &mut Tx<DB>) -> Ended {
    if tx.attempt() == 1 && !CONFLICT[DB::COLUMN].is_empty() {
        tx.execute(CONFLICT[DB::COLUMN]).await?;
    }
    body(tx).await
}
