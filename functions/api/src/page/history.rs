//! `GET /admin/sync/runs` and one run's page.

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde_json::Value;
use shared::error::SyncError;
use shared::postgres::schema;
use url::form_urlencoded::Serializer;

use super::answer::answer;
use super::sync::SOON;
use super::words::{duration, number};
use super::{Admin, Frame};
use crate::app::{App, Env};
use crate::caller::Caller;
use crate::http::error::ApiError;
use crate::runs::history::{self, Window};
use crate::runs::store::{self, Quarantined};
use crate::runs::view::RunView;

const RUNS_A_PAGE: i64 = 30;
/// As many bars as a chart has room for.
const RUNS_CHARTED: i64 = 30;
const QUARANTINE_SHOWN: i64 = 50;
/// Of a bar, in the chart's units.
const BAR_HEIGHT: f64 = 58.0;

#[derive(Template)]
#[template(path = "runs.html")]
struct Runs {
    frame: Option<Frame>,
    choices: Vec<Choice>,
    charts: Vec<Chart>,
    runs: Vec<RunView>,
    next: Option<String>,
    query: String,
}

struct Choice {
    name: &'static str,
    label: &'static str,
    values: Vec<(&'static str, bool)>,
}

struct Chart {
    title: &'static str,
    summary: String,
    bars: Vec<Bar>,
}

struct Bar {
    class: &'static str,
    x: usize,
    y: String,
    height: String,
    title: String,
}

pub(crate) async fn runs(
    State(app): State<App>,
    admin: Admin,
    window: Result<Query<Window>, QueryRejection>,
) -> Response {
    let page = async {
        let Query(window) = window.map_err(|error| SyncError::input("query", error.body_text()))?;
        list(app.env().await?, &admin, &window).await
    };
    answer(admin.frame.clone(), page.await)
}

async fn list(env: &Env, admin: &Admin, window: &Window) -> Result<Runs, ApiError> {
    let found = history::page(env, &admin.caller, window, RUNS_A_PAGE).await?;
    let charts = charts(&charted(env, &admin.caller).await?);
    let mut query = Serializer::new(String::new());
    let mut choices = Vec::new();
    for (name, values, chosen) in window.filters() {
        if let Some(chosen) = chosen {
            query.append_pair(name, chosen);
        }
        choices.push(Choice {
            name,
            label: match name {
                "kind" => "Kind",
                "status" => "Status",
                _ => "Started by",
            },
            values: values
                .iter()
                .map(|value| (*value, chosen == Some(*value)))
                .collect(),
        });
    }
    let query = query.finish();
    Ok(Runs {
        frame: Some(admin.frame.clone()),
        choices,
        charts,
        next: found
            .next
            .map(|next| format!("/admin/sync/runs?{query}&before={next}")),
        runs: found.runs,
        query,
    })
}

/// The last runs that ended, whichever are listed: charts that changed with the
/// list would tell of the list.
async fn charted(env: &Env, caller: &Caller) -> Result<Vec<RunView>, ApiError> {
    let mut client = env.database.client().await?;
    if schema::found(&client).await? == 0 {
        return Ok(Vec::new());
    }
    let ended = store::ended_runs(&client, RUNS_CHARTED).await?;
    history::shown(env, caller, &mut client, ended).await
}

/// Of these runs, the oldest on the left; none of none.
fn charts(runs: &[RunView]) -> Vec<Chart> {
    if runs.is_empty() {
        return Vec::new();
    }
    let took = |run: &RunView| run.duration_ms.unwrap_or(0);
    let failed = runs.iter().filter(|run| run.status == "failed").count();
    let longest = runs.iter().map(took).max().unwrap_or(0);
    let most = runs.iter().map(RunView::changed).max().unwrap_or(0);
    let shown = runs.len();
    vec![
        Chart {
            title: "Records changed",
            summary: format!("the last {shown} runs, at most {}", number(most)),
            bars: bars(runs, RunView::changed, |run| number(run.changed())),
        },
        Chart {
            title: "Duration",
            summary: format!("the last {shown} runs, at most {}", duration(longest)),
            bars: bars(runs, took, |run| duration(took(run))),
        },
        Chart {
            title: "Failures",
            summary: format!("{failed} of the last {shown} runs"),
            bars: bars(
                runs,
                |run| i64::from(run.status == "failed"),
                |run| run.status.clone(),
            ),
        },
    ]
}

fn bars(
    runs: &[RunView],
    figure: impl Fn(&RunView) -> i64,
    words: impl Fn(&RunView) -> String,
) -> Vec<Bar> {
    let most = runs.iter().map(&figure).max().unwrap_or(0).max(1);
    runs.iter()
        .rev()
        .enumerate()
        .map(|(place, run)| {
            // Nothing still shows where its bar would be.
            let share = ratio(figure(run), most);
            let height = (share * BAR_HEIGHT).max(1.0);
            Bar {
                class: if run.status == "failed" { "failed" } else { "" },
                x: place * 10,
                y: format!("{:.1}", BAR_HEIGHT + 2.0 - height),
                height: format!("{height:.1}"),
                title: format!("{}: {}", run.run_id, words(run)),
            }
        })
        .collect()
}

/// A part of a whole, for drawing: to the thousandth.
fn ratio(part: i64, whole: i64) -> f64 {
    let thousandths = i128::from(part) * 1_000 / i128::from(whole.max(1));
    f64::from(i32::try_from(thousandths).unwrap_or(0)) / 1_000.0
}

#[derive(Template)]
#[template(path = "run.html")]
struct Run {
    frame: Option<Frame>,
    csrf_token: String,
    interval: u32,
    run: RunView,
    preview: Option<String>,
    quarantine: Vec<Quarantined>,
}

pub(crate) async fn run(
    State(app): State<App>,
    admin: Admin,
    run_id: Result<Path<String>, PathRejection>,
) -> Response {
    let page = async { detail(app.env().await?, &admin, &history::text_of(run_id)).await };
    answer(admin.frame.clone(), page.await)
}

async fn detail(env: &Env, admin: &Admin, run_id: &str) -> Result<Run, ApiError> {
    let run = history::one(env, &admin.caller, run_id).await?;
    let client = env.database.client().await?;
    let pretty = |preview: &Value| serde_json::to_string_pretty(preview).ok();
    Ok(Run {
        frame: Some(admin.frame.clone()),
        csrf_token: admin.session.csrf_token.clone(),
        interval: if run.is_open() { SOON } else { 0 },
        preview: run.preview.as_ref().and_then(pretty),
        quarantine: store::quarantine(&client, Some(run_id), QUARANTINE_SHOWN).await?,
        run,
    })
}
