//! `POST /v2/orders/search`. Its habits: one to ten locations; time ranges
//! inclusive at both ends, and without an end they end at the first request;
//! the sort must name the field of the time filter; sorting by `CLOSED_AT`
//! wants a filter for closed states.

use std::ops::Bound;

use serde_json::{Value, json};

use super::body::{self, Field, Fields, Kind, field, nullable};
use super::cursor::{Cursor, Request};
use super::page::{self, Bend, Listing};
use super::refusal::Refusal;
use crate::account::Account;
use crate::account::orders::{By, Orders};
use crate::moment::Nanos;

const STATES: &[&str] = &["OPEN", "COMPLETED", "CANCELED", "DRAFT"];
const SORT_FIELDS: &[&str] = &["CREATED_AT", "UPDATED_AT", "CLOSED_AT"];
const FULFILLMENT_TYPES: &[&str] = &["PICKUP", "SHIPMENT", "DELIVERY", "IN_STORE"];
const FULFILLMENT_STATES: &[&str] = &[
    "PROPOSED",
    "RESERVED",
    "PREPARED",
    "COMPLETED",
    "CANCELED",
    "FAILED",
];

/// The objects a request may have within each other, and their fields.
const SHAPE: &[(&str, &[Field])] = &[
    (
        "",
        &[
            field("location_ids", Kind::Texts),
            field("cursor", Kind::Text),
            field("query", Kind::Object),
            field("limit", Kind::Whole(Some((1, 1_000)))),
            field("return_entries", Kind::Flag),
        ],
    ),
    (
        "query",
        &[
            nullable("filter", Kind::Object),
            nullable("sort", Kind::Object),
        ],
    ),
    (
        "query.filter",
        &[
            nullable("state_filter", Kind::Object),
            nullable("date_time_filter", Kind::Object),
            nullable("fulfillment_filter", Kind::Object),
            nullable("source_filter", Kind::Object),
            nullable("customer_filter", Kind::Object),
        ],
    ),
    (
        "query.filter.state_filter",
        &[field("states", Kind::Choices(STATES))],
    ),
    (
        "query.filter.date_time_filter",
        &[
            field("created_at", Kind::Object),
            field("updated_at", Kind::Object),
            nullable("closed_at", Kind::Object),
        ],
    ),
    ("query.filter.date_time_filter.created_at", RANGE),
    ("query.filter.date_time_filter.updated_at", RANGE),
    ("query.filter.date_time_filter.closed_at", RANGE),
    (
        "query.filter.fulfillment_filter",
        &[
            nullable("fulfillment_types", Kind::Choices(FULFILLMENT_TYPES)),
            nullable("fulfillment_states", Kind::Choices(FULFILLMENT_STATES)),
        ],
    ),
    (
        "query.filter.source_filter",
        &[nullable("source_names", Kind::Texts)],
    ),
    (
        "query.filter.customer_filter",
        &[nullable("customer_ids", Kind::Texts)],
    ),
    (
        "query.sort",
        &[
            field("sort_field", Kind::Choice(SORT_FIELDS)),
            nullable("sort_order", Kind::Choice(&["DESC", "ASC"])),
        ],
    ),
];

const RANGE: &[Field] = &[
    nullable("start_at", Kind::Time),
    nullable("end_at", Kind::Time),
];

/// Answers a search.
pub(super) fn search(
    account: &Account,
    request: &Request<'_>,
    bend: &Bend,
) -> Result<Vec<u8>, Refusal> {
    for (path, fields) in SHAPE {
        if let Some(object) = inner(request.body, path) {
            body::check(object, fields, path)?;
        }
    }
    let search = Search::of(account, request.body, bend)?;
    let limit = page::limit(
        &account.config,
        body::size(request.body, "limit").unwrap_or(500),
    );
    let first = if search.ascending {
        (Nanos::MIN, 0)
    } else {
        (Nanos::MAX, usize::MAX)
    };
    let start = page::start(request, first, account.now)?;
    let found = search.found(&account.orders, start, limit + 1);

    let cut = page::cut(&account.config, start, limit, found.len(), bend.twist);
    let entries = body::flag(request.body, "return_entries");
    let mut listing = Listing::new(if entries { "order_entries" } else { "orders" });
    for &(_, number) in &found[..cut.take] {
        if entries {
            let entry = entry(&account.orders.json(number)).to_string();
            listing.next().extend_from_slice(entry.as_bytes());
        } else {
            account.orders.write(number, listing.next());
        }
    }
    let next = cut.more.then(|| Cursor {
        place: cut
            .take
            .checked_sub(1)
            .map_or(start.place, |last| found[last]),
        after_empty: cut.take == 0,
        bound: start.bound,
    });
    Ok(listing.finish(request, next, bend.twist))
}

/// What `return_entries` gives of an order.
fn entry(order: &Value) -> Value {
    let mut entry = json!({"order_id": order["id"], "location_id": order["location_id"]});
    if order["version"].is_i64() {
        entry["version"] = order["version"].clone();
    }
    entry
}

/// The object at a path such as `query.filter`.
fn inner<'a>(body: &'a Fields, path: &str) -> Option<&'a Fields> {
    let mut names = path.split('.').filter(|name| !name.is_empty());
    names.try_fold(body, |object, name| body::object(object, name))
}

/// What is searched for, and in which order.
struct Search<'a> {
    /// Places of the locations within the orders.
    locations: Vec<usize>,
    states: Option<Vec<&'a str>>,
    by: By,
    ascending: bool,
    start_at: Option<Nanos>,
    end_at: Option<Nanos>,
    /// Whether a time filter is set, so that the time of the first request bounds it.
    timed: bool,
    filter: Option<&'a Fields>,
    /// Numbers of orders that a fault leaves off the page.
    skipped: Vec<usize>,
}

impl<'a> Search<'a> {
    fn of(account: &Account, body: &'a Fields, bend: &Bend) -> Result<Self, Refusal> {
        let filter = inner(body, "query.filter");
        let states = inner(body, "query.filter.state_filter")
            .and_then(|filter| body::texts(filter, "states"));
        let (by, ascending) = sort(inner(body, "query.sort"))?;
        let times = inner(body, "query.filter.date_time_filter");
        let range = time_range(times, by)?;
        if by == By::Closed {
            let closed = |states: &Vec<&str>| {
                states
                    .iter()
                    .all(|state| matches!(*state, "COMPLETED" | "CANCELED"))
            };
            if !states.as_ref().is_some_and(closed) {
                let detail =
                    "Sorting by CLOSED_AT needs a state_filter of COMPLETED and CANCELED only.";
                return Err(Refusal::invalid(
                    "BAD_REQUEST",
                    "query.filter.state_filter",
                    detail,
                ));
            }
        }
        Ok(Self {
            locations: locations(account, body)?,
            states,
            by,
            ascending,
            start_at: range.and_then(|range| body::time(range, "start_at")),
            end_at: range.and_then(|range| body::time(range, "end_at")),
            timed: range.is_some(),
            filter,
            skipped: (bend.skips.iter())
                .filter_map(|skip| account.orders.find(&skip.id))
                .collect(),
        })
    }

    /// Matching orders from a place on, at most so many.
    fn found(&self, orders: &Orders, from: Cursor, most: usize) -> Vec<(Nanos, usize)> {
        let last = match self.end_at {
            Some(end) => end,
            None if self.timed => from.bound,
            None => Nanos::MAX,
        };
        let first = (self.start_at.unwrap_or(Nanos::MIN), 0);
        let index = orders.by(self.by);
        let wanted = |place: &(Nanos, usize)| self.wants(orders, place.1);
        if self.ascending {
            let start = if from.place < first {
                Bound::Included(first)
            } else {
                Bound::Excluded(from.place)
            };
            let later = index
                .range((start, Bound::Unbounded))
                .take_while(|place| place.0 <= last);
            return later.copied().filter(wanted).take(most).collect();
        }
        let end = from.place.min((last, usize::MAX));
        let end = if end == from.place {
            Bound::Excluded(end)
        } else {
            Bound::Included(end)
        };
        let earlier = index
            .range((Bound::Unbounded, end))
            .rev()
            .take_while(|place| **place >= first);
        earlier.copied().filter(wanted).take(most).collect()
    }

    fn wants(&self, orders: &Orders, number: usize) -> bool {
        let entry = orders.entry(number);
        self.locations.contains(&entry.location)
            && !self.skipped.contains(&number)
            && self
                .states
                .as_ref()
                .is_none_or(|states| states.contains(&&*entry.state))
            && self
                .filter
                .is_none_or(|filter| wants_body(filter, || orders.json(number)))
    }
}

/// The filters that look into the order itself.
fn wants_body(filter: &Fields, order: impl Fn() -> Value) -> bool {
    let list = |object: &str, name: &str| {
        body::object(filter, object).and_then(|object| body::texts(object, name))
    };
    let sources = list("source_filter", "source_names");
    let customers = list("customer_filter", "customer_ids");
    let types = list("fulfillment_filter", "fulfillment_types");
    let states = list("fulfillment_filter", "fulfillment_states");
    if [&sources, &customers, &types, &states]
        .iter()
        .all(|list| list.is_none())
    {
        return true;
    }
    let order = order();
    let among = |list: &Option<Vec<&str>>, value: &Value| {
        list.as_ref()
            .is_none_or(|list| value.as_str().is_some_and(|text| list.contains(&text)))
    };
    let fulfillments = order["fulfillments"].as_array();
    let fulfilled = (types.is_none() && states.is_none())
        || fulfillments
            .into_iter()
            .flatten()
            .any(|one| among(&types, &one["type"]) && among(&states, &one["state"]));
    among(&sources, &order["source"]["name"])
        && among(&customers, &order["customer_id"])
        && fulfilled
}

/// One to ten locations, all of them the merchant's.
fn locations(account: &Account, body: &Fields) -> Result<Vec<usize>, Refusal> {
    let ids = body::required_texts(body, "location_ids", 10)?;
    if let Some(unknown) = ids.iter().find(|id| account.locations.get(id).is_none()) {
        let detail = format!("The location {unknown} is not one of this merchant's.");
        return Err(Refusal::invalid("INVALID_VALUE", "location_ids", detail));
    }
    Ok(ids
        .into_iter()
        .filter_map(|id| account.orders.location(id))
        .collect())
}

/// The sort field and whether it ascends; by default the newest come first.
fn sort(sort: Option<&Fields>) -> Result<(By, bool), Refusal> {
    let Some(sort) = sort else {
        return Ok((By::Created, false));
    };
    let by = match body::text(sort, "sort_field") {
        Some("UPDATED_AT") => By::Updated,
        Some("CLOSED_AT") => By::Closed,
        Some(_) => By::Created,
        None => {
            let detail = "A sort needs a sort_field.";
            return Err(Refusal::invalid(
                "MISSING_REQUIRED_PARAMETER",
                "query.sort.sort_field",
                detail,
            ));
        }
    };
    Ok((by, body::text(sort, "sort_order") == Some("ASC")))
}

/// The one time range, which must be of the field that is sorted by.
fn time_range(times: Option<&Fields>, by: By) -> Result<Option<&Fields>, Refusal> {
    let path = "query.filter.date_time_filter";
    let fields = [
        ("created_at", By::Created),
        ("updated_at", By::Updated),
        ("closed_at", By::Closed),
    ];
    let given = fields.map(|(name, of)| {
        times
            .and_then(|times| body::object(times, name))
            .map(|range| (range, of))
    });
    let mut given = given.into_iter().flatten();
    let Some((range, of)) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(Refusal::invalid(
            "BAD_REQUEST",
            path,
            "Only one time range can be filtered by.",
        ));
    }
    if of != by {
        let detail = "The sort_field must be the field of the date_time_filter.";
        return Err(Refusal::invalid(
            "BAD_REQUEST",
            "query.sort.sort_field",
            detail,
        ));
    }
    let (start, end) = (body::time(range, "start_at"), body::time(range, "end_at"));
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(Refusal::invalid(
            "INVALID_TIME_RANGE",
            path,
            "start_at lies after end_at.",
        ));
    }
    Ok(Some(range))
}
