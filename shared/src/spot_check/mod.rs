//! A spot check: does a sample of what the tables hold say what Square says?
//!
//! `sample` draws ids, `asking` has Square give exactly those, and `comparing` has its
//! copies (`copies`) beside our rows in temporary tables (`twin`) and names each column
//! that differs. What may still be on its way here is told apart (`flight`). Whatever differs
//! is asked for once more before it counts: an answer may be of a moment ago. No data is
//! written, so no lease is held and any other run may be at work.

mod asking;
mod comparing;
mod copies;
mod findings;
mod flight;
mod sample;
mod twin;

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::env::Env;
use crate::error::SyncError;
use crate::run::stats::{Stats, StepOutput};
use crate::run::step::{self, Step, StepContext, StepInput};
use asking::Given;
use findings::Findings;
use sample::Sample;

pub use findings::{Difference, SpotCheck};

/// Lambda gives the function ten minutes.
const TIMEOUT: Duration = Duration::from_secs(590);

/// The record of the step: its figures, and what it found beside them.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    #[serde(flatten)]
    step: &'a StepOutput,
    spot_check: SpotCheck,
}

/// Compares a sample of the tables' rows with Square's copies.
///
/// # Errors
/// Square's, the database's, `StepTimeout`, `LeaseLost` if the run was stopped,
/// `Cancelled`.
pub async fn check(
    env: &Env,
    input: StepInput,
    lambda_deadline: Instant,
) -> Result<StepOutput, SyncError> {
    let step = Step {
        name: "spot_check",
        timeout: TIMEOUT,
        timeout_setting: "the function's time-out",
        lambda_deadline,
    };
    step::perform(env, input, step, work).await
}

async fn work(context: &StepContext<'_>) -> Result<StepOutput, SyncError> {
    let mut client = context.env.database.client().await?;
    let sample = Sample::draw(&client, context.run.request.sample_size()).await?;
    let given = Given::ask(context, &client, &sample).await?;
    let mut findings = comparing::compare(&mut client, &sample, given).await?;
    let doubtful = findings.doubtful();
    if !doubtful.is_empty() {
        let given = Given::ask(context, &client, &doubtful).await?;
        let second = comparing::compare(&mut client, &doubtful, given).await?;
        findings.confirm(second);
    }
    keep(context, &mut client, findings).await
}

/// Stores what was found; nothing else of the check is left.
async fn keep(
    context: &StepContext<'_>,
    client: &mut deadpool_postgres::Object,
    findings: Findings,
) -> Result<StepOutput, SyncError> {
    let spot_check = findings.told();
    let warnings = spot_check.warning().into_iter().collect();
    let output = context.output("spot_check", Stats::new(), warnings);
    let checked = Checked {
        step: &output,
        spot_check,
    };
    let transaction = context.begin(client).await?;
    context.commit_as(transaction, &output, &checked).await?;
    Ok(output)
}

/// For the test that prepares every statement: first those that make the temporary
/// tables, then those that use them.
#[must_use]
pub fn statements() -> (Vec<String>, Vec<String>) {
    let mut uses = sample::statements();
    uses.extend(flight::STATEMENTS.map(str::to_owned));
    uses.extend(comparing::statements());
    (comparing::preparations(), uses)
}
