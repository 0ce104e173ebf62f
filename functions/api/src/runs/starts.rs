//! Starting a run, of whatever kind.
//!
//! The run is recorded and takes its leases before its execution starts, so two
//! requests at the same moment cannot both start one; a request repeated under
//! its `idempotency_key` finds the first run.

use axum::Json;
use axum::http::StatusCode;
use deadpool_postgres::Object;
use serde::Serialize;
use serde_json::{Value, json};
use shared::error::SyncError;
use shared::postgres::schema;
use shared::publish::backups;
use shared::run::request::{KEY_CHARS_MAX, Kind, Request};
use shared::run::start::{self, Queued};
use tokio_postgres::Client;
use utoipa::openapi::schema::{Object as Schema, ObjectBuilder, SchemaType, Type};
use utoipa::{IntoResponses, ToSchema};

use super::settle::settle;
use super::store;
use crate::app::{App, Env};
use crate::audit::{self, Audit};
use crate::caller::Caller;
use crate::executions::StepFunctionsError;
use crate::http::error::{ApiError, ErrorBody, Missing};

/// The run that was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Started {
    #[schema(example = "sync-20261122T180000Z-3fa2c1")]
    run_id: String,
    /// Its execution in Step Functions.
    execution_arn: String,
    /// The path at which to follow it, below the API's own address.
    #[schema(example = "/admin/runs/sync-20261122T180000Z-3fa2c1")]
    status_url: String,
}

/// The answers that a request for a run may get.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(crate) enum StartResponses {
    /// The run is queued; with a known idempotency_key, the first run.
    #[response(status = 202)]
    Accepted(Started),
    /// The body cannot be used; `field` names where.
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// No valid token.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// Signed in, but no admin.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// `RunInProgress`, or `IdempotencyConflict` if the key is that of another request:
    /// `run_id` names the run. `DatabaseSchemaOutdated` if a backup is of another
    /// schema version.
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The body is too large.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not JSON.
    #[response(status = 415)]
    UnsupportedMediaType(ErrorBody),
    /// A fault of the service.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// Step Functions refused.
    #[response(status = 502)]
    BadGateway(ErrorBody),
    /// The database or Step Functions is away, or the schema is at another version.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// The description of an `idempotency_key`.
pub(crate) fn key() -> Schema {
    let text = "A second request with the same key gets the first one's run, if it asks for the \
                same; another one is refused.";
    printable(KEY_CHARS_MAX)
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(text))
        .build()
}

/// The description of a text of that many characters, none of which is a control
/// character.
pub(crate) fn printable(chars_max: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(chars_max))
        .pattern(Some(r"^[^\u0000-\u001F\u007F-\u009F]+$"))
}

/// The fields that every request for a run has; the rest is its kind's.
pub(crate) fn request(kind: Kind, caller: &Caller, idempotency_key: Option<String>) -> Request {
    Request {
        kind,
        trigger: caller.trigger,
        requested_by: Some(caller.name.clone()),
        idempotency_key,
        ..Request::default()
    }
}

/// Starts a run, and returns where to follow it.
pub(crate) async fn accept(
    app: &App,
    caller: &Caller,
    request: &Request,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let (run_id, execution_arn) = begin(app.env().await?, caller, request).await?;
    let status_url = format!("/admin/runs/{run_id}");
    let started = Started {
        run_id,
        execution_arn,
        status_url,
    };
    Ok((StatusCode::ACCEPTED, Json(started)))
}

/// Starts a run; returns its id and its execution's address. A refusal is in the
/// audit log too.
pub(crate) async fn begin(
    env: &Env,
    caller: &Caller,
    request: &Request,
) -> Result<(String, String), ApiError> {
    let result = start(env, caller, request).await;
    if let Err(error) = &result {
        audit_refusal(env, caller, request, error).await;
    }
    result
}

/// Queues the run and starts its execution; returns both names.
async fn start(
    env: &Env,
    caller: &Caller,
    request: &Request,
) -> Result<(String, String), ApiError> {
    if request.kind == Kind::Migration {
        schema::ensure_not_newer(&env.database).await?;
    } else {
        schema::ensure(&env.database).await?;
    }
    let mut client = env.database.client().await?;
    // What was asked for before has its run, whatever could be said against it by now.
    let queued = match start::repeated(&client, request).await? {
        Some(first) => first,
        None => {
            refuse_impossible(&client, request).await?;
            queue(env, caller, &mut client, request).await?
        }
    };
    match queued {
        Queued::New { run_id } => {
            let input = json!(request);
            let accepted = entry(caller, request, &run_id, "accepted");
            audit::add(&client, &accepted).await?;
            match execute(env, &client, request.kind, &run_id, &input).await {
                Ok(execution_arn) => Ok((run_id, execution_arn)),
                Err(problem) => {
                    store::forget_key(&client, &run_id).await?;
                    start::abandon(&mut client, &run_id, &problem.as_sync_error()).await?;
                    Err(ApiError::from(problem).about(run_id))
                }
            }
        }
        Queued::Repeated { run_id } => {
            let execution_arn = repeat(env, &client, &run_id).await?;
            let entry = entry(caller, request, &run_id, "repeated");
            audit::add(&client, &entry).await?;
            Ok((run_id, execution_arn))
        }
        Queued::Conflict { run_id } => Err(ApiError::known_key(run_id)),
    }
}

/// Refuses what is known to be impossible before it is a run: that would take leases,
/// fail, and send a mail.
async fn refuse_impossible(client: &Object, request: &Request) -> Result<(), ApiError> {
    let Some(backup_id) = &request.backup_id else {
        return Ok(());
    };
    match backups::can_be_restored(client, backup_id).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(ApiError::none_of(Missing::Backup)),
        Err(error @ SyncError::DatabaseSchemaOutdated { .. }) => {
            Err(ApiError::from(error).conflicting())
        }
        Err(error) => Err(error.into()),
    }
}

/// Queues the run. Each of its leases may still be held by another run whose
/// execution is over: that one is closed first.
async fn queue(
    env: &Env,
    caller: &Caller,
    client: &mut Object,
    request: &Request,
) -> Result<Queued, ApiError> {
    for _lease in request.leases() {
        let run_id = match start::queue(client, request).await {
            Err(SyncError::RunInProgress { run_id }) => run_id,
            queued => return Ok(queued?),
        };
        let over = match store::run(client, &run_id).await? {
            Some(holder) => settle(env, caller, client, &holder).await?,
            None => false,
        };
        if !over {
            return Err(SyncError::RunInProgress { run_id }.into());
        }
    }
    Ok(start::queue(client, request).await?)
}

/// The execution of a run that was asked for before. If the first request ended
/// between queueing and starting it, this one starts it.
async fn repeat(env: &Env, client: &Client, run_id: &str) -> Result<String, ApiError> {
    let run = store::run(client, run_id)
        .await?
        .ok_or_else(ApiError::no_such_run)?;
    if let Some(execution_arn) = run.execution_arn {
        return Ok(execution_arn);
    }
    // A key is one key, whatever kind of run it started.
    let kind = Kind::of(&run.kind)?;
    if run.status == "queued" {
        return Ok(execute(env, client, kind, run_id, &run.request).await?);
    }
    Ok(env.executions.arn_of(kind, run_id))
}

/// Starts the execution and keeps its address.
async fn execute(
    env: &Env,
    client: &Client,
    kind: Kind,
    run_id: &str,
    input: &Value,
) -> Result<String, StepFunctionsError> {
    let input = input.to_string();
    let execution_arn = env.executions.start(kind, run_id, &input).await?;
    // The run is under way, and its first step notes the address as well.
    if let Err(error) = store::set_execution_arn(client, run_id, &execution_arn).await {
        tracing::warn!(run_id, %error, "execution's address not kept");
    }
    Ok(execution_arn)
}

fn entry<'a>(
    caller: &'a Caller,
    request: &Request,
    run_id: &'a str,
    outcome: &'a str,
) -> Audit<'a> {
    Audit {
        run_id: Some(run_id),
        detail: json!({"request": request}),
        ..caller.entry(request.kind.name(), outcome)
    }
}

/// A refused request changed nothing, so a failure to log it is no reason to
/// answer something else.
async fn audit_refusal(env: &Env, caller: &Caller, request: &Request, error: &ApiError) {
    let entry = Audit {
        run_id: error.run_id(),
        ..entry(caller, request, "", error.name())
    };
    env.audit.try_to_add(&entry).await;
}
