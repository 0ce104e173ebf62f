//! The rows of `sync_runs` and `sync_steps`: one function a statement.

use deadpool_postgres::GenericClient;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::Json;

use super::request::{Kind, Request, Trigger};
use super::stats::{Counts, Stats};
use crate::error::SyncError;
use crate::square::Counters;

/// A run as its steps need it.
#[derive(Debug, Clone)]
pub struct Run {
    pub run_id: String,
    pub status: String,
    pub request: Request,
    pub redrive_count: i32,
    pub lease_token: Option<i64>,
    /// Whether it makes way for any run that does not.
    pub yields: bool,
}

/// SQL for whether the run of that id yields. A migration's own run comes before the
/// column may be there; without it no run does.
pub(crate) fn yields(run_id: &str) -> String {
    format!(
        "coalesce((select (to_jsonb(r) ->> 'yields')::boolean from sync_runs r \
         where r.run_id = {run_id}), false)"
    )
}

/// A step's record.
#[derive(Debug, Clone)]
pub struct StepRecord {
    pub status: String,
    pub result: Option<Value>,
}

/// Why a run or a step ended badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub name: String,
    pub message: String,
    pub step: String,
}

/// Finds a run.
pub(crate) async fn find(
    client: &impl GenericClient,
    run_id: &str,
) -> Result<Option<Run>, SyncError> {
    let find = format!(
        "select run_id, kind, status, request, redrive_count, lease_token, {} as yields
         from sync_runs where run_id = $1",
        yields("$1")
    );
    let row = client.query_opt(&find, &[&run_id]).await?;
    row.map(|row| {
        Ok(Run {
            run_id: row.get("run_id"),
            status: row.get("status"),
            request: Request::parse(Kind::of(row.get("kind"))?, row.get("request"))?,
            redrive_count: row.get("redrive_count"),
            lease_token: row.get("lease_token"),
            yields: row.get("yields"),
        })
    })
    .transpose()
}

/// A run that has the key of a request.
#[derive(Debug, Clone)]
pub(crate) struct Repeated {
    pub(crate) run_id: String,
    /// Whether it was asked for the same.
    pub(crate) is_same: bool,
}

/// Finds the run that has this key, which the request goes by.
pub(crate) async fn find_repeated(
    client: &impl GenericClient,
    request: &Request,
    key: &str,
) -> Result<Option<Repeated>, SyncError> {
    let row = client
        .query_opt(
            "select run_id, kind, request from sync_runs where idempotency_key = $1",
            &[&key],
        )
        .await?;
    Ok(row.map(|row| Repeated {
        run_id: row.get(0),
        // A schedule's key says all that it asks for. Orders join its run or not.
        is_same: request.trigger == Trigger::Schedule
            || first_request(row.get(1), row.get(2))
                .is_ok_and(|first| request.asks_the_same(&first)),
    }))
}

/// The request of a run; what only another release can read is no request of ours.
fn first_request(kind: &str, request: Value) -> Result<Request, SyncError> {
    Request::parse(Kind::of(kind)?, request)
}

/// Records a run with all its steps, both or neither; returns false if it, or one with
/// its key, was there already.
pub(crate) async fn insert(
    client: &impl GenericClient,
    run_id: &str,
    request: &Request,
    key: Option<&str>,
) -> Result<bool, SyncError> {
    // A migration's own run comes before the column may be there.
    let (column, value) = if request.yields() {
        (", yields", ", true")
    } else {
        ("", "")
    };
    let insert = format!(
        "with run as (
             insert into sync_runs (run_id, kind, mode, trigger, requested_by, status, request,
                 idempotency_key{column})
             values ($1, $2, $7, $3, $4, 'queued', $5, $6{value})
             on conflict do nothing returning run_id)
         insert into sync_steps (run_id, step, ordinal, status)
         select (select run_id from run), step, ordinal::integer, 'pending'
         from unnest($8::text[]) with ordinality as planned (step, ordinal)
         where exists (select from run)"
    );
    let steps = client
        .execute(
            &insert,
            &[
                &run_id,
                &request.kind.name(),
                &request.trigger.name(),
                &request.requester(),
                &Json(request),
                &key,
                &request.mode(),
                &request.steps(),
            ],
        )
        .await?;
    Ok(steps > 0)
}

/// Records a run that ended before it could be recorded, unless it is there already.
/// It goes by its key if no other run has it.
pub(crate) async fn insert_ended(
    client: &impl GenericClient,
    run_id: &str,
    request: &Request,
) -> Result<(), SyncError> {
    let key = request.repeat_key();
    if !insert(client, run_id, request, key.as_deref()).await? && key.is_some() {
        insert(client, run_id, request, None).await?;
    }
    Ok(())
}

/// The run is under way (again): what an earlier end left is cleared. Returns false,
/// and changes nothing, if it has ended and was not redriven since.
pub(crate) async fn set_running(
    client: &impl GenericClient,
    run_id: &str,
    execution_arn: Option<&str>,
    redrive_count: i32,
) -> Result<bool, SyncError> {
    let running = client
        .execute(
            "update sync_runs set status = 'running', redrive_count = greatest(redrive_count, $3),
                 execution_arn = coalesce($2, execution_arn),
                 started_at = coalesce(started_at, clock_timestamp()), finished_at = null,
                 error_name = null, error_message = null, error_step = null
             where run_id = $1 and (status in ('queued', 'running') or redrive_count < $3)",
            &[&run_id, &execution_arn, &redrive_count],
        )
        .await?;
    Ok(running == 1)
}

/// The run ended well, with these totals and warnings. Returns false if it had ended
/// before.
pub(crate) async fn set_succeeded(
    client: &impl GenericClient,
    run_id: &str,
    totals: &Counts,
    warnings: &[String],
) -> Result<bool, SyncError> {
    let succeeded = client
        .execute(
            "update sync_runs set status = 'succeeded', finished_at = clock_timestamp(),
                 totals = $2, warnings = $3 where run_id = $1 and status = 'running'",
            &[&run_id, &Json(totals), &Json(warnings)],
        )
        .await?;
    Ok(succeeded == 1)
}

/// The run ended badly; the first reason stays. Returns whether this call ended it.
pub(crate) async fn set_failed(
    client: &impl GenericClient,
    run_id: &str,
    failure: &Failure,
) -> Result<bool, SyncError> {
    let closed = client
        .execute(
            "update sync_runs set status = 'failed', finished_at = clock_timestamp(),
                 error_name = $2, error_message = $3, error_step = $4
             where run_id = $1 and status in ('queued', 'running')",
            &[&run_id, &failure.name, &failure.message, &failure.step],
        )
        .await?;
    skip_unfinished_steps(client, run_id).await?;
    Ok(closed == 1)
}

/// The run ended before it began or made way (`skipped`), or by request (`stopped`).
/// Returns whether this call ended it.
pub(crate) async fn set_ended(
    client: &impl GenericClient,
    run_id: &str,
    status: &str,
    warning: Option<&str>,
) -> Result<bool, SyncError> {
    let warnings: Vec<&str> = warning.into_iter().collect();
    let ended = client
        .execute(
            "update sync_runs set status = $2, finished_at = clock_timestamp(), warnings = $3
             where run_id = $1 and status in ('queued', 'running')",
            &[&run_id, &status, &Json(warnings)],
        )
        .await?;
    if ended == 1 {
        skip_unfinished_steps(client, run_id).await?;
    }
    Ok(ended == 1)
}

/// Ends the record of a run whose execution ended without saying so.
pub(super) async fn close_silent(
    client: &impl GenericClient,
    run_id: &str,
) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_runs set status = 'failed', finished_at = clock_timestamp(),
                 error_name = 'LeaseLost',
                 error_step = (select step from sync_steps where run_id = $1
                     order by status = 'running' desc, status = 'pending' desc,
                         case status when 'pending' then ordinal else -ordinal end limit 1),
                 error_message = 'The execution ended without closing this run: it was aborted \
elsewhere or timed out. Nothing half-done was kept; the next run went on from there.'
             where run_id = $1 and status in ('queued', 'running')",
            &[&run_id],
        )
        .await?;
    skip_unfinished_steps(client, run_id).await
}

/// Why the run did nothing or made way, if it did.
pub(crate) async fn end_note(
    client: &impl GenericClient,
    run_id: &str,
) -> Result<Option<String>, SyncError> {
    let row = client
        .query_opt(
            "select warnings ->> 0 from sync_runs where run_id = $1",
            &[&run_id],
        )
        .await?;
    Ok(row.and_then(|row| row.get(0)))
}

/// Why the run failed, if it did.
pub(crate) async fn failure(
    client: &impl GenericClient,
    run_id: &str,
) -> Result<Option<Failure>, SyncError> {
    let row = client
        .query_opt(
            "select error_name, coalesce(error_message, '') as message,
                 coalesce(error_step, '') as step
             from sync_runs where run_id = $1 and error_name is not null",
            &[&run_id],
        )
        .await?;
    Ok(row.map(|row| Failure {
        name: row.get("error_name"),
        message: row.get("message"),
        step: row.get("step"),
    }))
}

/// Steps that a closed run will not do any more; the one under way failed with it,
/// unless the run only made way for another.
pub(crate) async fn skip_unfinished_steps(
    client: &impl GenericClient,
    run_id: &str,
) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_steps
             set status = case
                     when status = 'pending' then 'skipped'
                     when (select status from sync_runs where run_id = $1) = 'skipped' then 'skipped'
                     else 'failed' end,
                 finished_at = clock_timestamp()
             where run_id = $1 and status in ('pending', 'running')",
            &[&run_id],
        )
        .await?;
    Ok(())
}

/// The step that a run is at, or else was to do next.
pub(crate) async fn step_under_way(
    client: &impl GenericClient,
    run_id: &str,
) -> Result<Option<String>, SyncError> {
    let row = client
        .query_opt(
            "select step from sync_steps where run_id = $1 and status in ('running', 'pending')
             order by status = 'running' desc, ordinal limit 1",
            &[&run_id],
        )
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// The first step that the run has not done, its last one aside.
///
/// # Errors
/// The database's.
pub(crate) async fn undone_step(
    client: &impl GenericClient,
    run_id: &str,
) -> Result<Option<String>, SyncError> {
    let row = client
        .query_opt(
            "select step from sync_steps
             where run_id = $1 and step <> 'finish' and status <> 'succeeded'
             order by ordinal limit 1",
            &[&run_id],
        )
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// A step's record, if the run has that step.
pub(crate) async fn step(
    client: &impl GenericClient,
    run_id: &str,
    step: &str,
) -> Result<Option<StepRecord>, SyncError> {
    let row = client
        .query_opt(
            "select status, result from sync_steps where run_id = $1 and step = $2",
            &[&run_id, &step],
        )
        .await?;
    Ok(row.map(|row| StepRecord {
        status: row.get("status"),
        result: row.get("result"),
    }))
}

/// A call begins to work on the step, alone or as one of several. In the second case,
/// what those before it have noted stays.
pub(crate) async fn start_step(
    client: &impl GenericClient,
    run_id: &str,
    step: &str,
    is_part: bool,
) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_steps set status = 'running', attempts = attempts + 1,
                 progress_done = case when $3 then progress_done else 0 end,
                 progress_total = case when $3 then progress_total end,
                 started_at = coalesce(started_at, clock_timestamp()), finished_at = null,
                 error_name = null, error_message = null
             where run_id = $1 and step = $2 and status <> 'succeeded'
                 and exists (select from sync_runs where run_id = $1 and status = 'running')",
            &[&run_id, &step, &is_part],
        )
        .await?;
    Ok(())
}

/// Notes how far the step is, and what it has asked of Square so far.
pub(crate) async fn set_progress(
    client: &impl GenericClient,
    run_id: &str,
    step: &str,
    done: i64,
    total: Option<i64>,
    square: &Counters,
) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_steps set progress_done = $3, progress_total = $4, square = $5
             where run_id = $1 and step = $2 and status = 'running'",
            &[&run_id, &step, &done, &total, &Json(square)],
        )
        .await?;
    Ok(())
}

/// The step's result, written in the transaction that it tells of, with how much it has
/// done. Returns false if another invocation of the same step has committed its own
/// before.
pub(crate) async fn succeed_step(
    client: &impl GenericClient,
    run_id: &str,
    step: &str,
    done: i64,
    stats: &Stats,
    square: &Counters,
    result: &Value,
) -> Result<bool, SyncError> {
    let written = client
        .execute(
            "update sync_steps set status = 'succeeded', finished_at = clock_timestamp(),
                 progress_done = $3, progress_total = $3, stats = $4, square = $5, result = $6
             where run_id = $1 and step = $2 and status <> 'succeeded'",
            &[&run_id, &step, &done, &Json(stats), &Json(square), &result],
        )
        .await?;
    Ok(written == 1)
}

/// The step ended with an error.
pub(crate) async fn fail_step(
    client: &impl GenericClient,
    run_id: &str,
    step: &str,
    name: &str,
    message: &str,
    square: Option<&Counters>,
) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_steps set status = 'failed', finished_at = clock_timestamp(),
                 error_name = $3, error_message = $4, square = coalesce($5, square)
             where run_id = $1 and step = $2 and status not in ('succeeded', 'skipped')",
            &[&run_id, &step, &name, &message, &square.map(Json)],
        )
        .await?;
    Ok(())
}

/// The figures of every step that succeeded.
pub(crate) async fn all_stats(
    client: &impl GenericClient,
    run_id: &str,
) -> Result<Vec<(String, Stats)>, SyncError> {
    let rows = client
        .query(
            "select step, stats from sync_steps
             where run_id = $1 and status = 'succeeded' order by ordinal",
            &[&run_id],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), row.get::<_, Json<Stats>>(1).0))
        .collect())
}

/// Returns the warnings of the steps that succeeded; preflight has one text of them.
pub(crate) async fn step_warnings(
    client: &impl GenericClient,
    run_id: &str,
) -> Result<Vec<String>, SyncError> {
    let rows = client
        .query(
            "select w.text from sync_steps s
             cross join lateral (
                 select jsonb_array_elements_text(s.result -> 'warnings') as text
                 where s.result ? 'warnings'
                 union all
                 select s.result ->> 'warning' where s.result ? 'warning') w
             where s.run_id = $1 and s.status = 'succeeded' order by s.ordinal",
            &[&run_id],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Notes the run's execution, if it is not known yet.
pub(crate) async fn set_arn(
    client: &impl GenericClient,
    run_id: &str,
    execution_arn: Option<&str>,
) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_runs set execution_arn = coalesce(execution_arn, $2) where run_id = $1",
            &[&run_id, &execution_arn],
        )
        .await?;
    Ok(())
}
