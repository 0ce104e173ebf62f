//! Runs as the API shows them: rows in, JSON out, nothing else.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use shared::run::console;
use shared::run::stats::{self, Counts};
use utoipa::ToSchema;

use super::store::{RunRow, SquareView, StepRow, WindowsView};

/// One run, finished or not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(crate) struct RunView {
    /// Also the execution's name in Step Functions.
    #[schema(example = "sync-20261122T180000Z-3fa2c1")]
    pub(crate) run_id: String,
    /// `complete_sync`, `historical_orders`, `migration` or `restore`.
    pub(crate) kind: String,
    /// `incremental` or `full_refresh`.
    pub(crate) mode: String,
    /// Whether it only showed what it would change.
    pub(crate) dry_run: bool,
    /// The trigger that started it: `admin`, `schedule` or `api`.
    pub(crate) trigger: String,
    /// The name of whoever asked for it.
    pub(crate) requested_by: String,
    /// `queued`, `running`, `succeeded`, `failed`, `stopped` or `skipped`.
    pub(crate) status: String,
    /// When it was asked for.
    pub(crate) queued_at: Timestamp,
    /// When its first step began.
    #[schema(required = true)]
    pub(crate) started_at: Option<Timestamp>,
    /// When it ended, however it ended.
    #[schema(required = true)]
    pub(crate) finished_at: Option<Timestamp>,
    /// From its first step to its end, or to now.
    #[schema(required = true)]
    pub(crate) duration_ms: Option<i64>,
    /// The execution in Step Functions.
    #[schema(required = true)]
    pub(crate) execution_arn: Option<String>,
    /// The execution's page in the AWS console.
    #[schema(required = true)]
    pub(crate) console_url: Option<String>,
    /// Why it failed, if it did.
    #[schema(required = true)]
    pub(crate) error: Option<RunErrorView>,
    /// Matters that an operator should look at although the run went on; of a skipped
    /// run, why it was.
    pub(crate) warnings: Vec<String>,
    /// What it did of its own accord. Nobody needs to act on it.
    pub(crate) notes: Vec<String>,
    /// All it is to do, in order, from the start.
    pub(crate) steps: Vec<StepView>,
    /// Of a preview: by data type, and by what hangs on one, up to twenty rows each that
    /// would be `created`, `updated` (`key` and `changes`, each `from` and `to`),
    /// `deleted` and `purged` (marked as deleted before, and then gone). Each has a
    /// `label`: its name, after those of what it hangs on. `counts` has the number of
    /// each: of rows that would differ, where the run's figures have those that it
    /// writes. Only where one run is asked for.
    #[schema(value_type = serde_json::Value, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) preview: Option<serde_json::Value>,
    /// All data types together. Until the run has succeeded: of the steps that are
    /// done; none before the first of them.
    #[schema(required = true)]
    pub(crate) totals: Option<CountsView>,
}

/// Why a run failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunError)]
pub(crate) struct RunErrorView {
    /// The name that the state machine shows as well.
    #[schema(example = "SquareUnauthorized")]
    pub(crate) name: String,
    /// The message: what happened and what to do.
    pub(crate) message: String,
    /// The step in which it happened, if one was under way.
    #[schema(required = true)]
    pub(crate) step: Option<String>,
}

/// One step of a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub(crate) struct StepView {
    /// `preflight`, `locations`, `catalog`, `inventory`, `publish`, `orders` and
    /// `finish`; of an import `plan` and `orders`, of a migration `migrate` and
    /// `rederive`, and `restore`.
    pub(crate) step: String,
    /// `pending`, `running`, `succeeded`, `failed` or `skipped`.
    pub(crate) status: String,
    /// When it first began.
    #[schema(required = true)]
    pub(crate) started_at: Option<Timestamp>,
    /// From its beginning to its end, or to now.
    #[schema(required = true)]
    pub(crate) duration_ms: Option<i64>,
    pub(crate) progress: Progress,
    /// Counts of what became of each data type's objects, in the order of the steps.
    #[serde(serialize_with = "as_object")]
    #[schema(value_type = std::collections::BTreeMap<String, CountsView>)]
    pub(crate) stats: Vec<(String, CountsView)>,
    pub(crate) square: SquareView,
}

/// The progress of a step, in objects read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Progress {
    pub(crate) done: i64,
    /// None while it is not known how many there are; an estimate for the orders of
    /// the past.
    #[schema(required = true)]
    pub(crate) total: Option<i64>,
    /// The seconds that the rest will take, if it goes on as it did so far.
    #[schema(required = true)]
    pub(crate) seconds_left: Option<i64>,
    /// Windows of the import of historical orders.
    #[schema(value_type = WindowsView, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) windows: Option<WindowsView>,
}

/// Counts of what became of the objects that Square gave.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Counts)]
pub(crate) struct CountsView {
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// Rows newly marked as deleted.
    pub(crate) deleted: i64,
    pub(crate) unchanged: i64,
    /// Objects that wait in quarantine.
    pub(crate) quarantined: i64,
}

/// A page of the history, newest run first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Runs)]
pub(crate) struct RunsView {
    pub(crate) runs: Vec<RunView>,
    /// Give this as `before` to go on; none at the end.
    #[schema(required = true)]
    pub(crate) next: Option<String>,
}

impl RunView {
    /// A run with those of `steps` that are its own.
    pub(crate) fn new(run: RunRow, steps: &[StepRow]) -> Self {
        let own: Vec<&StepRow> = steps
            .iter()
            .filter(|step| step.run_id == run.run_id)
            .collect();
        let totals = run.totals.or_else(|| totals_so_far(&own));
        let step = run.error_step.filter(|step| !step.is_empty());
        let notes = own.iter().flat_map(|step| step.notes.iter().cloned());
        Self {
            notes: notes.collect(),
            console_url: run.execution_arn.as_deref().and_then(console::url),
            error: run.error_name.map(|name| RunErrorView {
                name,
                message: run.error_message.unwrap_or_default(),
                step,
            }),
            steps: own.into_iter().map(StepView::new).collect(),
            totals: totals.map(CountsView::from),
            run_id: run.run_id,
            kind: run.kind,
            mode: run.mode,
            dry_run: run.request["dry_run"] == true,
            preview: None,
            trigger: run.trigger,
            requested_by: run.requested_by,
            status: run.status,
            queued_at: run.queued_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            duration_ms: run.duration_ms,
            execution_arn: run.execution_arn,
            warnings: run.warnings,
        }
    }
}

impl RunView {
    /// The same with what a preview has shown.
    pub(crate) fn with_preview(self, preview: Option<serde_json::Value>) -> Self {
        Self { preview, ..self }
    }
}

impl StepView {
    fn new(step: &StepRow) -> Self {
        Self {
            step: step.step.clone(),
            status: step.status.clone(),
            started_at: step.started_at,
            duration_ms: step.duration_ms,
            progress: Progress {
                done: step.progress_done,
                total: step.progress_total,
                seconds_left: seconds_left(step),
                windows: step.windows,
            },
            stats: stats::in_order(&step.stats)
                .into_iter()
                .map(|(data_type, counts)| (data_type.to_owned(), CountsView::from(*counts)))
                .collect(),
            square: step.square,
        }
    }
}

/// Writes pairs as the members of an object, in their order.
fn as_object<S: Serializer>(
    pairs: &[(String, CountsView)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, counts)| (name, counts)))
}

/// None unless the step is at work and tells how much there is.
fn seconds_left(step: &StepRow) -> Option<i64> {
    let (done, total) = (step.progress_done, step.progress_total?);
    if step.status != "running" || done <= 0 {
        return None;
    }
    let left = i128::from((total - done).max(0));
    let elapsed_ms = i128::from(step.duration_ms?);
    // Rounded up: as long as something is left, it takes time.
    let per_second = i128::from(done) * 1000;
    i64::try_from((elapsed_ms * left + per_second - 1) / per_second).ok()
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let Counts {
            created,
            updated,
            deleted,
            unchanged,
            quarantined,
        } = counts;
        Self {
            created,
            updated,
            deleted,
            unchanged,
            quarantined,
        }
    }
}

fn totals_so_far(steps: &[&StepRow]) -> Option<Counts> {
    let mut with_figures = steps
        .iter()
        .map(|step| &step.stats)
        .filter(|stats| !stats.is_empty())
        .peekable();
    with_figures.peek()?;
    Some(stats::total(with_figures))
}

#[cfg(test)]
pub(crate) mod tests {
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
}
