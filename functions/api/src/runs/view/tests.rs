use serde_json::{Value, json};

use super::*;

const ARN: &str = "arn:aws:states:eu-west-1:123456789012:execution:sync:sync-1";

fn run() -> RunRow {
    RunRow {
        run_id: "sync-1".to_owned(),
        kind: "complete_sync".to_owned(),
        mode: "incremental".to_owned(),
        trigger: "api".to_owned(),
        requested_by: "ada".to_owned(),
        status: "running".to_owned(),
        request: json!({}),
        queued_at: "2026-11-22T18:00:00Z".parse().unwrap(),
        started_at: Some("2026-11-22T18:00:01Z".parse().unwrap()),
        finished_at: None,
        duration_ms: Some(1500),
        execution_arn: Some(ARN.to_owned()),
        error_name: None,
        error_message: None,
        error_step: None,
        warnings: vec![],
        totals: None,
        silent: false,
    }
}

fn step(name: &str, stats: Value) -> StepRow {
    StepRow {
        run_id: "sync-1".to_owned(),
        step: name.to_owned(),
        status: "succeeded".to_owned(),
        started_at: None,
        duration_ms: None,
        progress_done: 3,
        progress_total: Some(3),
        windows: None,
        notes: vec![],
        stats: serde_json::from_value(stats).unwrap(),
        square: serde_json::from_value(json!({"requests": 2, "pages": 1})).unwrap(),
    }
}

fn counts(created: i64, unchanged: i64) -> Value {
    json!({"created": created, "updated": 0, "deleted": 0, "unchanged": unchanged, "quarantined": 0})
}

/// A run with a warning and a note, for the pages.
pub(crate) fn succeeded(run_id: &str, mode: &str) -> RunView {
    let row = RunRow {
        run_id: run_id.to_owned(),
        mode: mode.to_owned(),
        status: "succeeded".to_owned(),
        queued_at: "2026-11-28T15:41:07.5Z".parse().unwrap(),
        warnings: vec!["3 object(s) wait.".to_owned()],
        ..run()
    };
    let stats = json!({"variations": counts(3, 1), "items": counts(1, 2)});
    let step = StepRow {
        run_id: run_id.to_owned(),
        duration_ms: Some(49),
        notes: vec!["38 character(s) were removed.".to_owned()],
        ..step("catalog", stats)
    };
    RunView::new(row, &[step])
}

#[test]
fn a_running_run_shows_all_promised_fields() {
    let steps = [
        step("locations", json!({"locations": counts(1, 2)})),
        step("finish", json!({})),
    ];
    let view = serde_json::to_value(RunView::new(run(), &steps)).unwrap();
    assert_eq!(
        view,
        json!({
            "run_id": "sync-1",
            "kind": "complete_sync",
            "mode": "incremental",
            "dry_run": false,
            "trigger": "api",
            "requested_by": "ada",
            "status": "running",
            "queued_at": "2026-11-22T18:00:00Z",
            "started_at": "2026-11-22T18:00:01Z",
            "finished_at": null,
            "duration_ms": 1500,
            "execution_arn": ARN,
            "console_url": format!("https://eu-west-1.console.aws.amazon.com/states/home\
                ?region=eu-west-1#/v2/executions/details/{ARN}"),
            "error": null,
            "warnings": [],
            "notes": [],
            "steps": [
                {
                    "step": "locations", "status": "succeeded",
                    "started_at": null, "duration_ms": null,
                    "progress": {"done": 3, "total": 3, "seconds_left": null},
                    "stats": {"locations": counts(1, 2)},
                    "square": {"requests": 2, "retries": 0, "rate_limited": 0, "bytes": 0},
                },
                {
                    "step": "finish", "status": "succeeded",
                    "started_at": null, "duration_ms": null,
                    "progress": {"done": 3, "total": 3, "seconds_left": null},
                    "stats": {},
                    "square": {"requests": 2, "retries": 0, "rate_limited": 0, "bytes": 0},
                },
            ],
            "totals": counts(1, 2),
        })
    );
}

#[test]
fn an_import_shows_its_windows_and_the_time_left() {
    let running = StepRow {
        status: "running".to_owned(),
        duration_ms: Some(10_000),
        progress_done: 300,
        progress_total: Some(1_000),
        windows: serde_json::from_value(json!({"done": 21, "total": 70})).unwrap(),
        ..step("orders", json!({}))
    };
    let progress = |step: StepRow| {
        let view = serde_json::to_value(RunView::new(run(), &[step])).unwrap();
        view["steps"][0]["progress"].clone()
    };
    assert_eq!(
        progress(running.clone()),
        json!({"done": 300, "total": 1_000, "seconds_left": 24,
            "windows": {"done": 21, "total": 70}})
    );
    for (done, left) in [(999, 1), (1_000, 0), (1_001, 0)] {
        let step = StepRow {
            duration_ms: Some(1),
            progress_done: done,
            ..running.clone()
        };
        assert_eq!(progress(step)["seconds_left"], left, "{done}");
    }
    for step in [
        StepRow {
            progress_total: None,
            ..running.clone()
        },
        StepRow {
            progress_done: 0,
            ..running.clone()
        },
        StepRow {
            status: "failed".to_owned(),
            ..running
        },
    ] {
        assert_eq!(progress(step)["seconds_left"], Value::Null);
    }
}

#[test]
fn totals_are_the_runs_own_else_the_steps_else_none() {
    let total = |run: RunRow, steps: &[StepRow]| {
        serde_json::to_value(RunView::new(run, steps)).unwrap()["totals"].clone()
    };
    let steps = [
        step("locations", json!({"locations": counts(1, 2)})),
        step(
            "catalog",
            json!({"items": counts(3, 0), "categories": counts(0, 4)}),
        ),
    ];
    assert_eq!(total(run(), &[]), Value::Null);
    assert_eq!(total(run(), &steps), counts(4, 6));
    let closed = RunRow {
        totals: Some(Counts {
            created: 9,
            ..Counts::default()
        }),
        ..run()
    };
    assert_eq!(total(closed, &steps), counts(9, 0));
}

#[test]
fn data_types_stand_in_the_order_of_the_steps() {
    let stats = json!({"categories": counts(1, 0), "items": counts(2, 0),
        "variations": counts(3, 0), "inventory": counts(4, 0), "locations": counts(5, 0),
        "line_items": counts(6, 0), "orders": counts(7, 0)});
    let json = serde_json::to_string(&RunView::new(run(), &[step("publish", stats)])).unwrap();
    let place = |name: &str| json.find(&format!("\"{name}\":{{")).unwrap();
    let names = [
        "locations",
        "categories",
        "items",
        "variations",
        "inventory",
        "orders",
        "line_items",
    ];
    assert!(names.map(place).is_sorted(), "{json}");
}

#[test]
fn figures_are_described_as_the_object_that_they_are() {
    use utoipa::PartialSchema;
    let described = serde_json::to_value(StepView::schema()).unwrap();
    let stats = &described["properties"]["stats"];
    assert_eq!(stats["type"], "object", "{described}");
    let counts = json!({"$ref": "#/components/schemas/Counts"});
    assert_eq!(stats["additionalProperties"], counts, "{described}");
}

#[test]
fn what_nobody_needs_to_act_on_is_a_note() {
    let cleaned = StepRow {
        notes: vec!["38 character(s) were removed.".to_owned()],
        ..step("catalog", json!({}))
    };
    let warned = RunRow {
        warnings: vec!["3 object(s) wait.".to_owned()],
        ..run()
    };
    let view = RunView::new(warned.clone(), &[cleaned]);
    assert_eq!(view.warnings, ["3 object(s) wait."]);
    assert_eq!(view.notes, ["38 character(s) were removed."]);
    let skipped = RunRow {
        status: "skipped".to_owned(),
        warnings: vec!["Run sync-2 took over.".to_owned()],
        ..warned
    };
    let view = RunView::new(skipped, &[]);
    assert_eq!(view.warnings, ["Run sync-2 took over."]);
    assert!(view.notes.is_empty());
}

#[test]
fn a_failed_run_says_why_and_where() {
    let failed = RunRow {
        status: "failed".to_owned(),
        error_name: Some("SquareUnauthorized".to_owned()),
        error_message: Some("Put a valid token".to_owned()),
        error_step: Some("preflight".to_owned()),
        ..run()
    };
    let view = serde_json::to_value(RunView::new(failed, &[])).unwrap();
    assert_eq!(
        view["error"],
        json!({"name": "SquareUnauthorized", "message": "Put a valid token", "step": "preflight"})
    );
}

#[test]
fn another_runs_steps_are_not_shown() {
    let other = StepRow {
        run_id: "sync-2".to_owned(),
        ..step("locations", json!({}))
    };
    let view = serde_json::to_value(RunView::new(run(), &[other])).unwrap();
    assert_eq!(view["steps"], json!([]));
}

#[test]
fn an_address_that_is_no_arn_has_no_page() {
    assert_eq!(console::url("nonsense"), None);
}
