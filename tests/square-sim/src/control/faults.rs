//! Faults: what goes wrong with which request. Each fault counts the requests
//! that match its endpoint from the moment it is set, so a test can say "the
//! third page fails twice" without knowing how many requests came before.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::square::refusal::Refusal;
use crate::square::{Bend, Skip, Twist};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Square's error envelope with `status` (500), and `code`, `category`,
    /// `detail` and `retry_after` if given.
    Status,
    /// Nothing but `delay_ms`, which any fault may have.
    Delay,
    /// The announced length, half the body, then the connection breaks.
    CutBody,
    /// An HTML page with `status` (502).
    Html,
    /// A gateway's plain text with `status` (503).
    Text,
    /// Status 200 and JSON that ends in the middle.
    MalformedJson,
    /// The connection closes without an answer.
    Drop,
    /// A cursor is refused as too old; waits for a request that has one.
    CursorExpired,
    /// The answer repeats the request's cursor; waits for a request that has one.
    CursorRepeats,
    /// Status 200 with an `errors` array, as of `status` (500) or `code`.
    #[serde(rename = "errors_in_200")]
    ErrorsIn200,
    /// Nothing on the page, but a cursor that leads on.
    EmptyPage,
    /// Status 200 and `{}`: nothing at all, and nothing that follows.
    Nothing,
    /// The object `id` is left off the page, as if it had slipped between two.
    Skip,
}

/// A fault as it is set through the control interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// A path such as `/v2/catalog/search`, or `*` for all.
    pub(crate) endpoint: String,
    /// The first request to hit, counted from 1 when the fault is set; every
    /// one if absent.
    pub(crate) request: Option<u64>,
    /// How many requests to hit: 1 if `request` is given, else without end.
    pub(crate) times: Option<u64>,
    pub(crate) kind: Kind,
    pub(crate) status: Option<u16>,
    /// The `Retry-After` header, a text or a number of seconds.
    #[serde(default, deserialize_with = "text_or_number")]
    pub(crate) retry_after: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) delay_ms: Option<u64>,
    /// What to skip; of a count its variation, at `location_id` or everywhere.
    #[serde(alias = "catalog_object_id")]
    pub(crate) id: Option<String>,
    pub(crate) location_id: Option<String>,
    /// Only requests whose body has this text in it.
    pub(crate) body: Option<String>,
}

/// Square's endpoints, as faults and waiting changes may name them.
const ENDPOINTS: [&str; 9] = [
    "*",
    "/v2/locations",
    "/v2/merchants/me",
    "/v2/catalog/search",
    "/v2/catalog/batch-retrieve",
    "/v2/inventory/counts/batch-retrieve",
    "/v2/orders/search",
    "/v2/orders/batch-retrieve",
    "/oauth2/token/status",
];

/// Refuses an endpoint that no request will ever match.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<(), String> {
    if ENDPOINTS.contains(&endpoint) {
        return Ok(());
    }
    Err(format!(
        "there is no endpoint {endpoint}; choose from {}",
        ENDPOINTS.join(", ")
    ))
}

fn text_or_number<'de, D: Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(field)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(Error::custom("retry_after is a text or a number")),
    }
}

impl Fault {
    /// Refuses a fault that would do nothing.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.kind == Kind::Delay && self.delay_ms.is_none() {
            return Err("a delay needs delay_ms".to_owned());
        }
        if (self.kind == Kind::Skip) != self.id.is_some() {
            return Err("a skip needs an id, and nothing else has one".to_owned());
        }
        if self.location_id.is_some()
            && (self.id.is_none() || self.endpoint != "/v2/inventory/counts/batch-retrieve")
        {
            return Err("a location_id is for skipped counts only".to_owned());
        }
        if self.request == Some(0) {
            return Err("requests are counted from 1".to_owned());
        }
        check_endpoint(&self.endpoint)
    }

    /// How long to wait first, if at all.
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.delay_ms.map(Duration::from_millis)
    }

    /// The refusal with the fault's own words where it has some.
    pub(crate) fn refusal(&self, status: u16) -> Refusal {
        let usual = Refusal::of_status(status);
        Refusal {
            code: self.code.clone().map_or(usual.code, Cow::Owned),
            category: self.category.clone().map_or(usual.category, Cow::Owned),
            detail: self.detail.clone().unwrap_or(usual.detail),
            ..usual
        }
    }

    /// Whether it leaves room for other faults at the same request.
    pub(crate) fn adds_up(&self) -> bool {
        matches!(self.kind, Kind::Delay | Kind::Skip)
    }

    /// How it bends a page, if it does.
    fn twist(&self) -> Twist {
        match self.kind {
            Kind::CursorRepeats => Twist::RepeatCursor,
            Kind::EmptyPage => Twist::Empty,
            _ => Twist::None,
        }
    }

    /// What it leaves off a page, if anything.
    fn skip(&self) -> Option<Skip> {
        Some(Skip {
            id: self.id.clone()?,
            location_id: self.location_id.clone(),
        })
    }

    fn is_for(&self, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        let wanted = self.body.as_deref();
        wanted.is_none_or(|wanted| text.contains(wanted))
    }

    fn needs_cursor(&self) -> bool {
        matches!(self.kind, Kind::CursorExpired | Kind::CursorRepeats)
    }
}

/// How the faults of one request bend its page.
pub(crate) fn bend(faults: &[Fault]) -> Bend {
    let first = faults.iter().find(|fault| !fault.adds_up());
    Bend {
        twist: first.map(Fault::twist).unwrap_or_default(),
        skips: faults.iter().filter_map(Fault::skip).collect(),
    }
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u64,
    hit: u64,
}

/// The faults that are set.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
}

impl Faults {
    pub(crate) fn set(&mut self, faults: Vec<Fault>) {
        self.armed.extend(faults.into_iter().map(|fault| Armed {
            fault,
            seen: 0,
            hit: 0,
        }));
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    /// The faults that a request meets, oldest first.
    pub(crate) fn due(&mut self, path: &str, body: &[u8]) -> Vec<Fault> {
        let matching = self
            .armed
            .iter_mut()
            .filter(|armed| matches(&armed.fault.endpoint, path) && armed.fault.is_for(body));
        let mut due = Vec::new();
        for armed in matching {
            armed.seen += 1;
            let most = armed
                .fault
                .times
                .unwrap_or(if armed.fault.request.is_some() {
                    1
                } else {
                    u64::MAX
                });
            let reached = armed.seen >= armed.fault.request.unwrap_or(1);
            let able = !armed.fault.needs_cursor() || has_cursor(body);
            if reached && able && armed.hit < most {
                armed.hit += 1;
                due.push(armed.fault.clone());
            }
        }
        due
    }
}

/// Whether a path is the endpoint meant.
pub(crate) fn matches(endpoint: &str, path: &str) -> bool {
    endpoint == "*" || endpoint == path
}

fn has_cursor(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body.get("cursor")
        .and_then(Value::as_str)
        .is_some_and(|cursor| !cursor.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Fault, Faults};

    fn due(faults: &mut Faults, path: &str, times: usize) -> Vec<usize> {
        (0..times).map(|_| faults.due(path, b"{}").len()).collect()
    }

    fn set(value: serde_json::Value) -> Faults {
        let fault: Fault = serde_json::from_value(value).unwrap();
        let mut faults = Faults::default();
        faults.set(vec![fault]);
        faults
    }

    #[test]
    fn a_numbered_fault_hits_once() {
        let mut faults = set(json!({"endpoint": "/a", "request": 2, "kind": "drop"}));
        assert_eq!(due(&mut faults, "/b", 2), [0, 0]);
        assert_eq!(due(&mut faults, "/a", 4), [0, 1, 0, 0]);
    }

    #[test]
    fn times_and_every() {
        let mut faults = set(
            json!({"endpoint": "*", "request": 2, "times": 2, "kind": "status", "status": 503}),
        );
        assert_eq!(due(&mut faults, "/a", 5), [0, 1, 1, 0, 0]);
        let mut faults = set(json!({"endpoint": "*", "kind": "errors_in_200"}));
        assert_eq!(due(&mut faults, "/a", 3), [1, 1, 1]);
    }

    #[test]
    fn cursor_faults_wait_for_a_cursor() {
        let mut faults = set(json!({"endpoint": "/a", "request": 1, "kind": "cursor_expired"}));
        assert!(faults.due("/a", b"{}").is_empty());
        assert_eq!(faults.due("/a", br#"{"cursor": "x"}"#).len(), 1);
        assert!(faults.due("/a", br#"{"cursor": "x"}"#).is_empty());
    }

    #[test]
    fn a_fault_may_be_for_some_bodies_only() {
        let mut faults = set(json!({"endpoint": "/a", "kind": "drop", "body": "L1"}));
        assert!(faults.due("/a", br#"{"ids": ["L2"]}"#).is_empty());
        assert_eq!(faults.due("/a", br#"{"ids": ["L1"]}"#).len(), 1);
    }

    #[test]
    fn misspelt_faults_are_refused() {
        for wrong in [
            json!({"endpoint": "*", "kind": "dorp"}),
            json!({"endpoint": "*", "kind": "drop", "tmies": 2}),
        ] {
            assert!(serde_json::from_value::<Fault>(wrong).is_err());
        }
    }
}
