//! Two transactions get in each other's way, and these statements are sent.

use sqlx::AssertSqlSafe;
use tokio::sync::Barrier;
use txn::transactional;

use super::*;

#[transactional(retry = 2)]
async fn tries_twice(tx: &mut Tx<DB>) -> Ended {
    body(tx).await
}

/// A BEGIN that failed has its ROLLBACK too: nobody knows how far it came.
#[tokio::test]
async fn a_begin_that_is_refused_is_tried_again_by_itself() {
    if !DB::ONE_WRITER {
        return;
    }
    let stage = Stage::of_sessions(1).await;
    let other = stage.fixture.begin().await.unwrap();
    let sent = [BEGIN, ROLLBACK, BEGIN, ROLLBACK];
    stage
        .assert(
            "busy",
            Box::pin(tries_twice(&stage.db)),
            all("failed"),
            &sent,
        )
        .await;
    other.rollback().await.unwrap();
    let sent = [BEGIN, BODY, COMMIT];
    stage
        .assert("free", Box::pin(tries_twice(&stage.db)), OK, &sent)
        .await;
}

/// An update of one row by its key, so that nothing else is locked.
fn update(id: i64) -> String {
    format!("UPDATE t SET n = n + 1 WHERE id = {id}")
}

/// This scope goes on after the deadlock, as far as it is let.
#[transactional]
async fn cross(tx: &mut Tx<DB>, first: &[i64], second: i64, both: &Barrier) -> Ended {
    for id in first {
        tx.execute(AssertSqlSafe(update(*id))).await?;
    }
    both.wait().await;
    if tx.execute(AssertSqlSafe(update(second))).await.is_err() {
        let (statement, savepoint) = (body(tx).await, scopes::nested(tx).await);
        assert_eq!((word(statement), word(savepoint)), ("aborted", "aborted"));
    }
    Ok(())
}

/// The transaction that has written more may go on.
#[tokio::test]
async fn after_a_deadlock_the_victim_sends_a_rollback_and_nothing_else() {
    if !DB::ENDS_BY_ITSELF {
        return;
    }
    let stage = Stage::of_sessions(2).await;
    let rows = "INSERT INTO t (id, n) VALUES (1, 0), (2, 0), (3, 0), (4, 0)";
    stage.fixture.execute(rows).await.unwrap();
    let both = Barrier::new(2);
    let winner = cross(&stage.db, &[1, 3, 4], 2, &both);
    let victim = cross(&stage.db, &[2], 1, &both);
    let both_ended = async {
        let (winner, victim) = tokio::join!(winner, victim);
        assert_eq!((word(winner), word(victim)), ("ok", "aborted"));
        Ok(())
    };
    let (_, sent) = stage.watch(Box::pin(both_ended), 10).await;
    let of_the_second = |sql: &String| sql.starts_with('>');
    let (second, first): (Vec<String>, _) = sent.into_iter().partition(of_the_second);
    let second: Vec<String> = second.iter().map(|sql| sql[1..].to_owned()).collect();
    let line = |line: Line| line[DB::COLUMN].to_owned();
    let mut expected = [
        vec![
            line(BEGIN),
            update(1),
            update(3),
            update(4),
            update(2),
            line(COMMIT),
        ],
        vec![line(BEGIN), update(2), update(1), line(ROLLBACK)],
    ];
    // Either transaction may have begun first.
    if first[1] == update(2) {
        expected.reverse();
    }
    assert_eq!([first, second], expected);
}
