//! Runs whose execution ended without saying so.
//!
//! A run closes itself, unless its execution is aborted in the console or times
//! out as a whole. Its record would then stay open and its lease held for up to
//! five minutes. Whoever meets such a run here asks Step Functions and closes it.

use deadpool_postgres::Object;
use serde_json::json;
use shared::error::SyncError;
use shared::run::request::Kind;
use shared::run::start;

use super::store::RunRow;
use crate::app::Env;
use crate::audit::{self, Audit};
use crate::caller::Caller;
use crate::executions::Standing;
use crate::http::error::ApiError;

/// Closes an open run if its execution is over. Returns whether it did, or
/// somebody else just had.
///
/// # Errors
/// The database's. Step Functions being away is none: the run then stays open.
pub(crate) async fn settle(
    env: &Env,
    caller: &Caller,
    client: &mut Object,
    run: &RunRow,
) -> Result<bool, ApiError> {
    if !run.is_open() {
        return Ok(true);
    }
    let arn = match (&run.execution_arn, Kind::of(&run.kind)) {
        (Some(arn), _) => arn.clone(),
        (None, Ok(kind)) => env.executions.arn_of(kind, &run.run_id),
        // A newer release started it; that one closes it too.
        (None, Err(_)) => return Ok(false),
    };
    let standing = match env.executions.standing(&arn).await {
        Ok(standing) => standing,
        Err(problem) => {
            tracing::warn!(run_id = run.run_id, ?problem, "execution not described");
            return Ok(false);
        }
    };
    let status = match standing {
        Standing::UnderWay => return Ok(false),
        // It may be starting at this moment; its lease tells when that is ruled out.
        Standing::Unknown if !run.silent => return Ok(false),
        Standing::Aborted => {
            start::stop(client, &run.run_id).await?;
            "stopped"
        }
        Standing::Ended { name, message } => {
            start::close_failed(client, &run.run_id, &name, &message).await?;
            "failed"
        }
        Standing::Unknown => {
            let error = never_started(run);
            let (name, message) = (error.name(), error.to_string());
            start::close_failed(client, &run.run_id, name, &message).await?;
            "failed"
        }
    };
    let entry = Audit {
        run_id: Some(&run.run_id),
        detail: json!({"execution_arn": arn}),
        ..caller.entry("close_ended_run", status)
    };
    audit::add(client, &entry).await?;
    Ok(true)
}

fn never_started(run: &RunRow) -> SyncError {
    SyncError::LeaseLost {
        run_id: run.run_id.clone(),
        lease: "its data".to_owned(),
        detail: "its execution was never started, or Step Functions has forgotten it".to_owned(),
    }
}
