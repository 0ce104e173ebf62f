//! The first step: opens the run and makes sure that it can succeed, before
//! anything is touched.
//!
//! The database comes before Square, because a run that fails must leave a
//! record of why; a schedule that meets a running sync ends here, quietly.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use deadpool_postgres::Object;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::account;
use crate::env::Env;
use crate::error::SyncError;
use crate::merchant;
use crate::part::Part;
use crate::postgres::{ensure_sessions, schema, sessions};
use crate::run::request::{Kind, ORDERS_LEASE, Request, Trigger};
use crate::run::stats::Stats;
use crate::run::store::Run;
use crate::run::{lease, store};
use crate::square::{Counters, Square, TokenStatus};

/// The input from the state machine.
#[derive(Debug, Deserialize)]
pub struct Input {
    /// The execution's name.
    pub run_id: String,
    /// The kind of run that the state machine is for.
    #[serde(default)]
    pub kind: Kind,
    #[serde(default)]
    pub execution_arn: Option<String>,
    #[serde(default)]
    pub redrive_count: i32,
    /// The execution's own input.
    #[serde(default)]
    pub request: Value,
}

/// The output that the next states need, and the console shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub run_id: String,
    /// `running`, or `skipped` if the schedule met another run.
    pub status: String,
    pub mode: String,
    pub trigger: String,
    /// The steps between this one and the last, in order.
    pub steps: Vec<String>,
    /// Whether the run only shows what it would change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Why the run was skipped, or what somebody should look at although it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// The time that a database may take to wake up: a paused Aurora needs half a minute.
pub const WAKE_UP: Duration = Duration::from_secs(45);
/// A token must outlive the run.
const TOKEN_LEFT_MIN: SignedDuration = SignedDuration::from_hours(1);
/// From here on a warning is due: a week, as Square advises.
const TOKEN_LEFT_WARN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Opens the run.
///
/// # Errors
/// Whatever would keep the run from succeeding, under its own name.
pub async fn open(env: &Env, input: Input, deadline: Instant) -> Result<Output, SyncError> {
    let request = Request::parse(input.kind, input.request.clone())?;
    let mut client = connect(env).await?;
    ensure_sessions(&env.database, &client).await?;
    check_encoding(&client).await?;
    if request.kind == Kind::Migration {
        schema::ensure_not_newer(&env.database).await?;
    } else {
        schema::ensure(&env.database).await?;
    }
    if let Some(result) = earlier_result(&client, &input.run_id).await? {
        return Ok(result);
    }
    // Known by what was asked for, not by what becomes of it below.
    let key = request.repeat_key();
    let request = with_orders(&client, request).await?;
    let run = match record(&mut client, &input, &request, key.as_deref()).await? {
        Opened::Run(run) => run,
        Opened::Skipped(output) => return Ok(output),
    };
    let square = env.square.for_step(deadline);
    let of_token = match run.request.kind {
        // They work on what is stored and do not ask Square.
        Kind::Migration | Kind::Restore => None,
        // It stores nothing.
        Kind::SpotCheck => check_token(&client, &square, &run.request).await?,
        Kind::CompleteSync | Kind::HistoricalOrders => {
            check_room(env, &client, &run.request).await?;
            check_token(&client, &square, &run.request).await?
        }
    };
    let warnings = [env.database.weakness().map(str::to_owned), of_token];
    let warnings: Vec<String> = warnings.into_iter().flatten().collect();
    let output = Output {
        warning: (!warnings.is_empty()).then(|| warnings.join(" ")),
        ..describe(&run.run_id, &run.request, "running")
    };
    succeed(&client, &output, &square.counters()).await?;
    Ok(output)
}

async fn connect(env: &Env) -> Result<Object, SyncError> {
    let attempts = ConstantBuilder::default()
        .with_delay(Duration::from_secs(3))
        .with_max_times(usize::try_from(WAKE_UP.as_secs() / 3).unwrap_or(1));
    let started = Instant::now();
    (|| env.database.client())
        .retry(attempts)
        .when(|error| {
            matches!(error, SyncError::DatabaseUnavailable { .. }) && started.elapsed() < WAKE_UP
        })
        .await
}

async fn earlier_result(client: &Object, run_id: &str) -> Result<Option<Output>, SyncError> {
    let Some(run) = store::find(client, run_id).await? else {
        return Ok(None);
    };
    if run.status == "skipped" {
        return Ok(Some(Output {
            warning: store::end_note(client, run_id).await?,
            ..describe(run_id, &run.request, "skipped")
        }));
    }
    let record = store::step(client, run_id, "preflight").await?;
    record
        .filter(|record| record.status == "succeeded" && run.status == "running")
        .and_then(|record| record.result)
        .map(|result| {
            serde_json::from_value(result).map_err(|error| SyncError::Internal(error.to_string()))
        })
        .transpose()
}

/// Has what the schedule starts keep orders fresh as well, once their history is in,
/// unless an import is at work on them: that must not hold up the rest.
async fn with_orders(client: &Object, request: Request) -> Result<Request, SyncError> {
    let is_open = request.trigger == Trigger::Schedule
        && request.kind == Kind::CompleteSync
        && request.only.is_none()
        && !request.stages_only();
    if !is_open {
        return Ok(request);
    }
    let joins = lease::is_free(client, ORDERS_LEASE).await? && has_history(client).await?;
    let only = joins.then(|| Part::ALL.to_vec());
    Ok(Request { only, ..request })
}

/// Whether the orders of any location's past were read, or have begun to be: one
/// window that fails for good does not keep new orders out.
async fn has_history(client: &Object) -> Result<bool, SyncError> {
    let row = client
        .query_one(
            "select exists (
                 select from sync_watermarks where list like 'orders:%' and kept_fresh)",
            &[],
        )
        .await?;
    Ok(row.get(0))
}

enum Opened {
    Run(Run),
    Skipped(Output),
}

/// Finds or writes the run's record, and takes its leases.
async fn record(
    client: &mut Object,
    input: &Input,
    request: &Request,
    key: Option<&str>,
) -> Result<Opened, SyncError> {
    let run_id = input.run_id.as_str();
    store::insert(client, run_id, request, key).await?;
    let Some(run) = store::find(client, run_id).await? else {
        let first = match key {
            Some(key) => store::find_repeated(client, request, key).await?,
            None => None,
        };
        let run = first.as_ref().map_or("", |first| &first.run_id);
        if first.as_ref().is_some_and(|first| !first.is_same) {
            let problem = format!("is that of another request, which started run {run}");
            return Err(SyncError::input("idempotency_key", problem));
        }
        return Ok(Opened::Skipped(Output {
            warning: Some(format!("Run {run} was started by the same request.")),
            ..describe(run_id, request, "skipped")
        }));
    };
    let ended = |status: &str| {
        SyncError::Cancelled(format!(
            "Run {run_id} has ended ({status}) before it began. Start a new one."
        ))
    };
    let is_redriven = input.redrive_count > run.redrive_count;
    if !is_redriven && !matches!(run.status.as_str(), "queued" | "running") {
        return Err(ended(&run.status));
    }
    let looks_back =
        request.trigger == Trigger::Schedule && request.only.as_deref() == Some(&[Part::Orders]);
    if looks_back && !has_history(client).await? {
        // Without it, looking back would mean reading all of them.
        let reason =
            "No orders of the past have been imported yet, so there are none to look back on.";
        return skip(client, run_id, request, reason.to_owned()).await;
    }
    let leases = run.request.leases();
    lease::make_way(client, leases, run_id, run.yields).await?;
    let transaction = client.transaction().await?;
    let from = match lease::acquire(&transaction, leases, run_id).await {
        Ok(from) => from,
        Err(SyncError::RunInProgress { run_id: other })
            if request.trigger == Trigger::Schedule || run.yields =>
        {
            drop(transaction);
            let reason = format!("Run {other} was in progress when this one was to start.");
            return skip(client, run_id, request, reason).await;
        }
        Err(error) => return Err(error),
    };
    let arn = input.execution_arn.as_deref();
    if !store::set_running(&transaction, run_id, arn, input.redrive_count).await? {
        return Err(ended("stopped meanwhile"));
    }
    store::start_step(&transaction, run_id, "preflight", false).await?;
    transaction.commit().await?;
    sessions::end_of(client, &from).await;
    Ok(Opened::Run(run))
}

/// Ends a run before it begins, quietly: the schedule's, or one that yields.
async fn skip(
    client: &Object,
    run_id: &str,
    request: &Request,
    reason: String,
) -> Result<Opened, SyncError> {
    store::set_ended(client, run_id, "skipped", Some(&reason)).await?;
    Ok(Opened::Skipped(Output {
        warning: Some(reason),
        ..describe(run_id, request, "skipped")
    }))
}

fn describe(run_id: &str, request: &Request, status: &str) -> Output {
    let steps = request.steps();
    let between = steps.get(1..steps.len().saturating_sub(1));
    Output {
        run_id: run_id.to_owned(),
        status: status.to_owned(),
        mode: request.mode().to_owned(),
        trigger: request.trigger.name().to_owned(),
        steps: between
            .unwrap_or_default()
            .iter()
            .map(|step| (*step).to_owned())
            .collect(),
        dry_run: request.dry_run,
        warning: None,
    }
}

/// Refuses a database that cannot hold every text.
async fn check_encoding(client: &Object) -> Result<(), SyncError> {
    let row = client
        .query_one("select current_setting('server_encoding')", &[])
        .await?;
    let encoding: String = row.get(0);
    if encoding == "UTF8" {
        return Ok(());
    }
    let problem = format!(
        "leads to a database in the encoding {encoding}, which cannot hold every text of Square's, \
and wants one in UTF8 (create database … encoding 'UTF8' template template0)"
    );
    Err(SyncError::config("DATABASE_URL", problem))
}

/// Refuses to start a sync into a database that is nearly full.
async fn check_room(env: &Env, client: &Object, request: &Request) -> Result<(), SyncError> {
    let Some(limit) = env.settings.database_storage_limit_bytes else {
        return Ok(());
    };
    let tables: Vec<&str> = account::all_tables()
        .iter()
        .map(|table| table.name)
        .collect();
    let row = client
        .query_one(
            "select pg_database_size(current_database()) as used,
                 (select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
                     from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = 'public' and c.relkind = 'r'
                         and c.relname = any ($1)) as synced",
            &[&tables],
        )
        .await?;
    let (used, synced): (i64, i64) = (row.get("used"), row.get("synced"));
    // Staging holds a copy of what is listed, and rewritten rows need room beside
    // the old. A refresh writes all of them, and keeps a backup besides.
    let extra = if request.full_refresh {
        synced.saturating_mul(3)
    } else {
        synced
    };
    let needed = u64::try_from(used.saturating_add(extra)).unwrap_or(u64::MAX);
    if needed > limit {
        return Err(SyncError::DatabaseRejected {
            detail: format!(
                "it holds {used} bytes and this run may need {extra} more, over the limit of \
{limit} bytes. Make room, or raise DATABASE_STORAGE_LIMIT_BYTES"
            ),
            sqlstate: None,
        });
    }
    Ok(())
}

/// Whether the token is valid, of the merchant whose data is stored, lasts, and may
/// read what the run wants.
async fn check_token(
    client: &Object,
    square: &Square,
    request: &Request,
) -> Result<Option<String>, SyncError> {
    let status = square.retrieve_token_status().await?;
    merchant::ensure(client, status.merchant_id.as_deref()).await?;
    let mut parts = request.parts();
    if request.kind == Kind::SpotCheck && has_history(client).await? {
        parts.push(Part::Orders);
    }
    if parts.contains(&Part::Orders) {
        // Orders are asked for by location.
        parts.push(Part::Locations);
    }
    judge_token(&status, &parts, Timestamp::now())
}

fn judge_token(
    status: &TokenStatus,
    parts: &[Part],
    now: Timestamp,
) -> Result<Option<String>, SyncError> {
    // A personal access token may name no scopes: it has them all.
    if let Some(scopes) = status.scopes.as_ref().filter(|scopes| !scopes.is_empty()) {
        for part in parts {
            let endpoint = account::endpoint(*part);
            if !scopes.iter().any(|granted| granted == endpoint.permission) {
                return Err(SyncError::SquareForbidden {
                    endpoint: endpoint.path.to_owned(),
                    scope: endpoint.permission.to_owned(),
                });
            }
        }
    }
    let Some(expires_at) = status.expires_at else {
        return Ok(None);
    };
    let left = expires_at.duration_since(now);
    if left < TOKEN_LEFT_MIN {
        return Err(SyncError::SquareUnauthorized {
            endpoint: "/oauth2/token/status".to_owned(),
            detail: format!("it expires at {expires_at}, before a run can be sure to end"),
        });
    }
    Ok((left < TOKEN_LEFT_WARN)
        .then(|| format!("The access token expires at {expires_at}: renew it in time.")))
}

async fn succeed(client: &Object, output: &Output, square: &Counters) -> Result<(), SyncError> {
    let result =
        serde_json::to_value(output).map_err(|error| SyncError::Internal(error.to_string()))?;
    let stats = Stats::new();
    let run_id = output.run_id.as_str();
    store::succeed_step(client, run_id, "preflight", 0, &stats, square, &result).await?;
    tracing::info!(run_id, output = %result, "run opened");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T12:00:00Z";

    fn judge(scopes: &[&str], expires_at: Option<&str>) -> Result<Option<String>, SyncError> {
        let status = TokenStatus {
            scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            expires_at: expires_at.map(|time| time.parse().unwrap()),
            merchant_id: None,
        };
        judge_token(&status, &Part::staged(), NOW.parse().unwrap())
    }

    const ALL: [&str; 3] = ["MERCHANT_PROFILE_READ", "ITEMS_READ", "INVENTORY_READ"];

    #[test]
    fn a_missing_scope_is_named() {
        let error = judge(&["MERCHANT_PROFILE_READ", "INVENTORY_READ"], None).unwrap_err();
        assert_eq!(error.name(), "SquareForbidden");
        assert!(error.to_string().contains("ITEMS_READ"), "{error}");
    }

    #[test]
    fn a_personal_token_without_scopes_passes() {
        assert_eq!(judge(&[], None).unwrap(), None);
    }

    #[test]
    fn a_token_near_its_end_is_refused_and_before_that_warned_of() {
        let error = judge(&ALL, Some("2026-11-22T12:30:00Z")).unwrap_err();
        assert_eq!(error.name(), "SquareUnauthorized");
        assert!(judge(&ALL, Some("2026-11-25T12:00:00Z")).unwrap().is_some());
        assert_eq!(judge(&ALL, Some("2026-12-25T12:00:00Z")).unwrap(), None);
    }
}
