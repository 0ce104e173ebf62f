//! `GET /admin/sync/runs` and one run's page.

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use shared::error::SyncError;
use shared::postgres::schema;
use url::form_urlencoded::Serializer;

use super::answer::answer;
use super::chart::{self, Bar, Given};
use super::preview::Preview;
use super::spot_check::SpotCheck;
use super::sync::SOON;
use super::words::{count, duration, number};
use super::{Admin, Frame};
use crate::app::{App, Env};
use crate::caller::Caller;
use crate::http::error::ApiError;
use crate::runs::contents::{self, Quarantined};
use crate::runs::history::{self, Window};
use crate::runs::store;
use crate::runs::view::RunView;

const RUNS_A_PAGE: i64 = 30;
/// As many bars as a chart has room for.
const RUNS_CHARTED: i64 = 30;
const QUARANTINE_SHOWN: i64 = 50;

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

pub(crate) async fn runs(
    State(app): State<App>,
    admin: Admin,
    window: Result<Query<Window>, QueryRejection>,
) -> Response {
    let page = async {
        let Query(window) = window.map_err(|error| SyncError::input("query", error.body_text()))?;
        list(app.env().await?, &admin, &window.of_form()).await
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
    let shown = count(i64::try_from(runs.len()).unwrap_or(i64::MAX), "run");
    vec![
        Chart {
            title: "Records changed",
            summary: format!("the last {shown}, at most {}", number(most)),
            bars: bars(runs, |run| (RunView::changed(run), number(run.changed()))),
        },
        Chart {
            title: "Duration",
            summary: format!("the last {shown}, at most {}", duration(longest)),
            bars: bars(runs, |run| (took(run), duration(took(run)))),
        },
        Chart {
            title: "Failures",
            summary: format!("{failed} of the last {shown}"),
            bars: bars(runs, |run| {
                (i64::from(run.status == "failed"), run.status.clone())
            }),
        },
    ]
}

/// A bar for each run, by a figure and its words.
fn bars(runs: &[RunView], figure: impl Fn(&RunView) -> (i64, String)) -> Vec<Bar> {
    let given = runs.iter().rev().map(|run| {
        let (figure, words) = figure(run);
        Given {
            class: if run.status == "failed" { "failed" } else { "" },
            figure,
            title: format!("{}: {words}", run.run_id),
        }
    });
    chart::bars(given.collect())
}

#[derive(Template)]
#[template(path = "run.html")]
struct Run {
    frame: Option<Frame>,
    csrf_token: String,
    interval: u32,
    run: RunView,
    preview: Option<Preview>,
    spot_check: Option<SpotCheck>,
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
    Ok(Run {
        frame: Some(admin.frame.clone()),
        csrf_token: admin.session.csrf_token.clone(),
        interval: if run.is_open() { SOON } else { 0 },
        preview: Preview::of(&run),
        spot_check: run.spot_check.as_ref().map(SpotCheck::of),
        quarantine: contents::quarantine(&client, Some(run_id), QUARANTINE_SHOWN).await?,
        run,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::runs::view;

    const RUN_ID: &str = "sync-20261128T154107Z-3fa2c1";

    fn shown(mode: &str, preview: Value) -> String {
        let mut run = view::tests::succeeded(RUN_ID, mode);
        if !preview.is_null() {
            run = run.with_preview(Some(preview));
        }
        page(run)
    }

    fn page(run: RunView) -> String {
        let page = Run {
            frame: None,
            csrf_token: String::new(),
            interval: 0,
            preview: Preview::of(&run),
            spot_check: run.spot_check.as_ref().map(SpotCheck::of),
            quarantine: vec![],
            run,
        };
        page.render().unwrap()
    }

    #[test]
    fn a_runs_page_is_headed_by_what_and_when_and_does_not_lead_to_itself() {
        let page = shown("incremental", Value::Null);
        let heading = "<h1 id=\"title\">Sync, <time datetime=\"2026-11-28T15:41:07Z\" \
            title=\"2026-11-28 15:41 UTC\" data-words>28 November 15:41</time></h1> \
            <code class=\"run-id\">sync-20261128T154107Z-3fa2c1</code>";
        assert!(page.contains(heading), "{page}");
        let title = "<title>Sync, 28 November 15:41 UTC · Square Sync</title>";
        assert!(page.contains(title), "{page}");
        let itself = format!("href=\"/admin/sync/runs/{RUN_ID}\"");
        assert!(!page.contains(&itself), "{page}");
    }

    #[test]
    fn a_note_does_not_look_like_a_warning() {
        let page = shown("incremental", Value::Null);
        let warning = "<strong>Look at this</strong></p><ul><li>3 object(s) wait.</li></ul>";
        assert!(page.contains(warning), "{page}");
        let note = "<ul class=\"notes\"><li>38 character(s) were removed.</li></ul>";
        assert!(page.contains(note), "{page}");
    }

    #[test]
    fn a_spot_check_is_a_table_or_says_that_all_is_as_at_square() {
        let checked = |found: Value| {
            let run = view::tests::succeeded(RUN_ID, "incremental");
            page(run.with_spot_check(serde_json::from_value(found).unwrap()))
        };
        let shown = checked(
            json!({"compared": 1_234, "in_flight": 2, "rows_differ": 1, "differ": [
            {"type": "variation_overrides", "id": "A:L", "column": "price_amount",
                "ours": "<5>", "square": null}]}),
        );
        for part in [
            "<dt>Rows compared</dt><dd>1,234</dd>",
            "<tr><td>variation overrides</td><th scope=\"row\"><code>A:L</code></th>\
             <td>price amount</td><td><del>&#60;5&#62;</del></td><td><i>none</i></td></tr>",
        ] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
        assert!(!shown.contains("Every row of the sample"), "{shown}");
        let equal = checked(json!({"compared": 1, "in_flight": 0, "rows_differ": 0, "differ": []}));
        assert!(equal.contains("Every row of the sample is as at Square."));
        assert!(!shown.contains("<table class=\"preview\"><caption></caption>"));
        assert!(!page(view::tests::succeeded(RUN_ID, "incremental")).contains("What was compared"));
    }

    #[test]
    fn why_a_run_was_skipped_is_no_warning_to_the_eye() {
        let mut run = view::tests::succeeded(RUN_ID, "incremental");
        run.status = "skipped".to_owned();
        let page = page(run);
        let reason = "<ul class=\"notes\"><li>3 object(s) wait.</li></ul>";
        assert!(page.contains(reason), "{page}");
        assert!(!page.contains("Look at this"), "{page}");
    }

    #[test]
    fn a_preview_is_tables_or_says_that_nothing_would_change() {
        let sample = json!({
            "items": {"created": [{"id": "A", "label": "Tea <strong>"}], "updated": [], "deleted": []},
            "variations": {"created": [], "updated": [{"label": "Tea · Large", "key": {"id": "B"},
                "changes": {"name": {"from": "L", "to": "Large"},
                    "sku": {"from": null, "to": "T-1"},
                    "absent_at_location_ids": {"from": [], "to": ["L1"]}}}], "deleted": []},
        });
        let page = shown("incremental", sample);
        for part in [
            "<strong>Items</strong> 1 created",
            "<th scope=\"row\">Tea &#60;strong&#62; <code>A</code></th></tr>",
            "<th scope=\"rowgroup\" rowspan=\"3\">Tea · Large <code>B</code></th>\
             <td>name</td><td><del>L</del> → <ins>Large</ins></td></tr>",
            "<tr><td>sku</td><td><del><i>none</i></del> → <ins>T-1</ins></td></tr>",
            "<tr><td>absent at location ids</td><td><ins>1 added: L1</ins></td></tr>",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("<pre") && !page.contains("Nothing would change"));
        assert!(
            !page.contains("written again") && !page.contains("purged"),
            "{page}"
        );
        let purged = json!({"items": {"purged": [{"id": "A", "label": "Tea"}],
            "counts": {"created": 0, "updated": 0, "deleted": 0, "purged": 1}}});
        let page = shown("full_refresh", purged);
        for part in [
            "<p>Every row would be written again; these would differ.</p>",
            "<p>Rows that are purged were marked as deleted before",
            "<strong>Items</strong> 1 purged",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        for (mode, words) in [
            ("incremental", "<p>Nothing would change.</p>"),
            (
                "full_refresh",
                "<p>Nothing would change. Every row would be written again as it is.</p>",
            ),
        ] {
            let page = shown(mode, json!({}));
            assert!(page.contains(words), "{page}");
        }
        assert!(!shown("incremental", Value::Null).contains("What would change"));
    }
}
