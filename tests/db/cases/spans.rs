//! The span of a scope.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use txn::{Error, Tx, transactional};

use super::*;

/// The fields of every scope's span, in the order in which they were opened.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(Id, Fields)>>>);

#[derive(Clone, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Spans {
    fn listen() -> (Self, DefaultGuard) {
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
async fn around(tx: &mut Tx<DB>) -> Result<(), Error> {
    outer(tx, true).await?;
    std::future::pending().await
}

#[tokio::test]
async fn a_scope_has_a_span_that_says_how_it_ended() {
    let db = Fixture::<DB>::new().await;
    let (spans, _listening) = Spans::listen();
    outer(&*db, true).await.unwrap();
    let stopped = tokio::time::timeout(std::time::Duration::from_millis(300), around(&*db));
    stopped.await.unwrap_err();
    let expected = [
        ("outer", "required", "0", "committed"),
        ("inner", "nested", "1", "rolled back"),
        ("around", "required", "0", "dropped"),
        ("outer", "required", "0", "joined"),
        ("inner", "nested", "1", "rolled back"),
    ];
    let spans = spans.take();
    assert_eq!(spans.len(), expected.len());
    for (Fields(fields), (name, propagation, depth, outcome)) in spans.iter().zip(expected) {
        assert_eq!(fields["name"], name);
        assert_eq!(fields["propagation"], propagation);
        assert_eq!(fields["depth"], depth);
        assert_eq!(fields["outcome"], outcome);
        assert_eq!(fields["engine"], <DB as txn::Engine>::SYSTEM);
        fields["elapsed_us"].parse::<u64>().unwrap();
    }
}
