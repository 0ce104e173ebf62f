//! Square's endpoints. A request is first counted and may meet a change or a
//! fault that waits for it (see [`crate::control`]); then the token and its
//! scope are checked; then the endpoint answers from the account.

pub(crate) mod body;
mod catalog;
mod cursor;
mod inventory;
mod merchant;
mod objects;
mod orders;
mod page;
pub(crate) mod refusal;
mod reply;
mod retrieved_orders;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use crate::control::faults::{self, Fault};
use crate::sim::Sim;
use cursor::Request;
pub(crate) use page::{Bend, Skip, Twist};
use refusal::Refusal;
pub(crate) use reply::Dropped;
use reply::Reply;

/// The API version that answers are shaped for.
pub(crate) const VERSION: &str = "2026-07-15";

/// The largest request body that is read.
const BODY_LIMIT: usize = 4 << 20;

/// One Square request, read in full.
struct Call {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    /// `None` if it is too large.
    body: Option<Bytes>,
}

/// Answers any request outside of the control interface.
pub(crate) async fn serve(State(sim): State<Arc<Sim>>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_LIMIT).await.ok();
    let call = Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
    };
    let (_in_flight, faults) = sim.arrival(&call.path, call.body.as_deref().unwrap_or_default());
    for fault in &faults {
        if let Some(delay) = fault.delay() {
            tokio::time::sleep(delay).await;
        }
    }
    let mut reply = answer(&sim, &call, &faults);
    reply.rewrite(&sim.control().rewrites.of(&call.path));
    let response = reply.into_response(&call.headers, sim.account().config.gzip);
    sim.departure(
        &call.path,
        response.status().as_u16(),
        reply::length(&response),
    );
    response
}

/// The answer as a fault, or else the endpoint, has it.
fn answer(sim: &Sim, call: &Call, faults: &[Fault]) -> Reply {
    let fault = faults.iter().find(|fault| !fault.adds_up());
    if let Some(reply) = fault.and_then(Reply::instead) {
        return reply;
    }
    let bend = faults::bend(faults);
    let mut reply = match accepted(sim, call).and_then(|()| dispatch(sim, call, &bend)) {
        Ok(body) => Reply::json(200, body),
        Err(refusal) => Reply::refusal(&refusal),
    };
    reply.version = call.headers.get("square-version").cloned();
    if let Some(fault) = fault {
        reply.spoil(fault);
    }
    reply
}

/// Checks what comes before the endpoint: version, token, scope.
fn accepted(sim: &Sim, call: &Call) -> Result<(), Refusal> {
    let scope = match call.path.as_str() {
        "/v2/locations" | "/v2/merchants/me" => Some("MERCHANT_PROFILE_READ"),
        "/v2/catalog/search" | "/v2/catalog/batch-retrieve" => Some("ITEMS_READ"),
        "/v2/inventory/counts/batch-retrieve" => Some("INVENTORY_READ"),
        "/v2/orders/search" | "/v2/orders/batch-retrieve" => Some("ORDERS_READ"),
        "/oauth2/token/status" => None,
        path if path.strip_prefix("/v2/merchants/").is_some() => Some("MERCHANT_PROFILE_READ"),
        _ => {
            return Err(Refusal {
                detail: "Resource not found.".to_owned(),
                ..Refusal::of_status(404)
            });
        }
    };
    let version = call
        .headers
        .get("square-version")
        .map(|version| version.to_str().unwrap_or_default());
    if version.is_some_and(|version| version.parse::<jiff::civil::Date>().is_err()) {
        let detail = "The Square-Version header must be a date such as 2026-07-15.";
        return Err(Refusal::invalid(
            "INVALID_SQUARE_VERSION_FORMAT",
            "",
            detail,
        ));
    }
    let bearer = call
        .headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    sim.control().token.accept(bearer, scope)
}

fn dispatch(sim: &Sim, call: &Call, bend: &Bend) -> Result<Vec<u8>, Refusal> {
    let get = call.path == "/v2/locations" || call.path.starts_with("/v2/merchants/");
    if call.method != if get { Method::GET } else { Method::POST } {
        return Err(Refusal::of_status(405));
    }
    if let Some(name) = call
        .query
        .as_deref()
        .and_then(|query| query.split(['=', '&']).next())
    {
        let detail = format!("The query parameter '{name}' is unrecognized");
        return Err(Refusal::invalid("UNKNOWN_QUERY_PARAMETER", name, detail));
    }
    let account = sim.account();
    if call.path == "/v2/locations" {
        return Ok(merchant::locations(&account, bend));
    }
    if let Some(id) = call.path.strip_prefix("/v2/merchants/") {
        return merchant::merchant(&account, id);
    }
    if call.path == "/oauth2/token/status" {
        return Ok(merchant::token_status(&account, &sim.control().token));
    }
    let fields = body::read(json_body(call)?)?;
    let request = Request {
        endpoint: &call.path,
        body: &fields,
        account: sim.generation(),
        ttl_seconds: account.config.cursor_ttl_seconds,
    };
    match call.path.as_str() {
        "/v2/catalog/search" => catalog::search(&account, &request, bend),
        "/v2/catalog/batch-retrieve" => objects::retrieve(&account, &fields, bend),
        "/v2/inventory/counts/batch-retrieve" => inventory::counts(&account, &request, bend),
        "/v2/orders/batch-retrieve" => retrieved_orders::retrieve(&account, &fields, bend),
        _ => orders::search(&account, &request, bend),
    }
}

/// The body, if it is of a size and type that Square reads.
fn json_body(call: &Call) -> Result<&[u8], Refusal> {
    let refuse = |status, code, detail: &str| {
        Err(Refusal::new(status, "INVALID_REQUEST_ERROR", code, detail))
    };
    let Some(body) = &call.body else {
        return refuse(413, "REQUEST_ENTITY_TOO_LARGE", "The body is too large.");
    };
    let content_type = call
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    if !body.is_empty() && !content_type.starts_with("application/json") {
        let detail = "The content type of the body must be application/json.";
        return refuse(415, "UNSUPPORTED_MEDIA_TYPE", detail);
    }
    Ok(body)
}
