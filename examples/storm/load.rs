//! The storm itself: tasks that begin scopes one after the other until it is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use txn_chaos::{Journal, Limits, Outcome, Scenario, Shape, Subject};

use crate::settings::Settings;

const NO_CONNECTION: Outcome = Outcome::Err("connection");
/// The pause after a failure, because there is little to drop while the server is down.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone)]
struct Worker<S> {
    subject: S,
    journal: Arc<Journal>,
    limits: Limits,
    end: Instant,
    last: i64,
    /// Permits for scopes that need a second session. If such scopes held all sessions, they would
    /// deadlock.
    pairs_of_sessions: Arc<Semaphore>,
}

pub(crate) async fn run<S: Subject>(
    subject: S,
    journal: &Arc<Journal>,
    second_writer: bool,
    settings: &Settings,
) {
    let worker = Worker {
        subject,
        journal: Arc::clone(journal),
        limits: settings.limits(second_writer),
        end: settings.end(),
        last: settings.scopes.unwrap_or(i64::MAX),
        pairs_of_sessions: Arc::new(Semaphore::new((settings.sessions / 2).max(1))),
    };
    let progress = tokio::spawn(show_progress(Arc::clone(journal), settings.extent()));
    join_all((0..settings.tasks).map(|_| tokio::spawn(worker.clone().work()))).await;
    progress.abort();
    progress.await.ok();
}

impl<S: Subject> Worker<S> {
    async fn work(self) {
        while Instant::now() < self.end {
            let id = self.journal.next_id();
            if id > self.last {
                return;
            }
            let scenario = Scenario::draw(id, self.limits);
            let pair = match scenario.shape {
                Shape::RequiresNew => self.pairs_of_sessions.acquire().await.ok(),
                _ => None,
            };
            let outcome = self.journal.run(&self.subject, scenario).await;
            drop(pair);
            if outcome == NO_CONNECTION {
                sleep(PAUSE).await;
            }
        }
    }
}

/// Shows the progress. If standard error is not a terminal, it prints a line now and then.
async fn show_progress(journal: Arc<Journal>, extent: String) {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}");
    bar.set_style(style.expect("the template is well formed"));
    let pause = match bar.is_hidden() {
        true => Duration::from_secs(10),
        false => Duration::from_millis(250),
    };
    loop {
        sleep(pause).await;
        let line = line(&journal, &extent);
        match bar.is_hidden() {
            true => eprintln!("{:6.1?} {line}", journal.started.elapsed()),
            false => bar.set_message(line),
        }
        bar.tick();
    }
}

fn line(journal: &Journal, extent: &str) -> String {
    let counts = Journal::COUNTED.iter().zip(journal.counts());
    let counts: Vec<String> = counts
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    format!("of {extent}: {}", counts.join(", "))
}
