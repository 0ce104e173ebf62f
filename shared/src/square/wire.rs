//! What Square sends, as far as we use it.
//!
//! Every enum is text and every field is optional but those without which there
//! is no row, because Square adds fields and values without a new version, and
//! leaves out what its own schema calls required. A value that does not fit fails
//! its object alone (see `page.rs`). Names are Square's.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// An amount in the currency's smallest unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Money {
    pub amount: Option<i64>,
    pub currency: Option<String>,
}

/// `RetrieveTokenStatusResponse`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct TokenStatus {
    pub scopes: Option<Vec<String>>,
    /// A personal access token has none, which Square may also send as `""`.
    #[serde(default, deserialize_with = "time_or_empty")]
    pub expires_at: Option<Timestamp>,
    pub merchant_id: Option<String>,
}

fn time_or_empty<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Timestamp>, D::Error> {
    Option::<String>::deserialize(source)?
        .filter(|text| !text.is_empty())
        .map(|text| text.parse().map_err(D::Error::custom))
        .transpose()
}

/// `Location`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Location {
    pub id: String,
    pub name: Option<String>,
    pub business_name: Option<String>,
    #[serde(rename = "type")]
    pub location_type: Option<String>,
    pub status: Option<String>,
    pub address: Option<Address>,
    pub country: Option<String>,
    pub timezone: Option<String>,
    pub currency: Option<String>,
    pub language_code: Option<String>,
    pub phone_number: Option<String>,
    pub business_email: Option<String>,
    pub website_url: Option<String>,
    pub coordinates: Option<Coordinates>,
    pub mcc: Option<String>,
    pub merchant_id: Option<String>,
    pub capabilities: Option<Vec<String>>,
    pub created_at: Option<Timestamp>,
}

/// `Address`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Address {
    pub address_line_1: Option<String>,
    pub address_line_2: Option<String>,
    pub address_line_3: Option<String>,
    pub locality: Option<String>,
    pub administrative_district_level_1: Option<String>,
    pub postal_code: Option<String>,
    pub country: Option<String>,
}

/// `Coordinates`, in degrees.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Coordinates {
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
}

/// `CatalogObject`, of one of the types that we ask for.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CatalogObject {
    #[serde(rename = "type")]
    pub object_type: String,
    pub id: String,
    pub updated_at: Option<Timestamp>,
    pub version: Option<i64>,
    pub is_deleted: Option<bool>,
    pub present_at_all_locations: Option<bool>,
    pub present_at_location_ids: Option<Vec<String>>,
    pub absent_at_location_ids: Option<Vec<String>>,
    pub category_data: Option<CatalogCategory>,
    pub item_data: Option<CatalogItem>,
    pub item_variation_data: Option<CatalogItemVariation>,
}

/// `CatalogCategory`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CatalogCategory {
    pub name: Option<String>,
    pub category_type: Option<String>,
    pub parent_category: Option<CatalogObjectCategory>,
    pub is_top_level: Option<bool>,
}

/// `CatalogObjectCategory`: a category as an item or another category names it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CatalogObjectCategory {
    pub id: Option<String>,
    pub ordinal: Option<i64>,
}

/// `CatalogItem`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CatalogItem {
    pub name: Option<String>,
    pub description: Option<String>,
    pub description_plaintext: Option<String>,
    pub product_type: Option<String>,
    pub category_id: Option<String>,
    pub reporting_category: Option<CatalogObjectCategory>,
    pub categories: Option<Vec<CatalogObjectCategory>>,
    pub is_archived: Option<bool>,
    /// Whole objects; one that cannot be read is quarantined alone as well.
    pub variations: Option<Vec<serde_json::Value>>,
}

/// `CatalogItemVariation`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CatalogItemVariation {
    pub item_id: Option<String>,
    pub name: Option<String>,
    pub sku: Option<String>,
    pub upc: Option<String>,
    pub ordinal: Option<i64>,
    pub pricing_type: Option<String>,
    pub price_money: Option<Money>,
    pub track_inventory: Option<bool>,
    pub sellable: Option<bool>,
    pub stockable: Option<bool>,
    pub measurement_unit_id: Option<String>,
    pub location_overrides: Option<Vec<ItemVariationLocationOverrides>>,
}

/// `ItemVariationLocationOverrides`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ItemVariationLocationOverrides {
    pub location_id: Option<String>,
    pub price_money: Option<Money>,
    pub pricing_type: Option<String>,
    pub track_inventory: Option<bool>,
    pub sold_out: Option<bool>,
    pub inventory_alert_type: Option<String>,
    pub inventory_alert_threshold: Option<i64>,
}

/// `InventoryCount`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct InventoryCount {
    pub catalog_object_id: String,
    pub location_id: String,
    pub state: String,
    /// Exact to five places; may be negative.
    #[serde(deserialize_with = "exact_decimal")]
    pub quantity: Decimal,
    pub calculated_at: Option<Timestamp>,
}

/// Square's decimals are text; one that we could only hold rounded is refused.
fn exact_decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let text = String::deserialize(deserializer)?;
    Decimal::from_str_exact(&text)
        .map(|decimal| decimal.normalize())
        .map_err(|_| D::Error::custom("not a decimal that can be held exactly"))
}
