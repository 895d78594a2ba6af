//! The state of a session: its connection, and the transaction that it is in.
//!
//! Everything that must not be confused is here, behind private fields: whether an answer is
//! outstanding, whether a transaction is open and healthy, what has to be sent before anything
//! else, whether something ran out of sight, and who has the session in hand. Nothing here waits or
//! talks to a server. Whoever does reports what happened by the method of that name, and asks what
//! may be done next.
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
//! flight therefore leaves `Busy` behind, and no code has to run for it (invariant 2). What is left
//! of an answer is read by a drain, which ends in `Idle`, or in `Broken` if it fails.
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
//! Health gets worse only, except that a rollback to a savepoint mends what has failed since. `Gone`
//! and `Ended` are final: nothing more is sent in that transaction.
//!
//! # Who calls what
//!
//! | file | reports |
//! |---|---|
//! | `pool/executor`, `pool/session/upkeep` | `sent`, `row_read`, `answered`, `outdated`, `lost`, `drained`, `failed` |
//! | `pool/control` | `begins`, `commits`, `commit_failed`, `ended` |
//! | `pool/session` | `suspects`, `restored`, `is_settling`, `is_ready_for_others`, `is_in_sandbox`, `is_back` |
//! | `pool/settle` | `looked_at` |
//! | `tx/level`, `tx/state` | `sets_savepoint`, `savepoint_set`, `keeps`, `undoes`, `rolled_back_to`, `looks_at_wire`, `looked_at`, `resolves_doubt` |

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;

use crate::model::error::Cause;
use crate::model::untracked::Untracked;

/// How far a connection is from the end of its last protocol exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The last exchange was completed.
    Idle,
    /// It was completed, and has shown that what the connection remembers of the schema is out of
    /// date: that is to be forgotten.
    Stale,
    /// A row stream was dropped between two rows.
    Partial,
    /// An operation is in flight, or was dropped while its answer was outstanding.
    Busy,
    /// The connection is of no more use.
    Broken(Loss),
}

/// How a connection came to be of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It was lost, or was given up.
    Connection,
    /// An operation was dropped on it that the driver does not survive.
    DroppedOperation,
}

/// What a failed statement did to the transaction that it ran in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The transaction goes on as if the statement had not been sent.
    None,
    /// The engine refuses everything until a rollback.
    Failed,
    /// The engine has rolled the whole transaction back: what follows would autocommit.
    Gone,
    /// The engine may have; [`Engine::in_transaction`](crate::Engine) tells.
    Doubt,
}

/// What a transaction has set on its session, to be unset when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(dead_code, reason = "each engine looks at what it has set itself")]
pub struct Access {
    pub(crate) read_only: bool,
    pub(crate) limited: bool,
}

/// What is known of an open transaction's state on the server.
#[derive(Clone, Debug)]
pub(crate) enum Health {
    Active,
    /// A statement failed, and the engine may have rolled everything back.
    Doubt(Cause),
    /// Everything is refused until a rollback, at least to the innermost savepoint.
    Failed(Cause),
    /// The server has rolled the transaction back by itself, or the connection is lost: what
    /// follows would autocommit.
    Gone(Cause),
    /// What ran in the transaction has ended it, and may have committed a part of it; what
    /// follows would autocommit.
    Ended(Box<Untracked>),
}

/// What comes before the next statement of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    Nothing,
    /// A nested scope was kept: the RELEASE of its savepoint rides in front of the next SAVEPOINT.
    Release(u32),
    /// A SAVEPOINT is in flight; nothing has run under it yet.
    Savepoint,
    /// A nested scope is to be undone before anything else is sent.
    RollBackTo(u32),
}

#[derive(Clone, Debug)]
struct Open {
    access: Access,
    health: Health,
    pending: Pending,
    /// Names of savepoints are never used twice in a transaction.
    savepoints: u32,
}

#[derive(Clone, Debug, Default)]
enum Stage {
    #[default]
    Outside,
    /// BEGIN was sent, and the end of the transaction is not confirmed.
    Open(Open),
    /// COMMIT was sent, and is not answered.
    Committing(Access),
}

/// What may have changed the session where the runtime does not see it.
#[derive(Clone, Debug, Default)]
enum Unseen {
    #[default]
    Nothing,
    /// Since this ran, the session was not asked whether it is inside of a transaction.
    ToLookAt(Box<Untracked>),
    /// It was asked. What else may have been changed is to be restored before others get it.
    ToRestore,
}

/// Who has the session in hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Custody {
    /// A scope, a caller, or a sandbox.
    #[default]
    User,
    /// A cleanup: what that leaves unclean is closed.
    Cleanup,
    /// A cleanup that has done all there is to do before others get it.
    Done,
}

/// The state of a session.
#[derive(Clone, Debug)]
pub(crate) struct State {
    wire: Wire,
    stage: Stage,
    unseen: Unseen,
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

/// What has to be done about a connection before the transaction on it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnWire {
    /// Nothing, or nothing that may be done: the health tells.
    Settled,
    /// What is left of an answer has to be read.
    ToRead,
}

// ---- the connection ---------------------------------------------------------------------------

impl State {
    #[inline(always)]
    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    #[inline(always)]
    pub(crate) fn is_idle(&self) -> bool {
        self.wire == Wire::Idle
    }

    #[inline(always)]
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.wire, Wire::Broken(_))
    }

    /// An operation is about to be polled, or goes on to be.
    #[inline(always)]
    pub(crate) fn sent(&mut self) {
        self.moves_to(Wire::Busy);
    }

    /// Some of the answer has come, and there is more.
    #[inline(always)]
    pub(crate) fn row_read(&mut self) {
        self.moves_to(Wire::Partial);
    }

    /// All of the answer has come, be it an error.
    #[inline(always)]
    pub(crate) fn answered(&mut self) {
        self.moves_to(Wire::Idle);
    }

    /// All of it has come, and says that the connection's memory of the schema is out of date.
    pub(crate) fn outdated(&mut self) {
        self.moves_to(Wire::Stale);
    }

    /// The next user is to forget what is out of date.
    pub(crate) fn left_to_the_next(&mut self) {
        if self.wire == Wire::Stale {
            self.wire = Wire::Idle;
        }
    }

    /// The connection is lost, or given up. How it broke first stands.
    pub(crate) fn lost(&mut self) {
        if !self.is_broken() {
            self.wire = Wire::Broken(Loss::Connection);
        }
    }

    /// It is given up; `by_a_drop` if an operation was dropped on it before that the driver does
    /// not survive.
    pub(crate) fn given_up(&mut self, by_a_drop: bool) {
        self.lost();
        if by_a_drop {
            self.wire = Wire::Broken(Loss::DroppedOperation);
        }
    }

    /// What is left on the wire is about to be drained: returns that. Dropped in there, the session
    /// is no worse for it, unless its driver does not survive drops.
    pub(crate) fn drains(&mut self, drops_break: bool) -> Wire {
        let left = self.wire;
        if drops_break && !self.is_broken() {
            self.wire = Wire::Busy;
        }
        left
    }

    /// It was, to its end.
    pub(crate) fn drained(&mut self) {
        self.moves_to(Wire::Idle);
    }

    /// What is broken stays broken.
    #[inline(always)]
    fn moves_to(&mut self, wire: Wire) {
        if !self.is_broken() {
            self.wire = wire;
        }
    }

    /// An operation was dropped on it that the driver does not survive: closing it is what there is
    /// to do.
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
    pub(crate) fn is_inside(&self) -> bool {
        !matches!(self.stage, Stage::Outside)
    }

    /// COMMIT was sent, and is not answered.
    pub(crate) fn is_committing(&self) -> bool {
        matches!(self.stage, Stage::Committing(_))
    }

    /// What the transaction has set on the session.
    pub(crate) fn access(&self) -> Access {
        match &self.stage {
            Stage::Outside => Access::default(),
            Stage::Open(Open { access, .. }) | Stage::Committing(access) => *access,
        }
    }

    /// `None` outside of a transaction.
    pub(crate) fn health(&self) -> Option<&Health> {
        match &self.stage {
            Stage::Open(open) => Some(&open.health),
            Stage::Outside | Stage::Committing(_) => None,
        }
    }

    /// BEGIN is about to be sent.
    pub(crate) fn begins(&mut self, access: Access) {
        if !self.is_inside() {
            self.stage = Stage::Open(Open::new(access));
        }
    }

    /// COMMIT is about to be sent, which is for a transaction that [`is_steady`](Self::is_steady).
    pub(crate) fn commits(&mut self) {
        if let (Stage::Open(open), true) = (&self.stage, self.is_steady()) {
            self.stage = Stage::Committing(open.access);
        }
    }

    /// COMMIT was not answered with success, and the transaction is open for all that is known.
    pub(crate) fn commit_failed(&mut self) {
        if let Stage::Committing(access) = self.stage {
            self.stage = Stage::Open(Open::new(access));
        }
    }

    /// The transaction has ended, or it is nobody's concern any more.
    pub(crate) fn ended(&mut self) {
        self.stage = Stage::Outside;
    }

    /// The next statement may be sent: the transaction is healthy, and nothing comes before.
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

    /// A statement has failed, or was given up.
    pub(crate) fn failed(&mut self, effect: Effect, cause: impl FnOnce() -> Cause) {
        if let Stage::Open(open) = &mut self.stage {
            open.failed(effect, cause);
        }
    }

    /// What a drop, or a lost connection, means for the transaction.
    pub(crate) fn looks_at_wire(&mut self, drops_break: bool) -> OnWire {
        let Stage::Open(open) = &mut self.stage else {
            return OnWire::Settled;
        };
        let (effect, why) = match self.wire {
            Wire::Idle => return OnWire::Settled,
            Wire::Partial | Wire::Stale => return OnWire::ToRead,
            // It is no more than a SAVEPOINT.
            Wire::Busy if open.pending == Pending::Savepoint => return OnWire::ToRead,
            // The operation stays on the wire until a rollback drains it.
            Wire::Busy if drops_break => (Effect::Gone, DROPPED),
            Wire::Busy => (Effect::Failed, DROPPED),
            Wire::Broken(_) => (Effect::Gone, LOST),
        };
        open.failed(effect, || Cause::new(why));
        OnWire::Settled
    }

    pub(crate) fn is_in_doubt(&self) -> bool {
        matches!(self.health(), Some(Health::Doubt(_)))
    }

    /// The server was asked whether the transaction is still open.
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

const DROPPED: &str = "a statement was dropped before it had finished";
const LOST: &str = "the connection was lost";

// ---- savepoints -------------------------------------------------------------------------------

impl State {
    /// SAVEPOINT is about to be sent: its name, and the savepoint whose RELEASE rides in front.
    ///
    /// Dropped in flight, nothing has run under it: the transaction goes on after a drain.
    pub(crate) fn sets_savepoint(&mut self) -> (u32, Option<u32>) {
        let Stage::Open(open) = &mut self.stage else {
            return (0, None); // its SAVEPOINT is going to fail
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

    /// It was answered, or what was left of it was read.
    pub(crate) fn savepoint_set(&mut self) {
        if let Stage::Open(open) = &mut self.stage
            && open.pending == Pending::Savepoint
        {
            open.pending = Pending::Nothing;
        }
    }

    /// The nested scope at this savepoint has ended well.
    pub(crate) fn keeps(&mut self, savepoint: u32) {
        if let Stage::Open(open) = &mut self.stage
            && !matches!(open.pending, Pending::RollBackTo(_))
        {
            open.pending = Pending::Release(savepoint);
        }
    }

    /// The nested scope at this savepoint has failed, or was dropped. Where the transaction is over,
    /// it is undone with everything else.
    pub(crate) fn undoes(&mut self, savepoint: u32) {
        let Stage::Open(open) = &mut self.stage else {
            return;
        };
        open.pending = match open.pending {
            _ if open.health.is_over() => Pending::Nothing,
            // Names are counted up: the lower one is of the scope around the other.
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

    /// It was rolled back to: what had failed since is mended.
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

    /// It could not be rolled back to. The savepoint is not there if the statement that had failed
    /// before took the whole transaction with it: then that statement is the cause, and this is no
    /// failure of its own (`true`).
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
    /// Something is about to run that may begin or end a transaction unseen. What was noted before
    /// goes on to count.
    pub(crate) fn suspects(&mut self, untracked: Untracked) {
        let ended = self.to_look_at().is_some_and(|before| before.ends);
        self.unseen = Unseen::ToLookAt(Box::new(untracked.and_ends(ended)));
    }

    /// What has run since the session was last looked at, if it may have changed its state.
    #[inline(always)]
    pub(crate) fn to_look_at(&self) -> Option<&Untracked> {
        match &self.unseen {
            Unseen::ToLookAt(untracked) => Some(untracked),
            Unseen::Nothing | Unseen::ToRestore => None,
        }
    }

    /// The session was asked, or what it would say is known. Tells what had run.
    ///
    /// Where more than its transaction may have been changed, that is still to be restored.
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

    /// The transaction is not open any more: what ran in it has ended it.
    pub(crate) fn ended_unseen(&mut self, by: Box<Untracked>) {
        if let Stage::Open(open) = &mut self.stage {
            open.health = Health::Ended(by);
        }
    }

    /// Something has run that may have changed more than the transaction.
    pub(crate) fn is_to_be_restored(&self) -> bool {
        !matches!(self.unseen, Unseen::Nothing)
    }

    /// Nothing is left of what has run.
    pub(crate) fn restored(&mut self) {
        self.unseen = Unseen::Nothing;
    }
}

// ---- hands ------------------------------------------------------------------------------------

impl State {
    /// It may go back to the pool, or to its sandbox (invariant 1). What a sandbox has changed is
    /// restored when that ends.
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

    /// A cleanup has it from now on.
    pub(crate) fn is_settling(&mut self) {
        self.custody = Custody::Cleanup;
    }

    /// A cleanup has, or had it: what is unclean now is closed.
    pub(crate) fn was_settled(&self) -> bool {
        self.custody != Custody::User
    }

    /// All is done that comes before others get it.
    pub(crate) fn is_ready_for_others(&mut self) {
        self.custody = Custody::Done;
    }

    pub(crate) fn needs_nothing_before_others(&self) -> bool {
        self.custody == Custody::Done
    }

    /// A sandbox lends it: its transaction is no concern of the scope that gets it.
    pub(crate) fn is_in_sandbox(&mut self) {
        self.stage = Stage::Outside;
    }

    /// It is back in the transaction of the sandbox.
    pub(crate) fn is_back(&mut self) {
        self.stage = Stage::Open(Open::new(Access::default()));
        self.custody = Custody::User;
    }
}

impl Open {
    fn new(access: Access) -> Self {
        Self {
            access,
            health: Health::Active,
            pending: Pending::Nothing,
            savepoints: 0,
        }
    }

    /// Health only ever gets worse by this, and keeps its first cause.
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
    /// Nothing of the transaction is open any more.
    fn is_over(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::Ended(_))
    }
}
