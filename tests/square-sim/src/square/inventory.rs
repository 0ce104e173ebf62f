//! `POST /v2/inventory/counts/batch-retrieve`. Its habits: newest first by
//! `calculated_at`; `updated_after` is exclusive; several states of one
//! variation at one location are several counts; the limit is enforced.

use std::collections::BTreeSet;

use super::body::{self, Fields, Kind, nullable};
use super::cursor::{Cursor, Request};
use super::page::{self, Bend, Listing};
use super::refusal::Refusal;
use crate::account::Account;
use crate::account::counts::{Count, Counts, Symbol, quantity_text};
use crate::moment::{self, Nanos};

const STATES: &[&str] = &[
    "CUSTOM",
    "IN_STOCK",
    "SOLD",
    "RETURNED_BY_CUSTOMER",
    "RESERVED_FOR_SALE",
    "SOLD_ONLINE",
    "ORDERED_FROM_VENDOR",
    "RECEIVED_FROM_VENDOR",
    "IN_TRANSIT_TO",
    "NONE",
    "WASTE",
    "UNLINKED_RETURN",
    "COMPOSED",
    "DECOMPOSED",
    "SUPPORTED_BY_NEWER_VERSION",
    "IN_TRANSIT",
    "UNTRACKED",
];

/// States that are never counted; the filter passes over them.
const UNCOUNTED: &[&str] = &["NONE", "SOLD", "UNLINKED_RETURN"];

const FIELDS: &[body::Field] = &[
    nullable("catalog_object_ids", Kind::Texts),
    nullable("location_ids", Kind::Texts),
    nullable("updated_after", Kind::Time),
    nullable("cursor", Kind::Text),
    nullable("states", Kind::Choices(STATES)),
    nullable("limit", Kind::Whole(Some((1, 1_000)))),
];

/// Answers a request for counts.
pub(super) fn counts(
    account: &Account,
    request: &Request<'_>,
    bend: &Bend,
) -> Result<Vec<u8>, Refusal> {
    let fields = request.body;
    body::check(fields, FIELDS, "")?;
    let limit = page::limit(&account.config, body::size(fields, "limit").unwrap_or(100));
    let start = page::start(request, (Nanos::MAX, usize::MAX), 0)?;
    let filter = Filter::of(fields, &account.counts, bend);
    let matching = filter.matching(&account.counts, start.place, limit + 1);

    let cut = page::cut(&account.config, start, limit, matching.len(), bend.twist);
    let mut listing = Listing::new("counts");
    for (position, count) in &matching[..cut.take] {
        write(account, position.1, count, listing.next());
    }
    let next = cut.more.then(|| Cursor {
        place: cut
            .take
            .checked_sub(1)
            .map_or(start.place, |last| matching[last].0),
        after_empty: cut.take == 0,
        bound: 0,
    });
    Ok(listing.finish(request, next, bend.twist))
}

/// What the request wants.
struct Filter<'a> {
    objects: Option<BTreeSet<Symbol>>,
    locations: Option<BTreeSet<Symbol>>,
    states: Option<BTreeSet<Symbol>>,
    after: Nanos,
    bend: &'a Bend,
}

type Found<'a> = ((Nanos, usize), &'a Count);

impl<'f> Filter<'f> {
    fn of(fields: &Fields, counts: &Counts, bend: &'f Bend) -> Self {
        let symbols = |list: Vec<&str>| -> BTreeSet<Symbol> {
            list.into_iter()
                .filter_map(|name| counts.known(name))
                .collect()
        };
        let states = body::texts(fields, "states")
            .map(|list| {
                list.into_iter()
                    .filter(|state| !UNCOUNTED.contains(state))
                    .collect::<Vec<_>>()
            })
            .filter(|list| !list.is_empty());
        Self {
            objects: body::texts(fields, "catalog_object_ids").map(symbols),
            locations: body::texts(fields, "location_ids").map(symbols),
            states: states.map(symbols),
            after: body::time(fields, "updated_after").unwrap_or(Nanos::MIN),
            bend,
        }
    }

    fn wants(&self, counts: &Counts, count: &Count) -> bool {
        let among = |set: &Option<BTreeSet<Symbol>>, symbol| {
            set.as_ref().is_none_or(|set| set.contains(&symbol))
        };
        let [object, location] = [count.object, count.location].map(|symbol| counts.name(symbol));
        among(&self.locations, count.location)
            && among(&self.states, count.state)
            && !self.bend.skips(object, Some(location))
    }

    /// Matching counts before a place, newest first, at most so many.
    fn matching<'a>(
        &self,
        counts: &'a Counts,
        before: (Nanos, usize),
        most: usize,
    ) -> Vec<Found<'a>> {
        let Some(objects) = &self.objects else {
            let newer = counts
                .newest_first(Some(before))
                .take_while(|((at, _), _)| *at > self.after);
            return newer
                .filter(|(_, count)| self.wants(counts, count))
                .take(most)
                .collect();
        };
        let places = objects.iter().flat_map(|&object| counts.places_of(object));
        let mut found: Vec<Found<'a>> = places
            .filter_map(|&place| {
                counts
                    .get(place)
                    .map(|count| ((count.calculated_at, place), count))
            })
            .filter(|(position, count)| {
                *position < before && position.0 > self.after && self.wants(counts, count)
            })
            .collect();
        found.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
        found.truncate(most);
        found
    }
}

/// Writes one count as Square gives it.
fn write(account: &Account, place: usize, count: &Count, out: &mut Vec<u8>) {
    if let Some(raw) = &count.raw {
        out.extend_from_slice(raw.to_string().as_bytes());
        return;
    }
    let counts = &account.counts;
    let kind = if place % 40 == 7 {
        ""
    } else {
        ",\"catalog_object_type\":\"ITEM_VARIATION\""
    };
    let news = if account.config.drift && place % 25 == 3 {
        ",\"confidence\":{\"level\":0.75}"
    } else {
        ""
    };
    let text = format!(
        "{{\"catalog_object_id\":\"{}\"{kind},\"state\":\"{}\",\"location_id\":\"{}\",\"quantity\":\"{}\",\"calculated_at\":\"{}\"{news}}}",
        counts.name(count.object),
        counts.name(count.state),
        counts.name(count.location),
        quantity_text(count.units, count.decimals),
        moment::square(count.calculated_at),
    );
    out.extend_from_slice(text.as_bytes());
}
