//! All metrics: their names, units, descriptions and labels, and the events that move them.
//!
//! Names are those of OpenTelemetry's conventions for databases where there is one
//! (`db.client.connection.*`), and `txn.*` elsewhere. To add a metric is to add a row here and one
//! to the page `src/metrics.md`, with which the tests compare this table.

use ::metrics::{Counter, Gauge, Histogram};

use super::declare::{Row, metrics};
use super::handle::{Each, Family, Handle, ScopeEnd, Series, Share, Utilization};
use crate::model::labels::{
    CloseReason, HookKind, RejectionLabel, RollbackCause, ScopeOutcome, SessionState, SettleOutcome,
};
use crate::observe::events::Event;

metrics! {
    /// The metrics of a `Db`.
    struct PoolMetrics {
        sessions: Each<Gauge, SessionState> =
            "db.client.connection.count" ["db.client.connection.state"], Count,
            "Sessions that are open, by state: idle in the pool, or used",
            {
                Event::SessionEnteredPool => sessions.at(SessionState::Idle).increment(1),
                Event::SessionLeftPool => sessions.at(SessionState::Idle).decrement(1),
                Event::SessionTaken => sessions.at(SessionState::Used).increment(1),
                Event::SessionReleased { .. } => sessions.at(SessionState::Used).decrement(1),
            }

        max_sessions: Share =
            "db.client.connection.max" [], Count,
            "The most sessions that may be open",
            { Event::PoolMade { max_sessions: most } => max_sessions.add(most.cast_signed()), }

        waiting: Gauge =
            "db.client.connection.pending_requests" [], Count,
            "Callers that have asked for a session and do not have it yet",
            {
                Event::WaitBegan => waiting.increment(1),
                Event::WaitEnded => waiting.decrement(1),
            }

        timeouts: Counter =
            "db.client.connection.timeouts" [], Count,
            "Callers that got no session in time",
            { Event::WaitTimedOut => timeouts.increment(1), }

        rejected: Family<Counter, RejectionLabel> =
            "txn.callers.refused" ["txn.reason"], Count,
            "Callers that were refused before their time was over, by reason",
            { Event::Rejected { why } => rejected.at(why).increment(1), }

        breaker: Share =
            "txn.breaker.open" [], Count,
            "1 while the server is out of reach and callers that need a new connection fail at once",
            {
                Event::BreakerOpened { .. } => breaker.add(1),
                Event::BreakerClosed { .. } => breaker.add(-1),
            }

        create_time: Histogram =
            "db.client.connection.create_time" [], Seconds,
            "The time it took to open a session",
            { Event::SessionOpened { begun } => create_time.record(begun.instant().elapsed()), }

        wait_time: Histogram =
            "db.client.connection.wait_time" [], Seconds,
            "The time it took to get a session, opening one included",
            {
                Event::Served { taken, limit, until } => {
                    let asked = until.into_std() - limit;
                    wait_time.record(taken.instant().saturating_duration_since(asked));
                },
            }

        use_time: Histogram =
            "db.client.connection.use_time" [], Seconds,
            "The time a session was out of the pool, cleanup included",
            { Event::SessionReleased { taken, now } => use_time.record(now - taken), }

        created: Counter =
            "txn.sessions.created" [], Count,
            "Sessions opened",
            { Event::SessionOpened { .. } => created.increment(1), }

        refused: Counter =
            "txn.sessions.refused" [], Count,
            "Sessions that could not be opened",
            { Event::SessionRefused => refused.increment(1), }

        closed: Family<Counter, CloseReason> =
            "txn.sessions.closed" ["txn.reason"], Count,
            "Sessions closed, by reason",
            { Event::SessionClosed { why } => closed.at(why).increment(1), }

        utilization: Utilization =
            "txn.sessions.utilization" [], Count,
            "Sessions used, as a share of the most that may be open, from 0 to 1",
            {
                Event::PoolMade { max_sessions } => utilization.of(max_sessions),
                Event::SessionTaken => utilization.taken(),
                Event::SessionReleased { .. } => utilization.released(),
            }

        settling: Gauge =
            "txn.settling" [], Count,
            "Cleanups in the background: sessions being settled, scopes being ended, hooks",
            {
                Event::CleanupBegan => settling.increment(1),
                Event::CleanupEnded => settling.decrement(1),
            }

        settle_time: Family<Histogram, SettleOutcome> =
            "txn.settle.duration" ["txn.end"], Seconds,
            "The time it took to bring a session to a known state, by how it ended",
            {
                Event::Settled { begun, how } => {
                    settle_time.at(how).record(begun.instant().elapsed());
                },
            }

        begin_time: Histogram =
            "txn.begin.duration" [], Seconds,
            "The time it took to begin a transaction",
            { Event::BeginAnswered { sent } => begin_time.record(sent.instant().elapsed()), }

        commit_time: Histogram =
            "txn.commit.duration" [], Seconds,
            "The time it took to commit",
            {
                Event::CommitAnswered { sent, answered } => {
                    commit_time.record(answered.instant() - sent.instant());
                },
            }

        finished: Family<Counter, ScopeOutcome> =
            "txn.commit.finished_after_drop" ["txn.outcome"], Count,
            "Commits that ended after their caller was dropped, or was told that they are late",
            { Event::FinishedAfterDrop { how } => finished.at(how).increment(1), }

        rollbacks: Family<Counter, RollbackCause> =
            "txn.rollbacks" ["txn.cause"], Count,
            "Transactions rolled back, by cause",
            { Event::RolledBack { why } => rollbacks.at(why).increment(1), }

        hooks_failed: Family<Counter, HookKind> =
            "txn.hooks.failed" ["txn.hook"], Count,
            "Hooks that failed or panicked",
            { Event::HookFailed { which } => hooks_failed.at(which).increment(1), }
    }
}

metrics! {
    /// The metrics of all scopes of one name and one kind.
    struct ScopeMetrics {
        duration: Family<Histogram, ScopeEnd> =
            "txn.scope.duration" ["txn.scope.kind", "txn.outcome", "txn.phase"], Seconds,
            "The time from asking for a scope to its end, all attempts and the wait included",
            {
                Event::ScopeEnded { kind, how, phase, took, .. } => {
                    duration.at(ScopeEnd { kind, how, phase }).record(took);
                },
            }

        attempts: Family<Histogram, ()> =
            "txn.scope.attempts" [], Count,
            "Attempts that a scope with `retry` took",
            {
                Event::ScopeEnded { attempts: Some(tried), .. } => attempts.at(()).record(tried),
            }

        retries: Family<Counter, ()> =
            "txn.retries" [], Count,
            "Attempts at a scope after its first",
            { Event::ScopeRetried { .. } => retries.at(()).increment(1), }
    }
}

impl ScopeMetrics {
    /// The label that all of them have, beside those of the `Db`.
    pub(super) const KEY: &str = "txn.scope.name";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../../../src/metrics.md");

    /// Name, kind, unit and labels of each metric, in order.
    type Rows = BTreeSet<(String, Vec<String>)>;

    fn on_the_page() -> Rows {
        let rows = PAGE.lines().filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [_, name, kind, unit, _, labels, _] = cells[..] else {
                return None;
            };
            let keys = labels.split('`').filter(|word| word.contains('.'));
            let keys = keys.map(str::to_owned).collect();
            Some((format!("{name} {kind} {unit}"), keys))
        });
        // The first two are the head of the table.
        rows.skip(2).collect()
    }

    fn declared(rows: &[Row], shared: &[&str]) -> Rows {
        let row = |row: &Row| {
            let kind = format!("{:?}", row.kind).to_lowercase();
            let unit = match row.unit {
                ::metrics::Unit::Seconds => "s",
                _ => "1",
            };
            let keys = shared.iter().chain(row.keys);
            let keys = keys.map(ToString::to_string).collect();
            (format!("`{}` {kind} {unit}", row.name), keys)
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn the_page_has_the_kind_unit_and_labels_of_every_metric_and_no_other() {
        let mut declared_rows = declared(PoolMetrics::ROWS, &[]);
        declared_rows.extend(declared(ScopeMetrics::ROWS, &[ScopeMetrics::KEY]));
        assert_eq!(on_the_page(), declared_rows);
    }

    #[test]
    fn the_page_has_every_value_of_every_label() {
        fn words<L: Copy>(all: &[L], word: fn(L) -> &'static str) -> Vec<&'static str> {
            all.iter().map(|one| word(*one)).collect()
        }
        let all = [
            words(SessionState::ALL, SessionState::as_str),
            words(RejectionLabel::ALL, RejectionLabel::as_str),
            words(CloseReason::ALL, CloseReason::as_str),
            words(SettleOutcome::ALL, SettleOutcome::as_str),
            words(RollbackCause::ALL, RollbackCause::as_str),
            words(HookKind::ALL, HookKind::as_str),
        ];
        let lacking = |word: &&&str| !PAGE.contains(&format!("`{word}`"));
        let lacking: Vec<_> = all.iter().flatten().filter(lacking).collect();
        assert!(lacking.is_empty(), "{lacking:?}");
    }
}
