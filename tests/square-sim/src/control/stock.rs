//! Changes of stock: sales, recounts and deliveries. Each moves one count and
//! gives it a new `calculated_at`.

use serde_json::{Value, json};

use super::change::Stock;
use super::picks::{self, Refused};
use crate::account::Account;
use crate::account::catalog::VARIATION;
use crate::account::counts::{
    Count, UNITS_PER_PIECE, decimals_needed, quantity_text, quantity_units,
};
use crate::moment;

/// What is counted: variation, location and state.
type Place = (String, String, String);

pub(super) fn sell(account: &mut Account, change: &Stock) -> Result<Value, Refused> {
    let sold = units(change.quantity.as_deref(), UNITS_PER_PIECE)?;
    each(account, change, "sell", |_, before| before - sold)
}

pub(super) fn restock(account: &mut Account, change: &Stock) -> Result<Value, Refused> {
    let delivered = units(change.quantity.as_deref(), 10 * UNITS_PER_PIECE)?;
    each(account, change, "restock", |_, before| before + delivered)
}

pub(super) fn recount(account: &mut Account, change: &Stock) -> Result<Value, Refused> {
    let counted = change
        .quantity
        .as_deref()
        .map(|text| units(Some(text), 0))
        .transpose()?;
    each(account, change, "recount", |account, before| {
        counted.unwrap_or_else(|| before + account.rng.i64(1..500) * UNITS_PER_PIECE)
    })
}

/// Puts so much in stock at one location, or at every one.
pub(super) fn fill(
    account: &mut Account,
    variation: &str,
    location: Option<&str>,
    quantity: &str,
) -> Result<(), Refused> {
    let units = units(Some(quantity), 0)?;
    let locations = match location {
        Some(id) => vec![picks::location(account, Some(id))?],
        None => account
            .locations
            .ids()
            .into_iter()
            .map(str::to_owned)
            .collect(),
    };
    for location in locations {
        set(
            account,
            &(variation.to_owned(), location, "IN_STOCK".to_owned()),
            units,
        );
    }
    Ok(())
}

fn units(quantity: Option<&str>, otherwise: i64) -> Result<i64, Refused> {
    let Some(text) = quantity else {
        return Ok(otherwise);
    };
    quantity_units(text)
        .ok_or_else(|| format!("the quantity {text} is not a number of at most 5 decimals"))
}

fn each(
    account: &mut Account,
    change: &Stock,
    op: &str,
    after: impl Fn(&mut Account, i64) -> i64,
) -> Result<Value, Refused> {
    let mut counts = Vec::new();
    for _ in 0..change.times.unwrap_or(1) {
        let place = pick(account, change)?;
        let before = account
            .counts
            .find(&place.0, &place.1, &place.2)
            .map_or(0, |count| count.units);
        let units = after(account, before);
        set(account, &place, units);
        let quantity = quantity_text(units, decimals_needed(units));
        counts.push(json!({
            "catalog_object_id": place.0,
            "location_id": place.1,
            "state": place.2,
            "quantity": quantity,
            "calculated_at": moment::square(account.now),
        }));
    }
    Ok(json!({"op": op, "counts": counts, "at": moment::truth(account.now)}))
}

/// The count meant; without ids any one there is, or else a new one.
fn pick(account: &mut Account, change: &Stock) -> Result<Place, Refused> {
    let state = change
        .state
        .clone()
        .unwrap_or_else(|| "IN_STOCK".to_owned());
    picks::plain(&state)?;
    if change.variation_id.is_none() {
        let draw = account.rng.usize(..);
        let fits = |count: &Count| {
            let at = change.location_id.as_deref();
            count.raw.is_none()
                && account.counts.name(count.state) == state
                && at.is_none_or(|at| account.counts.name(count.location) == at)
        };
        if let Some(count) = account.counts.sample(draw, fits) {
            let [object, location] =
                [count.object, count.location].map(|symbol| account.counts.name(symbol).to_owned());
            return Ok((object, location, state));
        }
    }
    let variation = picks::objects(account, VARIATION, change.variation_id.as_deref(), None)?[0];
    let variation = account.catalog.get(variation).id.to_string();
    let location = match &change.location_id {
        Some(id) => picks::location(account, Some(id))?,
        None => {
            let known = account
                .counts
                .location_of(&variation, &state)
                .map(str::to_owned);
            known.map_or_else(|| picks::location(account, None), Ok)?
        }
    };
    Ok((variation, location, state))
}

fn set(account: &mut Account, place: &Place, units: i64) {
    let calculated_at = account.tick();
    let counts = &mut account.counts;
    let count = Count {
        object: counts.symbol(&place.0),
        location: counts.symbol(&place.1),
        state: counts.symbol(&place.2),
        units,
        decimals: decimals_needed(units),
        calculated_at,
        raw: None,
    };
    counts.put(count);
}
