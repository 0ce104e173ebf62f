//! `POST /admin/historical-orders-sync`: all orders of the past.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use shared::error::SyncError;
use shared::run::request::{Kind, Request};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::body;
use crate::error::ApiError;
use crate::starts::{self, StartResponses, Started};

/// More than any account has.
const LOCATIONS_MAX: usize = 1_000;

/// Which orders to import. Everything is optional: `{}` asks for all since 2018.
/// What an earlier import has read is not asked for again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HistoricalOrders {
    /// Orders created from this time on: RFC 3339, or a date, which begins at
    /// midnight UTC. Left out, since 2018.
    #[schema(example = "2024-01-01")]
    from: Option<String>,
    /// Orders created before this time. Left out, all there are.
    #[schema(example = "2025-01-01T00:00:00Z")]
    to: Option<String>,
    /// Orders of these locations; left out, of all.
    #[schema(min_items = 1, max_items = 1000)]
    location_ids: Option<Vec<String>>,
    /// A second request with the same key gets the first one's run.
    #[schema(min_length = 1, max_length = 200)]
    idempotency_key: Option<String>,
}

/// Starts an import of historical orders.
#[utoipa::path(
    post,
    path = "/admin/historical-orders-sync",
    operation_id = "startHistoricalOrdersSync",
    tag = "runs",
    request_body(content = HistoricalOrders, description = "May be empty, which means `{}`."),
    responses(StartResponses)
)]
pub(crate) async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let asked: HistoricalOrders = body::read(&headers, body).await?;
    starts::accept(&app, &caller, &asked.into_request(&caller.name)?).await
}

impl HistoricalOrders {
    fn into_request(self, requested_by: &str) -> Result<Request, SyncError> {
        if self
            .location_ids
            .as_ref()
            .is_some_and(|ids| ids.len() > LOCATIONS_MAX)
        {
            let problem = format!("wants at most {LOCATIONS_MAX} locations");
            return Err(SyncError::input("location_ids", problem));
        }
        let request = Request {
            from: time("from", self.from)?,
            to: time("to", self.to)?,
            location_ids: self.location_ids,
            ..starts::request(Kind::HistoricalOrders, requested_by, self.idempotency_key)?
        };
        request.checked()
    }
}

/// A moment, or the beginning of a day in UTC.
fn time(field: &str, text: Option<String>) -> Result<Option<Timestamp>, SyncError> {
    let Some(text) = text else {
        return Ok(None);
    };
    // A date and time without its zone would be taken for a date alone.
    let is_date = text.len() == "2024-01-01".len();
    let moment = if is_date {
        let day = text.parse::<Date>().ok();
        day.and_then(|day| day.to_zoned(TimeZone::UTC).ok())
            .map(|midnight| midnight.timestamp())
    } else {
        text.parse().ok()
    };
    let moment = moment.ok_or_else(|| {
        let problem = "wants a time such as 2024-01-01T00:00:00Z, or a date such as 2024-01-01";
        SyncError::input(field, problem)
    })?;
    Ok(Some(moment))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    fn read(body: &str) -> Result<Request, ApiError> {
        let headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )]);
        let asked: HistoricalOrders = body::parse(&headers, body.as_bytes())?;
        Ok(asked.into_request("ada")?)
    }

    #[test]
    fn nothing_asked_for_is_the_whole_history() {
        let request = read("{}").unwrap();
        assert_eq!(request.kind, Kind::HistoricalOrders);
        assert_eq!((request.from, request.to), (None, None));
        assert_eq!(request.steps(), ["preflight", "plan", "orders", "finish"]);
        assert_eq!(request.requester(), "ada");
    }

    #[test]
    fn days_begin_at_midnight_in_utc() {
        let request = read(
            r#"{"from": "2024-01-01", "to": "2024-06-01T12:00:00.5+02:00", "location_ids": ["A"]}"#,
        )
        .unwrap();
        let text = |time: Option<Timestamp>| time.unwrap().to_string();
        assert_eq!(text(request.from), "2024-01-01T00:00:00Z");
        assert_eq!(text(request.to), "2024-06-01T10:00:00.5Z");
        // What the execution gets, its first step reads as the same request.
        let input = serde_json::json!(request);
        assert_eq!(Request::parse(request.kind, input).unwrap(), request);
    }

    #[test]
    fn a_wrong_field_is_named() {
        let many = format!(r#"{{"location_ids": [{}"A"]}}"#, r#""A","#.repeat(1_000));
        for (body, field) in [
            (r#"{"from": "yesterday"}"#, "from"),
            (r#"{"from": "2024-13-01"}"#, "from"),
            (r#"{"to": "2024-01-01T00:00:00"}"#, "to"),
            (r#"{"to": 2024}"#, "to"),
            (r#"{"from": "2024-01-02", "to": "2024-01-01"}"#, "to"),
            (r#"{"location_ids": []}"#, "location_ids"),
            (r#"{"location_ids": "A"}"#, "location_ids"),
            (&many, "location_ids"),
            (r#"{"only": ["orders"]}"#, "only"),
            (r#"{"full_refresh": true}"#, "full_refresh"),
            (r#"{"idempotency_key": "a\u0000"}"#, "idempotency_key"),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!(error.name(), "InputInvalid", "{body}");
            assert_eq!(error.field(), Some(field), "{body}");
        }
    }
}
