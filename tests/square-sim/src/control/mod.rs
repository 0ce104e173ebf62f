//! The control interface under `/__sim/`: tests use it to change the account,
//! to make requests fail, and to learn what was asked and what is true. It
//! needs no token and speaks JSON; the crate's front page describes it.

mod apply;
mod change;
pub(crate) mod counters;
pub(crate) mod faults;
pub(crate) mod hooks;
mod orders;
mod picks;
mod places;
mod raw;
pub(crate) mod rewrites;
mod stale;
mod stock;
pub(crate) mod token;

pub(crate) use apply::apply;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::moment;
use crate::sim::Sim;
use crate::truth;
use change::Change;
use counters::Counters;
use faults::{Fault, Faults};
use hooks::{Hook, Hooks};
use rewrites::{Rewrite, Rewrites};
use token::{Token, TokenChange};

/// What the control interface keeps.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) token: Token,
    pub(crate) faults: Faults,
    pub(crate) hooks: Hooks,
    pub(crate) rewrites: Rewrites,
    pub(crate) counters: Counters,
}

impl Control {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            token: Token::personal(&config.token),
            faults: Faults::default(),
            hooks: Hooks::default(),
            rewrites: Rewrites::default(),
            counters: Counters::default(),
        }
    }
}

type Shared = State<Arc<Sim>>;
type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// The control interface's routes.
pub(crate) fn routes() -> Router<Arc<Sim>> {
    Router::new()
        .route("/__sim/config", get(config))
        .route("/__sim/reset", post(reset))
        .route("/__sim/change", post(change))
        .route(
            "/__sim/change-later",
            get(hooks_report).post(change_later).delete(clear_hooks),
        )
        .route(
            "/__sim/faults",
            post(set_faults).put(replace_faults).delete(clear_faults),
        )
        .route("/__sim/rewrites", post(set_rewrites).delete(clear_rewrites))
        .route("/__sim/token", post(change_token))
        .route("/__sim/clock", get(clock).post(set_clock))
        .route("/__sim/counters", get(read_counters).delete(clear_counters))
        .route("/__sim/arrivals", get(read_arrivals))
        .route("/__sim/truth", get(read_truth))
        .layer(DefaultBodyLimit::max(64 << 20))
}

/// Reads a JSON body; an empty one stands for `empty`.
fn read<T: DeserializeOwned>(body: &[u8], empty: &str) -> Result<T, (StatusCode, Json<Value>)> {
    let body = if body.is_empty() {
        empty.as_bytes()
    } else {
        body
    };
    serde_json::from_slice(body).map_err(|error| refused(&error.to_string()))
}

fn refused(message: &str) -> (StatusCode, Json<Value>) {
    (StatusCode::BAD_REQUEST, Json(json!({"error": message})))
}

async fn config(State(sim): Shared) -> Json<Config> {
    Json(sim.account().config.clone())
}

async fn reset(State(sim): Shared, body: Bytes) -> Answer {
    let fields: Map<String, Value> = read(&body, "{}")?;
    let config = sim
        .started_with
        .with(&fields)
        .map_err(|error| refused(&error.to_string()))?;
    let answer = json!({"reset": true, "config": config});
    let done = tokio::task::spawn_blocking(move || sim.reset(&config)).await;
    done.map_err(|error| refused(&error.to_string()))?;
    Ok(Json(answer))
}

async fn change(State(sim): Shared, body: Bytes) -> Answer {
    let changes: Vec<Change> = read(&body, "[]")?;
    let mut account = sim.account_mut();
    let mut done = Vec::new();
    for (number, change) in changes.into_iter().enumerate() {
        match apply(&mut account, change) {
            Ok(outcome) => done.push(outcome),
            Err(error) => {
                let answer = json!({"error": format!("change {number}: {error}"), "done": done});
                return Err((StatusCode::BAD_REQUEST, Json(answer)));
            }
        }
    }
    Ok(Json(
        json!({"done": done, "now": moment::truth(account.now)}),
    ))
}

async fn change_later(State(sim): Shared, body: Bytes) -> Answer {
    let hook: Hook = read(&body, "")?;
    faults::check_endpoint(&hook.when.endpoint).map_err(|error| refused(&error))?;
    sim.control().hooks.add(hook);
    Ok(Json(json!({"waiting": true})))
}

async fn hooks_report(State(sim): Shared) -> Json<Value> {
    Json(sim.control().hooks.report())
}

async fn clear_hooks(State(sim): Shared) -> Json<Value> {
    sim.control().hooks.clear();
    Json(json!({"cleared": true}))
}

async fn set_faults(State(sim): Shared, body: Bytes) -> Answer {
    let faults = read_faults(&body)?;
    let set = faults.len();
    sim.control().faults.set(faults);
    Ok(Json(json!({"set": set})))
}

async fn replace_faults(State(sim): Shared, body: Bytes) -> Answer {
    let faults = read_faults(&body)?;
    let set = faults.len();
    // In one go: no request slips through between the old ones and the new.
    let mut control = sim.control();
    control.faults.clear();
    control.faults.set(faults);
    Ok(Json(json!({"set": set})))
}

fn read_faults(body: &Bytes) -> Result<Vec<Fault>, (StatusCode, Json<Value>)> {
    let faults: Vec<Fault> = read(body, "")?;
    let checked = faults.iter().try_for_each(Fault::check);
    checked.map_err(|error| refused(&error))?;
    Ok(faults)
}

async fn clear_faults(State(sim): Shared) -> Json<Value> {
    sim.control().faults.clear();
    Json(json!({"cleared": true}))
}

async fn set_rewrites(State(sim): Shared, body: Bytes) -> Answer {
    let rewrites: Vec<Rewrite> = read(&body, "")?;
    let set = rewrites.len();
    sim.control().rewrites.set(rewrites);
    Ok(Json(json!({"set": set})))
}

async fn clear_rewrites(State(sim): Shared) -> Json<Value> {
    sim.control().rewrites.clear();
    Json(json!({"cleared": true}))
}

async fn change_token(State(sim): Shared, body: Bytes) -> Answer {
    let change: TokenChange = read(&body, "{}")?;
    let mut control = sim.control();
    control.token.change(change);
    let Token {
        token,
        scopes,
        expires_at,
        revoked,
        ..
    } = control.token.clone();
    Ok(Json(
        json!({"token": token, "scopes": scopes, "expires_at": expires_at, "revoked": revoked}),
    ))
}

/// Moves Square's clock on; it never goes back.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClockChange {
    now: Option<jiff::Timestamp>,
    advance_seconds: Option<u32>,
}

async fn clock(State(sim): Shared) -> Json<Value> {
    Json(json!({"now": moment::truth(sim.account().now)}))
}

async fn set_clock(State(sim): Shared, body: Bytes) -> Answer {
    let change: ClockChange = read(&body, "{}")?;
    let mut account = sim.account_mut();
    let wanted = change.now.and_then(moment::of).unwrap_or(account.now);
    let wanted = wanted + i64::from(change.advance_seconds.unwrap_or(0)) * moment::SECOND;
    if wanted < account.now {
        return Err(refused(
            "the clock cannot go back: changes must come strictly later",
        ));
    }
    account.now = wanted;
    Ok(Json(json!({"now": moment::truth(wanted)})))
}

async fn read_counters(State(sim): Shared) -> Response {
    Json(&sim.control().counters).into_response()
}

async fn read_arrivals(State(sim): Shared) -> Response {
    Json(&sim.control().counters.arrivals).into_response()
}

async fn clear_counters(State(sim): Shared) -> Json<Value> {
    sim.control().counters = Counters::default();
    Json(json!({"cleared": true}))
}

async fn read_truth(State(sim): Shared, Query(wanted): Query<truth::Wanted>) -> Response {
    truth::respond(sim, wanted)
}
