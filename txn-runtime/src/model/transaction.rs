//! The state of a session: its connection, and the transaction that it is in.
//!
//! [`State`] is a state machine without I/O. Its four fields are private and independent of each
//! other: how far the connection is from the end of its last exchange ([`Wire`]), which transaction
//! is open and how it is doing ([`Stage`], with [`Health`] and [`Pending`] inside), what ran on the
//! session where the runtime could not see its effect ([`Unseen`]), and who holds the session
//! ([`Custody`]). Combinations that must not exist cannot be written down: there is no health
//! outside of a transaction, and no savepoint to release while a COMMIT is in flight.
//!
//! Nothing here waits, and nothing talks to a server. The code that does I/O calls the method that
//! is named after what happened (`sent`, `answered`, `ended`), and asks this module what may be
//! sent next.
//!
//! A state lives inside its session and is only ever reached through `&mut`, so that no lock and no
//! atomic is needed: the one task that has the session is the only one that reads or writes it. The
//! state has no `Drop`. When a future is dropped, whatever it wrote last stays, and the next
//! operation on the session reads it from there.
//!
//! # The connection
//!
//! ```text
//!            sent                row_read
//!   Idle ───────────► Busy ◄──────────────► Partial
//!    ▲ ▲               │ │ │      sent         │
//!    │ └── answered ───┘ │ └── lost ─────┐     │ drained
//!    │                   │               ▼     │
//!    │               outdated          Broken  │
//!    │  drained          ▼                     │
//!    ├────────────── Stale                     │
//!    └─────────────────────────────────────────┘
//! ```
//!
//! `Busy` is written before an operation is polled for the first time. A future that is dropped in
//! flight therefore leaves `Busy` behind, and no code has to run for it (invariant 2). A drain
//! reads what is left of an answer, and ends in `Idle`, or in `Broken` if it fails. `Broken` is
//! final, whatever is reported after it.
//!
//! # The transaction
//!
//! ```text
//!              begins                 commits
//!   Outside ───────────► Open ───────────────────► Committing
//!      ▲                  │ ▲                          │ │
//!      │      ended       │ │  commit_failed           │ │
//!      ├──────────────────┘ └──────────────────────────┘ │
//!      └─────────────────────── ended ───────────────────┘
//!
//!   the health of an open one:
//!
//!   Active ──failed(Doubt)──► Doubt ──resolves_doubt──► Active, or Gone
//!   Active, Doubt ──failed(Failed)──► Failed ──rolled_back_to──► Active
//!   any of these ──failed(Gone)──► Gone             any of these ──looked_at──► Ended
//! ```
//!
//! Health only ever gets worse, and keeps its first cause, with two exceptions: a rollback to a
//! savepoint mends what has failed since that savepoint, and a doubt is resolved when the server is
//! asked. `Gone` and `Ended` are final: nothing more is sent in that transaction.
//!
//! What has to be sent before the next statement is kept in [`Pending`]. A nested scope that failed
//! leaves `RollBackTo` behind, a nested scope that ended well leaves `Release`, and a SAVEPOINT in
//! flight leaves `Savepoint`. `RollBackTo` wins over the others until it is carried out.
//!
//! # Who calls what
//!
//! | file | reports |
//! |---|---|
//! | `pool/executor` | `sent`, `row_read`, `answered`, `outdated`, `lost`, `failed` |
//! | `pool/transaction_sql` | `begins`, `commits`, `commit_failed`, `ended` |
//! | `pool/session` | `suspects`, `looked_at`, `left_to_the_next`, `is_settling` |
//! | `pool/session/queries` | `sent` |
//! | `pool/session/upkeep` | `drains`, `drained`, `given_up`, `sent`, `answered`, `lost`, |
//! | | `begins`, `ended` |
//! | `pool/session/release` | `is_ready_for_others`, `lost` |
//! | `pool/session/release` | `is_lent`, `is_back` |
//! | `pool/session/release` | `ended` |
//! | `pool/settle` | `restored` |
//! | `tx/begin`, `tx/end` | `lost`, `given_up` |
//! | `tx/level` | `sets_savepoint`, `savepoint_set`, `keeps`, `undoes`, `rolled_back_to`, |
//! | | `not_rolled_back_to`, `failed` |
//! | `tx/state` | `looks_at_wire`, `savepoint_set`, `ended_unseen`, `resolves_doubt` |

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

use crate::model::error::Cause;
use crate::model::untracked::Untracked;

/// How far a connection is from the end of its last protocol exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The last exchange was completed. A new statement is only sent in this state.
    Idle,
    /// The last exchange was completed, and its answer shows that the prepared statements of the
    /// connection are out of date. They are cleared before the next statement, or by the next
    /// user of the session.
    Stale,
    /// A row stream was dropped between two rows.
    Partial,
    /// An operation is in flight, or was dropped while its answer was outstanding.
    Busy,
    /// The connection is of no more use. No other state follows this one.
    Broken(Loss),
}

/// How a connection came to be of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection was lost, or the runtime gave it up.
    Connection,
    /// A future was dropped in flight, and the driver does not survive that.
    DroppedOperation,
}

/// The effect of a failed statement on the transaction that it ran in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The transaction goes on as if the statement had not been sent.
    None,
    /// The engine refuses everything until a rollback.
    Failed,
    /// The engine has rolled the whole transaction back: what follows would autocommit.
    Gone,
    /// The engine may have rolled the transaction back;
    /// [`Engine::in_transaction`](crate::Engine) tells.
    Doubt,
}

/// The settings that BEGIN has made on the session, and that the end of the transaction takes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(dead_code, reason = "each engine looks at what it has set itself")]
pub struct Access {
    /// The session refuses to write.
    pub(crate) read_only: bool,
    /// The session has the time limits of the scope.
    pub(crate) limited: bool,
}

/// The state of an open transaction on the server, as far as it is known.
#[derive(Clone, Debug)]
pub(crate) enum Health {
    /// Nothing has failed, or everything that failed was rolled back to a savepoint.
    Active,
    /// A statement failed, and the engine may have rolled everything back.
    Doubt(Cause),
    /// Everything is refused until a rollback, at least to the innermost savepoint.
    Failed(Cause),
    /// The server has rolled the transaction back by itself, or the connection is lost: what
    /// follows would autocommit.
    Gone(Cause),
    /// Something that ran in the transaction has ended it, and may have committed a part of it;
    /// what follows would autocommit.
    Ended(Box<Untracked>),
}

/// The SQL that has to be sent before the next statement of a transaction, or along with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    /// The next statement goes out as it is.
    Nothing,
    /// A nested scope was kept: the RELEASE of its savepoint is sent in front of the next
    /// SAVEPOINT, which saves a round trip. If there is none, COMMIT releases it.
    Release(u32),
    /// A SAVEPOINT is in flight; nothing has run under it yet.
    Savepoint,
    /// A nested scope is to be undone before anything else is sent. The savepoint is that of the
    /// outermost scope to be undone.
    RollBackTo(u32),
}

/// A transaction between BEGIN and its end.
#[derive(Clone, Debug)]
struct Open {
    /// The settings that BEGIN has made.
    access: Access,
    /// The state on the server.
    health: Health,
    /// The SQL that comes before the next statement.
    pending: Pending,
    /// The number of the last savepoint. It only counts up, so that a name is never used twice in
    /// a transaction, and a savepoint with a lower number was set before one with a higher number.
    savepoints: u32,
}

/// How far the session is in its transaction. The diagram above shows which stage follows which.
#[derive(Clone, Debug, Default)]
enum Stage {
    /// No transaction is open, as far as the runtime has begun one.
    #[default]
    Outside,
    /// BEGIN was sent, and the end of the transaction is not confirmed.
    Open(Open),
    /// COMMIT was sent, and is not answered.
    Committing(Access),
}

/// Changes of the session that the runtime cannot see.
///
/// `Nothing` becomes `ToLookAt` before the untracked code runs (`suspects`), `ToLookAt` becomes
/// `ToRestore` or `Nothing` when the session was asked (`looked_at`), and everything becomes
/// `Nothing` when the settings are restored (`restored`).
#[derive(Clone, Debug, Default)]
enum Unseen {
    /// Everything that ran is known.
    #[default]
    Nothing,
    /// This ran, and the session was not asked since whether it is inside of a transaction.
    ToLookAt(Box<Untracked>),
    /// The session was asked. Settings may have changed too, and are to be restored before others
    /// get the session.
    ToRestore,
}

/// The holder of the session. It goes from the user to a cleanup, and never back, except that a
/// sandbox takes its session back from the cleanup of a scope inside of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Custody {
    /// A scope, a caller, or a sandbox holds it. Dropped unclean, it goes to a cleanup.
    #[default]
    User,
    /// A cleanup holds it. Dropped unclean, it is closed.
    Cleanup,
    /// A cleanup holds it that has done everything that comes before others may get the session.
    Done,
}

/// The state of a session. It starts idle, outside of a transaction, in the hands of its user.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The connection.
    wire: Wire,
    /// The transaction.
    stage: Stage,
    /// Changes that the runtime has not seen.
    unseen: Unseen,
    /// The holder.
    custody: Custody,
}

impl Default for State {
    fn default() -> Self {
        Self {
            wire: Wire::Idle,
            stage: Stage::Outside,
            unseen: Unseen::Nothing,
            custody: Custody::User,
        }
    }
}

/// The work on a connection that has to be done before the transaction on it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnWire {
    /// Nothing is left to read, or nothing can be read any more; the health says which.
    Settled,
    /// The rest of an answer has to be read.
    ToRead,
}

// ---- the connection ---------------------------------------------------------------------------

impl State {
    /// Returns how far the connection is from the end of its last exchange.
    #[inline(always)]
    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    /// Returns whether the last exchange was completed, so that a statement may be sent.
    #[inline(always)]
    pub(crate) fn is_idle(&self) -> bool {
        self.wire == Wire::Idle
    }

    /// Returns whether the connection is of no more use.
    #[inline(always)]
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.wire, Wire::Broken(_))
    }

    /// An operation is about to be polled, for the first time or again. It is called before the
    /// poll, so that a drop in the middle leaves `Busy` (invariant 2).
    #[inline(always)]
    pub(crate) fn sent(&mut self) {
        self.moves_to(Wire::Busy);
    }

    /// A row was read, and there is more to come. A row stream may be dropped here.
    #[inline(always)]
    pub(crate) fn row_read(&mut self) {
        self.moves_to(Wire::Partial);
    }

    /// The whole answer was read, even if it is an error.
    #[inline(always)]
    pub(crate) fn answered(&mut self) {
        self.moves_to(Wire::Idle);
    }

    /// The whole answer was read, and says that the connection's prepared statements are out of
    /// date.
    pub(crate) fn outdated(&mut self) {
        self.moves_to(Wire::Stale);
    }

    /// The session is handed on, and its next user will clear the outdated prepared statements.
    pub(crate) fn left_to_the_next(&mut self) {
        if self.wire == Wire::Stale {
            self.wire = Wire::Idle;
        }
    }

    /// The connection was lost, or the runtime gives it up. The first reason for which it broke is
    /// kept.
    pub(crate) fn lost(&mut self) {
        if !self.is_broken() {
            self.wire = Wire::Broken(Loss::Connection);
        }
    }

    /// The runtime gives the connection up. `by_a_drop` says that a future was dropped on it
    /// before, which the driver does not survive; that reason takes the place of any other.
    pub(crate) fn given_up(&mut self, by_a_drop: bool) {
        self.lost();
        if by_a_drop {
            self.wire = Wire::Broken(Loss::DroppedOperation);
        }
    }

    /// A drain is about to start; returns what it has to read. A drain that is dropped leaves the
    /// session as it was, unless the driver does not survive drops (`drops_break`): then it leaves
    /// `Busy`.
    pub(crate) fn drains(&mut self, drops_break: bool) -> Wire {
        let left = self.wire;
        if drops_break && !self.is_broken() {
            self.wire = Wire::Busy;
        }
        left
    }

    /// The drain has read the answer to its end.
    pub(crate) fn drained(&mut self) {
        self.moves_to(Wire::Idle);
    }

    /// Changes the state of the wire, unless the connection is broken: that state is final.
    #[inline(always)]
    fn moves_to(&mut self, wire: Wire) {
        if !self.is_broken() {
            self.wire = wire;
        }
    }

    /// Returns whether a future was dropped on the connection and the driver does not survive that.
    /// All that can be done with such a connection is to close it.
    pub(crate) fn is_lost_by_a_drop(&self, drops_break: bool) -> bool {
        match self.wire {
            Wire::Busy => drops_break,
            Wire::Broken(loss) => loss == Loss::DroppedOperation,
            Wire::Idle | Wire::Stale | Wire::Partial => false,
        }
    }
}

// ---- the transaction --------------------------------------------------------------------------

impl State {
    /// BEGIN was sent, and the transaction has not ended since, as far as the runtime knows.
    pub(crate) fn is_inside(&self) -> bool {
        !matches!(self.stage, Stage::Outside)
    }

    /// COMMIT was sent, and is not answered.
    pub(crate) fn is_committing(&self) -> bool {
        matches!(self.stage, Stage::Committing(_))
    }

    /// Returns what the transaction has set on the session; the default outside of one.
    pub(crate) fn access(&self) -> Access {
        match &self.stage {
            Stage::Outside => Access::default(),
            Stage::Open(Open { access, .. }) | Stage::Committing(access) => *access,
        }
    }

    /// The health of the open transaction; `None` outside of one, and while it commits.
    pub(crate) fn health(&self) -> Option<&Health> {
        match &self.stage {
            Stage::Open(open) => Some(&open.health),
            Stage::Outside | Stage::Committing(_) => None,
        }
    }

    /// BEGIN is about to be sent. From here on the session counts as inside of a transaction, also
    /// if the BEGIN is dropped in flight.
    pub(crate) fn begins(&mut self, access: Access) {
        if !self.is_inside() {
            self.stage = Stage::Open(Open::new(access));
        }
    }

    /// COMMIT is about to be sent. Only a transaction that [`is_steady`](Self::is_steady) can
    /// commit; for any other, nothing changes.
    pub(crate) fn commits(&mut self) {
        if let (Stage::Open(open), true) = (&self.stage, self.is_steady()) {
            self.stage = Stage::Committing(open.access);
        }
    }

    /// COMMIT was not answered with success. For all that is known the transaction is still open,
    /// and is to be rolled back.
    pub(crate) fn commit_failed(&mut self) {
        if let Stage::Committing(access) = self.stage {
            self.stage = Stage::Open(Open::new(access));
        }
    }

    /// The server has confirmed the end of the transaction, or its end does not matter any more
    /// because the connection is gone.
    pub(crate) fn ended(&mut self) {
        self.stage = Stage::Outside;
    }

    /// Returns whether the next statement may be sent right away: the wire is idle, the transaction
    /// is healthy, no savepoint has to be set or rolled back to first, and nothing ran that could
    /// have ended the transaction unseen. This is the check on the hot path.
    #[inline(always)]
    pub(crate) fn is_steady(&self) -> bool {
        let Stage::Open(open) = &self.stage else {
            return false;
        };
        self.wire == Wire::Idle
            && matches!(open.health, Health::Active)
            && matches!(open.pending, Pending::Nothing | Pending::Release(_))
            && !matches!(self.unseen, Unseen::ToLookAt(_))
    }

    /// A statement has failed, or its future was dropped. The health gets worse by `effect`, if it
    /// was better; `cause` is called only then.
    pub(crate) fn failed(&mut self, effect: Effect, cause: impl FnOnce() -> Cause) {
        if let Stage::Open(open) = &mut self.stage {
            open.failed(effect, cause);
        }
    }

    /// Takes into the health what the wire shows: that a statement was dropped in flight, or that
    /// the connection was lost. Returns whether an answer has to be read first.
    pub(crate) fn looks_at_wire(&mut self, drops_break: bool) -> OnWire {
        let Stage::Open(open) = &mut self.stage else {
            return OnWire::Settled;
        };
        let (effect, why) = match self.wire {
            Wire::Idle => return OnWire::Settled,
            Wire::Partial | Wire::Stale => return OnWire::ToRead,
            // What was dropped is only a SAVEPOINT, under which nothing has run.
            Wire::Busy if open.pending == Pending::Savepoint => return OnWire::ToRead,
            // The operation stays on the wire until a rollback drains it.
            Wire::Busy if drops_break => (Effect::Gone, DROPPED),
            Wire::Busy => (Effect::Failed, DROPPED),
            Wire::Broken(_) => (Effect::Gone, LOST),
        };
        open.failed(effect, || Cause::new(why));
        OnWire::Settled
    }

    /// Returns whether the server has to be asked if the transaction is still open.
    pub(crate) fn is_in_doubt(&self) -> bool {
        matches!(self.health(), Some(Health::Doubt(_)))
    }

    /// The server was asked whether the transaction is still open, and has answered.
    pub(crate) fn resolves_doubt(&mut self, inside: bool) {
        let Stage::Open(open) = &mut self.stage else {
            return;
        };
        if let Health::Doubt(cause) = &open.health {
            open.health = match inside {
                true => Health::Active,
                false => Health::Gone(cause.clone()),
            };
        }
    }
}

/// The causes that the wire gives, as they stand in messages.
const DROPPED: &str = "a statement was dropped before it had finished";
const LOST: &str = "the connection was lost";

// ---- savepoints -------------------------------------------------------------------------------

impl State {
    /// SAVEPOINT is about to be sent. Returns the number that names it, and the savepoint whose
    /// RELEASE is sent in front of it.
    ///
    /// If the SAVEPOINT is dropped in flight, nothing has run under it yet, and the transaction
    /// goes on after a drain.
    pub(crate) fn sets_savepoint(&mut self) -> (u32, Option<u32>) {
        let Stage::Open(open) = &mut self.stage else {
            return (0, None); // outside of a transaction the SAVEPOINT fails
        };
        let release = match open.pending {
            Pending::Release(ended) => Some(ended),
            _ => None,
        };
        open.savepoints += 1;
        if !matches!(open.pending, Pending::RollBackTo(_)) {
            open.pending = Pending::Savepoint;
        }
        (open.savepoints, release)
    }

    /// SAVEPOINT was answered, or a drain has read the rest of its answer.
    pub(crate) fn savepoint_set(&mut self) {
        if let Stage::Open(open) = &mut self.stage
            && open.pending == Pending::Savepoint
        {
            open.pending = Pending::Nothing;
        }
    }

    /// The nested scope at this savepoint has ended well. Nothing is sent for it now.
    pub(crate) fn keeps(&mut self, savepoint: u32) {
        if let Stage::Open(open) = &mut self.stage
            && !matches!(open.pending, Pending::RollBackTo(_))
        {
            open.pending = Pending::Release(savepoint);
        }
    }

    /// The nested scope at this savepoint has failed, or was dropped. Nothing is sent for it now:
    /// the ROLLBACK TO is pending until the transaction is used again. A transaction that is over
    /// has nothing left to undo.
    pub(crate) fn undoes(&mut self, savepoint: u32) {
        let Stage::Open(open) = &mut self.stage else {
            return;
        };
        open.pending = match open.pending {
            _ if open.health.is_over() => Pending::Nothing,
            // Numbers count up: the lower one belongs to the outer scope, whose rollback undoes the
            // inner one too.
            Pending::RollBackTo(inner) => Pending::RollBackTo(inner.min(savepoint)),
            _ => Pending::RollBackTo(savepoint),
        };
    }

    /// The savepoint to roll back to before anything else is sent.
    pub(crate) fn to_roll_back_to(&self) -> Option<u32> {
        match &self.stage {
            Stage::Open(Open {
                pending: Pending::RollBackTo(savepoint),
                health,
                ..
            }) if !health.is_over() => Some(*savepoint),
            _ => None,
        }
    }

    /// ROLLBACK TO was answered: what had failed since the savepoint is mended, and the savepoint
    /// itself is still set.
    pub(crate) fn rolled_back_to(&mut self, savepoint: u32) {
        if let Stage::Open(open) = &mut self.stage
            && !open.health.is_over()
        {
            open.pending = Pending::Release(savepoint);
            if let Health::Failed(_) | Health::Doubt(_) = open.health {
                open.health = Health::Active;
            }
        }
    }

    /// ROLLBACK TO has failed; `answered` if the server itself said so. If the transaction was in
    /// doubt, the savepoint is missing because the statement that failed first took the whole
    /// transaction with it. Then that statement stays the cause, and `true` says that the rollback
    /// is no failure of its own.
    pub(crate) fn not_rolled_back_to(
        &mut self,
        answered: bool,
        cause: impl FnOnce() -> Cause,
    ) -> bool {
        let Stage::Open(open) = &mut self.stage else {
            return false;
        };
        open.pending = Pending::Nothing;
        if let (Health::Doubt(first), true) = (&open.health, answered) {
            open.health = Health::Gone(first.clone());
            return true;
        }
        open.failed(Effect::Gone, cause);
        false
    }
}

// ---- what runs out of sight -------------------------------------------------------------------

impl State {
    /// Something is about to run that may begin or end a transaction unseen. It is noted before it
    /// runs, so that a drop cannot lose it. If what was noted before ends a transaction, that is
    /// kept.
    pub(crate) fn suspects(&mut self, untracked: Untracked) {
        let ended = self.to_look_at().is_some_and(|before| before.ends);
        self.unseen = Unseen::ToLookAt(Box::new(untracked.and_ends(ended)));
    }

    /// Returns what ran since the session was last asked and may have begun or ended a transaction.
    #[inline(always)]
    pub(crate) fn to_look_at(&self) -> Option<&Untracked> {
        match &self.unseen {
            Unseen::ToLookAt(untracked) => Some(untracked),
            Unseen::Nothing | Unseen::ToRestore => None,
        }
    }

    /// The session was asked whether it is in a transaction, or its answer is known in advance.
    /// Returns what had run, if that was not looked at before.
    ///
    /// `restores` says that the engine has settings which that code may have changed too: they are
    /// still to be restored.
    pub(crate) fn looked_at(&mut self, restores: bool) -> Option<Box<Untracked>> {
        let looked_at = match restores {
            true => Unseen::ToRestore,
            false => Unseen::Nothing,
        };
        match std::mem::take(&mut self.unseen) {
            Unseen::ToLookAt(untracked) => {
                self.unseen = looked_at;
                Some(untracked)
            }
            before => {
                self.unseen = before;
                None
            }
        }
    }

    /// The session was asked, and its transaction is not open any more: `by` has ended it.
    pub(crate) fn ended_unseen(&mut self, by: Box<Untracked>) {
        if let Stage::Open(open) = &mut self.stage {
            open.health = Health::Ended(by);
        }
    }

    /// Returns what has ended the open transaction, if something in it is known to have.
    pub(crate) fn ended_by(&self) -> Option<&Untracked> {
        match self.health() {
            Some(Health::Ended(by)) => Some(by),
            _ => None,
        }
    }

    /// Returns whether settings are to be restored, possibly after the session was asked.
    pub(crate) fn is_to_be_restored(&self) -> bool {
        !matches!(self.unseen, Unseen::Nothing)
    }

    /// The settings of the session are what the runtime relies on again.
    pub(crate) fn restored(&mut self) {
        self.unseen = Unseen::Nothing;
    }
}

// ---- custody ----------------------------------------------------------------------------------

impl State {
    /// Returns whether the session may go back to the pool, or to its sandbox (invariant 1).
    /// Settings that were changed inside of a sandbox are restored when the sandbox ends, not after
    /// each scope.
    #[inline]
    pub(crate) fn is_at_rest(&self, is_in_sandbox: bool) -> bool {
        self.wire == Wire::Idle
            && !self.is_inside()
            && match self.unseen {
                Unseen::Nothing => true,
                Unseen::ToRestore => is_in_sandbox,
                Unseen::ToLookAt(_) => false,
            }
    }

    /// A cleanup holds the session from now on.
    pub(crate) fn is_settling(&mut self) {
        self.custody = Custody::Cleanup;
    }

    /// Returns whether a cleanup holds the session, or has held it: if it is unclean now, it is
    /// closed.
    pub(crate) fn was_settled(&self) -> bool {
        self.custody != Custody::User
    }

    /// The cleanup has done everything that comes before others may get the session.
    pub(crate) fn is_ready_for_others(&mut self) {
        self.custody = Custody::Done;
    }

    /// Returns whether others may get the session without a further reset or callback.
    pub(crate) fn needs_nothing_before_others(&self) -> bool {
        self.custody == Custody::Done
    }

    /// A sandbox lends the session to a scope. That scope begins with a savepoint of its own, as if
    /// it were outside of the transaction of the sandbox.
    pub(crate) fn is_lent(&mut self) {
        self.stage = Stage::Outside;
    }

    /// The session is back in its sandbox, whose transaction is open and healthy.
    pub(crate) fn is_back(&mut self) {
        self.stage = Stage::Open(Open::new(Access::default()));
        self.custody = Custody::User;
    }
}

impl Open {
    /// A transaction that is healthy and has no savepoints yet.
    fn new(access: Access) -> Self {
        Self {
            access,
            health: Health::Active,
            pending: Pending::Nothing,
            savepoints: 0,
        }
    }

    /// Makes the health worse by `effect`, and never better. Equal or worse health keeps its first
    /// cause.
    fn failed(&mut self, effect: Effect, cause: impl FnOnce() -> Cause) {
        self.health = match (&self.health, effect) {
            (health, _) if health.is_over() => return,
            (_, Effect::None) => return,
            (_, Effect::Gone) => Health::Gone(cause()),
            (Health::Active | Health::Doubt(_), Effect::Failed) => Health::Failed(cause()),
            (Health::Active, Effect::Doubt) => Health::Doubt(cause()),
            _ => return,
        };
    }
}

impl Health {
    /// Returns whether the server has ended the transaction, so that there is nothing to roll back.
    fn is_over(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::Ended(_))
    }
}
