//! The open scopes, as the page lists them.

use serde::Serialize;
use txn::{Holder, OpenScope, WaitsFor};

/// So many are shown, the oldest.
const SHOWN: usize = 12;

#[derive(Serialize)]
pub(crate) struct Open {
    count: usize,
    oldest: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    place: Option<String>,
    milliseconds: u128,
    state: String,
    session: Option<u64>,
    statements: u64,
    /// What it waits for, and on whom.
    waits: Option<String>,
}

impl Open {
    pub(crate) fn new(scopes: &[OpenScope]) -> Self {
        Self {
            count: scopes.len(),
            oldest: scopes.iter().take(SHOWN).map(line).collect(),
        }
    }
}

fn line(scope: &OpenScope) -> Line {
    Line {
        name: scope.name,
        place: scope.location.map(|location| location.to_string()),
        milliseconds: scope.age.as_millis(),
        state: scope.state.to_string(),
        session: scope.session,
        statements: scope.statements,
        waits: scope.waits_for.map(|what| waits(what, &scope.waits_on)),
    }
}

/// The line of `OpenScope` itself has all holders, and where they are; here they are in the table.
fn waits(what: WaitsFor, holders: &[Holder]) -> String {
    let what = match what {
        WaitsFor::Session => "a session",
        WaitsFor::Connection => "the server to open a session",
        WaitsFor::Turn => "its turn to write",
        _ => "a lock",
    };
    match holders {
        [] => what.into(),
        [one] => format!("{what}, held by {}", holder(one)),
        [one, more @ ..] => format!("{what}, held by {} and {} more", holder(one), more.len()),
    }
}

fn holder(holder: &Holder) -> String {
    match (holder.name, holder.session) {
        (Some(name), Some(session)) => format!("{name} in session {session}"),
        (Some(name), None) => name.into(),
        (None, Some(session)) => format!("session {session}, which is not of this pool"),
        (None, None) => "somebody unknown".into(),
    }
}
