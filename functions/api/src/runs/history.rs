//! The history of runs, one run, and stopping it.
//!
//! A database that no run has touched yet has no tables; its history is empty.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use deadpool_postgres::Object;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::error::SyncError;
use shared::postgres::schema;
use shared::run::request::Kind;
use shared::run::start;
use tokio_postgres::Client;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use super::settle::settle;
use super::store::{self, RunRow};
use super::view::{RunView, RunsView};
use crate::app::{App, Env};
use crate::audit::{self, Audit};
use crate::caller::Caller;
use crate::http::error::{ApiError, ErrorBody};

const LIMIT_DEFAULT: i64 = 20;
const LIMIT_MAX: i64 = 100;
/// An execution's name is no longer.
const RUN_ID_CHARS_MAX: usize = 80;

const KINDS: [&str; 5] = [
    "complete_sync",
    "historical_orders",
    "migration",
    "restore",
    "spot_check",
];
const STATUSES: [&str; 6] = [
    "queued",
    "running",
    "succeeded",
    "failed",
    "stopped",
    "skipped",
];
const TRIGGERS: [&str; 3] = ["admin", "schedule", "api"];

/// The part of the history to show. Read as text, so that a wrong value is named.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Window {
    /// The number of runs, 1 to 100.
    #[param(schema_with = limits, required = false)]
    limit: Option<String>,
    /// The `next` of the page before; left out, the newest runs.
    #[param(schema_with = run_ids, required = false)]
    before: Option<String>,
    /// Only runs of this kind.
    #[param(schema_with = kinds, required = false)]
    kind: Option<String>,
    /// Only runs that are, or ended, so.
    #[param(schema_with = statuses, required = false)]
    status: Option<String>,
    /// Only runs that were started by this.
    #[param(schema_with = triggers, required = false)]
    trigger: Option<String>,
}

fn limits() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(LIMIT_MAX))
        .default(Some(LIMIT_DEFAULT.into()))
}

/// The description of a run's id.
fn run_ids() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(RUN_ID_CHARS_MAX))
        .pattern(Some("^[A-Za-z0-9_-]+$"))
}

fn one_of(names: &[&'static str]) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names.iter().copied()))
}

fn kinds() -> ObjectBuilder {
    one_of(&KINDS)
}

fn statuses() -> ObjectBuilder {
    one_of(&STATUSES)
}

fn triggers() -> ObjectBuilder {
    one_of(&TRIGGERS)
}

/// The run that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it only describes")]
struct RunId {
    /// The run's id.
    #[param(schema_with = run_ids)]
    run_id: String,
}

/// The outcome of stopping a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stopped {
    run_id: String,
    /// `stopped`, or what the run had ended as before.
    status: String,
}

/// Lists the runs, newest first.
#[utoipa::path(
    get,
    path = "/admin/runs",
    operation_id = "listRuns",
    tag = "runs",
    params(Window),
    responses(
        (status = 200, description = "A page of the history.", body = RunsView),
        (status = 400, description = "A parameter cannot be used; `field` names it.", body = ErrorBody),
        (status = 401, description = "No valid token.", body = ErrorBody),
        (status = 403, description = "Signed in, but no admin.", body = ErrorBody),
        (status = 404, description = "There is no run that `before` names.", body = ErrorBody),
        (status = 500, description = "A fault of the service.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    window: Result<Query<Window>, QueryRejection>,
) -> Result<Json<RunsView>, ApiError> {
    let Query(window) = window.map_err(|error| SyncError::input("query", error.body_text()))?;
    let limit = window.limit()?;
    let runs = page(app.env().await?, &caller, &window, limit).await?;
    Ok(Json(runs))
}

/// A page of the history; runs whose executions are over are closed on the way.
pub(crate) async fn page(
    env: &Env,
    caller: &Caller,
    window: &Window,
    limit: i64,
) -> Result<RunsView, ApiError> {
    // First, so that a wrong filter is one before there is any run, too.
    let filter = window.filter()?;
    let mut client = env.database.client().await?;
    if schema::found(&client).await? == 0 {
        return Ok(RunsView {
            runs: Vec::new(),
            next: None,
        });
    }
    let before = match &window.before {
        Some(run_id) => Some((place(&client, run_id).await?, run_id.as_str())),
        None => None,
    };
    // One more than asked for tells whether the list goes on.
    let mut runs = store::runs(&client, filter, before, limit + 1).await?;
    let more = runs.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        runs.pop();
    }
    let next = runs
        .last()
        .filter(|_| more)
        .map(|oldest| oldest.run_id.clone());
    let runs = shown(env, caller, &mut client, runs).await?;
    Ok(RunsView { runs, next })
}

/// These runs as they are shown; those whose executions are over are closed first.
pub(crate) async fn shown(
    env: &Env,
    caller: &Caller,
    client: &mut Object,
    mut runs: Vec<RunRow>,
) -> Result<Vec<RunView>, ApiError> {
    for run in &mut runs {
        if run.silent && settle(env, caller, client, run).await? {
            reload(client, run).await?;
        }
    }
    let run_ids: Vec<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
    let steps = store::steps(client, &run_ids).await?;
    Ok(runs
        .into_iter()
        .map(|run| RunView::new(run, &steps))
        .collect())
}

/// Shows one run.
#[utoipa::path(
    get,
    path = "/admin/runs/{run_id}",
    operation_id = "getRun",
    tag = "runs",
    params(RunId),
    responses(
        (status = 200, description = "The run as it is now.", body = RunView),
        (status = 401, description = "No valid token.", body = ErrorBody),
        (status = 403, description = "Signed in, but no admin.", body = ErrorBody),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        (status = 500, description = "A fault of the service.", body = ErrorBody),
        (status = 503, description = "The database is away.", body = ErrorBody),
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    run_id: Result<Path<String>, PathRejection>,
) -> Result<Json<RunView>, ApiError> {
    Ok(Json(
        one(app.env().await?, &caller, &text_of(run_id)).await?,
    ))
}

/// One run for somebody who looks at it.
pub(crate) async fn one(env: &Env, caller: &Caller, run_id: &str) -> Result<RunView, ApiError> {
    let run = read(env, caller, run_id).await?;
    // It has rows of the data.
    let shows = if run.preview.is_some() {
        Some("preview")
    } else {
        let checked = run.spot_check.as_ref();
        checked
            .filter(|checked| !checked.differ.is_empty())
            .map(|_| "spot_check")
    };
    if let Some(action) = shows {
        let entry = Audit {
            run_id: Some(&run.run_id),
            ..caller.entry(action, "shown")
        };
        env.audit.add(&entry).await?;
    }
    Ok(run)
}

/// One run as it is now; whoever shows it says so in the audit log.
pub(crate) async fn read(env: &Env, caller: &Caller, run_id: &str) -> Result<RunView, ApiError> {
    let mut client = env.database.client().await?;
    let mut run = find(&client, run_id).await?;
    if run.silent && settle(env, caller, &mut client, &run).await? {
        reload(&client, &mut run).await?;
    }
    let steps = store::steps(&client, &[&run.run_id]).await?;
    let preview = store::preview(&client, &run.run_id).await?;
    let spot_check = store::spot_check(&client, &run.run_id).await?;
    let run = RunView::new(run, &steps);
    Ok(run.with_preview(preview).with_spot_check(spot_check))
}

/// Stops a run; one that has ended stays as it is.
#[utoipa::path(
    post,
    path = "/admin/runs/{run_id}/stop",
    operation_id = "stopRun",
    tag = "runs",
    params(RunId),
    responses(
        (status = 200, description = "The run is stopped, or had ended before: `status` says as what.", body = Stopped),
        (status = 401, description = "No valid token.", body = ErrorBody),
        (status = 403, description = "Signed in, but no admin.", body = ErrorBody),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        (status = 500, description = "A fault of the service.", body = ErrorBody),
        (status = 502, description = "Step Functions refused.", body = ErrorBody),
        (status = 503, description = "The database or Step Functions is away.", body = ErrorBody),
    )
)]
pub(crate) async fn stop(
    State(app): State<App>,
    caller: Caller,
    run_id: Result<Path<String>, PathRejection>,
) -> Result<Json<Stopped>, ApiError> {
    let stopped = stop_run(app.env().await?, &caller, &text_of(run_id)).await?;
    Ok(Json(stopped))
}

/// Stops a run, and says so in the audit log.
pub(crate) async fn stop_run(
    env: &Env,
    caller: &Caller,
    run_id: &str,
) -> Result<Stopped, ApiError> {
    let mut client = env.database.client().await?;
    let run = find(&client, run_id).await?;
    let result = end(env, caller, &mut client, &run).await;
    let outcome = match &result {
        Ok(status) if run.is_open() => status.as_str(),
        Ok(_) => "had ended",
        Err(error) => error.name(),
    };
    let entry = Audit {
        run_id: Some(&run.run_id),
        detail: json!({"status_before": run.status}),
        ..caller.entry("stop", outcome)
    };
    let logged = audit::add(&client, &entry).await;
    let status = result?;
    logged?;
    Ok(Stopped {
        run_id: run.run_id,
        status,
    })
}

/// Ends the execution first: if that fails, the run goes on and can be stopped
/// again. Returns what the run has ended as.
async fn end(
    env: &Env,
    caller: &Caller,
    client: &mut Object,
    run: &RunRow,
) -> Result<String, ApiError> {
    if !run.is_open() {
        return Ok(run.status.clone());
    }
    let arn = match &run.execution_arn {
        Some(arn) => arn.clone(),
        None => env.executions.arn_of(Kind::of(&run.kind)?, &run.run_id),
    };
    let cause = format!("Stopped by {} through the API.", caller.name);
    env.executions.stop(&arn, &cause).await?;
    if start::stop(client, &run.run_id).await? {
        return Ok("stopped".to_owned());
    }
    // It ended by itself a moment before.
    let ended = store::run(client, &run.run_id).await?;
    Ok(ended.map_or_else(|| run.status.clone(), |run| run.status))
}

/// A path that is no text names no run.
pub(crate) fn text_of(run_id: Result<Path<String>, PathRejection>) -> String {
    run_id.map_or_else(|_| String::new(), |Path(run_id)| run_id)
}

async fn find(client: &Object, run_id: &str) -> Result<RunRow, ApiError> {
    // What PostgreSQL's text cannot hold names no run either.
    if !is_run_id(run_id) || schema::found(client).await? == 0 {
        return Err(ApiError::no_such_run());
    }
    let run = store::run(client, run_id).await?;
    run.ok_or_else(ApiError::no_such_run)
}

/// The alphabet of execution names that logs can hold.
fn is_run_id(text: &str) -> bool {
    (1..=RUN_ID_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The place in the history that a page's `next` points to.
async fn place(client: &Client, run_id: &str) -> Result<Timestamp, ApiError> {
    let queued_at = store::queued_at(client, run_id).await?;
    queued_at.ok_or_else(ApiError::no_such_run)
}

async fn reload(client: &Client, run: &mut RunRow) -> Result<(), SyncError> {
    if let Some(now) = store::run(client, &run.run_id).await? {
        *run = now;
    }
    Ok(())
}

impl Window {
    /// The same for a form, whose empty values choose nothing.
    pub(crate) fn of_form(self) -> Self {
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        Self {
            limit: given(self.limit),
            before: given(self.before),
            kind: given(self.kind),
            status: given(self.status),
            trigger: given(self.trigger),
        }
    }

    fn filter(&self) -> Result<store::Filter<'_>, SyncError> {
        if self.before.as_deref().is_some_and(|id| !is_run_id(id)) {
            return Err(SyncError::input("before", "is no `next` of this list"));
        }
        let one_of = |field: &str, value: &'_ Option<String>, all: &[&str]| match value.as_deref() {
            Some(value) if !all.contains(&value) => {
                let problem = format!("wants one of {}", all.join(", "));
                Err(SyncError::input(field, problem))
            }
            _ => Ok(()),
        };
        one_of("kind", &self.kind, &KINDS)?;
        one_of("status", &self.status, &STATUSES)?;
        one_of("trigger", &self.trigger, &TRIGGERS)?;
        Ok(store::Filter {
            kind: self.kind.as_deref(),
            status: self.status.as_deref(),
            trigger: self.trigger.as_deref(),
        })
    }

    /// The values by which the history is filtered, by the parameters' names.
    pub(crate) fn filters(&self) -> [(&'static str, &'static [&'static str], Option<&str>); 3] {
        [
            ("kind", &KINDS, self.kind.as_deref()),
            ("status", &STATUSES, self.status.as_deref()),
            ("trigger", &TRIGGERS, self.trigger.as_deref()),
        ]
    }

    fn limit(&self) -> Result<i64, SyncError> {
        let Some(text) = &self.limit else {
            return Ok(LIMIT_DEFAULT);
        };
        text.parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit) && limit.to_string() == *text)
            .ok_or_else(|| {
                SyncError::input(
                    "limit",
                    format!("wants a whole number from 1 to {LIMIT_MAX}"),
                )
            })
    }
}

#[cfg(test)]
mod tests;
