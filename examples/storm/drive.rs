//! The storm itself: tasks that begin scopes one after the other until it is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::Settings;
use crate::journal::{COUNTED, Journal};
use crate::order::{Order, Range, Shape};
use crate::record::{Outcome, Record};
use crate::strike::strike;
use crate::subject::Subject;

const NO_CONNECTION: Outcome = Outcome::Err("connection");
/// While the server is down there is little to drop.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone)]
struct Worker<S> {
    subject: S,
    journal: Arc<Journal>,
    range: Range,
    end: Instant,
    last: i64,
    /// For scopes that need a second session: all sessions in the hands of such would be a deadlock.
    pairs: Arc<Semaphore>,
}

pub(crate) async fn drive<S: Subject>(
    subject: S,
    journal: &Arc<Journal>,
    second_writer: bool,
    settings: &Settings,
) {
    let range = Range {
        seed: settings.seed,
        accounts: settings.accounts,
        second_writer: second_writer && settings.sessions > 1,
        slow: !settings.no_slow,
    };
    let worker = Worker {
        subject,
        journal: Arc::clone(journal),
        range,
        end: settings.end(),
        last: settings.scopes.unwrap_or(i64::MAX),
        pairs: Arc::new(Semaphore::new((settings.sessions / 2).max(1))),
    };
    let live = tokio::spawn(show(Arc::clone(journal), settings.limit()));
    join_all((0..settings.tasks).map(|_| tokio::spawn(worker.clone().work()))).await;
    live.abort();
    live.await.ok();
}

impl<S: Subject> Worker<S> {
    async fn work(self) {
        while Instant::now() < self.end {
            let id = self.journal.next();
            if id > self.last {
                return;
            }
            let record = Arc::new(Record::new(Order::draw(id, self.range)));
            let pair = match record.order.shape {
                Shape::RequiresNew => self.pairs.acquire().await.ok(),
                _ => None,
            };
            strike(self.subject.clone(), &record).await;
            drop(pair);
            let is_down = record.outcome() == NO_CONNECTION;
            self.journal.add(record);
            if is_down {
                sleep(PAUSE).await;
            }
        }
    }
}

/// Where standard error is no terminal, a line now and then.
async fn show(journal: Arc<Journal>, limit: String) {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}");
    bar.set_style(style.expect("the template is well formed"));
    let pause = match bar.is_hidden() {
        true => Duration::from_secs(10),
        false => Duration::from_millis(250),
    };
    loop {
        sleep(pause).await;
        let line = line(&journal, &limit);
        match bar.is_hidden() {
            true => eprintln!("{:6.1?} {line}", journal.begun.elapsed()),
            false => bar.set_message(line),
        }
        bar.tick();
    }
}

fn line(journal: &Journal, limit: &str) -> String {
    let counts = COUNTED.iter().zip(journal.counts());
    let counts: Vec<String> = counts
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    format!("of {limit}: {}", counts.join(", "))
}
