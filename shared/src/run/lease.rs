//! One writer at a time, and never one that was overtaken.
//!
//! A run holds its leases under a token that only grows. Each writing
//! transaction ends by checking that the token still stands (`fence`), so a
//! Lambda that goes on after its run was stopped, or after another run took
//! over, cannot commit. Times are the database's: clocks of functions differ.
//!
//! A run that writes no data holds none: it may go on as long as its record says that it
//! is under way.
//!
//! Whoever takes a lease from another run, because it went silent or because it
//! yields, ends that run's sessions too: a statement of theirs may hold locks.

use std::collections::BTreeSet;
use std::time::Duration;

use deadpool_postgres::GenericClient;

use super::request::LeaseNames;
use super::store::{self, yields};
use crate::error::SyncError;
use crate::postgres::sessions;

/// How long a lease lasts that no step renews, from the end of one step to the start of
/// the next: Lambda may have to provide the next step's function anew, and meanwhile no
/// other run may come in between.
pub const BETWEEN_STEPS: Duration = Duration::from_secs(5 * 60);

/// The leases that a run holds, all under one token.
#[derive(Debug, Clone)]
pub struct Lease {
    pub run_id: String,
    pub names: LeaseNames,
    pub token: i64,
}

/// Takes the leases for a new run, if each is free, its holder went silent, or its
/// holder yields and the new run does not: all of them or none. Returns the runs that
/// they were taken from.
///
/// # Errors
/// `RunInProgress` naming the holder.
pub async fn acquire(
    client: &impl GenericClient,
    names: LeaseNames,
    run_id: &str,
) -> Result<Vec<String>, SyncError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    match take(client, names, run_id, true).await? {
        Some(taken) => Ok(taken.from),
        None => Err(SyncError::RunInProgress {
            run_id: holder(client, names).await?.unwrap_or_default(),
        }),
    }
}

/// Unlocks the rows of those leases that `acquire` would take from other runs. Outside
/// of a transaction.
///
/// # Errors
/// Any of the database's.
pub(crate) async fn make_way(
    client: &impl GenericClient,
    names: LeaseNames,
    run_id: &str,
    run_yields: bool,
) -> Result<(), SyncError> {
    let in_the_way = format!(
        "with before as (
             select holder, expires_at >= clock_timestamp() as is_held, {} as yields
             from sync_leases where name = any($1) and holder <> $2)
         select distinct holder from before
         where (select bool_and(not is_held or yields and not $3) from before)",
        yields("holder")
    );
    let rows = client
        .query(&in_the_way, &[&names, &run_id, &run_yields])
        .await?;
    let others: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    unlock(client, &others).await
}

/// Ends the sessions of runs that have rows of their leases locked: a transaction that
/// began with its lease may be long. Others are ended once they have lost it, so that
/// they know why.
///
/// # Errors
/// Any of the database's.
pub(crate) async fn unlock(
    client: &impl GenericClient,
    run_ids: &[String],
) -> Result<(), SyncError> {
    if run_ids.is_empty() {
        return Ok(());
    }
    let row = client.query_one(LOCKED, &[&run_ids]).await?;
    if row.get(0) {
        sessions::end_of(client, run_ids).await;
    }
    Ok(())
}

/// Parameter: holders.
const LOCKED: &str = "
    with free as (
        select name from sync_leases where holder = any($1) for update skip locked)
    select (select count(*) from sync_leases where holder = any($1))
        > (select count(*) from free)";

/// Leases just taken, and the runs that they were taken from.
struct Taken {
    lease: Lease,
    from: Vec<String>,
}

/// The run's row is locked after the leases, as by whoever stops it: a step that
/// comes late does not take up what was freed a moment before.
async fn take(
    client: &impl GenericClient,
    names: LeaseNames,
    run_id: &str,
    though_ended: bool,
) -> Result<Option<Taken>, SyncError> {
    let take = format!(
        "with before as (
             select name, holder,
                 holder is not null and holder <> $2
                     and expires_at >= clock_timestamp() as is_held,
                 {} and not {} as makes_way
             from sync_leases where name = any($1) order by name for update),
         standing as (
             select run_id from sync_runs
             where run_id = $2 and ($3 or status in ('queued', 'running'))
                 and exists (select from before) for update),
         new as (select nextval('sync_lease_tokens') as token from standing)
         update sync_leases l
         set holder = $2, token = new.token,
             expires_at = clock_timestamp() + make_interval(secs => $4)
         from before, new
         where l.name = before.name
             and (select bool_and(not is_held or makes_way) from before)
         returning l.token, before.holder, before.is_held",
        yields("holder"),
        yields("$2")
    );
    let taken = client
        .query(
            &take,
            &[&names, &run_id, &though_ended, &BETWEEN_STEPS.as_secs_f64()],
        )
        .await?;
    let Some(token) = taken.first().map(|row| row.get(0)) else {
        return Ok(None);
    };
    let others: BTreeSet<(String, bool)> = taken
        .iter()
        .filter_map(|row| Some((row.get::<_, Option<String>>(1)?, row.get(2))))
        .filter(|(holder, _)| holder != run_id)
        .collect();
    for (other, is_held) in &others {
        if *is_held {
            close_overtaken(client, other, run_id).await?;
        } else {
            // Whatever it holds besides has run out, too.
            client.execute(FREE, &[other]).await?;
            store::close_silent(client, other).await?;
        }
    }
    client
        .execute(
            "update sync_runs set lease_token = $2 where run_id = $1",
            &[&run_id, &token],
        )
        .await?;
    let lease = Lease {
        run_id: run_id.to_owned(),
        names,
        token,
    };
    let from = others.into_iter().map(|(other, _)| other).collect();
    Ok(Some(Taken { lease, from }))
}

/// Returns the run that holds any of the leases at this moment.
///
/// # Errors
/// Any of the database's.
pub async fn holder(
    client: &impl GenericClient,
    names: LeaseNames,
) -> Result<Option<String>, SyncError> {
    let row = client
        .query_opt(
            "select holder from sync_leases where name = any($1) and holder is not null
             order by expires_at desc limit 1",
            &[&names],
        )
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// Whether a run that does not yield would get the lease now.
///
/// # Errors
/// Any of the database's.
pub async fn is_free(client: &impl GenericClient, name: &str) -> Result<bool, SyncError> {
    let is_free = format!(
        "select exists (
             select from sync_leases where name = $1
                 and (holder is null or expires_at < clock_timestamp() or {}))",
        yields("holder")
    );
    let row = client.query_one(&is_free, &[&name]).await?;
    Ok(row.get(0))
}

/// Ends a run that yields, because another one has taken a lease of its.
async fn close_overtaken(
    client: &impl GenericClient,
    run_id: &str,
    by: &str,
) -> Result<(), SyncError> {
    // What it holds besides is of no use to it any more.
    revoke(client, run_id).await?;
    let note = format!("Run {by} took over; this one makes way for every other.");
    store::set_ended(client, run_id, "skipped", Some(&note)).await?;
    Ok(())
}

/// Takes the leases up at the start of a step: the run's own, under whatever token it
/// has them by now, or again after they ran out, as long as no newer run has written
/// since.
///
/// # Errors
/// `LeaseLost` if a newer run holds one or has written.
pub async fn take_up(
    client: &impl GenericClient,
    names: LeaseNames,
    run_id: &str,
    token: i64,
) -> Result<Lease, SyncError> {
    let own = client
        .query(
            "update sync_leases
             set holder = $2, expires_at = clock_timestamp() + make_interval(secs => $4)
             where name = any($1) and (token = $3 or holder = $2)
             returning token",
            &[&names, &run_id, &token, &BETWEEN_STEPS.as_secs_f64()],
        )
        .await?;
    // Another call of this run may have taken them up anew a moment ago.
    let newest = own.iter().map(|row| row.get(0)).max();
    let lease = Lease {
        run_id: run_id.to_owned(),
        names,
        token: newest.unwrap_or(token),
    };
    if own.len() == names.len() && own.iter().all(|row| row.get::<_, i64>(0) == lease.token) {
        return Ok(lease);
    }
    let newer = format!(
        "select holder, written_token > $2 as written,
             expires_at > clock_timestamp() and ({} or not {}) as held
         from sync_leases
         where name = any($1) and token <> $2 and holder is distinct from $3",
        yields("$3"),
        yields("holder")
    );
    let newer = client.query(&newer, &[&names, &token, &run_id]).await?;
    for row in newer {
        let holder: Option<String> = row.get("holder");
        let detail = match holder {
            _ if row.get("written") => "a newer run has written since".to_owned(),
            Some(newer) if row.get("held") => format!("run {newer} holds it"),
            _ => continue,
        };
        return Err(lost(&lease, detail));
    }
    let Some(taken) = take(client, names, run_id, false).await? else {
        let detail = "the run has ended, or another one took over".to_owned();
        return Err(lost(&lease, detail));
    };
    sessions::end_of(client, &taken.from).await;
    Ok(taken.lease)
}

/// Whether the leases are still held, without a word to keep them.
///
/// # Errors
/// `LeaseLost` if the token has moved on.
pub(super) async fn check(client: &impl GenericClient, lease: &Lease) -> Result<(), SyncError> {
    if lease.names.is_empty() {
        return stands(client, lease).await;
    }
    let row = client
        .query_one(
            "select count(*) from sync_leases
             where name = any($1) and token = $2 and holder = $3",
            &[&lease.names, &lease.token, &lease.run_id],
        )
        .await?;
    held(row.get::<_, i64>(0).unsigned_abs(), lease)
}

/// Keeps the leases while a step works, which says so every few seconds: one that is
/// silent for two minutes is gone, or for as long as was given it before. A word that
/// comes late, after the step's last write, takes nothing of that away.
///
/// # Errors
/// `LeaseLost` if the token has moved on.
pub async fn renew(client: &impl GenericClient, lease: &Lease) -> Result<(), SyncError> {
    if lease.names.is_empty() {
        return stands(client, lease).await;
    }
    let renewed = client
        .execute(
            "update sync_leases
             set expires_at = greatest(expires_at, clock_timestamp() + interval '2 minutes')
             where name = any($1) and token = $2 and holder = $3",
            &[&lease.names, &lease.token, &lease.run_id],
        )
        .await?;
    held(renewed, lease)
}

/// The last statement of every writing transaction: nothing commits under a
/// token that has moved on. It may be the step's last word, so the leases then last until
/// the next one.
///
/// # Errors
/// `LeaseLost` if the token has moved on.
pub async fn fence(client: &impl GenericClient, lease: &Lease) -> Result<(), SyncError> {
    if lease.names.is_empty() {
        return stands(client, lease).await;
    }
    let stands = client
        .execute(
            "update sync_leases set written_token = token,
                 expires_at = clock_timestamp() + make_interval(secs => $4)
             where name = any($1) and token = $2 and holder = $3",
            &[
                &lease.names,
                &lease.token,
                &lease.run_id,
                &BETWEEN_STEPS.as_secs_f64(),
            ],
        )
        .await?;
    held(stands, lease)
}

/// Whether a run that holds no lease is still under way; whoever is about to end it waits
/// for this transaction.
async fn stands(client: &impl GenericClient, lease: &Lease) -> Result<(), SyncError> {
    match client.query_opt(STANDS, &[&lease.run_id]).await? {
        Some(_) => Ok(()),
        None => Err(SyncError::LeaseLost {
            run_id: lease.run_id.clone(),
            lease: "its work".to_owned(),
            detail: "it was stopped, or has ended".to_owned(),
        }),
    }
}

/// Parameter: run id.
const STANDS: &str = "
    select run_id from sync_runs where run_id = $1 and status = 'running' for no key update";

/// Frees whatever the run holds and moves the token on, so that a step still
/// under way can no longer commit. A lease that nobody holds may be the run's in a moment,
/// if its first step is just taking it: that is waited for.
///
/// # Errors
/// Any of the database's.
pub async fn revoke(client: &impl GenericClient, run_id: &str) -> Result<(), SyncError> {
    client.execute(REVOKE, &[&run_id]).await?;
    Ok(())
}

/// Parameter: run id.
const REVOKE: &str = "
    with own as (
        select name, holder from sync_leases
        where holder = $1 or holder is null or expires_at < clock_timestamp()
        order by name for update)
    update sync_leases l
    set holder = null, expires_at = '-infinity', token = nextval('sync_lease_tokens')
    from own where l.name = own.name and own.holder = $1";

/// What somebody has locked is being taken at this moment, and waiting for it while
/// holding other leases could be in vain. Parameter: run id.
const FREE: &str = "
    with own as (
        select name from sync_leases where holder = $1 for update skip locked)
    update sync_leases l
    set holder = null, expires_at = '-infinity', token = nextval('sync_lease_tokens')
    from own where l.name = own.name";

fn is_all(rows: u64, names: LeaseNames) -> bool {
    usize::try_from(rows) == Ok(names.len())
}

fn held(rows: u64, lease: &Lease) -> Result<(), SyncError> {
    if is_all(rows, lease.names) {
        Ok(())
    } else {
        let detail = "the run was stopped, or another one took over".to_owned();
        Err(lost(lease, detail))
    }
}

fn lost(lease: &Lease, detail: String) -> SyncError {
    SyncError::LeaseLost {
        run_id: lease.run_id.clone(),
        lease: lease.names.join(" and "),
        detail,
    }
}
