//! `POST /admin/spot-check`: a sample of the rows compared with Square's copies.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use shared::error::SyncError;
use shared::run::request::{Kind, Request, SAMPLE_DEFAULT, SAMPLE_MAX};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object as Schema, ObjectBuilder, SchemaType, Type};

use super::starts::{self, StartResponses, Started};
use crate::app::App;
use crate::caller::Caller;
use crate::http::body;
use crate::http::error::ApiError;

/// How much is compared.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SpotCheck {
    #[schema(schema_with = sample)]
    sample: Option<f64>,
    #[schema(schema_with = starts::key)]
    idempotency_key: Option<String>,
}

fn sample() -> Schema {
    let text = "How many categories, items, variations, counts and orders are drawn, each; \
                locations are compared all.";
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .minimum(Some(1))
        .maximum(Some(SAMPLE_MAX))
        .default(Some(SAMPLE_DEFAULT.into()))
        .description(Some(text))
        .build()
}

/// Starts a spot check: ids drawn at random, Square asked for exactly those, and both
/// compared column by column. It writes no data and runs beside any other run.
#[utoipa::path(
    post,
    path = "/admin/spot-check",
    operation_id = "startSpotCheck",
    tag = "runs",
    request_body(content = SpotCheck, description = "May be empty, which means `{}`."),
    responses(StartResponses)
)]
pub(crate) async fn post(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), ApiError> {
    let asked: SpotCheck = body::read(&headers, body).await?;
    starts::accept(&app, &caller, &asked.into_request(&caller)?).await
}

/// A whole number, which JSON may write as 200 or as 200.0. What is none becomes one that
/// is refused as out of range, with the range.
fn whole(number: f64) -> u32 {
    number.to_string().parse().unwrap_or(0)
}

impl SpotCheck {
    pub(crate) fn into_request(self, caller: &Caller) -> Result<Request, SyncError> {
        let request = Request {
            sample: self.sample.map(whole),
            ..starts::request(Kind::SpotCheck, caller, self.idempotency_key)
        };
        request.checked()
    }
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
        let asked: SpotCheck = body::parse(&headers, body.as_bytes())?;
        Ok(asked.into_request(&Caller::ada())?)
    }

    #[test]
    fn a_spot_check_holds_no_lease() {
        let request = read("{}").unwrap();
        assert_eq!(request.kind, Kind::SpotCheck);
        assert!(request.leases().is_empty());
        assert_eq!(request.steps(), ["preflight", "spot_check", "finish"]);
        assert_eq!(request.sample_size(), 200);
        // What the execution gets, its first step reads as the same request.
        let input = serde_json::json!(request);
        assert_eq!(Request::parse(Kind::SpotCheck, input).unwrap(), request);
    }

    #[test]
    fn a_sample_is_a_whole_number_within_limits() {
        for (text, size) in [("1", 1), ("2000", 2_000), ("853.0", 853), ("null", 200)] {
            let request = read(&format!(r#"{{"sample": {text}}}"#)).unwrap();
            assert_eq!(request.sample_size(), size);
        }
        for wrong in ["0", "-1", "2001", "1.5", "\"many\"", "99999999999", "[1]"] {
            let error = read(&format!(r#"{{"sample": {wrong}}}"#)).unwrap_err();
            assert_eq!(error.name(), "InputInvalid", "{wrong}");
            assert_eq!(error.field(), Some("sample"), "{wrong}");
        }
        let error = read(r#"{"size": 3}"#).unwrap_err();
        assert_eq!(error.field(), Some("size"));
    }

    #[test]
    fn the_same_sample_said_or_not_is_the_same_request() {
        let (unsaid, said) = (read("{}").unwrap(), read(r#"{"sample": 200}"#).unwrap());
        assert!(unsaid.asks_the_same(&said));
        assert!(!unsaid.asks_the_same(&read(r#"{"sample": 201}"#).unwrap()));
    }
}
