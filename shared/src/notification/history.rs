//! How often a run had failed before, by the history of its state machine: for what the
//! database, being away, cannot tell. A night without a database is told of as seldom as
//! any other, and so is its end.

use std::collections::BTreeSet;

use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use deadpool_postgres::GenericClient;
use jiff::Timestamp;

use super::event::Ended;
use crate::aws::{self, Failure};
use crate::error::SyncError;
use crate::run::summary::Summary;

/// An execution of the history.
#[derive(Debug, Clone)]
struct Execution {
    /// Which is the run's id.
    name: String,
    status: ExecutionStatus,
    started: Timestamp,
    stopped: Option<Timestamp>,
}

/// Returns the summary with the failures in a row before this one. Why they failed is not
/// in the list: without a database they fail alike.
pub(super) async fn remembered(summary: Summary, ended: &Ended) -> Summary {
    counted(summary, &failures_before(ended).await)
}

/// Returns the summary with the failures in a row before this one that left no record.
/// Those that did are counted there, step by step.
///
/// # Errors
/// The database's.
pub(super) async fn with_unrecorded(
    client: &impl GenericClient,
    summary: Summary,
    ended: &Ended,
) -> Result<Summary, SyncError> {
    let mut failures = failures_before(ended).await;
    let names: Vec<&str> = failures.iter().map(|run| run.name.as_str()).collect();
    let recorded = "select run_id from sync_runs where run_id = any($1)";
    let recorded = client.query(recorded, &[&names]).await?;
    let recorded: BTreeSet<String> = recorded.iter().map(|row| row.get(0)).collect();
    failures.retain(|run| !recorded.contains(&run.name));
    Ok(counted(summary, &failures))
}

/// Returns the failures before this one, the newest first, back to the last success. A
/// history that cannot be had has none.
async fn failures_before(ended: &Ended) -> Vec<Execution> {
    let client = aws_sdk_sfn::Client::new(&aws::config().await);
    let listed = client
        .list_executions()
        .state_machine_arn(&ended.state_machine_arn)
        .send()
        .await;
    match listed {
        Ok(listed) => {
            let executions = listed.executions().iter().filter_map(read);
            in_a_row(executions, ended)
        }
        Err(error) => {
            let reason = Failure::of(&error);
            tracing::warn!(
                ?reason,
                "told without knowing how often it had failed before"
            );
            Vec::new()
        }
    }
}

fn read(item: &ExecutionListItem) -> Option<Execution> {
    let time = |at: &aws_sdk_sfn::primitives::DateTime| {
        Timestamp::from_millisecond(at.to_millis().ok()?).ok()
    };
    Some(Execution {
        name: item.name.clone(),
        status: item.status.clone(),
        started: time(&item.start_date)?,
        stopped: item.stop_date.as_ref().and_then(time),
    })
}

fn in_a_row(executions: impl Iterator<Item = Execution>, ended: &Ended) -> Vec<Execution> {
    let began = ended.started_at().unwrap_or(Timestamp::MAX);
    executions
        .filter(|run| run.started < began && run.name != ended.name)
        .take_while(|run| run.status != ExecutionStatus::Succeeded)
        .filter(|run| {
            matches!(
                run.status,
                ExecutionStatus::Failed | ExecutionStatus::TimedOut
            )
        })
        .collect()
}

fn counted(summary: Summary, failures: &[Execution]) -> Summary {
    let count = i64::try_from(failures.len()).unwrap_or(i64::MAX);
    Summary {
        failures_before: count,
        failures_alike: count,
        failing_since: failures.last().and_then(|run| run.stopped),
        ..summary
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notification::tests::failed;

    /// The end of an execution that began at that hour.
    fn ended(hour: i64) -> Ended {
        let event = json!({"detail": {
            "executionArn": "arn:aws:states:eu-west-1:1:execution:shop-complete-sync:now",
            "stateMachineArn": "arn:aws:states:eu-west-1:1:stateMachine:shop-complete-sync",
            "name": "now", "status": "SUCCEEDED", "startDate": at(hour).as_millisecond()}});
        Ended::read(&event).unwrap()
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3_600).unwrap()
    }

    fn execution(hour: i64, name: &str, status: ExecutionStatus) -> Execution {
        Execution {
            name: name.to_owned(),
            status,
            started: at(hour),
            stopped: Some(at(hour)),
        }
    }

    #[test]
    fn failures_count_back_to_the_last_success() {
        let found = in_a_row(
            [
                execution(10, "next", ExecutionStatus::Running),
                execution(9, "now", ExecutionStatus::Succeeded),
                execution(8, "late", ExecutionStatus::TimedOut),
                execution(7, "stopped", ExecutionStatus::Aborted),
                execution(6, "first", ExecutionStatus::Failed),
                execution(5, "good", ExecutionStatus::Succeeded),
                execution(4, "forgotten", ExecutionStatus::Failed),
            ]
            .into_iter(),
            &ended(9),
        );
        let summary = counted(failed(), &found);
        assert_eq!(summary.failures_before, 2);
        assert_eq!(summary.failures_alike, 2);
        assert_eq!(summary.failing_since, Some(at(6)));
        assert_eq!(counted(failed(), &[]).failures_before, 0);
    }

    /// The list has the run itself, whatever clock its start is told by.
    #[test]
    fn a_run_is_not_before_itself() {
        let own = execution(8, "now", ExecutionStatus::Succeeded);
        let before = execution(7, "before", ExecutionStatus::Failed);
        assert_eq!(in_a_row([own, before].into_iter(), &ended(9)).len(), 1);
    }
}
