//! The API's own statements on the record of runs. Queueing and stopping a run
//! are in `shared`, because the steps rely on the same rules.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::error::SyncError;
use shared::run::stats::{Counts, Stats};
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Row};
use utoipa::ToSchema;

use crate::audit;

macro_rules! run_columns {
    () => {
        "select r.run_id, r.kind, r.mode, r.trigger, r.requested_by, r.status, r.request,
            r.queued_at, r.started_at, r.finished_at,
            (extract(epoch from coalesce(r.finished_at, clock_timestamp()) - r.started_at)
                * 1000)::bigint as duration_ms,
            r.execution_arn, r.error_name, r.error_message, r.error_step, r.warnings, r.totals,
            r.status in ('queued', 'running') and not exists (
                select from sync_leases l
                where l.holder = r.run_id and l.expires_at > clock_timestamp())
                -- A run that takes no lease has as long to begin as one would last.
                and (r.lease_token is not null
                    or r.queued_at < clock_timestamp() - interval '5 minutes') as silent
        from sync_runs r"
    };
}

const RUN: &str = concat!(run_columns!(), " where r.run_id = $1");

/// Without a place to go on from, the list starts with the newest run.
const RUNS: &str = concat!(
    run_columns!(),
    " where (r.queued_at, r.run_id) <
        (coalesce($1::timestamptz, 'infinity'), coalesce($2::text, ''))
        and ($4::text is null or r.kind = $4)
        and ($5::text is null or r.status = $5)
        and ($6::text is null or r.trigger = $6)
    order by r.queued_at desc, r.run_id desc
    limit $3"
);

/// Runs that have yet to end, and the newest of a kind that has.
const OPEN: &str = concat!(
    run_columns!(),
    " where r.status in ('queued', 'running') order by r.queued_at"
);
const LAST: &str = concat!(
    run_columns!(),
    " where r.kind = $1 and r.status not in ('queued', 'running', 'skipped')
    order by r.queued_at desc, r.run_id desc limit 1"
);

/// The newest runs that did something, or tried to.
const ENDED: &str = concat!(
    run_columns!(),
    " where r.status in ('succeeded', 'failed', 'stopped')
    order by r.queued_at desc, r.run_id desc limit $1"
);

/// Whether a complete sync has ended by itself that was to change something.
const HAS_SYNCED: &str = "select exists (
    select from sync_runs
    where kind = 'complete_sync' and status in ('succeeded', 'failed')
        and (request -> 'dry_run') is distinct from 'true'::jsonb)";

/// When the schedule last wanted a run, and when that was queued.
const LAST_SCHEDULED: &str = "select request ->> 'scheduled_time', queued_at from sync_runs
    where trigger = 'schedule' order by queued_at desc, run_id desc limit 1";

const BUSY: &str = "select name from sync_leases where expires_at > clock_timestamp()";

const QUEUED_AT: &str = "select queued_at from sync_runs where run_id = $1";

const STEPS: &str = "select run_id, step, status, started_at,
        (extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at)
            * 1000)::bigint as duration_ms,
        progress_done, progress_total, stats, square,
        -- The plan's answer lists the windows; the one of the step after it counts them.
        case when jsonb_typeof(result -> 'windows') = 'object' then result -> 'windows' end
            as windows,
        case jsonb_typeof(result -> 'notes') when 'array' then result -> 'notes' else '[]' end
            as notes
    from sync_steps
    where run_id = any($1)
    order by run_id, ordinal, step";

const PREVIEW: &str = "select result -> 'preview' from sync_steps
    where run_id = $1 and step = 'publish' and result ? 'preview'";

const SPOT_CHECK: &str = "select result -> 'spot_check' from sync_steps
    where run_id = $1 and step = 'spot_check' and result ? 'spot_check'";

const SET_EXECUTION_ARN: &str = "update sync_runs set execution_arn = $2
    where run_id = $1 and execution_arn is null";

const FORGET_KEY: &str = "update sync_runs set idempotency_key = null where run_id = $1";

/// Every statement by its name, for the test that prepares them all.
pub(super) fn statements() -> Vec<(&'static str, &'static str)> {
    vec![
        ("run", RUN),
        ("runs", RUNS),
        ("open", OPEN),
        ("last", LAST),
        ("ended", ENDED),
        ("has_synced", HAS_SYNCED),
        ("last_scheduled", LAST_SCHEDULED),
        ("busy", BUSY),
        ("queued_at", QUEUED_AT),
        ("steps", STEPS),
        ("preview", PREVIEW),
        ("spot_check", SPOT_CHECK),
        ("set_execution_arn", SET_EXECUTION_ARN),
        ("forget_key", FORGET_KEY),
        ("audit", audit::ADD),
    ]
}

/// A row of `sync_runs`.
#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    pub(crate) run_id: String,
    pub(crate) kind: String,
    pub(crate) mode: String,
    pub(crate) trigger: String,
    pub(crate) requested_by: String,
    pub(crate) status: String,
    pub(crate) request: Value,
    pub(crate) queued_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) execution_arn: Option<String>,
    pub(crate) error_name: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) error_step: Option<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) totals: Option<Counts>,
    /// The run is open, but it holds no lease any more: nobody may be at work.
    pub(crate) silent: bool,
}

impl RunRow {
    /// Whether the run is yet to end.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "queued" | "running")
    }
}

/// A row of `sync_steps`.
#[derive(Debug, Clone)]
pub(crate) struct StepRow {
    pub(crate) run_id: String,
    pub(crate) step: String,
    pub(crate) status: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) progress_done: i64,
    pub(crate) progress_total: Option<i64>,
    /// Of an import of historical orders.
    pub(crate) windows: Option<WindowsView>,
    /// What it did of its own accord.
    pub(crate) notes: Vec<String>,
    pub(crate) stats: Stats,
    pub(crate) square: SquareView,
}

/// The number of an import's windows, and of those that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Windows)]
pub(crate) struct WindowsView {
    pub(crate) done: i64,
    pub(crate) total: i64,
}

/// The requests of a step to Square.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = SquareUse)]
#[serde(default)]
pub(crate) struct SquareView {
    /// Requests, repeated ones included.
    pub(crate) requests: u64,
    /// Requests that repeated a failed one.
    pub(crate) retries: u64,
    /// Answers that said to slow down (429).
    pub(crate) rate_limited: u64,
    /// Bytes of the answers as they came over the wire.
    pub(crate) bytes: u64,
}

/// What a spot check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SpotCheckResult)]
pub(crate) struct SpotCheckView {
    /// Rows that were compared.
    pub(crate) compared: i64,
    /// Those of them that differ because their change at Square is still on its way.
    pub(crate) in_flight: i64,
    /// Rows that differ although no change is outstanding.
    pub(crate) rows_differ: i64,
    /// Their columns that differ, the first hundred.
    pub(crate) differ: Vec<DifferenceView>,
}

/// A column of a row that is not as Square has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Difference)]
pub(crate) struct DifferenceView {
    /// The data type, or what hangs on one.
    #[serde(rename = "type")]
    pub(crate) row_type: String,
    /// The row's key, joined by colons.
    pub(crate) id: String,
    /// `id` where only one of both has the row.
    pub(crate) column: String,
    /// The value here, as text cut to 200 characters; null where there is none.
    #[schema(required = true)]
    pub(crate) ours: Option<String>,
    /// The value at Square, likewise.
    #[schema(required = true)]
    pub(crate) square: Option<String>,
}

/// Finds a run.
pub(crate) async fn run(client: &Client, run_id: &str) -> Result<Option<RunRow>, SyncError> {
    let row = client.query_opt(RUN, &[&run_id]).await?;
    row.as_ref().map(run_of).transpose()
}

/// When a run was queued: the place in the list.
pub(crate) async fn queued_at(
    client: &Client,
    run_id: &str,
) -> Result<Option<Timestamp>, SyncError> {
    let row = client.query_opt(QUEUED_AT, &[&run_id]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// The runs that are wanted of the history; none of a thing means all of it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Filter<'a> {
    pub(crate) kind: Option<&'a str>,
    pub(crate) status: Option<&'a str>,
    pub(crate) trigger: Option<&'a str>,
}

/// Up to `count` of those runs, newest first, older than the run at `before`.
pub(crate) async fn runs(
    client: &Client,
    filter: Filter<'_>,
    before: Option<(Timestamp, &str)>,
    count: i64,
) -> Result<Vec<RunRow>, SyncError> {
    let (queued_at, run_id) = before.unzip();
    let Filter {
        kind,
        status,
        trigger,
    } = filter;
    let rows = client
        .query(
            RUNS,
            &[&queued_at, &run_id, &count, &kind, &status, &trigger],
        )
        .await?;
    rows.iter().map(run_of).collect()
}

/// The runs that have yet to end, the oldest first.
pub(crate) async fn open_runs(client: &Client) -> Result<Vec<RunRow>, SyncError> {
    client.query(OPEN, &[]).await?.iter().map(run_of).collect()
}

/// The newest run of a kind that has ended.
pub(crate) async fn last_run(client: &Client, kind: &str) -> Result<Option<RunRow>, SyncError> {
    let row = client.query_opt(LAST, &[&kind]).await?;
    row.as_ref().map(run_of).transpose()
}

/// The newest `count` runs that ended, but for skipped ones, the newest first.
pub(crate) async fn ended_runs(client: &Client, count: i64) -> Result<Vec<RunRow>, SyncError> {
    let rows = client.query(ENDED, &[&count]).await?;
    rows.iter().map(run_of).collect()
}

/// Returns whether any sync has tried to bring the data: a preview has not, nor one that
/// was stopped.
///
/// # Errors
/// The database's.
pub async fn has_synced(client: &Client) -> Result<bool, SyncError> {
    Ok(client.query_one(HAS_SYNCED, &[]).await?.try_get(0)?)
}

/// When the schedule last wanted a run; where it did not say, when that was queued.
///
/// # Errors
/// The database's.
pub async fn last_scheduled(client: &Client) -> Result<Option<Timestamp>, SyncError> {
    let Some(row) = client.query_opt(LAST_SCHEDULED, &[]).await? else {
        return Ok(None);
    };
    let (wanted, queued_at): (Option<String>, Timestamp) = (row.try_get(0)?, row.try_get(1)?);
    let wanted = wanted.and_then(|wanted| wanted.parse().ok());
    Ok(Some(wanted.unwrap_or(queued_at)))
}

/// The leases that are held.
pub(crate) async fn leases_held(client: &Client) -> Result<Vec<String>, SyncError> {
    let rows = client.query(BUSY, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The steps of these runs, each run's in their order.
pub(crate) async fn steps(client: &Client, run_ids: &[&str]) -> Result<Vec<StepRow>, SyncError> {
    let rows = client.query(STEPS, &[&run_ids]).await?;
    rows.iter().map(step_of).collect()
}

/// The changes that a preview has shown, if the run was one and came that far.
pub(crate) async fn preview(client: &Client, run_id: &str) -> Result<Option<Value>, SyncError> {
    let row = client.query_opt(PREVIEW, &[&run_id]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// What a spot check has found, if the run was one and came that far.
pub(crate) async fn spot_check(
    client: &Client,
    run_id: &str,
) -> Result<Option<SpotCheckView>, SyncError> {
    let row = client.query_opt(SPOT_CHECK, &[&run_id]).await?;
    let found = row.map(|row| row.try_get::<_, Json<_>>(0)).transpose()?;
    Ok(found.map(|json| json.0))
}

/// Keeps the execution's address, unless the first step was faster.
pub(crate) async fn set_execution_arn(
    client: &Client,
    run_id: &str,
    execution_arn: &str,
) -> Result<(), SyncError> {
    client
        .execute(SET_EXECUTION_ARN, &[&run_id, &execution_arn])
        .await?;
    Ok(())
}

/// Frees the idempotency key of a run that was never started: the caller was
/// refused and may ask again with the same key.
pub(crate) async fn forget_key(client: &Client, run_id: &str) -> Result<(), SyncError> {
    client.execute(FORGET_KEY, &[&run_id]).await?;
    Ok(())
}

fn run_of(row: &Row) -> Result<RunRow, SyncError> {
    Ok(RunRow {
        run_id: row.try_get("run_id")?,
        kind: row.try_get("kind")?,
        mode: row.try_get("mode")?,
        trigger: row.try_get("trigger")?,
        requested_by: row.try_get("requested_by")?,
        status: row.try_get("status")?,
        request: row.try_get("request")?,
        queued_at: row.try_get("queued_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        duration_ms: row.try_get("duration_ms")?,
        execution_arn: row.try_get("execution_arn")?,
        error_name: row.try_get("error_name")?,
        error_message: row.try_get("error_message")?,
        error_step: row.try_get("error_step")?,
        warnings: row.try_get::<_, Json<_>>("warnings")?.0,
        totals: row
            .try_get::<_, Option<Json<_>>>("totals")?
            .map(|json| json.0),
        silent: row.try_get("silent")?,
    })
}

fn step_of(row: &Row) -> Result<StepRow, SyncError> {
    Ok(StepRow {
        run_id: row.try_get("run_id")?,
        step: row.try_get("step")?,
        status: row.try_get("status")?,
        started_at: row.try_get("started_at")?,
        duration_ms: row.try_get("duration_ms")?,
        progress_done: row.try_get("progress_done")?,
        progress_total: row.try_get("progress_total")?,
        windows: row
            .try_get::<_, Option<Json<_>>>("windows")?
            .map(|json| json.0),
        notes: row.try_get::<_, Json<_>>("notes")?.0,
        stats: row.try_get::<_, Json<_>>("stats")?.0,
        square: row.try_get::<_, Json<_>>("square")?.0,
    })
}
