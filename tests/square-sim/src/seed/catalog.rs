//! The seeded catalog: categories in a tree, items with one to many variations
//! (a few with none), presence lists, overrides, old tombstones, and object
//! types nobody asked for. Objects are shuffled, so that a variation may be
//! given before its item.

use fastrand::Rng;
use serde_json::{Value, json};

use super::objects::{self, Wanted};
use super::{words, years_ago};
use crate::account::Account;
use crate::account::catalog::{self, CATEGORY, ITEM, VARIATION};
use crate::config::Config;
use crate::moment::{self, MINUTE, Nanos};
use crate::random::{self, Stream, one_in};

/// Ids that objects refer to.
struct References {
    locations: Vec<String>,
    categories: Vec<String>,
    units: Vec<String>,
}

/// Fills the catalog.
pub(super) fn fill(account: &mut Account) {
    let config = account.config.clone();
    let mut times = Times::new(&config);
    let mut made = others(&config, &mut times);
    let units = made
        .iter()
        .filter(|object| object["type"] == "MEASUREMENT_UNIT");
    let mut references = References {
        locations: account
            .locations
            .ids()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        categories: Vec::new(),
        units: units
            .filter_map(|object| object["id"].as_str())
            .map(str::to_owned)
            .collect(),
    };
    for number in 0..config.categories {
        let mut rng = random::stream(config.seed, Stream::Category, number);
        let parent_id = (number >= config.categories.div_ceil(3)).then(|| {
            pick_id(
                &mut rng,
                &references.categories[..config.categories.div_ceil(3)],
            )
        });
        let wanted = Wanted {
            name: Some(words::category(number)),
            parent_id,
            ..Wanted::default()
        };
        let category = objects::category(&mut rng, &wanted, config.drift);
        references
            .categories
            .push(category["id"].as_str().unwrap_or_default().to_owned());
        made.push(times.stamped(category));
    }
    let first_item = made.len();
    let mut number = 0;
    for (item_number, variations) in variations_per_item(&config).into_iter().enumerate() {
        let mut rng = random::stream(config.seed, Stream::Item, item_number);
        let wanted = Wanted {
            category_ids: some_of(&mut rng, &references.categories),
            ..Wanted::default()
        };
        let mut item = objects::item(&mut rng, &wanted, config.drift);
        presence(&mut rng, &mut item, &references.locations);
        let item_id = item["id"].as_str().unwrap_or_default().to_owned();
        made.push(times.stamped(item));
        for ordinal in 0..variations {
            let mut rng = random::stream(config.seed, Stream::Variation, number);
            let wanted = Wanted {
                item_id: item_id.clone(),
                ordinal,
                ..Wanted::default()
            };
            let mut variation = objects::variation(&mut rng, &wanted, config.drift);
            presence(&mut rng, &mut variation, &references.locations);
            refine(&mut rng, &mut variation, &references);
            made.push(times.stamped(variation));
            number += 1;
        }
    }
    put_shuffled(account, made, first_item);
    tombstones(account, &mut times);
}

/// Puts the objects in shuffled order and then hangs variations under their
/// items, in the order in which they were made.
fn put_shuffled(account: &mut Account, made: Vec<Value>, first_item: usize) {
    let owners: Vec<(String, String)> = made[first_item..]
        .iter()
        .scan(String::new(), |item, object| {
            let id = object["id"].as_str().unwrap_or_default().to_owned();
            if object["type"] == ITEM {
                item.clone_from(&id);
            }
            Some((id, item.clone()))
        })
        .filter(|(id, item)| id != item)
        .collect();
    let mut shuffled = made;
    random::stream(account.config.seed, Stream::Shuffle, 0).shuffle(&mut shuffled);
    for object in shuffled {
        let at = object["updated_at"]
            .as_str()
            .and_then(moment::parse)
            .unwrap_or_default();
        account.catalog.put_alone(object, at);
    }
    for (variation, item) in owners {
        if let (Some(variation), Some(item)) = (
            account.catalog.place(&variation),
            account.catalog.place(&item),
        ) {
            account.catalog.adopt(item, variation);
        }
    }
}

/// Overrides and a unit, for seeded variations only.
fn refine(rng: &mut Rng, variation: &mut Value, references: &References) {
    let data = &mut variation["item_variation_data"];
    if one_in(rng, 6) && !references.locations.is_empty() {
        let mut chosen = references.locations.clone();
        rng.shuffle(&mut chosen);
        chosen.truncate(rng.usize(1..=chosen.len().min(3)));
        data["location_overrides"] = chosen
            .iter()
            .map(|location| objects::location_override(rng, location))
            .collect();
    }
    if one_in(rng, 15) && !references.units.is_empty() {
        data["measurement_unit_id"] = json!(pick_id(rng, &references.units));
    }
}

/// Where an object is present: mostly everywhere, said or left unsaid.
fn presence(rng: &mut Rng, object: &mut Value, locations: &[String]) {
    let Some(place) = (!locations.is_empty()).then(|| pick_id(rng, locations)) else {
        return;
    };
    match rng.u8(0..12) {
        0 => objects::remove(object, "present_at_all_locations"),
        1 => object["absent_at_location_ids"] = json!([place]),
        2 => {
            object["present_at_all_locations"] = json!(false);
            object["present_at_location_ids"] = json!([place]);
        }
        3 => object["present_at_location_ids"] = json!([]),
        4 => object["present_at_location_ids"] = Value::Null,
        _ => {}
    }
}

/// Deletions from long before the account was first looked at.
fn tombstones(account: &mut Account, times: &mut Times) {
    let seed = account.config.seed;
    let share = account.config.items / 50;
    for (number, kind) in [CATEGORY, ITEM, VARIATION]
        .iter()
        .cycle()
        .take(share.min(300))
        .enumerate()
    {
        let mut rng = random::stream(seed, Stream::Tombstone, number);
        let id = random::id(&mut rng, 24);
        let at = times.next();
        let place = account
            .catalog
            .put_alone(json!({"type": kind, "id": id}), at);
        account.catalog.bury(
            place,
            objects::tombstone(&mut rng, kind, &id, at),
            at,
            false,
        );
    }
}

/// Objects of types a sync of items does not ask for.
fn others(config: &Config, times: &mut Times) -> Vec<Value> {
    if config.items == 0 {
        return Vec::new();
    }
    let bodies = [
        (
            "MEASUREMENT_UNIT",
            json!({"measurement_unit": {"weight_unit": "IMPERIAL_POUND", "type": "TYPE_WEIGHT"}, "precision": 2}),
        ),
        (
            "MEASUREMENT_UNIT",
            json!({"measurement_unit": {"custom_unit": {"name": "Yarn ball", "abbreviation": "yb"}}, "precision": 5}),
        ),
        (
            "TAX",
            json!({"name": "Sales Tax", "percentage": "8.5", "inclusion_type": "ADDITIVE", "enabled": true}),
        ),
        (
            "DISCOUNT",
            json!({"name": "Early bird", "percentage": "10.0", "discount_type": "FIXED_PERCENTAGE"}),
        ),
        (
            "IMAGE",
            json!({"name": "Storefront", "url": "https://example.com/storefront.jpg"}),
        ),
    ];
    let made = bodies
        .into_iter()
        .enumerate()
        .map(|(number, (kind, data))| {
            let mut rng = random::stream(config.seed, Stream::Other, number);
            times.stamped(objects::object(&mut rng, kind, &Wanted::default(), data))
        });
    made.collect()
}

/// Spreads the objects' moments over seven years; one in a hundred shares its
/// moment with the object before.
struct Times {
    rng: Rng,
    from: Nanos,
    to: Nanos,
    last: Nanos,
}

impl Times {
    fn new(config: &Config) -> Self {
        let now = moment::of(config.now).unwrap_or_default();
        let rng = random::stream(config.seed, Stream::Shuffle, 1);
        Self {
            rng,
            from: years_ago(now, 7),
            to: now - 10 * MINUTE,
            last: years_ago(now, 7),
        }
    }

    fn next(&mut self) -> Nanos {
        if !one_in(&mut self.rng, 100) {
            self.last = random::moment(&mut self.rng, self.from, self.to);
        }
        self.last
    }

    fn stamped(&mut self, mut object: Value) -> Value {
        catalog::stamp(&mut object, self.next());
        object
    }
}

/// How many variations each item has: a few items none, most one or two.
fn variations_per_item(config: &Config) -> Vec<usize> {
    let mut rng = random::stream(config.seed, Stream::Shuffle, 2);
    let mut counts = vec![0; config.items];
    let bare = |item: usize| item % 60 == 59;
    let mut left = config.variations;
    for (item, count) in counts.iter_mut().enumerate() {
        if left > 0 && !bare(item) {
            *count = 1;
            left -= 1;
        }
    }
    for _ in 0..left {
        let from = rng.usize(..config.items);
        let room = |item: &usize| counts[*item] < Config::MAX_VARIATIONS_PER_ITEM;
        let mut turn = (from..config.items).chain(0..from);
        let item = turn
            .clone()
            .find(|item| room(item) && !bare(*item))
            .or_else(|| turn.find(room));
        counts[item.unwrap_or(from)] += 1;
    }
    counts
}

/// Up to three of the ids, most often one.
fn some_of(rng: &mut Rng, ids: &[String]) -> Vec<String> {
    let wanted = [0, 1, 1, 1, 1, 1, 2, 2, 3][rng.usize(..9)];
    let mut chosen: Vec<String> = Vec::new();
    for _ in 0..wanted.min(ids.len()) {
        let id = pick_id(rng, ids);
        if !chosen.contains(&id) {
            chosen.push(id);
        }
    }
    chosen
}

fn pick_id(rng: &mut Rng, ids: &[String]) -> String {
    ids.get(rng.usize(..ids.len().max(1)))
        .cloned()
        .unwrap_or_default()
}
