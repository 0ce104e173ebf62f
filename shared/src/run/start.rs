//! Queueing and stopping a run: what the API does before and after it talks to
//! Step Functions.
//!
//! The lease is taken with the request, not with the first step, so two clicks
//! at the same moment cannot both start: the second is told of the first.

use deadpool_postgres::{GenericClient, Object, Transaction};
use jiff::Timestamp;

use super::request::{Kind, Request};
use super::store::{Failure, Repeated};
use super::{lease, store};
use crate::error::SyncError;
use crate::postgres::sessions;

/// The outcome of a request for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queued {
    /// A new run, recorded and holding its lease: start its execution now.
    New { run_id: String },
    /// The same request came before; this is its run.
    Repeated { run_id: String },
    /// Another request came before under the same key; this is its run.
    Conflict { run_id: String },
}

impl From<Repeated> for Queued {
    fn from(first: Repeated) -> Self {
        let Repeated { run_id, is_same } = first;
        if is_same {
            Self::Repeated { run_id }
        } else {
            Self::Conflict { run_id }
        }
    }
}

/// Finds the run whose key the request has, if it has one that is known.
///
/// # Errors
/// The database's.
pub async fn repeated(
    client: &impl GenericClient,
    request: &Request,
) -> Result<Option<Queued>, SyncError> {
    let Some(key) = request.repeat_key() else {
        return Ok(None);
    };
    let first = store::find_repeated(client, request, &key).await?;
    Ok(first.map(Queued::from))
}

/// Records a run and takes its leases, also from runs that yield.
///
/// # Errors
/// `RunInProgress` naming the run that holds the lease; the database's.
pub async fn queue(client: &mut Object, request: &Request) -> Result<Queued, SyncError> {
    if let Some(first) = repeated(client, request).await? {
        return Ok(first);
    }
    let run_id = new_run_id(request.kind)?;
    lease::make_way(client, request.leases(), &run_id, request.yields()).await?;
    let transaction = client.transaction().await?;
    let key = request.repeat_key();
    if !store::insert(&transaction, &run_id, request, key.as_deref()).await? {
        // Somebody with the same key was a moment faster.
        return repeated(&transaction, request)
            .await?
            .ok_or_else(|| SyncError::Internal("a new run's id was taken".to_owned()));
    }
    let from = lease::acquire(&transaction, request.leases(), &run_id).await?;
    transaction.commit().await?;
    sessions::end_of(client, &from).await;
    Ok(Queued::New { run_id })
}

/// Ends a queued run whose execution could not be started.
///
/// # Errors
/// The database's.
pub async fn abandon(
    client: &mut Object,
    run_id: &str,
    error: &SyncError,
) -> Result<(), SyncError> {
    let transaction = client.transaction().await?;
    let failure = Failure {
        name: error.name().to_owned(),
        message: error.to_string(),
        step: "preflight".to_owned(),
    };
    store::set_failed(&transaction, run_id, &failure).await?;
    lease::revoke(&transaction, run_id).await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends a run by request: its lease is free at once, what it is doing in the database
/// ends, and steps still under way can no longer commit. Returns false if the run had
/// ended before.
///
/// # Errors
/// The database's.
pub async fn stop(client: &mut Object, run_id: &str) -> Result<bool, SyncError> {
    let is_open = |run: store::Run| matches!(run.status.as_str(), "queued" | "running");
    if !store::find(client, run_id).await?.is_some_and(is_open) {
        return Ok(false);
    }
    end(client, run_id, async |transaction| {
        store::set_ended(transaction, run_id, "stopped", None).await
    })
    .await
}

/// Takes an open run's leases away and closes its record, or neither if the record is
/// closed. Its sessions end after that, so that they know why.
async fn end(
    client: &mut Object,
    run_id: &str,
    close: impl AsyncFnOnce(&Transaction<'_>) -> Result<bool, SyncError>,
) -> Result<bool, SyncError> {
    let run = [run_id.to_owned()];
    lease::unlock(client, &run).await?;
    let transaction = client.transaction().await?;
    lease::revoke(&transaction, run_id).await?;
    if !close(&transaction).await? {
        return Ok(false);
    }
    transaction.commit().await?;
    sessions::end_of(client, &run).await;
    Ok(true)
}

/// Ends a run whose execution ended without saying so, at the step where it was:
/// its lease is free at once, and a step still under way can no longer commit.
/// Returns false if the run had ended before.
///
/// # Errors
/// The database's.
pub async fn close_failed(
    client: &mut Object,
    run_id: &str,
    name: &str,
    message: &str,
) -> Result<bool, SyncError> {
    end(client, run_id, async |transaction| {
        let step = store::step_under_way(transaction, run_id).await?;
        let failure = Failure {
            name: name.to_owned(),
            message: message.to_owned(),
            step: step.unwrap_or_default(),
        };
        store::set_failed(transaction, run_id, &failure).await
    })
    .await
}

/// A name that sorts by time and reads well in the console's list.
fn new_run_id(kind: Kind) -> Result<String, SyncError> {
    let mut random = [0_u8; 3];
    getrandom::fill(&mut random).map_err(|error| SyncError::Internal(error.to_string()))?;
    let [a, b, c] = random;
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let prefix = kind.prefix();
    Ok(format!("{prefix}-{time}-{a:02x}{b:02x}{c:02x}"))
}
