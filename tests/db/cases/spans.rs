//! A scope has a span.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use sqlx::Executor;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use txn::{Error, Tx, transactional};

use super::*;
use crate::support::warnings::beside_another_listener;

/// The fields of every scope's span, in the order in which they were opened.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(Id, Fields)>>>, Links);

/// The pairs of spans of which one follows from the other.
type Links = Arc<Mutex<Vec<(Id, Id)>>>;

#[derive(Clone, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Spans {
    fn listen() -> (Self, DefaultGuard) {
        beside_another_listener();
        let spans = Self::default();
        let subscriber = tracing_subscriber::registry().with(spans.clone());
        (spans, tracing::subscriber::set_default(subscriber))
    }

    fn take(&self) -> Vec<Fields> {
        let spans = std::mem::take(&mut *self.0.lock().unwrap());
        spans.into_iter().map(|(_, fields)| fields).collect()
    }
}

impl<S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().target() == "txn" {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            self.0.lock().unwrap().push((id.clone(), fields));
        }
    }

    fn on_follows_from(&self, id: &Id, before: &Id, context: Context<'_, S>) {
        assert!(context.span(before).is_some(), "it is still there to be linked to");
        self.1.lock().unwrap().push((id.clone(), before.clone()));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        for (span, fields) in &mut *self.0.lock().unwrap() {
            if span == id {
                values.record(fields);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == "said by the body" {
            let span = context.event_span(event).expect("the body runs in its span");
            assert_eq!(span.metadata().target(), "txn");
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.0.insert(field.name(), text.trim_matches('"').to_owned());
    }
}

#[transactional(name = "inner", nested)]
async fn inner(tx: &mut Tx<DB>, fail: bool) -> Result<(), Error> {
    insert(tx, 1).await?;
    match fail {
        true => Err(sqlx::Error::RowNotFound.into()),
        false => Ok(()),
    }
}

#[transactional(name = "outer")]
async fn outer(tx: &mut Tx<DB>, inner_fails: bool) -> Result<(), Error> {
    tracing::info!(target: "said by the body", "hello");
    inner(tx, inner_fails).await.ok();
    Ok(())
}

#[transactional(name = "around")]
async fn around(tx: &mut Tx<DB>, there: tokio::sync::oneshot::Sender<()>) -> Result<(), Error> {
    outer(tx, true).await?;
    there.send(()).unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn a_scope_has_a_span_that_says_how_it_ended() {
    let db = Fixture::<DB>::new().await;
    let (spans, _listening) = Spans::listen();
    outer(&*db, true).await.unwrap();
    let (there, is_there) = tokio::sync::oneshot::channel();
    tokio::select! {
        biased;
        _ = around(&*db, there) => panic!("it did not stop"),
        told = is_there => told.unwrap(),
    }
    let expected = [
        ("outer", "required", "0", "committed", "end"),
        ("inner", "nested", "1", "rolled_back", "end"),
        ("around", "required", "0", "dropped", "body"),
        ("outer", "required", "0", "joined", "end"),
        ("inner", "nested", "1", "rolled_back", "end"),
    ];
    let spans = spans.take();
    assert_eq!(spans.len(), expected.len());
    for (Fields(fields), (name, propagation, depth, outcome, phase)) in spans.iter().zip(expected) {
        assert_eq!(fields["otel.name"], name);
        assert_eq!(fields["txn.scope.name"], name);
        assert_eq!(fields["txn.propagation"], propagation);
        assert_eq!(fields["txn.depth"], depth);
        assert_eq!(fields["txn.attempt"], "1");
        assert!(fields["code.file.path"].ends_with("spans.rs"), "{fields:?}");
        fields["code.line.number"].parse::<u32>().unwrap();
        assert_eq!((&*fields["txn.outcome"], &*fields["txn.phase"]), (outcome, phase));
        assert_eq!(fields["db.system.name"], <DB as txn::Engine>::SYSTEM);
        fields["txn.elapsed_us"].parse::<u64>().unwrap();
    }
}

#[transactional(name = "third time lucky", retry(max_attempts = 3, base_delay = "1ms"))]
async fn third_time_lucky(tx: &mut Tx<DB>, conflict: &'static str) -> Result<(), Error> {
    if tx.attempt() < 3 {
        tx.execute(conflict).await?;
    }
    Ok(())
}

#[tokio::test]
async fn each_attempt_has_a_span_that_is_linked_to_the_one_before() {
    let Some(conflict) = DB::CONFLICT else {
        return; // Only a BEGIN can meet one.
    };
    let db = Fixture::<DB>::new().await;
    let (spans, _listening) = Spans::listen();
    third_time_lucky(&*db, conflict).await.unwrap();
    let links = spans.1.lock().unwrap().clone();
    let spans = spans.0.lock().unwrap();
    let told =
        spans.iter().map(|(_, Fields(fields))| (&*fields["txn.attempt"], &*fields["txn.outcome"]));
    let expected = [("1", "rolled_back"), ("2", "rolled_back"), ("3", "committed")];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let ids: Vec<_> = spans.iter().map(|(id, _)| id.clone()).collect();
    let expected = [(ids[1].clone(), ids[0].clone()), (ids[2].clone(), ids[1].clone())];
    assert_eq!(links, expected);
}

#[transactional(name = "failing")]
async fn failing(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.before_commit(|_| Box::pin(async { Err("not balanced".into()) }));
    Ok(())
}

#[transactional(name = "in a statement")]
async fn in_a_statement(
    tx: &mut Tx<DB>,
    there: tokio::sync::oneshot::Sender<()>,
) -> Result<(), Error> {
    there.send(()).unwrap();
    tx.execute(DB::SLOW_QUERY).await?;
    Ok(())
}

#[tokio::test]
async fn a_span_says_what_failed_and_where_it_was_dropped() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let (spans, _listening) = Spans::listen();
    failing(&*db).await.unwrap_err();
    let (there, is_there) = tokio::sync::oneshot::channel();
    tokio::select! {
        biased;
        _ = in_a_statement(&*db, there) => panic!("it did not stop"),
        told = is_there => told.unwrap(),
    }
    let mut waits = Box::pin(failing(&*db));
    assert!(crate::support::drop_points::is_pending(&mut waits).await);
    drop(waits);
    db.settled().await;
    let spans = spans.take();
    let told = spans.iter().map(|Fields(fields)| (&*fields["txn.outcome"], &*fields["txn.phase"]));
    let expected = [("failed", "end"), ("dropped", "statement"), ("dropped", "waiting")];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(spans[0].0["otel.status_code"], "ERROR");
    assert!(spans[0].0["otel.status_description"].contains("not balanced"));
    assert!(!spans[1].0.contains_key("otel.status_code"));
}
