//! Makes changes: catalog objects and locations here, stock and raw JSON in the
//! neighbouring modules. Every change gets a moment of its own, strictly later
//! than the one before, as Square's server clock would give it.

use serde_json::{Map, Value, json};

use super::change::{
    AddCategory, AddItem, AddVariation, Change, Delete, EditCategory, EditItem, EditVariation,
    MoveItem,
};
use super::picks::{self, Refused};
use super::{orders, places, raw, stale, stock};
use crate::account::Account;
use crate::account::catalog::{self, CATEGORY, ITEM, VARIATION};
use crate::moment::{self, Nanos};
use crate::seed::{self, Wanted, words};

/// Makes one change and says what it did.
///
/// # Errors
/// What it refers to is not there, or it contradicts itself. Changes of a bulk
/// that were made before stay.
pub(crate) fn apply(account: &mut Account, change: Change) -> Result<Value, String> {
    account.catalog.begin_change();
    match change {
        Change::AddItem(change) => add_item(account, &change),
        Change::EditItem(change) => edit_item(account, &change),
        Change::DeleteItem(change) => delete_item(account, &change),
        Change::MoveItem(change) => move_item(account, &change),
        Change::AddVariation(change) => add_variation(account, &change),
        Change::EditVariation(change) => edit_variation(account, &change),
        Change::DeleteVariation(change) => delete_variation(account, &change),
        Change::AddCategory(change) => add_category(account, &change),
        Change::EditCategory(change) => edit_category(account, &change),
        Change::DeleteCategory(change) => delete_category(account, &change),
        Change::AddLocation(change) => places::add(account, &change),
        Change::EditLocation(change) => places::edit(account, &change),
        Change::DeactivateLocation(change) => places::set_status(account, &change, "INACTIVE"),
        Change::ActivateLocation(change) => places::set_status(account, &change, "ACTIVE"),
        Change::RemoveLocation(change) => places::remove(account, &change),
        Change::Sell(change) => stock::sell(account, &change),
        Change::Recount(change) => stock::recount(account, &change),
        Change::Restock(change) => stock::restock(account, &change),
        Change::AddOrder(change) => orders::add(account, &change),
        Change::EditOrder(change) => orders::edit(account, &change),
        Change::DeleteSilently(change) => raw::vanish(account, &change),
        Change::PutRaw(change) => raw::put(account, change),
        Change::ServeStale(change) => stale::serve(account, &change),
    }
}

/// The report on changed catalog objects.
pub(super) fn report(account: &Account, op: &str, places: &[usize]) -> Value {
    let ids: Vec<&str> = places
        .iter()
        .map(|&place| &*account.catalog.get(place).id)
        .collect();
    json!({"op": op, "ids": ids, "at": moment::truth(account.now)})
}

/// Puts a finished object with a moment of its own.
fn put(account: &mut Account, mut json: Value, set: &Map<String, Value>) -> usize {
    let at = account.tick();
    picks::merge(&mut json, set);
    catalog::stamp(&mut json, at);
    account.catalog.put(json, at)
}

fn add_item(account: &mut Account, change: &AddItem) -> Result<Value, Refused> {
    let (mut items, mut variations) = (Vec::new(), Vec::new());
    for _ in 0..change.count.unwrap_or(1) {
        let category = match &change.category_id {
            Some(id) => Some(id.clone()),
            None => {
                let any = picks::objects(account, CATEGORY, None, None).ok();
                any.map(|places| account.catalog.get(places[0]).id.to_string())
            }
        };
        let wanted = Wanted {
            id: Some(picks::new_id(account, change.id.as_deref())?),
            name: change
                .name
                .clone()
                .or_else(|| Some(words::item(&mut account.rng))),
            category_ids: category.into_iter().collect(),
            ..Wanted::default()
        };
        let item = seed::item(&mut account.rng, &wanted, account.config.drift);
        items.push(put(account, item, &change.set));
        let inner = AddVariation {
            item_id: wanted.id,
            price_amount: change.price_amount,
            quantity: change.quantity.clone(),
            location_id: change.location_id.clone(),
            ..AddVariation::default()
        };
        for _ in 0..change.variations.unwrap_or(1) {
            variations.push(new_variation(account, &inner)?);
        }
    }
    let mut answer = report(account, "add_item", &items);
    answer["variation_ids"] = report(account, "", &variations)["ids"].take();
    Ok(answer)
}

fn edit_item(account: &mut Account, change: &EditItem) -> Result<Value, Refused> {
    let places = picks::objects(account, ITEM, change.id.as_deref(), change.count)?;
    let named =
        change.description.is_some() || change.is_archived.is_some() || !change.set.is_empty();
    for &place in &places {
        let at = account.tick();
        let name = change
            .name
            .clone()
            .or_else(|| (!named).then(|| fresh_name(account, at)));
        account.catalog.edit(place, at, |json| {
            let data = &mut json["item_data"];
            if let Some(name) = name {
                data["name"] = json!(name);
            }
            if let Some(description) = &change.description {
                data["description"] = json!(description);
                data["description_plaintext"] = json!(description);
            }
            if let Some(is_archived) = change.is_archived {
                data["is_archived"] = json!(is_archived);
            }
            picks::merge(json, &change.set);
        });
    }
    Ok(report(account, "edit_item", &places))
}

/// A name that nothing has had before.
fn fresh_name(account: &mut Account, at: Nanos) -> String {
    format!("{} #{}", words::item(&mut account.rng), moment::version(at))
}

fn move_item(account: &mut Account, change: &MoveItem) -> Result<Value, Refused> {
    let places = picks::objects(account, ITEM, change.id.as_deref(), change.count)?;
    for &place in &places {
        let current = account.catalog.get(place).json();
        let listed = current.to_string();
        let target = match &change.category_id {
            Some(id) => id.clone(),
            None => {
                let mut others = account.catalog.live(CATEGORY);
                others.retain(|&place| !listed.contains(&*account.catalog.get(place).id));
                let draw = account.rng.usize(..others.len().max(1));
                let other = others
                    .get(draw)
                    .ok_or("there is no other category to move to")?;
                account.catalog.get(*other).id.to_string()
            }
        };
        let at = account.tick();
        account.catalog.edit(place, at, |json| {
            let data = &mut json["item_data"];
            data["categories"] = json!([{"id": target, "ordinal": 0}]);
            data["reporting_category"] = json!({"id": target, "ordinal": 0});
            if let Value::Object(data) = data {
                data.remove("category_id");
            }
        });
    }
    Ok(report(account, "move_item", &places))
}

fn delete_item(account: &mut Account, change: &Delete) -> Result<Value, Refused> {
    let places = picks::objects(account, ITEM, change.id.as_deref(), change.count)?;
    let mut variations = Vec::new();
    for &place in &places {
        let at = account.tick();
        for variation in account.catalog.get(place).variations.clone() {
            if change.cascade_tombstones.unwrap_or(true) {
                bury(account, variation, at);
            } else {
                vanish(account, variation, Some(at));
            }
            variations.push(variation);
        }
        bury(account, place, at);
    }
    let mut answer = report(account, "delete_item", &places);
    answer["variation_ids"] = report(account, "", &variations)["ids"].take();
    Ok(answer)
}

/// Deletes one object, with its counts, leaving a tombstone.
pub(super) fn bury(account: &mut Account, place: usize, at: Nanos) {
    let (kind, id) = (
        account.catalog.get(place).kind.clone(),
        account.catalog.get(place).id.clone(),
    );
    let tombstone = seed::tombstone(&mut account.rng, &kind, &id, at);
    account.catalog.bury(place, tombstone, at, true);
    account.counts.remove_object(&id);
}

/// Makes one object vanish, with its counts, leaving nothing.
pub(super) fn vanish(account: &mut Account, place: usize, deleted_at: Option<Nanos>) {
    let id = account.catalog.get(place).id.clone();
    account.catalog.vanish(place, deleted_at);
    account.counts.remove_object(&id);
}

fn add_variation(account: &mut Account, change: &AddVariation) -> Result<Value, Refused> {
    let mut places = Vec::new();
    for _ in 0..change.count.unwrap_or(1) {
        places.push(new_variation(account, change)?);
    }
    Ok(report(account, "add_variation", &places))
}

/// Adds a variation; its item gets a new version, for the list inside grew.
fn new_variation(account: &mut Account, change: &AddVariation) -> Result<usize, Refused> {
    let item = picks::objects(account, ITEM, change.item_id.as_deref(), None)?[0];
    let (item_id, ordinal) = {
        let item = account.catalog.get(item);
        (item.id.to_string(), item.variations.len())
    };
    let wanted = Wanted {
        id: Some(picks::new_id(account, change.id.as_deref())?),
        name: change.name.clone(),
        price_amount: change.price_amount,
        item_id,
        ordinal,
        ..Wanted::default()
    };
    let variation = seed::variation(&mut account.rng, &wanted, account.config.drift);
    let place = put(account, variation, &change.set);
    account.catalog.adopt(item, place);
    let at = account.now;
    account.catalog.edit(item, at, |_| {});
    if let Some(quantity) = &change.quantity {
        let id = account.catalog.get(place).id.to_string();
        stock::fill(account, &id, change.location_id.as_deref(), quantity)?;
    }
    Ok(place)
}

fn edit_variation(account: &mut Account, change: &EditVariation) -> Result<Value, Refused> {
    let places = picks::objects(account, VARIATION, change.id.as_deref(), change.count)?;
    let named = change.name.is_some() || change.sku.is_some() || !change.set.is_empty();
    for &place in &places {
        let at = account.tick();
        let price = change
            .price_amount
            .or_else(|| (!named).then(|| account.rng.i64(20_000..9_000_000_000)));
        account.catalog.edit(place, at, |json| {
            let data = &mut json["item_variation_data"];
            if let Some(amount) = price {
                data["pricing_type"] = json!("FIXED_PRICING");
                data["price_money"] = json!({"amount": amount, "currency": seed::CURRENCY});
            }
            if let Some(name) = &change.name {
                data["name"] = json!(name);
            }
            if let Some(sku) = &change.sku {
                data["sku"] = json!(sku);
            }
            picks::merge(json, &change.set);
        });
        if let Some(item) = account.catalog.get(place).item.filter(|_| change.bump_item) {
            account.catalog.edit(item, at, |_| {});
        }
    }
    Ok(report(account, "edit_variation", &places))
}

fn delete_variation(account: &mut Account, change: &Delete) -> Result<Value, Refused> {
    let places = picks::objects(account, VARIATION, change.id.as_deref(), change.count)?;
    for &place in &places {
        let at = account.tick();
        let item = account.catalog.get(place).item;
        bury(account, place, at);
        if let Some(item) = item.filter(|_| change.bump_item.unwrap_or(true)) {
            account.catalog.edit(item, at, |_| {});
        }
    }
    Ok(report(account, "delete_variation", &places))
}

fn add_category(account: &mut Account, change: &AddCategory) -> Result<Value, Refused> {
    let mut places = Vec::new();
    for _ in 0..change.count.unwrap_or(1) {
        let wanted = Wanted {
            id: Some(picks::new_id(account, change.id.as_deref())?),
            name: change.name.clone(),
            parent_id: change.parent_id.clone(),
            ..Wanted::default()
        };
        let category = seed::category(&mut account.rng, &wanted, account.config.drift);
        places.push(put(account, category, &change.set));
    }
    Ok(report(account, "add_category", &places))
}

fn edit_category(account: &mut Account, change: &EditCategory) -> Result<Value, Refused> {
    let places = picks::objects(account, CATEGORY, change.id.as_deref(), change.count)?;
    for &place in &places {
        let at = account.tick();
        let name = change
            .name
            .clone()
            .or_else(|| change.set.is_empty().then(|| fresh_name(account, at)));
        account.catalog.edit(place, at, |json| {
            if let Some(name) = name {
                json["category_data"]["name"] = json!(name);
            }
            picks::merge(json, &change.set);
        });
    }
    Ok(report(account, "edit_category", &places))
}

/// Deletes categories; items go on naming them, as with Square.
fn delete_category(account: &mut Account, change: &Delete) -> Result<Value, Refused> {
    let places = picks::objects(account, CATEGORY, change.id.as_deref(), change.count)?;
    for &place in &places {
        let at = account.tick();
        bury(account, place, at);
    }
    Ok(report(account, "delete_category", &places))
}
