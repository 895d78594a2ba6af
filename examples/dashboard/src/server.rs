//! The HTTP server for the page and for Prometheus.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;

use crate::Core;
use crate::faults::Fault;

const PAGE: &str = include_str!("page.html");
/// The content security policy. Everything is in one file, and nothing is loaded from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Deserialize)]
struct Workers {
    workers: usize,
}

#[derive(Deserialize)]
struct Storm {
    storm: bool,
}

#[derive(Deserialize)]
struct Begin {
    fault: Fault,
}

/// Builds the router. Requests that change something must be JSON, which pages of other origins
/// cannot send without a preflight request.
pub(crate) fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/events", get(events))
        .route("/metrics", get(metrics))
        .route("/workers", post(workers))
        .route("/storm", post(storm))
        .route("/fault", post(fault))
        .with_state(core)
}

async fn page(State(core): State<Arc<Core>>) -> impl IntoResponse {
    let page = PAGE.replace("{{engine}}", core.bank.engine());
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(page))
}

/// Streams the frames. The stream ends when the program does, so that an open page does not keep it
/// running.
async fn events(
    State(core): State<Arc<Core>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let frames = core
        .feed
        .frames()
        .map(|frame| Ok(Event::default().data(frame)));
    let over = core.over.clone().cancelled_owned();
    Sse::new(frames.take_until(over)).keep_alive(KeepAlive::default())
}

async fn metrics(State(core): State<Arc<Core>>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], core.metrics.render())
}

async fn workers(State(core): State<Arc<Core>>, Json(asked): Json<Workers>) {
    core.load.set_workers(asked.workers);
}

async fn storm(State(core): State<Arc<Core>>, Json(asked): Json<Storm>) {
    core.load.set_storm(asked.storm);
}

async fn fault(
    State(core): State<Arc<Core>>,
    Json(asked): Json<Begin>,
) -> Result<(), (StatusCode, String)> {
    let begun = core.faults.begin(asked.fault);
    begun.map_err(|why_not| (StatusCode::CONFLICT, why_not))
}
