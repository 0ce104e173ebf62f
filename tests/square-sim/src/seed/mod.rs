//! Makes an account from a configuration. Everything is drawn from seeded
//! streams, so the same configuration gives the same account to the byte; and
//! it is sound: what refers to something refers to something that is there.
//! Orphans and broken objects are made through the control interface.

mod catalog;
mod counts;
mod locations;
mod objects;
mod order_charges;
mod order_lines;
mod order_parts;
mod order_wire;
pub(crate) mod orders;
pub(crate) mod words;

pub(crate) use locations::location;
pub(crate) use objects::{Wanted, category, item, tombstone, variation};

use serde_json::json;

use crate::account::Account;
use crate::account::catalog::{Catalog, VARIATION};
use crate::account::counts::Counts;
use crate::account::locations::Locations;
use crate::account::orders::Orders;
use crate::config::Config;
use crate::moment::{self, DAY, MINUTE, Nanos};
use crate::random::{self, Stream};
use orders::Plan;

/// The currency of the merchant, and of all locations but those abroad.
pub(crate) const CURRENCY: &str = "USD";

/// A fresh account.
pub(crate) fn account(config: &Config) -> Account {
    let now = moment::of(config.now).unwrap_or_default();
    let mut rng = random::stream(config.seed, Stream::Pick, 0);
    let merchant_id = format!("ML{}", random::id(&mut rng, 11));
    let mut account = Account {
        config: config.clone(),
        now,
        rng,
        merchant: json!(null),
        locations: Locations::default(),
        catalog: Catalog::default(),
        counts: Counts::default(),
        orders: Orders::default(),
    };
    for number in 0..config.locations {
        account
            .locations
            .put(locations::location(config, number, &merchant_id));
    }
    account.merchant = json!({
        "id": merchant_id,
        "business_name": "Café Zoë & Söhne 東京",
        "country": "US",
        "language_code": "en-US",
        "currency": CURRENCY,
        "status": "ACTIVE",
        "main_location_id": account.locations.ids().first(),
        "created_at": moment::square(years_ago(now, 9)),
    });
    catalog::fill(&mut account);
    counts::fill(&mut account);
    account.orders = Orders::seeded(Plan {
        seed: config.seed,
        count: config.orders,
        from: moment::of(config.first_order_at).unwrap_or_default(),
        to: now - 10 * MINUTE,
        drift: config.drift,
        locations: account
            .locations
            .ids()
            .into_iter()
            .map(Into::into)
            .collect(),
        currencies: currencies(&account),
        variations: sold(&account),
    });
    account
}

/// The currency of each location, in their order.
fn currencies(account: &Account) -> Vec<Box<str>> {
    let ids = account.locations.ids();
    let currency = |id| account.locations.currency(id).unwrap_or(CURRENCY).into();
    ids.into_iter().map(currency).collect()
}

/// Ids of what seeded orders sell.
fn sold(account: &Account) -> Vec<Box<str>> {
    let places = account.catalog.live(VARIATION);
    places
        .into_iter()
        .map(|place| account.catalog.get(place).id.clone())
        .collect()
}

/// A moment about so many years before.
fn years_ago(now: Nanos, years: i64) -> Nanos {
    now - years * 365 * DAY
}
