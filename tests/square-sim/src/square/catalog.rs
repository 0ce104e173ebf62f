//! `POST /v2/catalog/search`. Its habits: `begin_time` is exclusive; with it,
//! tombstones come even when deleted objects were not asked for; without
//! `object_types` the nested types are left out; the limit is advisory; the
//! order of objects means nothing; `latest_time` is when the catalog last
//! changed.

use serde_json::Value;

use super::body::{self, Fields, Kind, field};
use super::cursor::{Cursor, Request};
use super::page::{self, Bend, Listing};
use super::refusal::Refusal;
use crate::account::Account;
use crate::account::catalog::{Life, Object};
use crate::moment::{self, Nanos};

const TYPES: &[&str] = &[
    "ITEM",
    "IMAGE",
    "CATEGORY",
    "ITEM_VARIATION",
    "TAX",
    "DISCOUNT",
    "MODIFIER_LIST",
    "MODIFIER",
    "PRICING_RULE",
    "PRODUCT_SET",
    "TIME_PERIOD",
    "MEASUREMENT_UNIT",
    "SUBSCRIPTION_PLAN_VARIATION",
    "ITEM_OPTION",
    "ITEM_OPTION_VAL",
    "CUSTOM_ATTRIBUTE_DEFINITION",
    "QUICK_AMOUNTS_SETTINGS",
    "SUBSCRIPTION_PLAN",
    "AVAILABILITY_PERIOD",
];

/// Types that a search without `object_types` leaves out.
const NESTED: &[&str] = &["ITEM_VARIATION", "MODIFIER", "IMAGE", "ITEM_OPTION_VAL"];

const FIELDS: &[body::Field] = &[
    field("cursor", Kind::Text),
    field("object_types", Kind::Choices(TYPES)),
    field("include_deleted_objects", Kind::Flag),
    field("include_related_objects", Kind::Flag),
    field("begin_time", Kind::Time),
    field("query", Kind::Object),
    field("limit", Kind::Whole(None)),
    field("include_category_path_to_root", Kind::Flag),
];

/// Answers a search.
pub(super) fn search(
    account: &Account,
    request: &Request<'_>,
    bend: &Bend,
) -> Result<Vec<u8>, Refusal> {
    let fields = request.body;
    body::check(fields, FIELDS, "")?;
    refuse_unsupported(fields)?;
    let asked = body::size(fields, "limit")
        .filter(|limit| (1..=1_000).contains(limit))
        .unwrap_or(100);
    let limit = page::limit(&account.config, asked);
    let start = page::start(request, (0, 0), 0)?;
    let filter = Filter::of(fields);
    let all = account.catalog.all();
    let from = start.place.1.min(all.len());
    let matching: Vec<usize> = (from..all.len())
        .filter(|&place| filter.wants(&all[place]) && !bend.skips(&all[place].id, None))
        .take(limit + 1)
        .collect();

    let cut = page::cut(&account.config, start, limit, matching.len(), bend.twist);
    let mut listing = Listing::new("objects");
    for &place in &matching[..cut.take] {
        account.catalog.write(place, listing.next());
    }
    let next = cut.more.then(|| Cursor {
        place: (
            0,
            cut.take
                .checked_sub(1)
                .map_or(from, |last| matching[last] + 1),
        ),
        after_empty: cut.take == 0,
        bound: 0,
    });
    if account.catalog.latest() > 0 {
        listing.extra.push((
            "latest_time",
            Value::from(moment::square(account.catalog.latest())),
        ));
    }
    Ok(listing.finish(request, next, bend.twist))
}

/// What a search wants.
struct Filter<'a> {
    types: Option<Vec<&'a str>>,
    deleted: bool,
    after: Option<Nanos>,
}

impl<'a> Filter<'a> {
    fn of(fields: &'a Fields) -> Self {
        let after = body::time(fields, "begin_time");
        Self {
            types: body::texts(fields, "object_types"),
            deleted: body::flag(fields, "include_deleted_objects") || after.is_some(),
            after,
        }
    }

    fn wants(&self, object: &Object) -> bool {
        let shown = object.shown();
        let alive = match shown.life {
            Life::Live => true,
            Life::Tombstone { .. } => self.deleted,
            Life::Vanished { .. } => false,
        };
        alive
            && self.after.is_none_or(|after| object.updated_at > after)
            && match &self.types {
                Some(types) => types.contains(&&*shown.kind),
                None => !NESTED.contains(&&*shown.kind),
            }
    }
}

/// The simulator does not evaluate queries, collect related objects nor keep the
/// catalog's history, and says so rather than giving a wrong answer.
pub(super) fn refuse_unsupported(fields: &Fields) -> Result<(), Refusal> {
    let path = body::flag(fields, "include_category_path_to_root");
    if path && body::flag(fields, "include_deleted_objects") {
        return Err(Refusal::of_status(500));
    }
    let asked = [
        ("query", fields.contains_key("query")),
        (
            "include_related_objects",
            body::flag(fields, "include_related_objects"),
        ),
        ("include_category_path_to_root", path),
        (
            "catalog_version",
            fields
                .get("catalog_version")
                .is_some_and(|version| !version.is_null()),
        ),
    ];
    match asked.iter().find(|(_, asked)| *asked) {
        Some((name, _)) => {
            let detail = format!("The simulated account does not evaluate '{name}'.");
            Err(Refusal {
                field: Some((*name).to_owned()),
                detail,
                ..Refusal::of_status(501)
            })
        }
        None => Ok(()),
    }
}
