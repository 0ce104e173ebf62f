//! `POST /admin/historical-orders-sync`: all orders of the past.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use shared::error::SyncError;
use shared::run::request::{Kind, Request};
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, SchemaType, Type,
};

use super::starts::{self, StartResponses, Started};
use crate::app::App;
use crate::caller::Caller;
use crate::http::body;
use crate::http::error::ApiError;

/// More than any account has.
const LOCATIONS_MAX: usize = 1_000;
/// The ends of the seconds, and of nanoseconds after them, in RFC 3339.
const SECONDS_END: usize = "0000-00-00T00:00:00".len();
const FRACTION_END: usize = ".000000000".len();
/// Square's own are shorter.
const LOCATION_ID_CHARS_MAX: usize = 50;

/// The orders to import. Everything is optional: `{}` asks for all since 2018. Times
/// that an earlier import has read are not asked for again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HistoricalOrders {
    #[schema(schema_with = from)]
    from: Option<String>,
    #[schema(schema_with = to)]
    to: Option<String>,
    #[schema(schema_with = location_ids)]
    location_ids: Option<Vec<String>>,
    #[schema(schema_with = starts::key)]
    idempotency_key: Option<String>,
}

fn from() -> OneOfBuilder {
    moment(
        "Orders created from this time on: RFC 3339, or a date, which begins at midnight UTC. \
         Left out, since 2018. No later than a day from now.",
        "2024-01-01",
    )
}

fn to() -> OneOfBuilder {
    moment(
        "Orders created before this time, which is after `from`. Left out, all there are. What \
         is ordered after the import has begun is left to later ones.",
        "2025-01-01T00:00:00Z",
    )
}

/// The description of a moment that may be left out.
fn moment(text: &str, example: &str) -> OneOfBuilder {
    let of = |format| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(format)))
    };
    OneOfBuilder::new()
        .item(of(KnownFormat::Date))
        .item(of(KnownFormat::DateTime))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .description(Some(text))
        .examples([example])
}

fn location_ids() -> ArrayBuilder {
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(starts::printable(LOCATION_ID_CHARS_MAX))
        .min_items(Some(1))
        .max_items(Some(LOCATIONS_MAX))
        .description(Some("Orders of these locations; left out, of all."))
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
    starts::accept(&app, &caller, &asked.into_request(&caller)?).await
}

impl HistoricalOrders {
    pub(crate) fn into_request(self, caller: &Caller) -> Result<Request, SyncError> {
        check_ids(self.location_ids.as_deref().unwrap_or_default())?;
        let request = Request {
            from: begun(time("from", self.from)?, Timestamp::now())?,
            to: time("to", self.to)?,
            location_ids: self.location_ids,
            ..starts::request(Kind::HistoricalOrders, caller, self.idempotency_key)
        };
        request.checked()
    }
}

/// Whether Square lists them is for the run to find out; here only what no
/// location's id can be is refused, and what no record of the run could hold.
fn check_ids(ids: &[String]) -> Result<(), SyncError> {
    if ids.len() > LOCATIONS_MAX {
        let problem = format!("wants at most {LOCATIONS_MAX} locations");
        return Err(SyncError::input("location_ids", problem));
    }
    let is_id = |id: &String| {
        (1..=LOCATION_ID_CHARS_MAX).contains(&id.chars().count())
            && !id.chars().any(char::is_control)
    };
    if let Some(place) = ids.iter().position(|id| !is_id(id)) {
        let problem = format!("wants 1 to {LOCATION_ID_CHARS_MAX} printable characters");
        return Err(SyncError::input(&format!("location_ids[{place}]"), problem));
    }
    Ok(())
}

/// A time that no order can have been made at is more likely a slip. It may be today
/// already where the caller is.
fn begun(from: Option<Timestamp>, now: Timestamp) -> Result<Option<Timestamp>, SyncError> {
    if from.is_some_and(|from| from.duration_since(now) > SignedDuration::from_hours(24)) {
        let problem = "is still to come, so there is no order to import";
        return Err(SyncError::input("from", problem));
    }
    Ok(from)
}

/// A moment, or the beginning of a day in UTC.
fn time(field: &str, text: Option<String>) -> Result<Option<Timestamp>, SyncError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let moment = match shape_of(&text).as_str() {
        "0000-00-00" => {
            let day = text.parse::<Date>().ok();
            day.map(|day| day.to_zoned(TimeZone::UTC))
                .map(|midnight| midnight.map_or(Timestamp::MAX, |it| it.timestamp()))
        }
        shape if is_rfc_3339(shape) => moment_of(&text),
        _ => None,
    };
    let moment = moment.ok_or_else(|| {
        let problem = "wants a time such as 2024-01-01T00:00:00Z, or a date such as 2024-01-01";
        SyncError::input(field, problem)
    })?;
    Ok(Some(moment))
}

/// The moment that a text of RFC 3339's shape names. The last hours of the year 9999
/// are beyond what can be stored, and as good as the last moment that can.
fn moment_of(text: &str) -> Option<Timestamp> {
    let zone_begins = text.len() - if text.ends_with(['Z', 'z']) { 1 } else { 6 };
    let (time, zone) = text.split_at_checked(zone_begins)?;
    let (seconds, fraction) = time.split_at_checked(SECONDS_END)?;
    seconds.parse::<DateTime>().ok()?;
    if let Some(offset) = zone.strip_prefix(['+', '-']) {
        offset.parse::<Time>().ok()?;
    }
    // Digits beyond nanoseconds say nothing to us.
    let fraction = fraction.get(..FRACTION_END).unwrap_or(fraction);
    let moment = format!("{seconds}{fraction}{zone}").parse();
    Some(moment.unwrap_or(Timestamp::MAX))
}

/// The text with each digit as a 0: all dates, and all times, have one shape.
fn shape_of(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_ascii_digit() {
                '0'
            } else {
                letter.to_ascii_uppercase()
            }
        })
        .collect()
}

/// The parser also takes times of other shapes, such as without seconds, or with a
/// zone's name that may contradict the offset.
fn is_rfc_3339(shape: &str) -> bool {
    let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else {
        return false;
    };
    let zone = rest
        .strip_prefix(".0")
        .map_or(rest, |fraction| fraction.trim_start_matches('0'));
    matches!(zone, "Z" | "+00:00" | "-00:00")
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
        Ok(asked.into_request(&Caller::ada())?)
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
            r#"{"from": "2024-01-01", "to": "2024-06-01T12:00:00.5+02:00",
                "location_ids": ["A"], "idempotency_key": "k-1"}"#,
        )
        .unwrap();
        assert_eq!(request.repeat_key().as_deref(), Some("k-1"));
        let text = |time: Option<Timestamp>| time.unwrap().to_string();
        assert_eq!(text(request.from), "2024-01-01T00:00:00Z");
        assert_eq!(text(request.to), "2024-06-01T10:00:00.5Z");
        // What the execution gets, its first step reads as the same request.
        let input = serde_json::json!(request);
        assert_eq!(Request::parse(request.kind, input).unwrap(), request);
    }

    #[test]
    fn times_are_read_by_the_letter() {
        let read = |text: &str| time("from", Some(text.to_owned()));
        for (text, moment) in [
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
            ("2024-01-01t00:00:00.25z", "2024-01-01T00:00:00.25Z"),
            ("2024-01-01T00:00:00-08:00", "2024-01-01T08:00:00Z"),
            (
                "2024-01-01T00:00:00.0000000019Z",
                "2024-01-01T00:00:00.000000001Z",
            ),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("0001-01-01T00:00:00+23:59", "0000-12-31T00:01:00Z"),
            ("9999-12-31", "9999-12-30T22:00:00.999999999Z"),
            (
                "9999-12-31T23:59:59-23:59",
                "9999-12-30T22:00:00.999999999Z",
            ),
        ] {
            assert_eq!(read(text).unwrap().unwrap().to_string(), moment, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2024",
            "2024-1-001",
            "2023-02-29",
            "20240101",
            "2024-01-01T00:00:00",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00,5Z",
            "2024-01-01T25:00:00Z",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+00:60",
            "9999-12-32",
            "9999-13-01T00:00:00Z",
            "2024-01-01T00:00:00+02",
            "2024-01-01T00:00:00+02:00[America/New_York]",
            "20240101T000000Z",
            "+002024-01-01T00:00:00Z",
            " 2024-01-01",
            "٢٠٢٤-٠١-٠١",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().starts_with("from: "), "{text}: {error}");
        }
    }

    #[test]
    fn a_span_may_end_in_the_future_but_not_begin_there() {
        let now = "2026-11-28T12:00:00Z".parse().unwrap();
        for (from, is_taken) in [
            ("2018-01-01T00:00:00Z", true),
            ("2026-11-29T00:00:00Z", true),
            ("2026-11-29T12:00:01Z", false),
            ("2027-01-01T00:00:00Z", false),
        ] {
            let begun = begun(from.parse().ok(), now);
            assert_eq!(begun.is_ok(), is_taken, "{from}");
        }
        assert!(read(r#"{"to": "9999-12-30"}"#).is_ok());
        let error = read(r#"{"from": "9999-12-30"}"#).unwrap_err();
        assert_eq!(error.field(), Some("from"));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let many = format!(r#"{{"location_ids": [{}"A"]}}"#, r#""A","#.repeat(1_000));
        let long = format!(r#"{{"location_ids": ["A", "{}"]}}"#, "A".repeat(51));
        for (body, field) in [
            (r#"{"from": "yesterday"}"#, "from"),
            (r#"{"from": "2024-13-01"}"#, "from"),
            (r#"{"to": "2024-01-01T00:00:00"}"#, "to"),
            (r#"{"to": 2024}"#, "to"),
            (r#"{"from": "2024-01-02", "to": "2024-01-01"}"#, "to"),
            (
                r#"{"from": "2024-01-01", "to": "2024-01-01T00:00:00Z"}"#,
                "to",
            ),
            (r#"{"form": "2024-01-01"}"#, "form"),
            (r#"{"location_ids": []}"#, "location_ids"),
            (r#"{"location_ids": "A"}"#, "location_ids"),
            (r#"{"location_ids": [""]}"#, "location_ids[0]"),
            (r#"{"location_ids": [1]}"#, "location_ids[0]"),
            (r#"{"location_ids": ["A", "a\u0000"]}"#, "location_ids[1]"),
            (&long, "location_ids[1]"),
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
