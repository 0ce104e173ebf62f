//! Queueing and stopping a run: what the API does before and after it talks to
//! Step Functions.
//!
//! The lease is taken with the request, not with the first step, so two clicks
//! at the same moment cannot both start: the second is told of the first.

use deadpool_postgres::Object;
use jiff::Timestamp;

use super::request::{Kind, Request};
use super::store::Failure;
use super::{lease, store};
use crate::error::SyncError;

/// What became of a request for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queued {
    /// A new run, recorded and holding its lease: start its execution now.
    New { run_id: String },
    /// The same request came before; this is its run.
    Repeated { run_id: String },
}

/// Records a run and takes its leases.
///
/// # Errors
/// `RunInProgress` naming the run that holds the lease; the database's.
pub async fn queue(client: &mut Object, request: &Request) -> Result<Queued, SyncError> {
    let transaction = client.transaction().await?;
    if request.repeat_key().is_some()
        && let Some(run_id) = store::find_repeated(&*transaction, request).await?
    {
        return Ok(Queued::Repeated { run_id });
    }
    let run_id = new_run_id(request.kind)?;
    if !store::insert(&*transaction, &run_id, request).await? {
        // Somebody with the same key was a moment faster.
        let first = store::find_repeated(&*transaction, request).await?;
        return first
            .map(|run_id| Queued::Repeated { run_id })
            .ok_or_else(|| SyncError::Internal("a new run's id was taken".to_owned()));
    }
    lease::acquire(&*transaction, request.leases(), &run_id).await?;
    transaction.commit().await?;
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
    store::set_failed(&*transaction, run_id, &failure).await?;
    lease::release(&*transaction, run_id).await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends a run by request: its lease is free at once, and steps still under way
/// can no longer commit. Answers false if the run had ended before.
///
/// # Errors
/// The database's.
pub async fn stop(client: &mut Object, run_id: &str) -> Result<bool, SyncError> {
    let transaction = client.transaction().await?;
    let Some(run) = store::find(&*transaction, run_id).await? else {
        return Ok(false);
    };
    if !matches!(run.status.as_str(), "queued" | "running") {
        return Ok(false);
    }
    lease::revoke(&*transaction, run_id).await?;
    store::set_ended(&*transaction, run_id, "stopped", None).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Ends a run whose execution ended without saying so, at the step where it was:
/// its lease is free at once, and a step still under way can no longer commit.
/// Answers false if the run had ended before.
///
/// # Errors
/// The database's.
pub async fn close_failed(
    client: &mut Object,
    run_id: &str,
    name: &str,
    message: &str,
) -> Result<bool, SyncError> {
    let transaction = client.transaction().await?;
    let step = store::step_under_way(&*transaction, run_id).await?;
    let failure = Failure {
        name: name.to_owned(),
        message: message.to_owned(),
        step: step.unwrap_or_default(),
    };
    let closed = store::set_failed(&*transaction, run_id, &failure).await?;
    if closed {
        lease::revoke(&*transaction, run_id).await?;
    }
    transaction.commit().await?;
    Ok(closed)
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
