//! The last step: checks what the run left, sums it up and frees the lease. The
//! same function closes a run that failed, keeping the first error.

use std::time::Duration;

use deadpool_postgres::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep_until};

use crate::env::{Env, Variables};
use crate::error::SyncError;
use crate::notification::{self, Notices};
use crate::postgres::{Database, schema, sessions};
use crate::publish::backups;
use crate::run::metrics;
use crate::run::request::{Kind, Request};
use crate::run::stats::{Counts, Stats, total};
use crate::run::step::{self, Step};
use crate::run::store::{Failure, Run};
use crate::run::{lease, store};
use crate::settings::Settings;
use crate::square::Counters;
use crate::validation;

/// Lambda gives the function three minutes.
const TIMEOUT: Duration = Duration::from_secs(175);

/// The input from the state machine.
#[derive(Debug, Deserialize)]
pub struct Input {
    pub run_id: String,
    #[serde(default)]
    pub kind: Kind,
    #[serde(default)]
    pub redrive_count: i32,
    #[serde(default)]
    pub execution_arn: Option<String>,
    /// The execution's own input, for a run whose record could not be written.
    #[serde(default)]
    pub request: Value,
    /// The error that a state caught; none after a good run.
    #[serde(default)]
    pub failure: Option<Caught>,
}

/// An error as Step Functions caught it.
#[derive(Debug, Deserialize)]
pub struct Caught {
    pub step: String,
    pub error: String,
    /// The runtime's JSON with our message in it, or a plain text of AWS's.
    #[serde(default)]
    pub cause: String,
}

/// The outcome of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub run_id: String,
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Counts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorOutput>,
}

/// The error under which the execution ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorOutput {
    pub name: String,
    pub message: String,
    pub step: String,
}

/// The means to close runs and to tell of them. The database comes with the first event
/// that wants it: a mail can be sent without.
pub struct Closing {
    notices: Notices,
    database: OnceCell<Database>,
    /// None if the setting is wrong: backups then stay until it is right.
    backups_kept: Option<u32>,
}

impl Closing {
    /// Reads the process environment.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the setting.
    pub async fn from_environment() -> Result<Self, SyncError> {
        let variables = Variables::default();
        let kept = Settings::read_backups_kept(|name| variables.get(name));
        Ok(Self {
            notices: Notices::from_environment().await?,
            database: OnceCell::new(),
            backups_kept: kept
                .inspect_err(|error| tracing::warn!(%error, "outdated backups stay"))
                .ok(),
        })
    }

    async fn database(&self) -> Result<&Database, SyncError> {
        self.database
            .get_or_try_init(Env::database_from_environment)
            .await
    }
}

/// Closes a run for its state machine, or takes up EventBridge's report that an
/// execution has ended.
///
/// # Errors
/// As [`close`] and [`notification::execution_ended`].
pub async fn handle(
    closing: &Closing,
    event: Value,
    deadline: Instant,
) -> Result<Option<Output>, SyncError> {
    if event.get("detail-type").is_some() {
        let database = closing.database().await;
        notification::execution_ended(&closing.notices, database, &event).await?;
        return Ok(None);
    }
    let input = serde_json::from_value(event)
        .map_err(|error| SyncError::input("event", error.to_string()))?;
    let database = closing.database().await?;
    let output = close(database, closing.backups_kept, input, deadline).await?;
    Ok(Some(output))
}

/// Closes the run. After a good one the backups that are too many are dropped, unless
/// it is not known how many are kept.
///
/// # Errors
/// The database's; `StepTimeout`; `Cancelled` if the run was stopped or made way.
pub async fn close(
    database: &Database,
    backups_kept: Option<u32>,
    input: Input,
    deadline: Instant,
) -> Result<Output, SyncError> {
    let mut client = database.client().await?;
    if schema::found(&client).await? == 0 {
        // The run failed before preflight came to this.
        schema::ensure(database).await?;
    }
    let Some(caught) = &input.failure else {
        let checks = Checks {
            of_run: database.for_run(&input.run_id, deadline)?,
            backups_kept,
            step: Step {
                name: "finish",
                timeout: TIMEOUT,
                timeout_setting: "the function's time-out",
                lambda_deadline: deadline,
            },
        };
        return close_succeeded(&mut client, &input.run_id, checks).await;
    };
    close_failed(&mut client, &input, caught).await
}

/// The work on what a good run left, before it is closed.
struct Checks {
    /// Over sessions that end with the checks.
    of_run: Database,
    backups_kept: Option<u32>,
    step: Step,
}

impl Checks {
    /// Returns what there is to warn of.
    async fn perform(self, run: &Run) -> Result<Vec<String>, SyncError> {
        let work = Box::pin(async {
            let mut client = self.of_run.client().await?;
            let mut warnings = validation::warnings(&client, run).await?;
            if let Some(kept) = self.backups_kept {
                warnings.extend(backups::drop_outdated(&mut client, kept).await);
            }
            Ok(warnings)
        });
        let end = async {
            sleep_until(self.step.deadline()).await;
            self.step.timed_out()
        };
        step::until(&self.of_run, work, end).await
    }
}

async fn close_succeeded(
    client: &mut Object,
    run_id: &str,
    checks: Checks,
) -> Result<Output, SyncError> {
    let Some(run) = store::find(client, run_id).await? else {
        return Err(SyncError::input("run_id", "names no run"));
    };
    if run.status == "succeeded"
        && let Some(record) = store::step(client, run_id, "finish").await?
        && let Some(result) = record.result
    {
        return serde_json::from_value(result)
            .map_err(|error| SyncError::Internal(error.to_string()));
    }
    let ended =
        |status: &str| SyncError::Cancelled(format!("Run {run_id} has ended ({status}) already."));
    if run.status != "running" {
        return Err(ended(&run.status));
    }
    // No state machine asks for that, but people can call a function, too.
    if let Some(step) = store::undone_step(client, run_id).await? {
        let problem = format!("names a run whose step {step} is not done");
        return Err(SyncError::input("run_id", problem));
    }
    store::start_step(client, run_id, "finish", false).await?;
    let steps = store::all_stats(client, run_id).await?;
    let totals = total(steps.iter().map(|(_, stats)| stats));
    let mut warnings = store::step_warnings(client, run_id).await?;
    warnings.extend(checks.perform(&run).await?);

    let output = Output {
        run_id: run_id.to_owned(),
        status: "succeeded".to_owned(),
        totals: Some(totals),
        warnings,
        error: None,
    };
    let result =
        serde_json::to_value(&output).map_err(|error| SyncError::Internal(error.to_string()))?;
    let transaction = client.transaction().await?;
    // The lease's rows are locked first, as by whoever stops the run.
    lease::revoke(&transaction, run_id).await?;
    if !store::set_succeeded(&transaction, run_id, &totals, &output.warnings).await? {
        return Err(ended("stopped meanwhile"));
    }
    let (stats, square) = (Stats::new(), Counters::default());
    store::succeed_step(&transaction, run_id, "finish", 0, &stats, &square, &result).await?;
    transaction.commit().await?;
    metrics::run_ended(client, run_id).await;
    tracing::info!(run_id, output = %result, "run succeeded");
    Ok(output)
}

async fn close_failed(
    client: &mut Object,
    input: &Input,
    caught: &Caught,
) -> Result<Output, SyncError> {
    let run_id = input.run_id.as_str();
    let failure = Failure {
        name: caught.error.clone(),
        message: message_of(caught),
        step: caught.step.clone(),
    };
    // Windows that were read beside the one that failed may still be at work.
    let sessions = [run_id.to_owned()];
    lease::unlock(client, &sessions).await?;
    let transaction = client.transaction().await?;
    lease::revoke(&transaction, run_id).await?;
    // Preflight may have failed before it could write the run's record, even on
    // the input itself.
    let request = Request::parse(input.kind, input.request.clone()).unwrap_or(Request {
        kind: input.kind,
        ..Request::default()
    });
    store::insert_ended(&transaction, run_id, &request).await?;
    let run = store::find(&transaction, run_id).await?;
    // By request, or because it made way for another run.
    let ended = run.map(|run| run.status);
    let ended = ended.filter(|status| matches!(status.as_str(), "stopped" | "skipped"));
    let mut closed = false;
    if ended.is_none() {
        store::set_arn(&transaction, run_id, input.execution_arn.as_deref()).await?;
        let (step, name, message) = (&failure.step, &failure.name, &failure.message);
        store::fail_step(&transaction, run_id, step, name, message, None).await?;
        closed = store::set_failed(&transaction, run_id, &failure).await?;
    }
    let first = store::failure(&transaction, run_id).await?;
    transaction.commit().await?;
    sessions::end_of(client, &sessions).await;
    if closed {
        metrics::run_ended(client, run_id).await;
    }
    if ended.as_deref() == Some("skipped") {
        tracing::info!(run_id, step = failure.step, "run made way");
        return Ok(Output {
            run_id: run_id.to_owned(),
            status: "skipped".to_owned(),
            totals: None,
            warnings: Vec::new(),
            error: None,
        });
    }

    let failure = first.unwrap_or(failure);
    tracing::error!(
        run_id,
        step = failure.step,
        name = failure.name,
        error = failure.message,
        "run failed"
    );
    Ok(Output {
        run_id: run_id.to_owned(),
        status: ended.unwrap_or_else(|| "failed".to_owned()),
        totals: None,
        warnings: Vec::new(),
        error: Some(ErrorOutput {
            name: failure.name,
            message: failure.message,
            step: failure.step,
        }),
    })
}

/// Our message out of the runtime's JSON; AWS's own errors get a sentence that
/// says what they mean.
fn message_of(caught: &Caught) -> String {
    #[derive(Deserialize)]
    struct Posted {
        #[serde(rename = "errorMessage")]
        error_message: String,
    }
    let text = serde_json::from_str::<Posted>(&caught.cause)
        .map_or_else(|_| caught.cause.clone(), |posted| posted.error_message);
    let meaning = match caught.error.as_str() {
        "States.Timeout" | "Sandbox.Timedout" => {
            "The step took longer than Lambda allows and was ended. What it had not committed is \
undone; start the run again, and raise the function's memory if it stays."
        }
        "Runtime.OutOfMemory" => {
            "The step ran out of memory and was ended. What it had not committed is undone; raise \
the function's memory."
        }
        "Runtime.ExitError" | "Lambda.Unknown" => {
            "The function's process ended unexpectedly. What it had not committed is undone; look \
into its log, then start the run again."
        }
        _ => return text,
    };
    format!("{meaning} {text}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(error: &str, cause: &str) -> Caught {
        Caught {
            step: "catalog".into(),
            error: error.into(),
            cause: cause.into(),
        }
    }

    #[test]
    fn our_message_comes_out_of_the_runtimes_json() {
        let cause = r#"{"errorType":"SquareUnauthorized","errorMessage":"Square refused."}"#;
        assert_eq!(
            message_of(&caught("SquareUnauthorized", cause)),
            "Square refused."
        );
    }

    #[test]
    fn an_error_of_aws_is_explained_and_its_own_text_kept() {
        let message = message_of(&caught(
            "Sandbox.Timedout",
            "Task timed out after 900 seconds",
        ));
        assert!(message.starts_with("The step took longer"), "{message}");
        assert!(message.ends_with("900 seconds"), "{message}");
    }
}
