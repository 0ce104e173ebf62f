//! Catalog objects of Square as rows: one item becomes its own row, its category
//! rows and a row for each variation that it holds.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::types::Json;

use crate::square::catalog::{
    CatalogItem, CatalogItemVariation, CatalogObject, CatalogObjectType,
    ItemVariationLocationOverrides,
};
use crate::square::wire::Money;
use crate::square::{Broken, ID_BYTES_MAX, read_object};

/// Data types, in statistics and in quarantine.
const CATEGORIES: &str = "categories";
const ITEMS: &str = "items";
const VARIATIONS: &str = "variations";

/// The rows of one or several pages, and what could not become one.
#[derive(Debug, Default)]
pub struct CatalogRows {
    pub categories: Vec<CategoryRow>,
    pub items: Vec<ItemRow>,
    pub variations: Vec<VariationRow>,
    /// With the data type, where the object tells it.
    pub broken: Vec<(Option<&'static str>, Broken)>,
}

/// Rows with a greater number came after a whole listing, as changes meanwhile or as
/// answers to questions.
pub const LISTED: i64 = 1 << 40;

/// Numbers rows in the order of their arrival.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals {
    last: i64,
    step: i64,
}

impl Arrivals {
    /// Of rows that Square gives: 1, 2, 3 …
    #[must_use]
    pub fn given() -> Self {
        Self { last: 0, step: 1 }
    }

    /// Of rows that waited and are tried again: -1, -2, -3 …
    #[must_use]
    pub fn again() -> Self {
        Self { last: 0, step: -1 }
    }

    /// The listing has ended.
    pub fn have_been_listed(&mut self) {
        self.last = self.last.max(LISTED);
    }

    fn next(&mut self) -> i64 {
        self.last += self.step;
        self.last
    }
}

/// A row of `catalog_categories`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CategoryRow {
    pub seq: i64,
    pub id: String,
    pub name: Option<String>,
    pub category_type: Option<String>,
    pub parent_category_id: Option<String>,
    pub is_top_level: Option<bool>,
    pub version: Option<i64>,
    pub updated_at: Option<Timestamp>,
    pub is_deleted: bool,
}

/// The locations at which an object is sold.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Presence {
    pub at_all_locations: bool,
    pub at_location_ids: Vec<String>,
    pub absent_at_location_ids: Vec<String>,
}

/// A row of `catalog_items`, with those of `catalog_item_categories`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ItemRow {
    pub seq: i64,
    pub id: String,
    pub name: Option<String>,
    pub description: Option<String>,
    pub product_type: Option<String>,
    pub category_id: Option<String>,
    pub is_archived: Option<bool>,
    pub presence: Presence,
    pub version: Option<i64>,
    pub updated_at: Option<Timestamp>,
    pub is_deleted: bool,
    /// The variations it holds; none if it does not say.
    pub variation_ids: Option<Vec<String>>,
    pub categories: Json<Vec<ItemCategory>>,
}

/// A row of `catalog_item_categories`, without its item.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ItemCategory {
    pub category_id: String,
    pub ordinal: Option<i64>,
}

/// A row of `catalog_variations`, with those of `catalog_variation_overrides`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariationRow {
    pub seq: i64,
    pub id: String,
    pub item_id: Option<String>,
    pub name: Option<String>,
    pub sku: Option<String>,
    pub upc: Option<String>,
    pub ordinal: Option<i64>,
    pub pricing_type: Option<String>,
    pub price: Money,
    pub track_inventory: Option<bool>,
    pub sellable: Option<bool>,
    pub stockable: Option<bool>,
    pub measurement_unit_id: Option<String>,
    pub presence: Presence,
    pub version: Option<i64>,
    pub updated_at: Option<Timestamp>,
    pub is_deleted: bool,
    /// The copy of the item that held it; none if it came on its own.
    pub item_seq: Option<i64>,
    pub overrides: Json<Vec<Override>>,
}

/// A row of `catalog_variation_overrides`, without its variation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Override {
    pub location_id: String,
    pub price_amount: Option<i64>,
    pub price_currency: Option<String>,
    pub pricing_type: Option<String>,
    pub track_inventory: Option<bool>,
    pub sold_out: Option<bool>,
    pub inventory_alert_type: Option<String>,
    pub inventory_alert_threshold: Option<i64>,
}

impl CatalogRows {
    /// Adds an object's rows.
    pub fn add(&mut self, object: CatalogObject, arrivals: &mut Arrivals) {
        match object.object_type {
            CatalogObjectType::Category => self.categories.push(category(object, arrivals.next())),
            CatalogObjectType::Item => self.add_item(object, arrivals),
            CatalogObjectType::ItemVariation => {
                let seq = arrivals.next();
                self.variations.push(variation(object, None, seq));
            }
        }
    }

    /// Adds an object that cannot be read, unless it is of another type. Of one that is
    /// deleted nothing else matters.
    pub fn add_broken(&mut self, broken: Broken, arrivals: &mut Arrivals) {
        let object_type = broken.read("type").or_else(|| type_of(&broken));
        if let (Some(object_type), Some(true)) = (object_type, broken.read("is_deleted"))
            && let Some(id) = broken
                .text("id")
                .filter(|id| (1..=ID_BYTES_MAX).contains(&id.len()))
        {
            let tombstone = CatalogObject {
                object_type,
                id,
                version: broken.read("version"),
                updated_at: broken.read("updated_at"),
                is_deleted: Some(true),
                ..CatalogObject::default()
            };
            return self.add(tombstone, arrivals);
        }
        // Other types may come along with a filter of types in Square's future.
        if object_type.is_none() && broken.text("type").is_some_and(|name| is_type(&name)) {
            return;
        }
        let data_type = object_type.map(|object_type| match object_type {
            CatalogObjectType::Category => CATEGORIES,
            CatalogObjectType::Item => ITEMS,
            CatalogObjectType::ItemVariation => VARIATIONS,
        });
        self.broken.push((data_type, broken));
    }

    fn add_item(&mut self, mut object: CatalogObject, arrivals: &mut Arrivals) {
        let item_seq = arrivals.next();
        let nested = object
            .item_data
            .as_mut()
            .and_then(|data| data.variations.take());
        // One without an id leaves open which the item holds.
        let mut variation_ids = nested.as_ref().map(|_| Vec::new());
        for payload in nested.unwrap_or_default() {
            let id = match read_object::<CatalogObject>(payload.get()) {
                Ok(held) => {
                    let id = held.id.clone();
                    let holder = Some((object.id.as_str(), item_seq));
                    let seq = arrivals.next();
                    self.variations.push(variation(held, holder, seq));
                    Some(id)
                }
                Err(broken) => {
                    let id = broken.text("id");
                    self.broken.push((Some(VARIATIONS), broken));
                    id
                }
            };
            variation_ids = variation_ids.zip(id).map(|(mut ids, id)| {
                ids.push(id);
                ids
            });
        }
        self.items.push(item(object, variation_ids, item_seq));
    }
}

/// The type that an object shows by its data, if it names none that we know.
fn type_of(broken: &Broken) -> Option<CatalogObjectType> {
    [
        ("category_data", CatalogObjectType::Category),
        ("item_data", CatalogObjectType::Item),
        ("item_variation_data", CatalogObjectType::ItemVariation),
    ]
    .into_iter()
    .find_map(|(field, object_type)| broken.has(field).then_some(object_type))
}

/// Whether a name is one that Square could give a type.
fn is_type(name: &str) -> bool {
    let is_of_types = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_of_types)
}

fn category(object: CatalogObject, seq: i64) -> CategoryRow {
    let data = object.category_data.unwrap_or_default();
    let parent = data.parent_category.and_then(|parent| parent.id);
    CategoryRow {
        seq,
        id: object.id,
        name: data.name,
        category_type: data.category_type,
        parent_category_id: parent,
        is_top_level: data.is_top_level,
        version: object.version,
        updated_at: object.updated_at,
        is_deleted: object.is_deleted.unwrap_or(false),
    }
}

fn item(mut object: CatalogObject, variation_ids: Option<Vec<String>>, seq: i64) -> ItemRow {
    let presence = presence(&mut object);
    let data = object.item_data.unwrap_or_default();
    let category_id = category_id(&data);
    let categories = data
        .categories
        .unwrap_or_default()
        .into_iter()
        .filter_map(|category| {
            Some(ItemCategory {
                category_id: category.id?,
                ordinal: category.ordinal,
            })
        })
        .collect();
    ItemRow {
        seq,
        id: object.id,
        name: data.name,
        description: data.description_plaintext.or(data.description),
        product_type: data.product_type,
        category_id,
        is_archived: data.is_archived,
        presence,
        version: object.version,
        updated_at: object.updated_at,
        is_deleted: object.is_deleted.unwrap_or(false),
        variation_ids,
        categories: Json(categories),
    }
}

/// The reporting category, else the listed one of the lowest ordinal, else the
/// deprecated single one.
fn category_id(data: &CatalogItem) -> Option<String> {
    let reporting = data
        .reporting_category
        .as_ref()
        .and_then(|category| category.id.clone());
    let listed = || {
        let listed = data.categories.iter().flatten();
        listed
            .filter(|category| category.id.is_some())
            .min_by_key(|category| category.ordinal.unwrap_or(i64::MAX))
            .and_then(|category| category.id.clone())
    };
    reporting
        .or_else(listed)
        .or_else(|| data.category_id.clone())
}

/// `holder` is the item that holds the variation, with its copy's `seq`.
fn variation(mut object: CatalogObject, holder: Option<(&str, i64)>, seq: i64) -> VariationRow {
    let presence = presence(&mut object);
    let data: CatalogItemVariation = object.item_variation_data.unwrap_or_default();
    let item_id = data
        .item_id
        .or_else(|| holder.map(|(item_id, _)| item_id.to_owned()));
    let price = data.price_money.unwrap_or_default();
    let overrides = data
        .location_overrides
        .unwrap_or_default()
        .into_iter()
        .filter_map(override_row)
        .collect();
    VariationRow {
        seq,
        id: object.id,
        item_id,
        name: data.name,
        sku: data.sku,
        upc: data.upc,
        ordinal: data.ordinal,
        pricing_type: data.pricing_type,
        price: Money {
            amount: price.amount,
            currency: price.currency,
        },
        track_inventory: data.track_inventory,
        sellable: data.sellable,
        stockable: data.stockable,
        measurement_unit_id: data.measurement_unit_id,
        presence,
        version: object.version,
        updated_at: object.updated_at,
        is_deleted: object.is_deleted.unwrap_or(false),
        item_seq: holder.map(|(_, seq)| seq),
        overrides: Json(overrides),
    }
}

/// An override without a location overrides nothing.
fn override_row(location: ItemVariationLocationOverrides) -> Option<Override> {
    let price = location.price_money.unwrap_or_default();
    Some(Override {
        location_id: location.location_id?,
        price_amount: price.amount,
        price_currency: price.currency,
        pricing_type: location.pricing_type,
        track_inventory: location.track_inventory,
        sold_out: location.sold_out,
        inventory_alert_type: location.inventory_alert_type,
        inventory_alert_threshold: location.inventory_alert_threshold,
    })
}

/// Square's rule: what does not say where it is present is present everywhere.
fn presence(object: &mut CatalogObject) -> Presence {
    Presence {
        at_all_locations: object.present_at_all_locations.unwrap_or(true),
        at_location_ids: object.present_at_location_ids.take().unwrap_or_default(),
        absent_at_location_ids: object.absent_at_location_ids.take().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
