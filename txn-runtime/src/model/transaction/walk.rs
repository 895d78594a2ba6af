//! Walks through everything that a caller, a server and a drop can do to a session, up to a depth.
//!
//! [`Server`] is the truth, [`State`] what the runtime believes, and the functions here follow
//! the runtime's own: what is sent, and what is reported after it. Each of them returns every way
//! in which it can come out, its own drop included. At each step the walk checks what must never
//! happen: a statement that runs outside of its transaction, an `Ok` without all that was kept, a
//! commit of what was undone, a session that goes back to the pool inside of a transaction or with
//! an answer outstanding, and a session that a cleanup cannot bring to rest.

use std::collections::{BTreeSet, HashSet};

use super::{Access, Effect, Health, OnWire, Pending, Stage, State, Wire};
use crate::model::error::Cause;
use crate::model::untracked::{Reach, Untracked};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Outside,
    Inside,
    Aborted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Savepoint(u32),
    Write(u32),
}

/// What there really is.
#[derive(Clone, Debug)]
struct Server {
    alive: bool,
    truth: Truth,
    log: Vec<Entry>,
    /// An answer is on its way, or would be.
    owes_an_answer: bool,
    /// That is an error.
    owes: Option<Effect>,
    committed: BTreeSet<u32>,
}

impl Server {
    fn new() -> Self {
        Self {
            alive: true,
            truth: Truth::Outside,
            log: Vec::new(),
            owes_an_answer: false,
            owes: None,
            committed: BTreeSet::new(),
        }
    }

    fn ends(&mut self) {
        self.truth = Truth::Outside;
        self.log.clear();
    }

    fn commits(&mut self) {
        let writes = self.log.iter().filter_map(|entry| match entry {
            Entry::Write(id) => Some(*id),
            Entry::Savepoint(_) => None,
        });
        self.committed.extend(writes.collect::<Vec<_>>());
        self.ends();
    }

    fn dies(&mut self) {
        self.ends();
        self.alive = false;
        self.owes_an_answer = false;
    }

    /// False if there is no such savepoint.
    fn rolls_back_to(&mut self, savepoint: u32) -> bool {
        let at = self
            .log
            .iter()
            .position(|at| *at == Entry::Savepoint(savepoint));
        if let Some(at) = at {
            self.log.truncate(at + 1);
            self.truth = Truth::Inside;
        }
        at.is_some()
    }
}

#[derive(Clone, Debug)]
struct World {
    state: State,
    server: Server,
    drops_break: bool,
    /// The savepoints of the nested scopes that are open.
    nested: Vec<u32>,
    /// What was written and answered: the write, and the savepoints that it ran under.
    written: Vec<(u32, Vec<u32>)>,
    /// What a nested scope has undone.
    undone: BTreeSet<u32>,
    writes: u32,
    /// Something that ran out of sight may have ended the transaction.
    out_of_sight: bool,
}

/// The ways in which something comes out; `None` where its future was dropped.
type Ways<T> = Vec<(World, Option<T>)>;

fn then<T, U>(ways: Ways<T>, next: impl Fn(World, T) -> Ways<U>) -> Ways<U> {
    ways.into_iter()
        .flat_map(|(world, came)| match came {
            Some(value) => next(world, value),
            None => vec![(world, None)],
        })
        .collect()
}

/// How a server can take what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Well,
    Badly(Effect),
}

/// One exchange: it is sent, and the server takes it as one of these says, or dies, or the caller
/// is dropped before or after the server has done it. `true` if it went well.
fn exchange(
    world: &World,
    takes: &[Takes],
    learns: bool,
    act: impl Fn(&mut World),
) -> Ways<Result<(), bool>> {
    let mut sent = world.clone();
    assert!(
        !sent.server.owes_an_answer,
        "sent over an answer: {world:?}"
    );
    sent.state.sent();
    sent.server.owes_an_answer = true;
    let mut ways = Vec::new();
    for take in takes {
        let mut done = sent.clone();
        let effect = match take {
            Takes::Well => {
                act(&mut done);
                None
            }
            Takes::Badly(effect) => Some(*effect),
        };
        let happened = match effect {
            Some(Effect::Failed) => vec![Some(Truth::Aborted)],
            Some(Effect::Gone) => vec![Some(Truth::Outside)],
            Some(Effect::Doubt) => vec![None, Some(Truth::Outside)],
            Some(Effect::None) | None => vec![None],
        };
        for truth in happened {
            let mut done = done.clone();
            match truth {
                Some(Truth::Outside) => done.server.ends(),
                Some(Truth::Aborted) if done.server.truth == Truth::Inside => {
                    done.server.truth = Truth::Aborted;
                }
                _ => {}
            } // Dropped, when the server has done it.
            let mut dropped = done.clone();
            dropped.server.owes = effect;
            ways.push((dropped, None));
            done.server.owes_an_answer = false;
            if let (Some(effect), true) = (effect, learns) {
                done.state.failed(effect, || Cause::new("x"));
            }
            done.state.answered();
            let result = effect.map_or(Ok(()), |_| Err(true));
            ways.push((done, Some(result)));
        }
    }
    let mut dead = sent.clone();
    dead.server.dies();
    if learns {
        dead.state.failed(Effect::Gone, || Cause::new("x"));
    }
    dead.state.lost();
    ways.push((dead, Some(Err(false))));
    // Dropped before the server has seen it; it never will.
    ways.push((sent, None));
    ways
}

/// Whether the session was drained, and the error of the operation that was on the wire.
fn drain_with(world: &World) -> Ways<(bool, Option<Effect>)> {
    if world.state.is_idle() {
        return vec![(world.clone(), Some((true, None)))];
    }
    let lost = world.state.is_lost_by_a_drop(world.drops_break);
    let mut draining = world.clone();
    let left = draining.state.drains(world.drops_break);
    let mut ways = Vec::new();
    if !matches!(left, Wire::Broken(_)) {
        ways.push((draining.clone(), None)); // dropped in there
    }
    if !matches!(left, Wire::Broken(_)) && !lost {
        let mut drained = draining.clone();
        drained.server.owes_an_answer = false;
        let owed = drained.server.owes.take();
        drained.state.drained();
        ways.push((drained, Some((true, owed))));
    }
    let mut failed = draining;
    failed.server.dies();
    failed.state.given_up(lost);
    ways.push((failed, Some((false, None))));
    ways
}

fn drain(world: &World) -> Ways<bool> {
    then(drain_with(world), |world, (drained, _)| {
        vec![(world, Some(drained))]
    })
}
/// Asks the server whether the session is inside of a transaction.
fn probe(world: &World) -> Ways<bool> {
    then(
        exchange(world, &[Takes::Well], false, |_| ()),
        |world, answer| {
            let inside = world.server.truth != Truth::Outside;
            vec![(world, Some(answer.is_ok() && inside))]
        },
    )
}

fn make_sure(world: World) -> Ways<()> {
    let ends = match world.state.to_look_at() {
        Some(untracked) if world.state.is_idle() => untracked.ends,
        _ => return vec![(world, Some(()))],
    };
    let asked = match ends {
        true => vec![(world, Some(false))],
        false => probe(&world),
    };
    then(asked, |mut world, inside| {
        let untracked = world.state.looked_at(false);
        if let (false, Some(untracked)) = (inside, untracked) {
            world.state.ended_unseen(untracked);
        }
        vec![(world, Some(()))]
    })
}

fn undo(world: World) -> Ways<()> {
    if world.state.to_roll_back_to().is_none() {
        return vec![(world, Some(()))];
    }
    let looked_at = match world.state.to_look_at() {
        Some(_) => then(drain(&world), |world, drained| match drained {
            true => make_sure(world),
            false => vec![(world, Some(()))],
        }),
        None => vec![(world, Some(()))],
    };
    then(looked_at, |world, ()| {
        let Some(savepoint) = world.state.to_roll_back_to() else {
            return vec![(world, Some(()))];
        };
        then(drain(&world), |mut world, drained| {
            if !drained {
                let cause = || Cause::new("x");
                world.state.not_rolled_back_to(false, cause);
                return vec![(world, Some(()))];
            }
            let is_there = world.server.clone().rolls_back_to(savepoint);
            let takes = match is_there {
                true => Takes::Well,
                false => Takes::Badly(Effect::None),
            };
            let sent = exchange(&world, &[takes], false, |world| {
                world.server.rolls_back_to(savepoint);
            });
            then(sent, |mut world, answer| {
                match answer {
                    Ok(()) => world.state.rolled_back_to(savepoint),
                    Err(answered) => {
                        let cause = || Cause::new("x");
                        world.state.not_rolled_back_to(answered, cause);
                    }
                }
                vec![(world, Some(()))]
            })
        })
    })
}

/// What comes before a statement. `true` if it may be sent.
fn steady(world: World) -> Ways<bool> {
    if world.state.is_steady() {
        return vec![(world, Some(true))];
    }
    let undone = undo(world);
    let read = then(undone, |mut world, ()| {
        if world.state.looks_at_wire(world.drops_break) != OnWire::ToRead {
            return vec![(world, Some(()))];
        }
        then(drain_with(&world), |mut world, (drained, owed)| {
            world.state.savepoint_set();
            let effect = if drained { owed } else { Some(Effect::Gone) };
            if let Some(effect) = effect {
                world.state.failed(effect, || Cause::new("x"));
            }
            vec![(world, Some(()))]
        })
    });
    let sure = then(read, |world, ()| make_sure(world));
    let resolved = then(sure, |world, ()| {
        if !world.state.is_in_doubt() {
            return vec![(world, Some(()))];
        }
        then(probe(&world), |mut world, inside| {
            world.state.resolves_doubt(inside);
            vec![(world, Some(()))]
        })
    });
    then(resolved, |world, ()| {
        let healthy = matches!(world.state.health(), Some(Health::Active));
        vec![(world, Some(healthy))]
    })
}

/// The transaction of the scope is there, and nothing else is on the wire.
fn assert_may_send(world: &World) {
    assert!(world.state.is_steady(), "sent when not steady: {world:?}");
    let truth = (world.server.truth, world.server.alive);
    assert_eq!(truth, (Truth::Inside, true), "sent into nothing: {world:?}");
}

const FAULTS: [Takes; 5] = [
    Takes::Well,
    Takes::Badly(Effect::None),
    Takes::Badly(Effect::Failed),
    Takes::Badly(Effect::Gone),
    Takes::Badly(Effect::Doubt),
];

/// A statement that writes.
fn write(world: World) -> Vec<World> {
    let sent = then(steady(world), |mut world, healthy| {
        if !healthy {
            return vec![(world, Some(()))];
        }
        assert_may_send(&world);
        world.writes += 1;
        let (id, under) = (world.writes, world.nested.clone());
        let act = |world: &mut World| world.server.log.push(Entry::Write(id));
        then(exchange(&world, &FAULTS, true, act), |mut world, answer| {
            if answer.is_ok() {
                world.written.push((id, under.clone()));
            }
            vec![(world, Some(()))]
        })
    });
    sent.into_iter().map(|(world, _)| world).collect()
}

/// A row stream that is left between two rows.
fn read_a_row(world: World) -> Vec<World> {
    let read = then(steady(world), |mut world, healthy| {
        if healthy {
            assert_may_send(&world);
            world.state.sent();
            world.state.row_read();
            world.server.owes_an_answer = true;
        }
        vec![(world, Some(()))]
    });
    read.into_iter().map(|(world, _)| world).collect()
}

/// Something that may commit out of sight.
fn run_out_of_sight(world: World) -> Vec<World> {
    let ran = then(steady(world), |mut world, healthy| {
        if !healthy {
            return vec![(world, Some(()))];
        }
        assert_may_send(&world);
        let untracked = Untracked::statement("CALL p()", Reach::MayEnd);
        world.state.suspects(untracked.expect("it may end"));
        let harmless = exchange(&world, &[Takes::Well], true, |_| ());
        let commits = exchange(&world, &[Takes::Well], true, |world| {
            world.out_of_sight = true;
            world.server.commits();
        });
        let ways = harmless.into_iter().chain(commits);
        ways.map(|(world, answer)| (world, answer.map(drop)))
            .collect()
    });
    ran.into_iter().map(|(world, _)| world).collect()
}

fn open_nested(world: World) -> Vec<World> {
    let opened = then(steady(world), |mut world, healthy| {
        if !healthy {
            return vec![(world, Some(()))];
        }
        assert_may_send(&world);
        let (savepoint, release) = world.state.sets_savepoint();
        if let Some(ended) = release {
            let is_there = world.server.log.contains(&Entry::Savepoint(ended));
            assert!(is_there, "released what is not there: {world:?}");
        }
        let takes = [Takes::Well, Takes::Badly(Effect::Failed)];
        let set = exchange(&world, &takes, false, |world| {
            world.server.log.push(Entry::Savepoint(savepoint));
        });
        then(set, |mut world, answer| {
            world.state.savepoint_set();
            match answer {
                Ok(()) => world.nested.push(savepoint),
                Err(_) => world.state.failed(Effect::Failed, || Cause::new("x")),
            }
            vec![(world, Some(()))]
        })
    });
    opened.into_iter().map(|(world, _)| world).collect()
}

/// The nested scope returns `Ok`.
fn keep_nested(world: World) -> Vec<World> {
    let kept = then(steady(world), |mut world, healthy| {
        let Some(savepoint) = world.nested.pop() else {
            return vec![(world, Some(()))];
        };
        if healthy {
            world.state.keeps(savepoint);
            return vec![(world, Some(()))];
        }
        let world = undo_nested(world, savepoint);
        undo(world)
    });
    kept.into_iter().map(|(world, _)| world).collect()
}

fn undo_nested(mut world: World, savepoint: u32) -> World {
    world.state.undoes(savepoint);
    let inside = |(_, under): &&(u32, Vec<u32>)| under.contains(&savepoint);
    let undone = world.written.iter().filter(inside).map(|(id, _)| *id);
    world.undone.extend(undone);
    world
}

/// The nested scope is dropped, wherever it is.
fn drop_nested(mut world: World) -> Vec<World> {
    let Some(savepoint) = world.nested.pop() else {
        return vec![world];
    };
    vec![undo_nested(world, savepoint)]
}

fn roll_back(world: &World) -> Ways<()> {
    let lost = world.state.is_lost_by_a_drop(world.drops_break);
    then(drain(world), |mut world, drained| {
        if !drained {
            world.state.given_up(lost);
            return vec![(world, Some(()))];
        }
        world.state.looked_at(false);
        let act = |world: &mut World| world.server.ends();
        then(
            exchange(&world, &[Takes::Well], false, act),
            |mut world, answer| {
                match answer {
                    Ok(()) => world.state.ended(),
                    Err(_) => world.state.given_up(lost),
                }
                vec![(world, Some(()))]
            },
        )
    })
}

/// The root scope returns `Ok`.
fn commit(world: World) -> Vec<World> {
    let ended = then(steady(world), |mut world, healthy| {
        if !healthy {
            return roll_back(&world);
        }
        assert_may_send(&world);
        world.state.commits();
        let refused = [
            Takes::Well,
            Takes::Badly(Effect::Failed),
            Takes::Badly(Effect::Gone),
        ];
        let act = |world: &mut World| world.server.commits();
        then(
            exchange(&world, &refused, false, act),
            |mut world, answer| match answer {
                Ok(()) => {
                    world.state.ended();
                    assert_all_is_kept(&world);
                    vec![(world, Some(()))]
                }
                Err(_) => {
                    world.state.commit_failed();
                    match world.state.is_idle() {
                        true => roll_back(&world),
                        false => vec![(world, Some(()))],
                    }
                }
            },
        )
    });
    ended.into_iter().map(|(world, _)| world).collect()
}

fn assert_all_is_kept(world: &World) {
    let expected = world.written.iter().map(|(id, _)| *id);
    let mut expected = expected.filter(|id| !world.undone.contains(id));
    let kept = expected.all(|id| world.server.committed.contains(&id));
    assert!(kept, "`Ok`, and something is lost: {world:?}");
}

/// The scope is dropped, or has ended: the session goes back, or is settled, or closed.
fn let_go(mut world: World) -> Vec<World> {
    if world.state.is_at_rest(false) {
        return vec![fresh(&world)];
    }
    world.state.is_settling();
    // As often as nothing goes wrong it must come to rest.
    let mut comes_to_rest = world.state.is_broken();
    comes_to_rest |= world.state.is_lost_by_a_drop(world.drops_break);
    let settled = settle(world);
    let mut next = Vec::new();
    for (world, came) in settled {
        assert!(world.state.was_settled());
        if came.is_some() && world.state.is_at_rest(false) {
            comes_to_rest = true;
            next.push(fresh(&world));
        }
        // Else it is closed.
    }
    assert!(comes_to_rest, "cannot be brought to rest");
    next
}

fn settle(world: World) -> Ways<()> {
    if world.state.is_broken() {
        return vec![(world, Some(()))];
    }
    let drained = drain(&world);
    let rolled_back = then(drained, |world, drained| {
        match drained && world.state.is_inside() {
            true => roll_back(&world),
            false => vec![(world, Some(()))],
        }
    });
    then(rolled_back, |world, ()| {
        if world.state.is_broken() || world.state.to_look_at().is_none() {
            return vec![(world, Some(()))];
        }
        then(probe(&world), |mut world, inside| {
            world.state.looked_at(false);
            match inside && !world.state.is_broken() {
                true => roll_back(&world),
                false => vec![(world, Some(()))],
            }
        })
    })
}

/// What the next one gets.
fn fresh(world: &World) -> World {
    let Server {
        alive,
        truth,
        owes_an_answer,
        ..
    } = world.server;
    let found = (alive, truth, owes_an_answer);
    assert_eq!(
        found,
        (true, Truth::Outside, false),
        "given back unclean: {world:?}"
    );
    begun(world.drops_break)
}

fn begun(drops_break: bool) -> World {
    let mut world = World {
        state: State::default(),
        server: Server::new(),
        drops_break,
        nested: Vec::new(),
        written: Vec::new(),
        undone: BTreeSet::new(),
        writes: 0,
        out_of_sight: false,
    };
    world.state.begins(Access::default());
    world.server.truth = Truth::Inside;
    world
}

/// The first BEGIN itself may come out in any way.
fn begin(drops_break: bool) -> Vec<World> {
    let mut world = begun(drops_break);
    world.server.truth = Truth::Outside;
    let takes = [Takes::Well, Takes::Badly(Effect::None)];
    let act = |world: &mut World| world.server.truth = Truth::Inside;
    let began = exchange(&world, &takes, false, act);
    let failed = |(world, came): &(World, Option<Result<(), bool>>)| {
        let ended = came.as_ref().is_none_or(Result::is_err);
        ended.then(|| let_go(world.clone()))
    };
    began.iter().filter_map(failed).for_each(drop);
    let opened = began.into_iter().filter(|(_, came)| *came == Some(Ok(())));
    opened.map(|(world, _)| world).collect()
}

fn is_over(world: &World) -> bool {
    !world.state.is_inside() || world.state.is_broken()
}

fn next(world: &World) -> Vec<World> {
    let undone = world.server.committed.intersection(&world.undone).count();
    assert!(
        undone == 0 || world.out_of_sight,
        "committed what was undone: {world:?}"
    );
    let mut next = let_go(world.clone());
    if is_over(world) {
        return next;
    }
    for act in [write, read_a_row, run_out_of_sight, open_nested] {
        next.extend(act(world.clone()));
    }
    match world.nested.is_empty() {
        true => next.extend(commit(world.clone())),
        false => {
            next.extend(keep_nested(world.clone()));
            next.extend(drop_nested(world.clone()));
        }
    }
    next
}

/// The same world under the smallest names, without what can make no difference any more.
fn canonical(mut world: World) -> World {
    let undone = world.undone.clone();
    world.written.retain(|(id, _)| !undone.contains(id));
    let server = &world.server;
    let is_there =
        |id: &u32| server.log.contains(&Entry::Write(*id)) || server.committed.contains(id);
    world.undone.retain(is_there);
    rename_writes(&mut world);
    rename_savepoints(&mut world);
    world
}

fn rename_writes(world: &mut World) {
    let logged = world.server.log.iter().filter_map(|entry| match entry {
        Entry::Write(id) => Some(*id),
        Entry::Savepoint(_) => None,
    });
    let written = world.written.iter().map(|(id, _)| *id);
    let ids: BTreeSet<u32> = logged.chain(written).collect();
    let ids: BTreeSet<u32> = ids.union(&world.server.committed).copied().collect();
    let name = |id: u32| ids.range(..=id).count().try_into().unwrap_or(u32::MAX);
    for entry in &mut world.server.log {
        if let Entry::Write(id) = entry {
            *id = name(*id);
        }
    }
    for (id, _) in &mut world.written {
        *id = name(*id);
    }
    world.undone = world.undone.iter().map(|id| name(*id)).collect();
    world.server.committed = world.server.committed.iter().map(|id| name(*id)).collect();
    world.writes = name(u32::MAX);
}

fn rename_savepoints(world: &mut World) {
    let Stage::Open(open) = &mut world.state.stage else {
        return;
    };
    let mut known: BTreeSet<u32> = world.nested.iter().copied().collect();
    if let Pending::Release(savepoint) | Pending::RollBackTo(savepoint) = open.pending {
        known.insert(savepoint);
    }
    let name = |savepoint: u32| {
        known
            .range(..=savepoint)
            .count()
            .try_into()
            .unwrap_or(u32::MAX)
    };
    match &mut open.pending {
        Pending::Release(savepoint) | Pending::RollBackTo(savepoint) => {
            *savepoint = name(*savepoint);
        }
        Pending::Nothing | Pending::Savepoint => {}
    }
    open.savepoints = name(u32::MAX);
    let is_known = |entry: &Entry| match entry {
        Entry::Savepoint(savepoint) => known.contains(savepoint),
        Entry::Write(_) => true,
    };
    world.server.log.retain(is_known);
    for entry in &mut world.server.log {
        if let Entry::Savepoint(savepoint) = entry {
            *savepoint = name(*savepoint);
        }
    }
    for (_, under) in &mut world.written {
        under.retain(|savepoint| known.contains(savepoint));
        under
            .iter_mut()
            .for_each(|savepoint| *savepoint = name(*savepoint));
    }
    world
        .nested
        .iter_mut()
        .for_each(|savepoint| *savepoint = name(*savepoint));
}

/// Everything that can be reached in so many acts; each act is several events.
fn walk(drops_break: bool, depth: usize) -> usize {
    let mut seen = HashSet::new();
    let mut edge = begin(drops_break);
    for _ in 0..depth {
        let mut reached = Vec::new();
        for world in edge {
            for world in next(&world).into_iter().map(canonical) {
                if seen.insert(format!("{world:?}")) {
                    reached.push(world);
                }
            }
        }
        edge = reached;
    }
    seen.len()
}

#[test]
fn nothing_that_can_happen_breaks_an_invariant() {
    for drops_break in [false, true] {
        let worlds = walk(drops_break, 8);
        assert!(worlds > 1000, "the walk has seen {worlds} worlds only");
        println!("{worlds} worlds");
    }
}
