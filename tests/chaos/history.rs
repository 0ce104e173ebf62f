//! A history out of a seed: the account that it begins with, and its events.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::event::{Ask, Event, Kind, Mishap, Outage, What};

/// When the account's first order was made: so late that an import has few windows.
pub(crate) const FIRST_ORDER_AT: &str = "2026-03-01T00:00:00Z";

const ENDPOINTS: [&str; 8] = [
    "*",
    "/v2/locations",
    "/v2/catalog/search",
    "/v2/catalog/search",
    "/v2/inventory/counts/batch-retrieve",
    "/v2/inventory/counts/batch-retrieve",
    "/v2/orders/search",
    "/v2/orders/search",
];

/// Everything that a seed decides.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) seed: u64,
    /// The simulated account's configuration.
    pub(crate) account: Value,
    /// Whether Square's clock is that of the database, so that something may show up
    /// late and still in time. Else the account's time is months ago.
    pub(crate) is_of_now: bool,
    /// Whether the database is of the release before.
    pub(crate) is_outdated: bool,
    /// Whether the database's server is killed once, and so serves no other history.
    pub(crate) has_own_server: bool,
    pub(crate) events: Vec<Event>,
}

/// The history of a seed.
pub(crate) fn of(seed: u64) -> History {
    let mut rng = Rng::with_seed(seed);
    // Seeds in a row are alike otherwise.
    rng.u64(..);
    let is_of_now = rng.bool();
    let events = (0..rng.usize(3..=12)).map(|_| Event {
        seed: rng.u64(..),
        kind: Kind::Change { times: 0 },
    });
    let mut events: Vec<Event> = events.collect();
    for event in &mut events {
        event.kind = kind(&mut Rng::with_seed(event.seed), is_of_now);
    }
    let has_own_server = rng.u8(..50) == 0;
    if has_own_server {
        let at = rng.usize(..events.len());
        events[at].kind = Kind::Server(Outage::Killed);
    }
    History {
        seed,
        account: account(&mut rng),
        is_of_now,
        is_outdated: rng.u8(..12) == 0 && !has_own_server,
        has_own_server,
        events,
    }
}

/// The same as far as the local AWS has it: one server for all, of this release.
pub(crate) fn within_local_aws(seed: u64) -> History {
    History {
        is_outdated: false,
        has_own_server: false,
        ..of(seed)
    }
}

/// A tiny account. Some have two chunks of locations.
fn account(rng: &mut Rng) -> Value {
    let locations = if rng.u8(..12) == 0 {
        11
    } else {
        rng.usize(1..=4)
    };
    let items = rng.usize(6..=12);
    let variations = items + rng.usize(..8);
    json!({
        "seed": rng.u32(..), "locations": locations, "categories": rng.usize(2..=5),
        "items": items, "variations": variations,
        "counts": rng.usize(10..=60).min(variations * locations * 6),
        "orders": rng.usize(8..=32), "ragged_pages": rng.bool(), "gzip": rng.bool(),
        "first_order_at": FIRST_ORDER_AT,
    })
}

fn kind(rng: &mut Rng, is_of_now: bool) -> Kind {
    match rng.u8(..100) {
        0..16 => Kind::Change {
            times: rng.usize(1..=4),
        },
        16..22 => Kind::ChangeLater {
            endpoint: endpoint(rng),
            request: rng.u64(1..=8),
        },
        22..32 => Kind::Fault(fault(rng)),
        32..35 if is_of_now => Kind::ShowsUpLate,
        35 | 36 => Kind::Stale,
        37 | 38 => Kind::Slip,
        39..43 => Kind::Hostile {
            value: rng.usize(..),
        },
        43..45 => Kind::LeasesRunOut,
        45..47 => Kind::Reported,
        47..49 => Kind::Stop,
        49..52 => Kind::LateCall,
        52..56 => Kind::Redrive,
        56 => Kind::Server(
            [Outage::AllSessionsEnd, Outage::ReadOnly, Outage::DiskFull][rng.usize(..3)],
        ),
        _ => Kind::Run {
            ask: ask(rng),
            mishap: mishap(rng),
        },
    }
}

fn endpoint(rng: &mut Rng) -> &'static str {
    ENDPOINTS[rng.usize(..ENDPOINTS.len())]
}

/// A fault that is over soon: what lasts for long is for the tests of outages, for it
/// costs half a minute of waiting.
fn fault(rng: &mut Rng) -> Value {
    let endpoint = endpoint(rng);
    let times = rng.u64(1..=2);
    let mut fault = match rng.u8(..13) {
        0 => json!({"kind": "status", "status": 429, "retry_after": "0", "times": times}),
        1 => json!({"kind": "status", "status": 503, "times": times}),
        2 => json!({"kind": "status", "status": 500}),
        3 => json!({"kind": "status", "status": 400}),
        4 => json!({"kind": "status", "status": if rng.bool() { 401 } else { 403 }}),
        5 => json!({"kind": "cut_body", "times": times}),
        6 => json!({"kind": "drop", "times": times}),
        7 => json!({"kind": if rng.bool() { "html" } else { "text" }}),
        // Three are more than the client asks again for.
        8 => json!({"kind": "malformed_json", "times": rng.u64(1..=3)}),
        9 => json!({"kind": "errors_in_200", "times": times}),
        10 => json!({"kind": "empty_page", "times": times}),
        11 => json!({"kind": if rng.bool() { "cursor_expired" } else { "cursor_repeats" }}),
        _ => json!({"kind": "delay", "delay_ms": rng.u64(5..60), "times": times}),
    };
    fault["endpoint"] = json!(endpoint);
    fault["request"] = json!(rng.u64(1..=7));
    fault
}

fn ask(rng: &mut Rng) -> Ask {
    match rng.u8(..21) {
        0..12 => Ask::Sync(sync(rng)),
        12..16 => {
            let from = rng.i64(-10..110);
            Ask::Import {
                days: (rng.u8(..3) > 0).then(|| (from, from + rng.i64(5..90))),
                limited: rng.u8(..3) == 0,
            }
        }
        16 | 17 => Ask::Migration,
        18 | 19 => Ask::Restore,
        _ => Ask::SpotCheck {
            sample: rng.u32(1..=50),
        },
    }
}

fn sync(rng: &mut Rng) -> Value {
    let mut request = Map::new();
    let is = |rng: &mut Rng, of: u8| rng.u8(..of) == 0;
    if is(rng, 3) {
        request.insert("reconcile".to_owned(), json!(true));
    }
    let (full_refresh, dry_run) = (is(rng, 5), is(rng, 6));
    if full_refresh {
        request.insert("full_refresh".to_owned(), json!(true));
    }
    if dry_run {
        request.insert("dry_run".to_owned(), json!(true));
    }
    if !full_refresh && is(rng, 3) {
        let mut parts = vec!["locations", "catalog", "inventory"];
        if !dry_run {
            parts.push("orders");
        }
        rng.shuffle(&mut parts);
        parts.truncate(rng.usize(1..=parts.len()));
        request.insert("only".to_owned(), json!(parts));
    }
    if is(rng, 3) {
        request.insert("allow_mass_deletion".to_owned(), json!(true));
    }
    if is(rng, 3) {
        request.insert("trigger".to_owned(), json!("schedule"));
        request.insert("scheduled_time".to_owned(), json!(rng.u16(..).to_string()));
    } else if is(rng, 4) {
        request.insert("idempotency_key".to_owned(), json!(rng.u16(..).to_string()));
    }
    // What the schedule starts every night.
    if is(rng, 8) {
        return json!({"trigger": "schedule", "scheduled_time": rng.u16(..).to_string(),
            "only": ["orders"], "reconcile": true});
    }
    Value::Object(request)
}

fn mishap(rng: &mut Rng) -> Mishap {
    let what = if rng.u8(..5) < 2 {
        What::Nothing
    } else {
        What::ALL[rng.usize(..What::ALL.len())]
    };
    let widest = [6, 20, 60, 160][rng.usize(..4)];
    Mishap {
        what,
        call: rng.usize(..6),
        waits: rng.usize(1..=widest),
    }
}
