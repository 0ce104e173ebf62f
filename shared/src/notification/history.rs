//! How often a run had failed before, by the history of its state machine: for a run
//! that the database, being away, cannot tell of. A night without a database is told of
//! as seldom as any other.

use aws_sdk_sfn::types::ExecutionStatus;
use jiff::Timestamp;

use super::event::Ended;
use crate::aws;
use crate::run::summary::Summary;

/// An execution: how it ended, when it started and when it ended.
type Execution = (ExecutionStatus, Timestamp, Option<Timestamp>);

/// Returns the summary with the failures in a row before this one. Why they failed is not
/// in the list: without a database they fail alike.
pub(super) async fn remembered(summary: Summary, ended: &Ended) -> Summary {
    let client = aws_sdk_sfn::Client::new(&aws::config().await);
    let listed = client
        .list_executions()
        .state_machine_arn(&ended.state_machine_arn)
        .send()
        .await;
    let executions: Vec<Execution> = match &listed {
        Ok(listed) => listed.executions().iter().filter_map(read).collect(),
        Err(error) => {
            tracing::warn!(%error, "told without knowing how often it had failed before");
            Vec::new()
        }
    };
    with_failures(summary, executions)
}

fn read(item: &aws_sdk_sfn::types::ExecutionListItem) -> Option<Execution> {
    let time = |at: &aws_sdk_sfn::primitives::DateTime| {
        Timestamp::from_millisecond(at.to_millis().ok()?).ok()
    };
    let started = time(&item.start_date)?;
    let stopped = item.stop_date.as_ref().and_then(time);
    Some((item.status.clone(), started, stopped))
}

/// Counts the failures, the newest first, back to the last success.
fn with_failures(summary: Summary, executions: Vec<Execution>) -> Summary {
    let began = summary.started_at.unwrap_or(Timestamp::MAX);
    let failures: Vec<Execution> = executions
        .into_iter()
        .filter(|(_, started, _)| *started < began)
        .take_while(|(status, ..)| *status != ExecutionStatus::Succeeded)
        .filter(|(status, ..)| {
            matches!(status, ExecutionStatus::Failed | ExecutionStatus::TimedOut)
        })
        .collect();
    let count = i64::try_from(failures.len()).unwrap_or(i64::MAX);
    Summary {
        failures_before: count,
        failures_alike: count,
        failing_since: failures.last().and_then(|(_, _, stopped)| *stopped),
        ..summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::tests::failed;

    fn hours_before(hours: i64) -> Timestamp {
        failed().started_at.unwrap() - jiff::SignedDuration::from_hours(hours)
    }

    #[test]
    fn failures_count_back_to_the_last_success() {
        let of = |hours: i64, status: ExecutionStatus| {
            (status, hours_before(hours), Some(hours_before(hours)))
        };
        let found = with_failures(
            failed(),
            vec![
                of(-1, ExecutionStatus::Running),
                of(0, ExecutionStatus::Failed),
                of(1, ExecutionStatus::TimedOut),
                of(2, ExecutionStatus::Aborted),
                of(3, ExecutionStatus::Failed),
                of(4, ExecutionStatus::Succeeded),
                of(5, ExecutionStatus::Failed),
            ],
        );
        assert_eq!(found.failures_before, 2);
        assert_eq!(found.failures_alike, 2);
        assert_eq!(found.failing_since, Some(hours_before(3)));
        assert_eq!(with_failures(failed(), Vec::new()).failures_before, 0);
    }
}
