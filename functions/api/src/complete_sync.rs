//! `POST /admin/complete-sync`: starts a run.
//!
//! The run is recorded and takes its lease before its execution starts, so two
//! requests at the same moment cannot both start one; a request repeated under
//! its `idempotency_key` finds the first run. What is not understood to the
//! letter starts nothing.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::error::SyncError;
use shared::postgres::schema;
use shared::run::request::{DataType, Request, Trigger};
use shared::run::start::{self, Queued};
use tokio_postgres::Client;
use utoipa::ToSchema;

use crate::app::{App, Env};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::executions::StepFunctionsError;
use crate::settle::settle;
use crate::store::{self, Audit};

/// Requests are a handful of fields.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// What to sync, and how. Everything is optional: `{}` asks for an incremental
/// sync of all data types.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CompleteSync {
    /// Replace the whole account in one go. Not in this release: only `false` is taken.
    full_refresh: bool,
    /// The data types to sync; left out, all of them.
    #[schema(min_items = 1)]
    only: Option<Vec<Choice>>,
    /// List everything that Square has, instead of what changed since the last run.
    reconcile: bool,
    /// Count without applying. Not in this release: only `false` is taken.
    dry_run: bool,
    /// Go on even where the deletion guard would stop the run.
    allow_mass_deletion: bool,
    /// A second request with the same key gets the first one's run.
    #[schema(min_length = 1, max_length = 200)]
    idempotency_key: Option<String>,
}

/// A data type. `orders` is not in this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DataType)]
#[serde(rename_all = "lowercase")]
enum Choice {
    Locations,
    Catalog,
    Inventory,
    Orders,
}

/// The run that was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Started {
    #[schema(example = "sync-20261122T180000Z-3fa2c1")]
    run_id: String,
    /// Its execution in Step Functions.
    execution_arn: String,
    /// Where to follow it, below the API's own address.
    #[schema(example = "/admin/runs/sync-20261122T180000Z-3fa2c1")]
    status_url: String,
}

/// Starts a complete sync.
#[utoipa::path(
    post,
    path = "/admin/complete-sync",
    operation_id = "startCompleteSync",
    tag = "runs",
    request_body(content = CompleteSync, description = "May be empty, which means `{}`."),
    responses(
        (status = 202, description = "The run is queued; with a known idempotency_key, the first run.", body = Started),
        (status = 400, description = "The body cannot be used; `field` names where.", body = ErrorBody),
        (status = 401, description = "No valid token.", body = ErrorBody),
        (status = 403, description = "Signed in, but no admin.", body = ErrorBody),
        (status = 409, description = "`RunInProgress`: `run_id` names the run.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 415, description = "The body is not JSON.", body = ErrorBody),
        (status = 500, description = "A fault of the service.", body = ErrorBody),
        (status = 502, description = "Step Functions refused.", body = ErrorBody),
        (status = 503, description = "The database or Step Functions is away, or the schema is at another version.", body = ErrorBody),
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| ApiError::too_large(BODY_BYTES_MAX))?;
    let request = parse(&headers, &body)?.into_request(&caller.name)?;
    let env = app.env().await?;
    let result = start(env, &caller, &request).await;
    if let Err(error) = &result {
        audit_refusal(env, &caller, &request, error).await;
    }
    let (run_id, execution_arn) = result?;
    let status_url = format!("/admin/runs/{run_id}");
    let started = Started {
        run_id,
        execution_arn,
        status_url,
    };
    Ok((StatusCode::ACCEPTED, Json(started)))
}

/// Reads the body by the letter.
fn parse(headers: &HeaderMap, body: &[u8]) -> Result<CompleteSync, ApiError> {
    match headers.get(header::CONTENT_TYPE) {
        Some(content_type) if !is_json(content_type.as_bytes()) => {
            return Err(ApiError::unsupported_media_type());
        }
        None if body.is_empty() => {
            let problem =
                "is empty; send a JSON object such as {}, with Content-Type: application/json";
            return Err(SyncError::input("body", problem).into());
        }
        None => return Err(ApiError::unsupported_media_type()),
        Some(_) => {}
    }
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(CompleteSync::default());
    }
    // Serde would take a list for a struct, field by field.
    if !body.starts_with(b"{") {
        return Err(SyncError::input("body", "wants a JSON object such as {}").into());
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| SyncError::input(&field_of(&error), problem_of(error.inner())))?;
    json.end()
        .map_err(|error| SyncError::input("body", problem_of(&error)))?;
    Ok(read)
}

/// `application/json`, with or without parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    })
}

/// The place that serde complains about; syntax errors have none.
fn field_of(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path().to_string();
    if path == "." || error.inner().is_syntax() || error.inner().is_eof() {
        "body".to_owned()
    } else {
        path
    }
}

/// Serde's words, so that they read on from the field's name.
fn problem_of(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "cannot be used",
        _ => "is no valid JSON",
    };
    format!("{kind} ({error})")
}

impl CompleteSync {
    fn into_request(self, requested_by: &str) -> Result<Request, SyncError> {
        let later = |field: &str, what: &str| {
            let problem = format!("{what} is not in this release; leave it out");
            Err(SyncError::input(field, problem))
        };
        if self.full_refresh {
            return later("full_refresh", "a full refresh");
        }
        if self.dry_run {
            return later("dry_run", "a preview");
        }
        let only = match self.only {
            Some(choices) if choices.contains(&Choice::Orders) => {
                return later("only", "the sync of orders");
            }
            Some(choices) => Some(choices.into_iter().filter_map(Choice::data_type).collect()),
            None => None,
        };
        if let Some(key) = &self.idempotency_key
            && key.chars().any(char::is_control)
        {
            let problem = "wants printable characters only";
            return Err(SyncError::input("idempotency_key", problem));
        }
        let request = Request {
            trigger: Trigger::Api,
            requested_by: Some(requested_by.to_owned()),
            only,
            reconcile: self.reconcile,
            allow_mass_deletion: self.allow_mass_deletion,
            idempotency_key: self.idempotency_key,
            ..Request::default()
        };
        request.checked()
    }
}

impl Choice {
    fn data_type(self) -> Option<DataType> {
        match self {
            Self::Locations => Some(DataType::Locations),
            Self::Catalog => Some(DataType::Catalog),
            Self::Inventory => Some(DataType::Inventory),
            Self::Orders => None,
        }
    }
}

/// Queues the run and starts its execution; answers both names.
async fn start(
    env: &Env,
    caller: &Caller,
    request: &Request,
) -> Result<(String, String), ApiError> {
    let mut client = env.database.client().await?;
    schema::ensure(&mut client).await?;
    let queued = match start::queue(&mut client, request).await {
        Err(SyncError::RunInProgress { run_id }) => {
            let holder = store::run(&client, &run_id).await?;
            let over = match holder {
                Some(holder) => settle(env, caller, &mut client, &holder).await?,
                None => false,
            };
            if !over {
                return Err(SyncError::RunInProgress { run_id }.into());
            }
            start::queue(&mut client, request).await?
        }
        queued => queued?,
    };
    match queued {
        Queued::New { run_id } => {
            let input = json!(request);
            store::audit(&**client, &entry(caller, &run_id, "accepted", &input)).await?;
            match execute(env, &client, &run_id, &input).await {
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
            let entry = entry(caller, &run_id, "repeated", &json!(request));
            store::audit(&**client, &entry).await?;
            Ok((run_id, execution_arn))
        }
    }
}

/// The execution of a run that was asked for before. If the first request ended
/// between queueing and starting it, this one starts it.
async fn repeat(env: &Env, client: &Client, run_id: &str) -> Result<String, ApiError> {
    let run = store::run(client, run_id)
        .await?
        .ok_or_else(ApiError::no_such_run)?;
    match run.execution_arn {
        Some(execution_arn) => Ok(execution_arn),
        None if run.status == "queued" => Ok(execute(env, client, run_id, &run.request).await?),
        None => Ok(env.executions.arn_of(run_id)),
    }
}

/// Starts the execution and keeps its address.
async fn execute(
    env: &Env,
    client: &Client,
    run_id: &str,
    input: &Value,
) -> Result<String, StepFunctionsError> {
    let execution_arn = env.executions.start(run_id, &input.to_string()).await?;
    // The run is under way, and its first step notes the address as well.
    if let Err(error) = store::set_execution_arn(client, run_id, &execution_arn).await {
        tracing::warn!(run_id, %error, "execution's address not kept");
    }
    Ok(execution_arn)
}

fn entry<'a>(caller: &'a Caller, run_id: &'a str, outcome: &'a str, request: &Value) -> Audit<'a> {
    Audit {
        actor: &caller.name,
        action: "complete_sync",
        source_ip: caller.source_ip.as_deref(),
        run_id: Some(run_id),
        outcome,
        detail: json!({"request": request}),
    }
}

/// A refused request changed nothing, so a failure to log it is no reason to
/// answer something else.
async fn audit_refusal(env: &Env, caller: &Caller, request: &Request, error: &ApiError) {
    let entry = Audit {
        run_id: error.run_id(),
        ..entry(caller, "", error.name(), &json!(request))
    };
    let logged = async { store::audit(&**env.database.client().await?, &entry).await };
    if let Err(problem) = logged.await {
        tracing::warn!(%problem, actor = caller.name, outcome = error.name(), "refusal not in the audit log");
    }
}

#[cfg(test)]
mod tests;
