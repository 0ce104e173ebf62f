//! `POST /v2/catalog/batch-retrieve`: the objects of some ids, whatever their
//! type. Its habits: unknown ids are left out without a word, and so are deleted
//! ones unless they are asked for; each object comes once, in no order.

use std::collections::BTreeSet;

use super::body::{self, Fields, Kind, field, nullable};
use super::catalog;
use super::page::{Bend, Listing};
use super::refusal::Refusal;
use crate::account::Account;
use crate::account::catalog::Life;

const FIELDS: &[body::Field] = &[
    field("object_ids", Kind::Texts),
    nullable("include_related_objects", Kind::Flag),
    nullable("catalog_version", Kind::Whole(None)),
    nullable("include_deleted_objects", Kind::Flag),
    nullable("include_category_path_to_root", Kind::Flag),
];

/// The most ids of one request.
const MOST: usize = 1_000;

/// Answers a request for objects.
pub(super) fn retrieve(
    account: &Account,
    fields: &Fields,
    bend: &Bend,
) -> Result<Vec<u8>, Refusal> {
    body::check(fields, FIELDS, "")?;
    let ids = body::required_texts(fields, "object_ids", MOST)?;
    catalog::refuse_unsupported(fields)?;
    let deleted = body::flag(fields, "include_deleted_objects");
    let there = |place: &usize| match account.catalog.get(*place).shown().life {
        Life::Live => true,
        Life::Tombstone { .. } => deleted,
        Life::Vanished { .. } => false,
    };
    let places: BTreeSet<usize> = ids
        .into_iter()
        .filter(|id| !id.is_empty() && !bend.skips(id, None))
        .filter_map(|id| account.catalog.place(id))
        .filter(there)
        .collect();
    let mut listing = Listing::new("objects");
    for place in places {
        account.catalog.write(place, listing.next());
    }
    Ok(listing.whole())
}
