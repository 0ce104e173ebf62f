//! The summary of a run that has ended: for a person, and for the dashboard.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::freshness::{self, Freshness};
use super::request::Kind;
use super::stats::Stats;
use super::store::Failure;
use crate::error::SyncError;
use crate::part::Part;
use crate::square::Counters;

const RUN: &str = "
    select kind, mode, trigger, requested_by, status, request, warnings, execution_arn,
        started_at, finished_at,
        (extract(epoch from finished_at - coalesce(started_at, queued_at)) * 1000)::bigint
            as duration_ms,
        error_name, coalesce(error_message, '') as error_message,
        coalesce(error_step, '') as error_step,
        (select actor from audit_log a
            where a.run_id = r.run_id and a.action = 'stop' and a.outcome = 'stopped'
            order by a.at desc limit 1) as stopped_by
    from sync_runs r where run_id = $1";

const STEPS: &str = "select step, stats, square, case jsonb_typeof(result -> 'notes')
        when 'array' then result -> 'notes' else '[]' end as notes
    from sync_steps where run_id = $1 order by ordinal";

const QUARANTINE: &str = "
    select count(*) filter (where resolved_at is null) as waiting,
        count(*) filter (where q.first_seen_at >= r.queued_at and q.run_id = r.run_id) as added
    from sync_runs r left join sync_quarantine q
        on q.resolved_at is null or q.run_id = r.run_id
    where r.run_id = $1";

/// Runs that failed before this one, at a step that it has, with no success of
/// that step in between. Previews prove nothing, and nobody waits for them.
const FAILURES_BEFORE: &str = "
    with this as (
        select * from sync_runs
        where run_id = $1 and (request -> 'dry_run') is distinct from 'true'::jsonb
    ), own as materialized (
        select s.step from this t join sync_steps s on s.run_id = t.run_id
    ), before as (
        select o.* from this t join sync_runs o on o.kind = t.kind
        where o.queued_at between t.queued_at - interval '30 days' and t.queued_at
            and o.run_id <> t.run_id and o.status in ('succeeded', 'failed')
            and (o.request -> 'dry_run') is distinct from 'true'::jsonb
    ), good as (
        select s.step, max(o.queued_at) as at
        from before o join sync_steps s on s.run_id = o.run_id
        where o.status = 'succeeded' and s.status = 'succeeded'
        group by s.step
    )
    select count(*) as failures, min(f.finished_at) as since,
        count(*) filter (where f.error_name = (select error_name from this)) as alike
    from own join before f on f.error_step = own.step
    left join good g on g.step = own.step
    where f.status = 'failed' and f.queued_at > coalesce(g.at, '-infinity')";

/// The statements, for the test that prepares them all.
pub const STATEMENTS: [&str; 4] = [RUN, STEPS, QUARANTINE, FAILURES_BEFORE];

/// A run as its record tells it.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub run_id: String,
    /// `complete_sync`, `historical_orders`, `migration`, `restore` or `spot_check`.
    pub kind: String,
    /// `incremental` or `full_refresh`.
    pub mode: String,
    pub trigger: String,
    pub requested_by: String,
    pub status: String,
    /// A preview: it was not to change anything.
    pub dry_run: bool,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub duration_ms: Option<i64>,
    pub execution_arn: Option<String>,
    pub failure: Option<Failure>,
    /// The one who stopped it through the API.
    pub stopped_by: Option<String>,
    pub warnings: Vec<String>,
    /// The steps that it has.
    pub steps: Vec<String>,
    /// What nobody needs to act on.
    pub notes: Vec<String>,
    /// The figures of all steps, by data type.
    pub stats: Stats,
    /// The requests of all steps to Square.
    pub square: Counters,
    /// Objects that wait in quarantine now.
    pub quarantine_waiting: i64,
    /// Objects that this run was the first to put there.
    pub quarantine_added: i64,
    pub freshness: Vec<Freshness>,
    /// The number of runs before this one that failed, one after another.
    pub failures_before: i64,
    /// Those of them that failed under the same name as this one.
    pub failures_alike: i64,
    /// When the first of them ended.
    pub failing_since: Option<Timestamp>,
}

impl Summary {
    /// Whether the run is a sync of all that one is for. Orders are not asked for: they
    /// may never have been imported.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let has = |part: &Part| self.steps.iter().any(|step| step == part.name());
        self.kind == Kind::CompleteSync.name()
            && [Part::Locations, Part::Catalog, Part::Inventory]
                .iter()
                .all(has)
    }
}

/// Reads what there is to tell of a run; none if it left no record.
///
/// # Errors
/// The database's.
pub async fn read(client: &impl GenericClient, run_id: &str) -> Result<Option<Summary>, SyncError> {
    let Some(run) = client.query_opt(RUN, &[&run_id]).await? else {
        return Ok(None);
    };
    let quarantine = client.query_one(QUARANTINE, &[&run_id]).await?;
    let before = client.query_one(FAILURES_BEFORE, &[&run_id]).await?;
    let mut summary = Summary {
        quarantine_waiting: quarantine.try_get("waiting")?,
        quarantine_added: quarantine.try_get("added")?,
        freshness: freshness::read(client).await?,
        failures_before: before.try_get("failures")?,
        failures_alike: before.try_get("alike")?,
        failing_since: before.try_get("since")?,
        ..of_row(run_id, &run)?
    };
    for step in client.query(STEPS, &[&run_id]).await? {
        summary.steps.push(step.try_get("step")?);
        summary
            .square
            .add(&step.try_get::<_, Json<Counters>>("square")?.0);
        summary
            .notes
            .extend(step.try_get::<_, Json<Vec<String>>>("notes")?.0);
        for (data_type, counts) in step.try_get::<_, Json<Stats>>("stats")?.0 {
            summary.stats.entry(data_type).or_default().add(&counts);
        }
    }
    Ok(Some(summary))
}

fn of_row(run_id: &str, run: &Row) -> Result<Summary, SyncError> {
    let request: Value = run.try_get("request")?;
    let failure = run.try_get::<_, Option<String>>("error_name")?;
    let failure = failure
        .map(|name| {
            Ok::<_, SyncError>(Failure {
                name,
                message: run.try_get("error_message")?,
                step: run.try_get("error_step")?,
            })
        })
        .transpose()?;
    Ok(Summary {
        run_id: run_id.to_owned(),
        kind: run.try_get("kind")?,
        mode: run.try_get("mode")?,
        trigger: run.try_get("trigger")?,
        requested_by: run.try_get("requested_by")?,
        status: run.try_get("status")?,
        dry_run: request.get("dry_run") == Some(&Value::Bool(true)),
        started_at: run.try_get("started_at")?,
        finished_at: run.try_get("finished_at")?,
        duration_ms: run.try_get("duration_ms")?,
        execution_arn: run.try_get("execution_arn")?,
        failure,
        stopped_by: run.try_get("stopped_by")?,
        warnings: run.try_get::<_, Json<Vec<String>>>("warnings")?.0,
        ..Summary::default()
    })
}
