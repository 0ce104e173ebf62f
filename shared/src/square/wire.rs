//! What Square sends, as far as we use it.
//!
//! Every enum is text and every field is optional but those without which there
//! is no row, because Square adds fields and values without a new version, and
//! leaves out what its own schema calls required. A value that does not fit fails
//! its object alone (see `page.rs`). Names are Square's.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::page::{Broken, Page};
use super::problem::read_object;

/// The longest id that is read, in bytes. Square's own have 192 at most; a longer
/// one would not fit the indexes that ids stand in.
pub const ID_BYTES_MAX: usize = 255;

/// An amount in the currency's smallest unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub amount: Option<i64>,
    pub currency: Option<String>,
}

/// `RetrieveTokenStatusResponse`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct TokenStatus {
    #[serde(default, deserialize_with = "or_none")]
    pub scopes: Option<Vec<String>>,
    /// A personal access token has none, which Square may also send as `""`.
    #[serde(default, deserialize_with = "or_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_none")]
    pub merchant_id: Option<String>,
}

/// What is good to know and no data: nothing, if it cannot be read.
pub(super) fn or_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    source: D,
) -> Result<Option<T>, D::Error> {
    let json = Box::<RawValue>::deserialize(source)?;
    Ok(serde_json::from_str(json.get()).unwrap_or_default())
}

/// `Location`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Location {
    #[serde(deserialize_with = "id")]
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
    pub object_type: CatalogObjectType,
    #[serde(deserialize_with = "id")]
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

/// `CatalogObjectType`, as far as the sync asks for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CatalogObjectType {
    #[default]
    Category,
    Item,
    ItemVariation,
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
    #[serde(default, deserialize_with = "optional_id")]
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
    #[serde(default, deserialize_with = "optional_id")]
    pub category_id: Option<String>,
    pub reporting_category: Option<CatalogObjectCategory>,
    pub categories: Option<Vec<CatalogObjectCategory>>,
    pub is_archived: Option<bool>,
    /// Whole objects; one that cannot be read is quarantined alone as well.
    pub variations: Option<Vec<Box<RawValue>>>,
}

/// `CatalogItemVariation`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CatalogItemVariation {
    #[serde(default, deserialize_with = "optional_id")]
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
    #[serde(default, deserialize_with = "optional_id")]
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
    #[serde(deserialize_with = "id")]
    pub catalog_object_id: String,
    /// `ITEM` in Square for Restaurants, which counts those as well.
    pub catalog_object_type: Option<String>,
    #[serde(deserialize_with = "id")]
    pub location_id: String,
    #[serde(deserialize_with = "id")]
    pub state: String,
    /// Exact to five places; may be negative.
    #[serde(deserialize_with = "exact_decimal")]
    pub quantity: Decimal,
    pub calculated_at: Option<Timestamp>,
}

/// An order, and the JSON that it was read from.
#[derive(Debug, Clone)]
pub struct OrderWithSource {
    pub order: Order,
    pub source: Box<RawValue>,
}

impl OrderWithSource {
    /// Reads an order out of its JSON.
    ///
    /// # Errors
    /// The order itself, with what does not fit.
    pub fn read(source: Box<RawValue>) -> Result<Self, Broken> {
        let order = read_object(source.get())?;
        Ok(Self { order, source })
    }

    /// Reads the orders of a page, each alone.
    pub(super) fn read_page(page: Page<Box<RawValue>>) -> Page<Self> {
        let mut read = Page {
            objects: Vec::with_capacity(page.objects.len()),
            broken: page.broken,
            latest_time: page.latest_time,
        };
        for source in page.objects {
            match Self::read(source) {
                Ok(order) => read.objects.push(order),
                Err(broken) => read.broken.push(broken),
            }
        }
        read
    }
}

/// `Order`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Order {
    #[serde(deserialize_with = "id")]
    pub id: String,
    #[serde(default, deserialize_with = "optional_id")]
    pub location_id: Option<String>,
    pub state: Option<String>,
    pub source: Option<OrderSource>,
    pub customer_id: Option<String>,
    pub reference_id: Option<String>,
    pub ticket_name: Option<String>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    /// Only orders made or changed through the API have one.
    pub version: Option<i64>,
    pub total_money: Option<Money>,
    pub total_tax_money: Option<Money>,
    pub total_discount_money: Option<Money>,
    pub total_tip_money: Option<Money>,
    pub total_service_charge_money: Option<Money>,
    pub net_amounts: Option<OrderMoneyAmounts>,
    pub return_amounts: Option<OrderMoneyAmounts>,
    pub net_amount_due_money: Option<Money>,
    pub line_items: Option<Vec<OrderLineItem>>,
    pub returns: Option<Vec<OrderReturn>>,
    pub tenders: Option<Vec<Tender>>,
}

/// `OrderSource`: the application that made the order.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderSource {
    pub name: Option<String>,
}

/// `OrderMoneyAmounts`: what was returned, or what was sold less what was returned.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderMoneyAmounts {
    pub total_money: Option<Money>,
    pub tax_money: Option<Money>,
    pub tip_money: Option<Money>,
    pub service_charge_money: Option<Money>,
}

/// `OrderLineItem`, and `OrderReturnLineItem`, which has the same fields but for
/// the name of its gross amount and the line that it takes back.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderLineItem {
    /// Unique within its order; old orders have none.
    pub uid: Option<String>,
    pub source_line_item_uid: Option<String>,
    pub name: Option<String>,
    pub variation_name: Option<String>,
    #[serde(default, deserialize_with = "optional_id")]
    pub catalog_object_id: Option<String>,
    pub catalog_version: Option<i64>,
    pub item_type: Option<String>,
    /// Exact to five places.
    #[serde(deserialize_with = "exact_decimal")]
    pub quantity: Decimal,
    pub quantity_unit: Option<OrderQuantityUnit>,
    pub note: Option<String>,
    pub base_price_money: Option<Money>,
    pub gross_sales_money: Option<Money>,
    pub gross_return_money: Option<Money>,
    pub total_tax_money: Option<Money>,
    pub total_discount_money: Option<Money>,
    pub total_service_charge_money: Option<Money>,
    pub total_money: Option<Money>,
}

/// `OrderQuantityUnit`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderQuantityUnit {
    pub measurement_unit: Option<MeasurementUnit>,
}

/// `MeasurementUnit`: one of these is set.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MeasurementUnit {
    pub custom_unit: Option<MeasurementUnitCustom>,
    pub area_unit: Option<String>,
    pub length_unit: Option<String>,
    pub volume_unit: Option<String>,
    pub weight_unit: Option<String>,
    pub generic_unit: Option<String>,
    pub time_unit: Option<String>,
}

/// `MeasurementUnitCustom`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MeasurementUnitCustom {
    pub name: Option<String>,
}

/// `OrderReturn`: what one order takes back of one sale.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderReturn {
    /// None for goods that came back without their receipt.
    #[serde(default, deserialize_with = "optional_id")]
    pub source_order_id: Option<String>,
    pub return_line_items: Option<Vec<OrderLineItem>>,
    pub return_taxes: Option<Vec<OrderReturnPart>>,
    pub return_tips: Option<Vec<OrderReturnPart>>,
    pub return_service_charges: Option<Vec<OrderReturnPart>>,
    pub return_amounts: Option<OrderMoneyAmounts>,
}

/// `OrderReturnTax`, `OrderReturnTip` or `OrderReturnServiceCharge`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderReturnPart {
    pub applied_money: Option<Money>,
}

/// `Tender`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Tender {
    pub id: Option<String>,
    #[serde(rename = "type")]
    pub tender_type: Option<String>,
    /// Tip included.
    pub amount_money: Option<Money>,
    pub tip_money: Option<Money>,
    pub processing_fee_money: Option<Money>,
    pub payment_id: Option<String>,
    pub created_at: Option<Timestamp>,
}

/// An id, or what else a row is found by: never empty, and never too long for an index.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.len() > ID_BYTES_MAX {
        return Err(D::Error::custom("not an id"));
    }
    Ok(text)
}

/// A reference, which an index serves as well.
fn optional_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    if text.as_ref().is_some_and(|text| text.len() > ID_BYTES_MAX) {
        return Err(D::Error::custom("not an id"));
    }
    Ok(text)
}

/// Square's decimals are text; one that we could only hold rounded is refused.
fn exact_decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let text = String::deserialize(deserializer)?;
    Decimal::from_str_exact(&text)
        .map(|decimal| decimal.normalize())
        .map_err(|_| D::Error::custom("not a decimal that can be held exactly"))
}
