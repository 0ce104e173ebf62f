//! The event that EventBridge sends when an execution ends.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::error::SyncError;
use crate::run::request::{Kind, Request};
use crate::run::store::Failure;
use crate::run::summary::Summary;

/// The status of an execution that has ended, as Step Functions names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

/// The event's `detail`: what this function reads of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended {
    pub(crate) execution_arn: String,
    pub(crate) state_machine_arn: String,
    /// The execution's name, which is the run's id.
    pub(crate) name: String,
    pub(crate) status: Status,
    /// The execution's input as JSON text; none if it was too long.
    input: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) cause: Option<String>,
    /// Milliseconds since 1970.
    start_date: Option<i64>,
    stop_date: Option<i64>,
}

impl Ended {
    /// Reads the event.
    ///
    /// # Errors
    /// `InputInvalid` if it is none of these.
    pub(crate) fn read(event: &Value) -> Result<Self, SyncError> {
        let detail = event.get("detail").unwrap_or(&Value::Null);
        Self::deserialize(detail).map_err(|error| SyncError::input("detail", error.to_string()))
    }

    /// Returns the run's kind; the state machine's name ends with it.
    pub(crate) fn kind(&self) -> Kind {
        let machine = self.state_machine_arn.replace('-', "_");
        [
            Kind::HistoricalOrders,
            Kind::Migration,
            Kind::Restore,
            Kind::SpotCheck,
        ]
        .into_iter()
        .find(|kind| machine.ends_with(kind.name()))
        .unwrap_or(Kind::CompleteSync)
    }

    /// When the execution started.
    pub(crate) fn started_at(&self) -> Option<Timestamp> {
        time(self.start_date)
    }

    /// The execution's input.
    pub(crate) fn request(&self) -> Value {
        let input = self.input.as_deref().unwrap_or_default();
        serde_json::from_str(input).unwrap_or(Value::Null)
    }

    /// Returns the run's failure, for a run that has no record of it.
    pub(crate) fn failure(&self) -> Failure {
        let (name, message) = match self.status {
            Status::TimedOut => (
                "States.Timeout",
                "The execution took longer than its state machine allows and was ended. What no \
step had committed is undone; start the run again.",
            ),
            _ => (
                self.error.as_deref().unwrap_or("States.Runtime"),
                self.cause
                    .as_deref()
                    .unwrap_or("The execution gave no cause; its history in the console has it."),
            ),
        };
        Failure {
            name: name.to_owned(),
            message: message.to_owned(),
            step: String::new(),
        }
    }

    /// Returns what the event alone tells of the run, where the database does not.
    pub(crate) fn summary(&self) -> Summary {
        let kind = self.kind();
        let request = Request::parse(kind, self.request()).unwrap_or_default();
        let status = match self.status {
            Status::Succeeded => "succeeded",
            Status::Aborted => "stopped",
            Status::Failed | Status::TimedOut => "failed",
        };
        Summary {
            run_id: self.name.clone(),
            kind: kind.name().to_owned(),
            mode: request.mode().to_owned(),
            trigger: request.trigger.name().to_owned(),
            requested_by: request.requester().to_owned(),
            status: status.to_owned(),
            dry_run: request.dry_run,
            started_at: self.started_at(),
            finished_at: time(self.stop_date),
            duration_ms: self
                .stop_date
                .zip(self.start_date)
                .map(|(stop, start)| stop - start),
            execution_arn: Some(self.execution_arn.clone()),
            failure: (status == "failed").then(|| self.failure()),
            ..Summary::default()
        }
    }
}

fn time(millis: Option<i64>) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(status: &str) -> Value {
        json!({"detail-type": "Step Functions Execution Status Change", "detail": {
            "executionArn": "arn:aws:states:eu-west-1:1:execution:shop-historical-orders:r1",
            "stateMachineArn": "arn:aws:states:eu-west-1:1:stateMachine:shop-historical-orders",
            "name": "r1", "status": status, "input": "{\"trigger\":\"schedule\"}",
            "startDate": 1_000, "stopDate": 3_500, "error": null, "cause": null}})
    }

    #[test]
    fn the_event_alone_tells_what_and_when() {
        let ended = Ended::read(&event("TIMED_OUT")).unwrap();
        assert_eq!(ended.kind(), Kind::HistoricalOrders);
        let summary = ended.summary();
        assert_eq!(summary.trigger, "schedule");
        assert_eq!(summary.duration_ms, Some(2_500));
        assert_eq!(summary.failure.unwrap().name, "States.Timeout");
    }

    #[test]
    fn an_event_of_another_kind_is_refused() {
        for event in [event("RUNNING"), json!({"detail": {}}), json!({})] {
            assert_eq!(Ended::read(&event).unwrap_err().name(), "InputInvalid");
        }
    }
}
