//! One writer at a time, and never one that was overtaken.
//!
//! A run holds its leases under a token that only grows. Each writing
//! transaction ends by checking that the token still stands (`fence`), so a
//! Lambda that goes on after its run was stopped, or after another run took
//! over, cannot commit. Times are the database's: clocks of functions differ.

use tokio_postgres::GenericClient;

use crate::error::SyncError;

/// The lease that guards locations, catalog and inventory.
pub const CATALOG: &str = "catalog";
/// The lease that guards orders.
pub const ORDERS: &str = "orders";

/// Leases that one run holds together, in the order of their names.
pub type LeaseNames = &'static [&'static str];

/// What a run holds: all its leases, under one token.
#[derive(Debug, Clone)]
pub struct Lease {
    pub run_id: String,
    pub names: LeaseNames,
    pub token: i64,
}

/// Takes the leases for a new run, if each is free or its holder went silent:
/// all of them or none.
///
/// # Errors
/// `RunInProgress` naming the holder.
pub async fn acquire(
    client: &impl GenericClient,
    names: LeaseNames,
    run_id: &str,
) -> Result<Lease, SyncError> {
    match take(client, names, run_id, true).await? {
        Some(lease) => Ok(lease),
        None => Err(SyncError::RunInProgress {
            run_id: holder(client, names).await?.unwrap_or_default(),
        }),
    }
}

/// The run's row is locked after the leases, as by whoever stops it: a step that
/// comes late does not take up what was freed a moment before.
async fn take(
    client: &impl GenericClient,
    names: LeaseNames,
    run_id: &str,
    though_ended: bool,
) -> Result<Option<Lease>, SyncError> {
    let taken = client
        .query(
            "with before as (
                 select name, holder,
                     holder is null or holder = $2 or expires_at < clock_timestamp() as is_free
                 from sync_leases where name = any($1) order by name for update),
             standing as (
                 select run_id from sync_runs
                 where run_id = $2 and ($3 or status in ('queued', 'running'))
                     and exists (select from before) for update),
             new as (select nextval('sync_lease_tokens') as token from standing)
             update sync_leases l
             set holder = $2, token = new.token,
                 expires_at = clock_timestamp() + interval '2 minutes'
             from before, new
             where l.name = before.name and (select bool_and(is_free) from before)
             returning l.token, before.holder",
            &[&names, &run_id, &though_ended],
        )
        .await?;
    let Some(token) = taken.first().map(|row| row.get(0)) else {
        return Ok(None);
    };
    for row in &taken {
        let before: Option<String> = row.get(1);
        if let Some(silent) = before.filter(|holder| holder != run_id) {
            close_silent(client, &silent).await?;
        }
    }
    client
        .execute(
            "update sync_runs set lease_token = $2 where run_id = $1",
            &[&run_id, &token],
        )
        .await?;
    Ok(Some(Lease {
        run_id: run_id.to_owned(),
        names,
        token,
    }))
}

/// Who holds any of the leases at this moment.
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

/// Ends the record of a run whose execution ended without saying so.
async fn close_silent(client: &impl GenericClient, run_id: &str) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_runs set status = 'failed', finished_at = clock_timestamp(),
                 error_name = 'LeaseLost', error_step = null,
                 error_message = 'The execution ended without closing this run: it was aborted \
elsewhere or timed out. Nothing half-done was kept; the next run went on from there.'
             where run_id = $1 and status in ('queued', 'running')",
            &[&run_id],
        )
        .await?;
    super::store::skip_unfinished_steps(client, run_id).await
}

/// Takes the leases up at the start of a step: the run's own, or again after
/// they ran out, as long as no newer run has written since.
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
        .execute(
            "update sync_leases
             set holder = $2, expires_at = clock_timestamp() + interval '2 minutes'
             where name = any($1) and token = $3",
            &[&names, &run_id, &token],
        )
        .await?;
    let lease = Lease {
        run_id: run_id.to_owned(),
        names,
        token,
    };
    if is_all(own, names) {
        return Ok(lease);
    }
    let newer = client
        .query(
            "select holder, written_token > $2 as written, expires_at > clock_timestamp() as held
             from sync_leases where name = any($1) and token <> $2",
            &[&names, &token],
        )
        .await?;
    for row in newer {
        let holder: Option<String> = row.get("holder");
        let detail = match holder {
            _ if row.get("written") => "a newer run has written since".to_owned(),
            Some(newer) if row.get("held") => format!("run {newer} holds it"),
            _ => continue,
        };
        return Err(lost(&lease, detail));
    }
    let taken = take(client, names, run_id, false).await?;
    taken.ok_or_else(|| {
        let detail = "the run has ended, or another one took over".to_owned();
        lost(&lease, detail)
    })
}

/// Keeps the leases while a step works.
///
/// # Errors
/// `LeaseLost` if the token has moved on.
pub async fn renew(client: &impl GenericClient, lease: &Lease) -> Result<(), SyncError> {
    let renewed = client
        .execute(
            "update sync_leases set expires_at = clock_timestamp() + interval '2 minutes'
             where name = any($1) and token = $2 and holder = $3",
            &[&lease.names, &lease.token, &lease.run_id],
        )
        .await?;
    held(renewed, lease)
}

/// The last statement of every writing transaction: nothing commits under a
/// token that has moved on.
///
/// # Errors
/// `LeaseLost` if the token has moved on.
pub async fn fence(client: &impl GenericClient, lease: &Lease) -> Result<(), SyncError> {
    let stands = client
        .execute(
            "update sync_leases set written_token = token,
                 expires_at = clock_timestamp() + interval '2 minutes'
             where name = any($1) and token = $2 and holder = $3",
            &[&lease.names, &lease.token, &lease.run_id],
        )
        .await?;
    held(stands, lease)
}

/// Frees whatever the run holds.
///
/// # Errors
/// Any of the database's.
pub async fn release(client: &impl GenericClient, run_id: &str) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_leases set holder = null, expires_at = '-infinity' where holder = $1",
            &[&run_id],
        )
        .await?;
    Ok(())
}

/// Frees whatever the run holds and moves the token on, so that a step still
/// under way can no longer commit.
///
/// # Errors
/// Any of the database's.
pub async fn revoke(client: &impl GenericClient, run_id: &str) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_leases set holder = null, expires_at = '-infinity',
                 token = nextval('sync_lease_tokens')
             where holder = $1",
            &[&run_id],
        )
        .await?;
    Ok(())
}

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
