//! The stack that one level of recursion takes, in bytes, beside that of sqlx by hand.

use std::cell::RefCell;
use std::mem;

use sqlx::{AssertSqlSafe, Executor};
use txn::{Error, Tx, transactional};

use super::{DB, Fixture, TestEngine};

type Connection = <DB as sqlx::Database>::Connection;

const LEVELS: u64 = 5;

thread_local! {
    /// The address of the stack in each level.
    static STACK: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Notes where the stack is. Not inlined, so that it has a frame of its own.
#[inline(never)]
fn note_stack() {
    let here = 0_u8;
    STACK.with_borrow_mut(|stack| stack.push((&raw const here).addr()));
}

/// Returns how many bytes a level took; they have all taken the same.
fn bytes_per_level() -> usize {
    let stack = STACK.with_borrow_mut(mem::take);
    let mut levels = stack.windows(2).map(|level| level[0] - level[1]);
    let first = levels.next().expect("there are several levels");
    assert!(levels.all(|level| level == first), "{stack:?}");
    first
}

fn children_of(id: i64) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("SELECT id FROM t WHERE n = {id}"))
}

fn delete(id: i64) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("DELETE FROM t WHERE id = {id}"))
}

/// Defines functions with one body, which deletes a node and what is below it.
macro_rules! delete_trees {
    ($($(#[$annotation:meta])? $name:ident on $on:ident: $type:ty, $error:ty;)+) => {
        $(
            $(#[$annotation])?
            async fn $name($on: $type, id: i64) -> Result<u64, $error> {
                note_stack();
                let children = $on.fetch_all(children_of(id)).await?;
                let mut deleted = 1;
                for child in &children {
                    deleted += Box::pin($name(&mut *$on, DB::number(child))).await?;
                }
                $on.execute(delete(id)).await?;
                Ok(deleted)
            }
        )+
    };
}

delete_trees! {
    by_hand on connection: &mut Connection, sqlx::Error;
    #[transactional] joined on tx: &mut Tx<DB>, Error;
    #[transactional(nested)] nested on tx: &mut Tx<DB>, Error;
}

/// Makes a tree whose nodes have one child each.
async fn plant(db: &Fixture<DB>) {
    for id in 1..=LEVELS {
        let sql = format!("INSERT INTO t (id, n) VALUES ({id}, {})", id - 1);
        db.execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

#[tokio::test]
async fn a_level_of_recursion_takes_at_most_two_and_a_half_times_the_stack_of_sqlx_by_hand() {
    let db = Fixture::<DB>::of_sessions(1).await;
    plant(&db).await;
    let mut session = db.session().await.unwrap();
    let deleted = by_hand(session.connection(), 1).await.unwrap();
    assert_eq!(deleted, LEVELS);
    drop(session);
    let by_hand = bytes_per_level();
    plant(&db).await;
    let mut tx = db.begin().await.unwrap();
    assert_eq!(joined(&mut tx, 1).await.unwrap(), LEVELS);
    tx.rollback().await.unwrap();
    let joined = bytes_per_level();
    let mut tx = db.begin().await.unwrap();
    assert_eq!(nested(&mut tx, 1).await.unwrap(), LEVELS);
    tx.rollback().await.unwrap();
    let nested = bytes_per_level();
    eprintln!("a level takes {by_hand} bytes by hand, {joined} if it joins, {nested} if nested");
    for level in [joined, nested] {
        assert!(2 * level <= 5 * by_hand, "{level} bytes, by hand {by_hand}");
    }
}
