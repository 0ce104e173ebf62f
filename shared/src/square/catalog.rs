//! Square's catalog: categories, items and their variations.

use futures::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client::Square;
use super::endpoint::{Endpoint, Method};
use super::list;
use super::page::Page;
use super::wire::{Money, id, optional_id};
use crate::error::SyncError;

pub(crate) const SEARCH_CATALOG_OBJECTS: Endpoint = Endpoint {
    method: Method::Post,
    path: "/v2/catalog/search",
    permission: "ITEMS_READ",
    array: "objects",
};

const BATCH_RETRIEVE_CATALOG_OBJECTS: Endpoint = Endpoint {
    method: Method::Post,
    path: "/v2/catalog/batch-retrieve",
    permission: "ITEMS_READ",
    array: "objects",
};

/// `SearchCatalogObjectsRequest`.
#[derive(Debug, Clone, Serialize)]
pub struct SearchCatalogObjects {
    /// Always named: what Square lists without them changes with its version.
    pub object_types: Vec<&'static str>,
    /// Objects changed after this time; an object of this very time is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin_time: Option<Timestamp>,
    /// Whether deleted objects come as tombstones. With a `begin_time` they come anyway.
    pub include_deleted_objects: bool,
    /// Objects a page, 1 to 1000; Square may send more or fewer.
    pub limit: u32,
}

/// `BatchRetrieveCatalogObjectsRequest`.
#[derive(Debug, Clone, Serialize)]
pub struct BatchRetrieveCatalogObjects {
    /// 1 to 1000 ids.
    pub object_ids: Vec<String>,
    /// Whether deleted objects come as tombstones.
    pub include_deleted_objects: bool,
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

impl Square {
    /// `SearchCatalogObjects`, page by page, in no particular order. A list whose
    /// cursor expires starts over, so that an object may come more than once, and
    /// the first page's `latest_time` is the one to keep.
    ///
    /// # Errors
    /// An item of the stream, and then its last one: one of the `Square…` errors.
    pub fn search_catalog_objects(
        &self,
        request: SearchCatalogObjects,
    ) -> impl Stream<Item = Result<Page<CatalogObject>, SyncError>> + Send + Unpin + 'static + use<>
    {
        list::pages(self.clone(), &SEARCH_CATALOG_OBJECTS, request)
    }

    /// `BatchRetrieveCatalogObjects`: those of these that Square knows, deleted ones as
    /// tombstones.
    ///
    /// # Errors
    /// One of the `Square…` errors; see `request`.
    pub async fn batch_retrieve_catalog_objects(
        &self,
        request: &BatchRetrieveCatalogObjects,
    ) -> Result<Page<CatalogObject>, SyncError> {
        self.only_page(&BATCH_RETRIEVE_CATALOG_OBJECTS, request)
            .await
    }
}
