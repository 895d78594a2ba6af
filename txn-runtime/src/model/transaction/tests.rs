//! Every state × every event, as a table that is compared with `table.txt`: a line for each pair
//! whose event changes something, or has an answer.
//!
//! The parts of a state are gone through one after the other, since few events look at more than
//! one. To accept a change: `UPDATE_TABLE=1 cargo test -p txn-runtime --all-features table`, then
//! read the diff.

use std::fmt::Write as _;
use std::fs;

use super::{Access, Custody, Effect, Health, Loss, Open, Pending, Stage, State, Unseen, Wire};
use crate::model::error::Cause;
use crate::model::untracked::{Reach, Untracked};

/// What happens, and what the state answers.
type Event = (&'static str, fn(&mut State) -> String);

macro_rules! events {
    ($($name:literal: |$state:ident| $happens:expr;)+) => {{
        let events: Vec<Event> = vec![$(($name, |$state| answer(&$happens))),+];
        events
    }};
}

/// Nothing for what has no answer, or the common one.
fn answer(answer: &dyn std::fmt::Debug) -> String {
    match format!("{answer:?}").as_str() {
        "()" | "false" | "Settled" | "(0, None)" => String::new(),
        text => format!(", answers {text}"),
    }
}

fn cause() -> Cause {
    Cause::new("new")
}

fn untracked(reach: Reach) -> Untracked {
    Untracked::statement("CALL p()", reach).expect("it may end the transaction")
}

fn of_the_wire() -> Vec<Event> {
    events! {
        "sent": |state| state.sent();
        "row_read": |state| state.row_read();
        "answered": |state| state.answered();
        "outdated": |state| state.outdated();
        "left_to_the_next": |state| state.left_to_the_next();
        "lost": |state| state.lost();
        "given_up": |state| state.given_up(false);
        "given_up by a drop": |state| state.given_up(true);
        "drains": |state| _ = state.drains(false);
        "drains, drops break": |state| _ = state.drains(true);
        "drained": |state| state.drained();
    }
}

fn of_the_transaction() -> Vec<Event> {
    events! {
        "begins": |state| state.begins(Access::default());
        "commits": |state| state.commits();
        "commit_failed": |state| state.commit_failed();
        "ended": |state| state.ended();
        "failed with None": |state| state.failed(Effect::None, cause);
        "failed with Doubt": |state| state.failed(Effect::Doubt, cause);
        "failed with Failed": |state| state.failed(Effect::Failed, cause);
        "failed with Gone": |state| state.failed(Effect::Gone, cause);
        "resolves_doubt, inside": |state| state.resolves_doubt(true);
        "resolves_doubt, outside": |state| state.resolves_doubt(false);
        "ended_unseen": |state| state.ended_unseen(Box::new(untracked(Reach::Ends)));
        "sets_savepoint": |state| state.sets_savepoint();
        "savepoint_set": |state| state.savepoint_set();
        "keeps 4": |state| state.keeps(4);
        "undoes 4": |state| state.undoes(4);
        "rolled_back_to 4": |state| state.rolled_back_to(4);
        "not_rolled_back_to, answered": |state| state.not_rolled_back_to(true, cause);
        "not_rolled_back_to": |state| state.not_rolled_back_to(false, cause);
        "is_lent": |state| state.is_lent();
        "is_back": |state| state.is_back();
    }
}

fn of_the_wire_to_the_transaction() -> Vec<Event> {
    events! {
        "looks_at_wire": |state| state.looks_at_wire(false);
        "looks_at_wire, drops break": |state| state.looks_at_wire(true);
    }
}

fn of_what_is_unseen() -> Vec<Event> {
    events! {
        "suspects one that may end": |state| state.suspects(untracked(Reach::MayEnd));
        "suspects one that ends": |state| state.suspects(untracked(Reach::Ends));
        "looked_at": |state| state.looked_at(false).is_some();
        "looked_at, to restore": |state| state.looked_at(true).is_some();
        "restored": |state| state.restored();
    }
}

fn of_the_hands() -> Vec<Event> {
    events! {
        "is_settling": |state| state.is_settling();
        "is_ready_for_others": |state| state.is_ready_for_others();
        "is_back": |state| state.is_back();
    }
}

const WIRES: [Wire; 6] = [
    Wire::Idle,
    Wire::Stale,
    Wire::Partial,
    Wire::Busy,
    Wire::Broken(Loss::Connection),
    Wire::Broken(Loss::DroppedOperation),
];

fn stages() -> Vec<Stage> {
    let old = || Cause::new("old");
    let healths = [
        Health::Active,
        Health::Doubt(old()),
        Health::Failed(old()),
        Health::Gone(old()),
        Health::Ended(Box::new(untracked(Reach::MayEnd))),
    ];
    let pendings = [
        Pending::Nothing,
        Pending::Release(2),
        Pending::Savepoint,
        Pending::RollBackTo(2),
    ];
    let mut stages = vec![Stage::Outside, Stage::Committing(Access::default())];
    for health in healths {
        stages.extend(pendings.map(|pending| {
            Stage::Open(Open {
                health: health.clone(),
                pending,
                savepoints: 2,
                ..Open::new(Access::default())
            })
        }));
    }
    stages
}

fn unseens() -> [Unseen; 4] {
    [
        Unseen::Nothing,
        Unseen::ToLookAt(Box::new(untracked(Reach::MayEnd))),
        Unseen::ToLookAt(Box::new(untracked(Reach::Ends))),
        Unseen::ToRestore,
    ]
}

fn wire(state: &State) -> String {
    format!("{:?}", state.wire)
}

fn stage(state: &State) -> String {
    let Open {
        health, pending, ..
    } = match &state.stage {
        Stage::Open(open) => open,
        other => return format!("{other:?}").replace(&format!("{:?}", Access::default()), ""),
    };
    let health = match health {
        Health::Ended(by) => format!("Ended({by})"),
        other => format!("{other:?}"),
    };
    format!("Open({health}, {pending:?})")
}

fn unseen(state: &State) -> String {
    match &state.unseen {
        Unseen::ToLookAt(untracked) if untracked.ends => "ToLookAt(it ends)".to_owned(),
        Unseen::ToLookAt(_) => "ToLookAt(it may end)".to_owned(),
        other => format!("{other:?}"),
    }
}

fn custody(state: &State) -> String {
    format!("{:?}", state.custody)
}

/// A line for each event that changes this part of the state, or has an answer.
fn lines(table: &mut String, before: &State, events: &[Event], part: fn(&State) -> String) {
    for (name, happens) in events {
        let mut after = before.clone();
        let answer = happens(&mut after);
        let (from, to) = (part(before), part(&after));
        if from != to || !answer.is_empty() {
            writeln!(table, "{from} | {name} | {to}{answer}").expect("a string takes it");
        }
    }
}

fn table() -> String {
    let mut table = String::new();
    for wire_before in WIRES {
        let state = State {
            wire: wire_before,
            ..State::default()
        };
        lines(&mut table, &state, &of_the_wire(), wire);
    }
    for stage_before in stages() {
        let state = State {
            stage: stage_before,
            ..State::default()
        };
        lines(&mut table, &state, &of_the_transaction(), stage);
        for wire in WIRES {
            let state = State {
                wire,
                ..state.clone()
            };
            let mut of_this = String::new();
            let events = of_the_wire_to_the_transaction();
            lines(&mut of_this, &state, &events, stage);
            for line in of_this.lines() {
                writeln!(table, "on {wire:?}: {line}").expect("a string takes it");
            }
        }
    }
    for unseen_before in unseens() {
        let state = State {
            unseen: unseen_before,
            ..State::default()
        };
        lines(&mut table, &state, &of_what_is_unseen(), unseen);
    }
    for hands_before in [Custody::User, Custody::Cleanup, Custody::Done] {
        let state = State {
            custody: hands_before,
            ..State::default()
        };
        lines(&mut table, &state, &of_the_hands(), custody);
    }
    table
}

/// Which states a statement may be sent in, and which go back to the pool or to a sandbox.
fn questions() -> String {
    let mut table = String::new();
    for stage_of in stages() {
        for wire in WIRES {
            for unseen_of in unseens() {
                let state = State {
                    wire,
                    stage: stage_of.clone(),
                    unseen: unseen_of,
                    ..State::default()
                };
                let answers = [
                    (state.is_steady(), "a statement may be sent"),
                    (state.is_at_rest(false), "goes back to the pool"),
                    (state.is_at_rest(true), "goes back to its sandbox"),
                ];
                for (_, what) in answers.into_iter().filter(|(yes, _)| *yes) {
                    let (stage, unseen) = (stage(&state), unseen(&state));
                    writeln!(table, "{wire:?}, {stage}, {unseen}: {what}").expect("a string");
                }
            }
        }
    }
    table
}

#[test]
fn the_table_of_states_and_events_is_as_it_was_accepted() {
    let now = format!("{}\n{}", table(), questions());
    if std::env::var_os("UPDATE_TABLE").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/model/transaction/table.txt"
        );
        fs::write(path, &now).expect("the table is written");
        return;
    }
    let accepted = include_str!("table.txt");
    let (mut was, mut is) = (accepted.lines(), now.lines());
    loop {
        match (was.next(), is.next()) {
            (None, None) => return,
            (was, is) => assert_eq!(was, is, "the table has changed: see the head of this file"),
        }
    }
}
