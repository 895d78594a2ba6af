//! Every world that three callers, the openings that they begin, time and a close can lead to.

use std::collections::HashSet;

use super::parts::Numbered;
use super::*;
use crate::model::request::WaitStage;

/// A queue whose sessions are numbers, and whose wakers are the numbers of callers.
type TestQueue = Queue<u8, (), usize, ()>;

/// One caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Caller {
    Away,
    /// It is woken until it has been polled, and is polled only if it is.
    Waits {
        ticket: Ticket,
        is_woken: bool,
    },
    Holds(Held, u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    queue: TestQueue,
    callers: [Caller; 3],
    /// The sessions that are being opened, and who has begun that, if it still waits.
    openings: Vec<Option<Ticket>>,
    /// Somebody has the turn to write, and no session.
    turn: bool,
}

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// If the flag is set, no session is to be opened for the caller at the moment.
    Take(usize, Kind, bool),
    Poll(usize, bool),
    Leave(usize),
    GiveBack(usize),
    Lose(usize),
    TakeAnother(usize, bool),
    Settle(usize),
    Opened(usize),
    Refused(usize),
    Abandoned(usize),
    /// A session is to be opened for nobody, so that one is idle.
    Spare,
    Turn,
    Reap,
    Close,
}

impl State {
    fn new(max: usize, reserved: usize, max_waiting: Option<usize>) -> Self {
        Self {
            queue: Queue::new(max, reserved, max_waiting),
            callers: [Caller::Away, Caller::Away, Caller::Away],
            openings: Vec::new(),
            turn: false,
        }
    }

    /// All that can happen. What is rare is left out where it would make the walk too long.
    fn acts(&self, kinds: &[Kind], rare: bool) -> Vec<Act> {
        let (mut acts, alone) = (Vec::new(), kinds.len() == 1);
        for (who, caller) in self.callers.iter().enumerate() {
            match caller {
                Caller::Away => {
                    acts.extend(kinds.iter().map(|kind| Act::Take(who, *kind, false)));
                    let refused = kinds.iter().map(|kind| Act::Take(who, *kind, true));
                    acts.extend(refused.filter(|_| rare));
                }
                Caller::Waits { is_woken, .. } => {
                    acts.push(Act::Leave(who));
                    acts.extend(is_woken.then_some(Act::Poll(who, false)));
                    acts.extend((*is_woken && rare).then_some(Act::Poll(who, true)));
                }
                Caller::Holds(..) => {
                    acts.extend([Act::GiveBack(who), Act::Lose(who)]);
                    let others = [Act::TakeAnother(who, false), Act::Settle(who)];
                    acts.extend(others.into_iter().filter(|_| rare));
                    acts.extend((rare && alone).then_some(Act::TakeAnother(who, true)));
                }
            }
        }
        for at in 0..self.openings.len() {
            acts.extend([Act::Opened(at), Act::Refused(at), Act::Abandoned(at)]);
        }
        acts.push(Act::Reap);
        acts.extend((rare && alone && self.queue.is_short(1)).then_some(Act::Spare));
        let writes = kinds.iter().any(|kind| kind.turn);
        let is_free = self.turn || !self.queue.turn;
        acts.extend((writes && rare && is_free).then_some(Act::Turn));
        acts.extend((!self.queue.closed).then_some(Act::Close));
        acts
    }

    /// A session that is nowhere yet.
    fn new_session(&self) -> u8 {
        (0..).find(|it| !self.sessions().contains(it)).unwrap()
    }

    /// All sessions, wherever they are.
    fn sessions(&self) -> Vec<u8> {
        let held = self.callers.iter().filter_map(|caller| match caller {
            Caller::Holds(_, session) => Some(*session),
            _ => None,
        });
        let promised = self.promised().map(|(_, session)| session);
        self.queue
            .idle
            .iter()
            .copied()
            .chain(held)
            .chain(promised)
            .collect()
    }

    /// The sessions that waiters have been given and have not fetched.
    fn promised(&self) -> impl Iterator<Item = (&Held, u8)> {
        let answers = self
            .queue
            .lines
            .iter()
            .flat_map(|line| line.answered.iter());
        answers.filter_map(|(_, answered)| match &answered.answer {
            Answer::Served(held, session) => Some((held, *session)),
            _ => None,
        })
    }

    fn take_caller(&mut self, who: usize) -> Caller {
        mem::replace(&mut self.callers[who], Caller::Away)
    }

    /// The right of a caller that holds a session, which it gives up, and the session.
    fn take_held(&mut self, who: usize) -> (Held, u8) {
        match self.take_caller(who) {
            Caller::Holds(held, session) => (held, session),
            other => panic!("{who} holds nothing: {other:?}"),
        }
    }

    /// The ticket of a caller that waits.
    fn take_ticket(&mut self, who: usize) -> Ticket {
        match self.take_caller(who) {
            Caller::Waits { ticket, .. } => ticket,
            other => panic!("{who} does not wait: {other:?}"),
        }
    }

    fn do_due(&mut self, Due { wake, close }: Due<u8, usize>) {
        self.wake(wake.into_iter().flatten());
        assert!(close.is_none() || self.queue.closed);
    }

    fn wake(&mut self, all: impl IntoIterator<Item = usize>) {
        for who in all {
            match &mut self.callers[who] {
                Caller::Waits { is_woken, .. } => *is_woken = true,
                other => panic!("{who} is woken, and {other:?}"),
            }
        }
    }

    /// A caller that was told to have a session opened does so.
    fn open(&mut self, ticket: Ticket, refuses: bool) {
        match refuses {
            false => self.openings.push(Some(ticket)),
            true => {
                let (due, _) = self.queue.open_failed(Some(ticket), ());
                self.do_due(due);
            }
        }
    }

    fn took(&mut self, who: usize, take: Take<u8, ()>, refuses: bool) {
        match take {
            Take::Served(held, session) => self.callers[who] = Caller::Holds(held, session),
            Take::Waits { ticket, opens } => {
                let is_woken = true;
                self.callers[who] = Caller::Waits { ticket, is_woken };
                if opens {
                    self.open(ticket, refuses);
                }
            }
            Take::Closed => assert!(self.queue.closed),
            Take::Full => assert!(self.queue.max_waiting.is_some()),
            Take::Starved(_) => panic!("nobody holds a session meanwhile"),
        }
    }

    fn poll(&mut self, who: usize, refuses: bool) {
        let ticket = self.take_ticket(who);
        let is_woken = match self.queue.poll(ticket, &who) {
            Step::Answered(Answer::Served(held, session)) => {
                return self.callers[who] = Caller::Holds(held, session);
            }
            Step::Answered(_) => return,
            Step::Open => {
                let is_woken = true;
                self.callers[who] = Caller::Waits { ticket, is_woken };
                return self.open(ticket, refuses);
            }
            Step::Waits { .. } => false,
        };
        self.callers[who] = Caller::Waits { ticket, is_woken };
    }

    fn act(&mut self, act: Act) {
        let due = match act {
            Act::Take(who, kind, refuses) => {
                let take = self.queue.take(kind, 0, || ());
                return self.took(who, take, refuses);
            }
            Act::TakeAnother(who, refuses) => {
                let (held, _) = self.take_held(who);
                let (take, due) = self.queue.take_another(held, 0, || ());
                self.do_due(due);
                return self.took(who, take, refuses);
            }
            Act::Settle(who) => {
                let (mut held, session) = self.take_held(who);
                match held.settles {
                    true => self.queue.settled(&mut held),
                    false => self.queue.settles(&mut held),
                }
                return self.callers[who] = Caller::Holds(held, session);
            }
            Act::Poll(who, refuses) => return self.poll(who, refuses),
            Act::Leave(who) => {
                let ticket = self.take_ticket(who);
                self.queue.leave(ticket).0
            }
            Act::GiveBack(who) => {
                let (held, session) = self.take_held(who);
                self.queue.give_back(held, session)
            }
            Act::Lose(who) => {
                let (held, _) = self.take_held(who);
                self.queue.lost(held)
            }
            of_the_pool => self.act_of_the_pool(of_the_pool),
        };
        self.do_due(due);
    }

    fn act_of_the_pool(&mut self, act: Act) -> Due<u8, usize> {
        match act {
            Act::Opened(at) => {
                self.openings.remove(at);
                let session = self.new_session();
                self.queue.opened(session)
            }
            Act::Refused(at) => {
                let ticket = self.openings.remove(at);
                self.queue.open_failed(ticket, ()).0
            }
            Act::Abandoned(at) => {
                self.openings.remove(at);
                self.queue.open_given_up()
            }
            Act::Spare => {
                assert!(self.queue.begin_spare(1));
                self.openings.push(None);
                Due::NOTHING
            }
            Act::Turn => {
                self.turn = !self.turn;
                match self.turn {
                    true => assert!(self.queue.try_turn()),
                    false => return self.queue.end_turn(),
                }
                Due::NOTHING
            }
            Act::Reap => {
                for (held, _) in self.queue.retain(|_| false) {
                    let due = self.queue.lost(held);
                    self.do_due(due);
                }
                Due::NOTHING
            }
            _ => {
                let (_, wake) = self.queue.close();
                self.wake(wake);
                Due::NOTHING
            }
        }
    }

    fn check(&self, act: Act, before: &Self) {
        let (now, then) = (self.sessions(), before.sessions());
        let closes = matches!(
            act,
            Act::Lose(_) | Act::TakeAnother(..) | Act::Reap | Act::Close
        );
        let is_gone = then.iter().any(|session| !now.contains(session));
        assert!(closes || self.queue.closed || !is_gone, "a session is gone");
        self.check_sessions();
        self.check_holders();
        self.check_callers();
        self.check_order(before);
        self.check_limit(before);
    }

    fn check_sessions(&self) {
        let (queue, sessions) = (&self.queue, self.sessions());
        assert!(queue.open() <= queue.max, "more sessions than places");
        let told = queue.lines.iter().flat_map(|line| line.waiting.iter());
        let told = told.filter(|(_, waiting)| waiting.opens).count();
        let openings = self.openings.len() + told;
        assert_eq!(queue.opening, openings, "one is lost, or counted twice");
        let distinct: HashSet<_> = sessions.iter().collect();
        assert_eq!(distinct.len(), sessions.len(), "a session is in two hands");
        let held = queue.held[0] + queue.held[1];
        assert_eq!(sessions.len(), queue.idle.len() + held, "a session is lost");
        match queue.closed {
            true => {
                assert!(queue.waiting() == 0 && queue.idle.is_empty());
                assert!(self.promised().next().is_none(), "one is left open");
            }
            false => {
                let is_left = !queue.idle.is_empty() && queue.servable() > 0;
                assert!(!is_left, "somebody is forgotten");
                assert!(
                    !queue.lacks_sessions(),
                    "nobody opens a session for one who lacks it"
                );
            }
        }
    }

    fn check_holders(&self) {
        let queue = &self.queue;
        let holders = self.callers.iter().filter_map(|caller| match caller {
            Caller::Holds(held, _) => Some(held),
            _ => None,
        });
        let holders: Vec<_> = holders.chain(self.promised().map(|it| it.0)).collect();
        let count = |which: fn(&Held) -> bool| holders.iter().filter(|held| which(held)).count();
        assert_eq!(count(|held| held.settles), queue.settling);
        let turns = count(|held| held.kind.turn) + usize::from(self.turn);
        assert_eq!(
            turns,
            usize::from(queue.turn),
            "one has it, and that is known"
        );
        let firsts = count(|held| !held.kind.second);
        assert_eq!(firsts, queue.held[0]);
        assert!(
            firsts <= queue.max - queue.reserved,
            "a reserved place is taken"
        );
    }

    fn check_callers(&self) {
        for (who, caller) in self.callers.iter().enumerate() {
            if let Caller::Waits { ticket, is_woken } = caller {
                let line = &self.queue.lines[ticket.kind.index()];
                let has_news = match line.waiting.get(ticket.number) {
                    Some(waiting) => waiting.opens,
                    None => line.answered.get(ticket.number).is_some(),
                };
                assert!(!has_news || *is_woken, "{who} is not woken");
                let is_known = line.waiting.get(ticket.number).is_some() || has_news;
                assert!(is_known, "{who} waits for nothing");
            }
        }
    }

    /// A caller that comes waits only if it may. One that is to take another session always may.
    fn check_limit(&self, before: &Self) {
        let (now, then) = (&self.queue, &before.queue);
        let has_come = now.next > then.next && now.waiting() > then.waiting();
        let queued = now.waiting().saturating_sub(now.opening);
        assert!(!has_come || queued <= now.max_waiting.unwrap_or(usize::MAX));
    }

    fn check_order(&self, before: &Self) {
        for (line, before) in self.queue.lines.iter().zip(&before.queue.lines) {
            let is_new = |number: &u64| before.waiting.get(*number).is_some();
            let served = line.answered.iter().filter(|(number, _)| is_new(number));
            let in_order = served.filter(|(_, it)| matches!(it.answer, Answer::Served(..)));
            for (number, _) in in_order {
                let first = line.waiting.iter().next();
                assert!(
                    first.is_none_or(|(first, _)| first > number),
                    "out of order"
                );
            }
        }
    }

    /// Gives the tickets the smallest numbers in the same order, so that equal worlds are equal.
    fn renumber(&mut self) {
        let mut numbers: Vec<u64> = Vec::new();
        for line in &self.queue.lines {
            numbers.extend(line.waiting.iter().map(|(number, _)| number));
            numbers.extend(line.answered.iter().map(|(number, _)| number));
        }
        numbers.sort_unstable();
        let rank = |number: u64| FIRST + numbers.binary_search(&number).unwrap() as u64;
        for line in &mut self.queue.lines {
            line.waiting = renumbered(&line.waiting, rank);
            line.answered = renumbered(&line.answered, rank);
        }
        for caller in &mut self.callers {
            if let Caller::Waits { ticket, .. } = caller {
                ticket.number = rank(ticket.number);
            }
        }
        let is_waiting = |ticket: &Ticket| numbers.contains(&ticket.number);
        for opening in &mut self.openings {
            *opening = opening.filter(is_waiting).map(|ticket| Ticket {
                number: rank(ticket.number),
                ..ticket
            });
        }
        self.openings.sort_unstable();
        self.queue.next = FIRST + numbers.len() as u64;
        self.queue.front = FIRST;
    }
}

fn renumbered<T: Clone>(values: &Numbered<T>, rank: impl Fn(u64) -> u64) -> Numbered<T> {
    let mut all = Numbered::default();
    for (number, value) in values.iter() {
        all.insert(rank(*number), value.clone());
    }
    all
}

/// Goes through all worlds that this one may lead to. Returns how many there are.
fn walk_from(start: State, kinds: &[Kind], rare: bool) -> usize {
    let mut seen = HashSet::from([start]);
    let mut todo: Vec<State> = seen.iter().cloned().collect();
    while let Some(state) = todo.pop() {
        for act in state.acts(kinds, rare) {
            let mut next = state.clone();
            let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                next.act(act);
                next.check(act, &state);
            }));
            assert!(worked.is_ok(), "{act:?} in {state:#?}\nled to {next:#?}");
            next.renumber();
            if seen.insert(next.clone()) {
                todo.push(next);
            }
        }
    }
    seen.len()
}

fn walk(max: usize, reserved: usize, kinds: &[Kind], rare: bool) -> usize {
    walk_from(State::new(max, reserved, None), kinds, rare)
}

const READER: Kind = KINDS[0];
const SECOND: Kind = KINDS[1];
const WRITER: Kind = KINDS[2];

#[test]
fn callers_of_one_kind() {
    assert!(walk(1, 0, &[READER], true) > 100);
    assert!(walk(2, 0, &[READER], true) > 1000);
}

#[test]
fn callers_that_may_not_all_wait() {
    for max_waiting in 0..2 {
        assert!(walk_from(State::new(1, 0, Some(max_waiting)), &[READER], true) > 100);
    }
}

#[test]
fn writers_and_readers() {
    assert!(walk(2, 0, &[READER, WRITER], true) > 1000);
}

#[test]
fn callers_that_hold_a_session_already() {
    assert!(walk(2, 1, &[READER, SECOND], true) > 1000);
}

#[test]
fn writers_and_readers_that_hold_a_session_already() {
    assert!(walk(2, 1, &[READER, SECOND, WRITER], false) > 1000);
}

#[test]
fn all_who_hold_a_session_already() {
    assert!(walk(2, 1, &[SECOND, WRITER, KINDS[3]], false) > 1000);
}

/// The ticket of a caller of this kind, which has to wait.
fn waits(queue: &mut TestQueue, kind: Kind) -> Ticket {
    match queue.take(kind, 0, || ()) {
        Take::Waits { ticket, .. } => ticket,
        other => panic!("{other:?}"),
    }
}

/// The oldest is served, of whichever kind it is, unless its kind cannot be.
#[test]
fn kinds_are_served_in_the_order_in_which_they_came() {
    let mut queue = TestQueue::new(1, 0, None);
    let _ = queue.take(READER, 0, || ());
    let _ = queue.opened(7);
    let all = [WRITER, READER, WRITER, READER].map(|kind| waits(&mut queue, kind));
    let Step::Answered(Answer::Served(mut held, mut session)) = queue.poll(
        Ticket {
            number: FIRST,
            kind: READER,
        },
        &0,
    ) else {
        panic!("the first has the session");
    };
    for ticket in all {
        let _ = queue.give_back(held, session);
        let Step::Answered(Answer::Served(next, it)) = queue.poll(ticket, &0) else {
            panic!("it is the turn of {ticket:?}");
        };
        (held, session) = (next, it);
    }
    let _ = queue.lost(held);
}

#[test]
fn no_more_wait_than_may_and_those_do_not_count_for_whom_a_session_is_opened() {
    let mut queue = TestQueue::new(2, 0, Some(1));
    let opens: Vec<_> = (0..3)
        .map(|_| match queue.take(READER, 0, || ()) {
            Take::Waits { opens, .. } => opens,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(opens, [true, true, false]);
    assert!(matches!(queue.take(READER, 0, || ()), Take::Full));
    assert!(matches!(queue.take(SECOND, 0, || ()), Take::Waits { .. }));
    assert_eq!(queue.waiting(), 4);
}

#[test]
fn as_many_are_opened_for_nobody_as_are_to_be_idle() {
    let mut queue = TestQueue::new(3, 0, None);
    assert!(matches!(
        queue.take(READER, 0, || ()),
        Take::Waits { opens: true, .. }
    ));
    assert!(
        queue.begin_spare(1),
        "the one that is being opened has a taker"
    );
    assert!(!queue.begin_spare(1));
    let _ = queue.opened(1);
    let _ = queue.opened(2);
    assert!(!queue.begin_spare(1));
    assert!(queue.begin_spare(2));
    assert!(!queue.begin_spare(9), "there is no place");
}

#[test]
fn the_stage_of_a_waiter_tells_what_it_waits_for() {
    let mut queue = TestQueue::new(1, 0, None);
    assert!(queue.try_turn());
    let kinds = [WRITER, READER, READER];
    let tickets = kinds.map(|kind| waits(&mut queue, kind));
    let stages = |queue: &TestQueue| tickets.map(|ticket| queue.stage_of(ticket));
    use WaitStage::{Connection, Due, Session, Turn};
    assert_eq!(stages(&queue), [Turn, Connection, Session]);
    let _ = queue.end_turn();
    assert_eq!(stages(&queue), [Connection, Session, Session]);
    let _ = queue.opened(7);
    assert_eq!(stages(&queue), [Due, Session, Session]);
    let all: Vec<_> = queue.callers(true).map(|(_, stage)| stage).collect();
    assert_eq!(all, [Session, Session, Due]);
}

#[test]
fn one_that_has_only_an_error_to_fetch_keeps_nothing_from_others() {
    let mut queue = TestQueue::new(1, 0, None);
    let ticket = waits(&mut queue, READER);
    let _ = queue.open_failed(Some(ticket), ());
    assert_eq!((queue.callers(true).count(), queue.waiting()), (0, 0));
    assert!(matches!(
        queue.poll(ticket, &0),
        Step::Answered(Answer::Failed(()))
    ));
}

#[test]
fn a_session_that_is_opened_is_for_the_first_that_may_have_it() {
    let mut queue = TestQueue::new(4, 1, None);
    for session in 0..2 {
        let first = waits(&mut queue, READER);
        let _ = queue.opened(session);
        let _ = queue.poll(first, &0);
    }
    // The fourth place is reserved for the last of them.
    let tickets = [READER, READER, SECOND].map(|kind| waits(&mut queue, kind));
    let stages = tickets.map(|ticket| queue.stage_of(ticket));
    use WaitStage::{Connection, Session};
    assert_eq!(stages, [Connection, Session, Connection]);
    let keep: Vec<_> = queue.callers(false).map(|(_, stage)| stage).collect();
    assert_eq!(keep, [Connection, Connection]);
}

#[test]
fn the_one_with_whom_nobody_could_go_on_is_refused_and_told_who_waits() {
    let mut queue = Queue::<u8, (), usize, &str>::new(3, 0, None);
    for session in 0..3 {
        let _ = queue.take(READER, 0, || "holder");
        let _ = queue.opened(session);
    }
    let wait = |queue: &mut Queue<u8, (), usize, &'static str>, holds, who| match queue.take(
        SECOND,
        holds,
        || who,
    ) {
        Take::Waits { ticket, .. } => Ok(ticket),
        Take::Starved(others) => Err(others),
        other => panic!("{other:?}"),
    };
    let a = wait(&mut queue, 1, "a").expect("two may go on");
    let b = wait(&mut queue, 1, "b").expect("one may go on");
    assert_eq!(wait(&mut queue, 1, "c"), Err(vec!["a", "b"]));
    let _ = queue.leave(a);
    assert_eq!(wait(&mut queue, 2, "deep"), Err(vec!["b"]));
    let c = wait(&mut queue, 1, "c").expect("a has left");
    let _ = (queue.leave(b), queue.leave(c));
    assert!(wait(&mut queue, 2, "deep").is_ok());
}

#[test]
fn numbers_are_found_wherever_they_came_in() {
    let mut values = Numbered::default();
    for number in [5, 7, 3, 9, 4] {
        values.insert(number, number * 10);
    }
    let numbers: Vec<_> = values.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [3, 4, 5, 7, 9]);
    assert_eq!(
        [3, 5, 9, 6].map(|it| values.get(it).copied()),
        [Some(30), Some(50), Some(90), None]
    );
    assert_eq!(
        [7, 7, 3].map(|it| values.remove(it)),
        [Some(70), None, Some(30)]
    );
    assert_eq!(values.len(), 3);
}

#[test]
fn a_session_that_is_being_closed_keeps_its_place() {
    let mut queue = TestQueue::new(1, 0, None);
    let first = waits(&mut queue, READER);
    let _ = queue.leave(first);
    let _ = queue.opened(7);
    let mut closing = queue.retain(|_| false);
    let (held, session) = closing.pop().expect("it is not kept");
    assert_eq!((session, queue.open(), queue.in_use()), (7, 1, 0));
    let next = queue.take(READER, 0, || ());
    assert!(matches!(next, Take::Waits { opens: false, .. }), "{next:?}");
    let _ = queue.lost(held);
    let Take::Waits { ticket, .. } = next else {
        panic!("{next:?}");
    };
    assert!(matches!(queue.poll(ticket, &0), Step::Open));
}
