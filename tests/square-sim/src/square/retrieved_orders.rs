//! `POST /v2/orders/batch-retrieve`: the orders of some ids. Its habits: unknown ids
//! are left out without a word; each order comes once, in no order.

use std::collections::BTreeSet;

use super::body::{self, Fields, Kind, field, nullable};
use super::page::{Bend, Listing};
use super::refusal::Refusal;
use crate::account::Account;

const FIELDS: &[body::Field] = &[
    nullable("location_id", Kind::Text),
    field("order_ids", Kind::Texts),
];

/// The most ids of one request.
const MOST: usize = 100;

/// Answers a request for orders.
pub(super) fn retrieve(
    account: &Account,
    fields: &Fields,
    bend: &Bend,
) -> Result<Vec<u8>, Refusal> {
    body::check(fields, FIELDS, "")?;
    let ids = body::required_texts(fields, "order_ids", MOST)?;
    let location = body::text(fields, "location_id").map(|id| account.orders.location(id));
    let numbers: BTreeSet<usize> = ids
        .into_iter()
        .filter(|id| !bend.skips(id, None))
        .filter_map(|id| account.orders.find(id))
        .filter(|number| {
            let own = Some(account.orders.entry(*number).location);
            location.is_none_or(|location| location == own)
        })
        .collect();
    let mut listing = Listing::new("orders");
    for number in numbers {
        account.orders.write(number, listing.next());
    }
    Ok(listing.whole())
}
