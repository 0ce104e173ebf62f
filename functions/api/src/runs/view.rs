//! Runs as the API shows them: rows in, JSON out, nothing else.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use shared::run::console;
use shared::run::stats::{self, Counts, Drift};
use utoipa::ToSchema;

use super::store::{RunRow, SpotCheckView, SquareView, StepRow, WindowsView};

/// One run, finished or not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(crate) struct RunView {
    /// Also the execution's name in Step Functions.
    #[schema(example = "sync-20261122T180000Z-3fa2c1")]
    pub(crate) run_id: String,
    /// `complete_sync`, `historical_orders`, `migration`, `restore` or `spot_check`.
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
    /// Of a spot check that has compared its sample. Only where one run is asked for.
    #[schema(value_type = SpotCheckView, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spot_check: Option<SpotCheckView>,
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
    /// `rederive`, `restore`, and `spot_check`.
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
    /// Those of them that deltas should have brought long ago; only of a whole listing or
    /// a look-back that can tell.
    #[schema(value_type = DriftView, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drift: Option<DriftView>,
}

/// Counts of what only a whole listing or a look-back has brought.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Drift)]
pub(crate) struct DriftView {
    pub(crate) created: i64,
    pub(crate) updated: i64,
    /// By tombstones: of the catalog alone.
    pub(crate) deleted: i64,
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
            spot_check: None,
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

    /// The same with what a spot check has found.
    pub(crate) fn with_spot_check(self, spot_check: Option<SpotCheckView>) -> Self {
        Self { spot_check, ..self }
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
            drift,
        } = counts;
        Self {
            created,
            updated,
            deleted,
            unchanged,
            quarantined,
            drift: drift.map(DriftView::from),
        }
    }
}

impl DriftView {
    /// All of it.
    pub(crate) fn total(&self) -> i64 {
        self.created + self.updated + self.deleted
    }
}

impl From<Drift> for DriftView {
    fn from(drift: Drift) -> Self {
        let Drift {
            created,
            updated,
            deleted,
        } = drift;
        Self {
            created,
            updated,
            deleted,
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
pub(crate) mod tests;
