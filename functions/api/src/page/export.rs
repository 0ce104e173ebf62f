//! Runs to take along: as CSV for spreadsheets, as the API's JSON for scripts.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use shared::error::SyncError;

use super::Admin;
use super::answer::refusal;
use crate::app::App;
use crate::audit::Audit;
use crate::http::error::ApiError;
use crate::runs::history::{self, Window};
use crate::runs::view::{RunView, RunsView};

const RUNS_MAX: i64 = 1_000;
const RUN_COLUMNS: [&str; 17] = [
    "run_id",
    "kind",
    "mode",
    "dry_run",
    "trigger",
    "requested_by",
    "status",
    "queued_at",
    "started_at",
    "finished_at",
    "duration_ms",
    "created",
    "updated",
    "deleted",
    "unchanged",
    "quarantined",
    "error",
];
const RESULT_COLUMNS: [&str; 8] = [
    "step",
    "data_type",
    "created",
    "updated",
    "deleted",
    "unchanged",
    "quarantined",
    "drift",
];

type Asked = Result<Query<Window>, QueryRejection>;

pub(crate) async fn runs_csv(State(app): State<App>, admin: Admin, window: Asked) -> Response {
    match newest(&app, &admin, window).await {
        Ok(found) => table("runs", &RUN_COLUMNS, found.runs.iter().map(run_row)),
        Err(error) => refusal(&error, admin.frame),
    }
}

pub(crate) async fn runs_json(State(app): State<App>, admin: Admin, window: Asked) -> Response {
    match newest(&app, &admin, window).await {
        Ok(found) => json("runs", &found),
        Err(error) => refusal(&error, admin.frame),
    }
}

pub(crate) async fn run_csv(
    State(app): State<App>,
    admin: Admin,
    run_id: Result<Path<String>, PathRejection>,
) -> Response {
    match one(&app, &admin, run_id).await {
        Ok(run) => table(&run.run_id, &RESULT_COLUMNS, result_rows(&run).into_iter()),
        Err(error) => refusal(&error, admin.frame),
    }
}

pub(crate) async fn run_json(
    State(app): State<App>,
    admin: Admin,
    run_id: Result<Path<String>, PathRejection>,
) -> Response {
    match one(&app, &admin, run_id).await {
        Ok(run) => json(&run.run_id, &run),
        Err(error) => refusal(&error, admin.frame),
    }
}

async fn newest(app: &App, admin: &Admin, window: Asked) -> Result<RunsView, ApiError> {
    let Query(window) = window.map_err(|error| SyncError::input("query", error.body_text()))?;
    let env = app.env().await?;
    let found = history::page(env, &admin.caller, &window.of_form(), RUNS_MAX).await?;
    let entry = Audit {
        detail: json!({"runs": found.runs.len()}),
        ..admin.caller.entry("export", "given")
    };
    env.audit.add(&entry).await?;
    Ok(found)
}

async fn one(
    app: &App,
    admin: &Admin,
    run_id: Result<Path<String>, PathRejection>,
) -> Result<RunView, ApiError> {
    let env = app.env().await?;
    let run = history::read(env, &admin.caller, &history::text_of(run_id)).await?;
    let entry = Audit {
        run_id: Some(&run.run_id),
        ..admin.caller.entry("export", "given")
    };
    env.audit.add(&entry).await?;
    Ok(run)
}

fn run_row(run: &RunView) -> Vec<String> {
    let totals = run.totals.as_ref();
    let count = |of: fn(&crate::runs::view::CountsView) -> i64| {
        totals
            .map(|totals| of(totals).to_string())
            .unwrap_or_default()
    };
    let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string());
    vec![
        run.run_id.clone(),
        run.kind.clone(),
        run.mode.clone(),
        run.dry_run.to_string(),
        run.trigger.clone(),
        run.requested_by.clone(),
        run.status.clone(),
        run.queued_at.to_string(),
        time(run.started_at).unwrap_or_default(),
        time(run.finished_at).unwrap_or_default(),
        run.duration_ms.map(|ms| ms.to_string()).unwrap_or_default(),
        count(|totals| totals.created),
        count(|totals| totals.updated),
        count(|totals| totals.deleted),
        count(|totals| totals.unchanged),
        count(|totals| totals.quarantined),
        run.error
            .as_ref()
            .map(|error| error.name.clone())
            .unwrap_or_default(),
    ]
}

fn result_rows(run: &RunView) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for step in &run.steps {
        for (data_type, counts) in &step.stats {
            let drift = counts.drift.as_ref();
            rows.push(vec![
                step.step.clone(),
                data_type.clone(),
                counts.created.to_string(),
                counts.updated.to_string(),
                counts.deleted.to_string(),
                counts.unchanged.to_string(),
                counts.quarantined.to_string(),
                drift.map_or_else(String::new, |drift| drift.total().to_string()),
            ]);
        }
    }
    rows
}

fn table(name: &str, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Response {
    let mut csv = csv::Writer::from_writer(Vec::new());
    // Writing into memory does not fail.
    let _ = csv.write_record(columns);
    for row in rows {
        let _ = csv.write_record(row.iter().map(|field| tame(field)));
    }
    let body = csv.into_inner().unwrap_or_default();
    file(name, "csv", "text/csv; charset=utf-8", body)
}

fn json(name: &str, value: &impl Serialize) -> Response {
    let disposition = attachment(name, "json");
    ([(header::CONTENT_DISPOSITION, disposition)], Json(value)).into_response()
}

/// A spreadsheet takes some texts for formulas; an apostrophe keeps them texts.
fn tame(field: &str) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{field}")
    } else {
        field.to_owned()
    }
}

fn file(name: &str, extension: &str, kind: &'static str, body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, attachment(name, extension)),
    ];
    (headers, body).into_response()
}

/// Run ids are of an alphabet that needs no quoting.
fn attachment(name: &str, extension: &str) -> String {
    format!("attachment; filename=\"square-sync-{name}.{extension}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_gets_no_formulas() {
        assert_eq!(tame("=1+1"), "'=1+1");
        assert_eq!(tame("@SUM(A1)"), "'@SUM(A1)");
        assert_eq!(tame("ada"), "ada");
    }
}
