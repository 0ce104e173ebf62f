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

/// A lease as a run holds it.
#[derive(Debug, Clone)]
pub struct Lease {
    pub run_id: String,
    pub name: &'static str,
    pub token: i64,
}

/// Takes the lease for a new run, if it is free or its holder went silent.
///
/// # Errors
/// `RunInProgress` naming the holder.
pub async fn acquire(
    client: &impl GenericClient,
    name: &'static str,
    run_id: &str,
) -> Result<Lease, SyncError> {
    let taken = client
        .query_opt(
            "with before as (select holder from sync_leases where name = $1 for update)
             update sync_leases l
             set holder = $2, token = nextval('sync_lease_tokens'),
                 expires_at = clock_timestamp() + interval '2 minutes'
             from before
             where l.name = $1
                 and (l.holder is null or l.holder = $2 or l.expires_at < clock_timestamp())
             returning l.token, before.holder",
            &[&name, &run_id],
        )
        .await?;
    let Some(row) = taken else {
        return Err(SyncError::RunInProgress {
            run_id: holder(client, name).await?.unwrap_or_default(),
        });
    };
    let (token, before): (i64, Option<String>) = (row.get(0), row.get(1));
    if let Some(silent) = before.filter(|holder| holder != run_id) {
        close_silent(client, &silent).await?;
    }
    client
        .execute(
            "update sync_runs set lease_token = $2 where run_id = $1",
            &[&run_id, &token],
        )
        .await?;
    Ok(Lease {
        run_id: run_id.to_owned(),
        name,
        token,
    })
}

/// Who holds the lease at this moment.
///
/// # Errors
/// Any of the database's.
pub async fn holder(
    client: &impl GenericClient,
    name: &'static str,
) -> Result<Option<String>, SyncError> {
    let row = client
        .query_one("select holder from sync_leases where name = $1", &[&name])
        .await?;
    Ok(row.get(0))
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

/// Takes the lease up at the start of a step: the run's own, or again after it
/// ran out, as long as no newer run has written since.
///
/// # Errors
/// `LeaseLost` if a newer run holds it or has written.
pub async fn take_up(
    client: &impl GenericClient,
    name: &'static str,
    run_id: &str,
    token: i64,
) -> Result<Lease, SyncError> {
    let own = client
        .execute(
            "update sync_leases
             set holder = $2, expires_at = clock_timestamp() + interval '2 minutes'
             where name = $1 and token = $3",
            &[&name, &run_id, &token],
        )
        .await?;
    if own == 1 {
        return Ok(Lease {
            run_id: run_id.to_owned(),
            name,
            token,
        });
    }
    let row = client
        .query_one(
            "select holder, written_token > $2 as written, expires_at > clock_timestamp() as held
             from sync_leases where name = $1",
            &[&name, &token],
        )
        .await?;
    let newer: Option<String> = row.get("holder");
    let detail = match newer {
        _ if row.get("written") => "a newer run has written since".to_owned(),
        Some(newer) if row.get("held") => format!("run {newer} holds it"),
        _ => return acquire(client, name, run_id).await,
    };
    Err(lost(run_id, name, detail))
}

/// Keeps the lease while a step works.
///
/// # Errors
/// `LeaseLost` if the token has moved on.
pub async fn renew(client: &impl GenericClient, lease: &Lease) -> Result<(), SyncError> {
    let renewed = client
        .execute(
            "update sync_leases set expires_at = clock_timestamp() + interval '2 minutes'
             where name = $1 and token = $2 and holder = $3",
            &[&lease.name, &lease.token, &lease.run_id],
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
             where name = $1 and token = $2 and holder = $3",
            &[&lease.name, &lease.token, &lease.run_id],
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

fn held(rows: u64, lease: &Lease) -> Result<(), SyncError> {
    if rows == 1 {
        Ok(())
    } else {
        let detail = "the run was stopped, or another one took over".to_owned();
        Err(lost(&lease.run_id, lease.name, detail))
    }
}

fn lost(run_id: &str, name: &str, detail: String) -> SyncError {
    SyncError::LeaseLost {
        run_id: run_id.to_owned(),
        lease: name.to_owned(),
        detail,
    }
}
