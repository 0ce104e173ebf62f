//! Publishing: what a run's steps have staged is applied in one transaction.
//!
//! A full refresh replaces the account: the present tables are kept as a backup,
//! emptied, and filled from staging. Readers see the old account until the
//! commit and the new one from then on; whatever fails before leaves the old one.
//! A preview does the very same, looks at what came of it, and rolls it back: so
//! its figures are those of the run that would follow.

pub mod backups;
mod preview;
mod replace;
mod restore;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_postgres::{Object, Transaction};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_postgres::types::Json;

use crate::account;
use crate::env::Env;
use crate::error::SyncError;
use crate::part::Part;
use crate::postgres::plan::Access;
use crate::run::stats::{StagedStep, Stats, StepOutput};
use crate::run::step::{self, Step, StepContext, StepInput};
use crate::run::watermark::Watermark;
use crate::staging::drift::Expected;
use crate::staging::guard;

/// As long as Lambda allows, less what it takes to say so.
const TIMEOUT: Duration = Duration::from_secs(890);

/// The input from the state machine.
#[derive(Debug, Deserialize)]
pub struct Input {
    #[serde(flatten)]
    pub step: StepInput,
    pub work: Work,
}

/// The work to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Apply what the steps have staged, or preview it.
    Publish,
    /// Put a backup back.
    Restore,
    /// Keep the leases while the state machine waits for a snapshot.
    Hold,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Output {
    Step(Box<StepOutput>),
    Held { run_id: String },
}

/// The record of a preview: the step's figures, and samples of rows beside them.
#[derive(Debug, Serialize)]
struct Previewed<'a> {
    #[serde(flatten)]
    step: &'a StepOutput,
    /// By data type, up to twenty rows each.
    preview: BTreeMap<&'static str, preview::Sample>,
}

/// Does the work that the state machine asks for.
///
/// # Errors
/// The database's, `DeletionGuard`, `StepTimeout`, `LeaseLost`, `Cancelled`; `InputInvalid` or
/// `DatabaseSchemaOutdated` for a backup that cannot be put back.
pub async fn handle(
    env: &Env,
    input: Input,
    lambda_deadline: Instant,
) -> Result<Output, SyncError> {
    let named = |name| Step {
        name,
        timeout: TIMEOUT,
        timeout_setting: "the function's time-out",
        lambda_deadline,
    };
    let output = match input.work {
        Work::Publish => step::perform(env, input.step, named("publish"), publish).await?,
        Work::Restore => step::perform(env, input.step, named("restore"), restore::restore).await?,
        Work::Hold => {
            let client = env.database.client().await?;
            let (run, _lease) = step::enter(&client, &input.step).await?;
            return Ok(Output::Held { run_id: run.run_id });
        }
    };
    Ok(Output::Step(Box::new(output)))
}

async fn publish(context: &StepContext<'_>) -> Result<StepOutput, SyncError> {
    let mut client = context.env.database.client().await?;
    let staged = staged_steps(&client, &context.run.run_id).await?;
    let request = &context.run.request;
    let transaction = context.begin(&mut client).await?;
    for (_, given) in &staged {
        given.rows.verify(&transaction, given.attempt).await?;
    }
    let copy = replace::schema_of(&context.run.run_id);
    Access::Sets.enter_anew(&transaction).await?;
    // What a refresh removes is kept; of what a preview changes, only that.
    if request.dry_run {
        watch::begin(&transaction, &copy).await?;
    } else {
        replace::copy_to(&transaction, &copy).await?;
    }
    let removed = if request.full_refresh {
        replace::empty(&transaction).await?
    } else {
        BTreeMap::new()
    };
    if request.dry_run {
        watch::analyze(&transaction, &copy).await?;
    }
    let (mut stats, mut expected) = (Stats::new(), Expected::default());
    // Counts that come back with their variations are not said to have drifted.
    let wants_inventory = staged.iter().any(|(_, given)| given.wants_inventory);
    for (part, given) in &staged {
        let context = context.for_attempt(given.attempt);
        // All that a refresh publishes differs from what it has emptied.
        let is_silent = request.full_refresh || *part == Part::Inventory && wants_inventory;
        expected.before = given.expected_before.filter(|_| !is_silent);
        let lists_all = given.listed_all;
        let applied =
            account::apply(*part, &context, &transaction, lists_all, &mut expected).await?;
        for (data_type, counts) in applied {
            stats.entry(data_type).or_default().add(&counts);
        }
        if request.full_refresh {
            // Before the next part, whose rows refer to these.
            let kept = replace::keep_unreadable(&transaction, &copy, *part, given.attempt).await?;
            for (data_type, rows) in kept {
                stats.entry(data_type.to_owned()).or_default().created += rows;
            }
        }
    }
    if request.full_refresh {
        check_vanishing(context, &transaction, &copy).await?;
        let kept = replace::keep_needed_locations(&transaction, &copy, &context.run.run_id).await?;
        stats.entry("locations".to_owned()).or_default().created += kept;
        for (data_type, rows) in removed {
            stats.entry(data_type.to_owned()).or_default().deleted += rows;
        }
    }
    Access::Sets.enter(&transaction).await?;
    if request.dry_run {
        let preview = preview::samples(&transaction, &copy).await?;
        transaction.rollback().await?;
        return keep_preview(context, &mut client, (stats, expected.warnings), preview).await;
    }
    save_watermarks(context, &transaction, &staged).await?;
    replace::analyze(&transaction).await?;
    backups::record(&transaction, &copy, &context.run.run_id).await?;
    context
        .commit(transaction, "full_refresh", stats, Vec::new())
        .await
}

/// Returns what the run's steps have staged, in their order.
async fn staged_steps(client: &Object, run_id: &str) -> Result<Vec<(Part, StagedStep)>, SyncError> {
    let rows = client
        .query(
            "select step, result -> 'staged' as staged from sync_steps
             where run_id = $1 and status = 'succeeded' and result ? 'staged' order by ordinal",
            &[&run_id],
        )
        .await?;
    let steps = rows.iter().map(|row| {
        let step: &str = row.get(0);
        let part = Part::named(step)
            .ok_or_else(|| SyncError::Internal(format!("step {step} stages nothing")))?;
        Ok((part, row.get::<_, Json<StagedStep>>(1).0))
    });
    steps.collect()
}

/// A refresh that leaves much out is more likely misread than right.
async fn check_vanishing(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    copy: &str,
) -> Result<(), SyncError> {
    let tables = replace::vanishing(transaction, copy).await?;
    guard::check_refresh(context, &tables)
}

/// The lists were read from their beginning, so their watermarks are new.
async fn save_watermarks(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    staged: &[(Part, StagedStep)],
) -> Result<(), SyncError> {
    for (part, given) in staged {
        let Some(list) = account::list(*part) else {
            continue;
        };
        let mark = Watermark {
            position: given.position,
            ..Watermark::default()
        };
        mark.save(transaction, list, given.listed_all, &context.run.run_id)
            .await?;
    }
    Ok(())
}

/// Stores what a preview found; nothing else of it is left.
async fn keep_preview(
    context: &StepContext<'_>,
    client: &mut Object,
    (stats, warnings): (Stats, Vec<String>),
    preview: BTreeMap<&'static str, preview::Sample>,
) -> Result<StepOutput, SyncError> {
    let transaction = context.begin(client).await?;
    let output = context.output("preview", stats, warnings);
    let kept = Previewed {
        step: &output,
        preview,
    };
    context.commit_as(transaction, &output, &kept).await?;
    Ok(output)
}

/// For the test that prepares every statement.
#[must_use]
pub fn statements() -> Vec<String> {
    replace::statements()
}
