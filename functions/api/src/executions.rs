//! Step Functions, as far as the API needs it: start, stop and ask after the
//! execution of a run. Each kind of run has its state machine. A run's id is its
//! execution's name, so an execution's address follows from both and a start can
//! be repeated without harm.

use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::ExecutionStatus;
use axum::http::StatusCode;
use serde::Deserialize;
use shared::aws::Failure;
use shared::error::SyncError;
use shared::run::request::Kind;

use crate::http::error::ApiError;
use crate::setting::required;

/// Step Functions takes longer causes, but nobody reads them.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// The state machines' executions.
pub struct Executions {
    client: Client,
    machines: Machines,
}

/// The state machine of each kind of run.
#[derive(Debug)]
pub struct Machines {
    complete_sync: Machine,
    historical_orders: Machine,
    migration: Machine,
    restore: Machine,
    spot_check: Machine,
}

#[derive(Debug)]
struct Machine {
    arn: String,
    /// `arn:…:execution:<state machine>`
    execution_prefix: String,
}

impl Machines {
    /// Reads the variables that name the state machines.
    ///
    /// # Errors
    /// `ConfigInvalid` naming the variable that holds no state machine's ARN.
    pub fn read(lookup: impl Fn(&str) -> Option<String> + Copy) -> Result<Self, SyncError> {
        let machine = |variable| Machine::new(variable, required(lookup, variable)?);
        Ok(Self {
            complete_sync: machine("COMPLETE_SYNC_STATE_MACHINE_ARN")?,
            historical_orders: machine("HISTORICAL_ORDERS_STATE_MACHINE_ARN")?,
            migration: machine("MIGRATION_STATE_MACHINE_ARN")?,
            restore: machine("RESTORE_STATE_MACHINE_ARN")?,
            spot_check: machine("SPOT_CHECK_STATE_MACHINE_ARN")?,
        })
    }

    fn of(&self, kind: Kind) -> &Machine {
        match kind {
            Kind::CompleteSync => &self.complete_sync,
            Kind::HistoricalOrders => &self.historical_orders,
            Kind::Migration => &self.migration,
            Kind::Restore => &self.restore,
            Kind::SpotCheck => &self.spot_check,
        }
    }
}

impl Machine {
    fn new(variable: &str, arn: String) -> Result<Self, SyncError> {
        let Some((account, name)) = arn.split_once(":stateMachine:") else {
            return Err(SyncError::config(
                variable,
                "wants the ARN of a state machine",
            ));
        };
        Ok(Self {
            execution_prefix: format!("{account}:execution:{name}"),
            arn,
        })
    }
}

/// The state of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// At work, or about to be.
    UnderWay,
    /// Somebody aborted it.
    Aborted,
    /// It ended without being asked to: the error's name, and a sentence.
    Ended { name: String, message: String },
    /// There is none: it was never started, or is long forgotten.
    Unknown,
}

/// Step Functions did not do what was asked.
#[derive(Debug)]
pub(crate) struct StepFunctionsError {
    action: String,
    failure: Failure,
}

impl Executions {
    /// The executions of these state machines.
    #[must_use]
    pub fn new(client: Client, machines: Machines) -> Self {
        Self { client, machines }
    }

    /// The address of a run's execution.
    pub(crate) fn arn_of(&self, kind: Kind, run_id: &str) -> String {
        format!("{}:{run_id}", self.machines.of(kind).execution_prefix)
    }

    /// Starts the execution of a run and returns its address. Starting it again
    /// is no error: the first start stands.
    pub(crate) async fn start(
        &self,
        kind: Kind,
        run_id: &str,
        input: &str,
    ) -> Result<String, StepFunctionsError> {
        let started = self
            .client
            .start_execution()
            .state_machine_arn(&self.machines.of(kind).arn)
            .name(run_id)
            .input(input)
            .send()
            .await;
        match started {
            Ok(started) => Ok(started.execution_arn),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_execution_already_exists() => {
                    Ok(self.arn_of(kind, run_id))
                }
                _ => Err(StepFunctionsError::new("StartExecution", &error)),
            },
        }
    }

    /// Stops an execution; one that never was counts as stopped.
    pub(crate) async fn stop(&self, arn: &str, cause: &str) -> Result<(), StepFunctionsError> {
        let stopped = self
            .client
            .stop_execution()
            .execution_arn(arn)
            .error("Cancelled")
            .cause(cause)
            .send()
            .await;
        match stopped {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_execution_does_not_exist() => Ok(()),
                _ => Err(StepFunctionsError::new("StopExecution", &error)),
            },
        }
    }

    /// Asks what has become of an execution.
    pub(crate) async fn standing(&self, arn: &str) -> Result<Standing, StepFunctionsError> {
        let described = self
            .client
            .describe_execution()
            .execution_arn(arn)
            .send()
            .await;
        match described {
            Ok(described) => Ok(standing_of(&described)),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_execution_does_not_exist() => Ok(Standing::Unknown),
                _ => Err(StepFunctionsError::new("DescribeExecution", &error)),
            },
        }
    }
}

fn standing_of(execution: &DescribeExecutionOutput) -> Standing {
    let default_name = match execution.status() {
        ExecutionStatus::Aborted => return Standing::Aborted,
        ExecutionStatus::Failed => "States.TaskFailed",
        ExecutionStatus::TimedOut => "States.Timeout",
        // The run's record should say so too; if not, the last step was cut short.
        ExecutionStatus::Succeeded => "Internal",
        // Running, or a status that is newer than this code.
        _ => return Standing::UnderWay,
    };
    let message = execution.cause().map_or_else(
        || {
            format!(
                "The execution ended as {} without closing this run. Start the sync again.",
                execution.status().as_str()
            )
        },
        message_of,
    );
    Standing::Ended {
        name: execution.error().unwrap_or(default_name).to_owned(),
        message,
    }
}

/// The error that a function posts.
#[derive(Deserialize)]
struct FunctionError {
    #[serde(rename = "errorMessage")]
    message: String,
}

/// A cause is a sentence, or a function's error as JSON around one.
fn message_of(cause: &str) -> String {
    let message = serde_json::from_str(cause)
        .map_or_else(|_| cause.to_owned(), |error: FunctionError| error.message);
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}

impl StepFunctionsError {
    fn new<E: ProvideErrorMetadata + std::error::Error + 'static>(
        action: &str,
        error: &SdkError<E, aws_sdk_sfn::config::http::HttpResponse>,
    ) -> Self {
        Self {
            action: action.to_owned(),
            failure: Failure::of(error),
        }
    }

    /// Returns whether the same request may succeed later.
    fn passes(&self) -> bool {
        matches!(self.failure, Failure::Unavailable(_))
    }

    fn message(&self) -> String {
        let (Failure::Unavailable(reason)
        | Failure::Missing(reason)
        | Failure::Forbidden(reason)
        | Failure::Refused(reason)) = &self.failure;
        format!("Step Functions did not carry out {}: {reason}", self.action)
    }

    /// As it goes into a run's record.
    pub(crate) fn as_sync_error(&self) -> SyncError {
        if self.passes() {
            SyncError::AwsUnavailable {
                service: "Step Functions".to_owned(),
                detail: self.message(),
            }
        } else {
            SyncError::Internal(self.message())
        }
    }
}

impl From<StepFunctionsError> for ApiError {
    fn from(error: StepFunctionsError) -> Self {
        let (status, advice) = if error.passes() {
            (StatusCode::SERVICE_UNAVAILABLE, "Try again in a moment")
        } else {
            (
                StatusCode::BAD_GATEWAY,
                "Check the state machines' ARNs in the function's environment, and its permissions",
            )
        };
        let message = format!("{}. {advice}.", error.message());
        Self::new(status, "StepFunctionsUnavailable", message)
    }
}

#[cfg(test)]
mod tests;
