//! The listener that writes a line for an event. Lines that say more than an event carries are
//! written where they happen.

use super::events::Event;
use crate::model::labels::HookKind;

/// Inlined wherever an event is told, so that the lines themselves stay out of it.
#[inline(always)]
pub(super) fn hear(event: Event) {
    match event {
        Event::BreakerOpened { system } => breaker_opened(system),
        Event::BreakerClosed { system } => breaker_closed(system),
        Event::HookFailed { which } => hook_failed(which),
        _ => {}
    }
}

#[cold]
fn breaker_opened(system: &'static str) {
    tracing::warn!(
        target: "txn", system,
        "the server is out of reach: callers that need a new connection fail at once"
    );
}

#[cold]
fn breaker_closed(system: &'static str) {
    tracing::info!(target: "txn", system, "the server can be reached again");
}

/// A hook before the commit makes its scope fail, and the error says why.
#[cold]
fn hook_failed(which: HookKind) {
    if which == HookKind::After {
        tracing::error!(
            target: "txn",
            "a hook panicked; the transaction had ended, and the other hooks run"
        );
    }
}
