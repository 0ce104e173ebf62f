//! Square's inventory counts.

use futures::Stream;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::client::Square;
use super::endpoint::{Endpoint, Method};
use super::list;
use super::page::Page;
use super::wire::{exact_decimal, id};
use crate::error::SyncError;

pub(crate) const BATCH_RETRIEVE_INVENTORY_COUNTS: Endpoint = Endpoint {
    method: Method::Post,
    path: "/v2/inventory/counts/batch-retrieve",
    permission: "INVENTORY_READ",
    array: "counts",
};

/// `BatchRetrieveInventoryCountsRequest`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BatchRetrieveInventoryCounts {
    /// Counts of these objects; empty means of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catalog_object_ids: Vec<String>,
    /// Counts at these locations; empty means at all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub location_ids: Vec<String>,
    /// Counts calculated after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_after: Option<Timestamp>,
    /// Counts a page, 1 to 1000.
    pub limit: u32,
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

impl Square {
    /// `BatchRetrieveInventoryCounts`, page by page, newest count first. A list
    /// whose cursor expires starts over, so that a count may come more than once.
    ///
    /// # Errors
    /// An item of the stream, and then its last one: one of the `Square…` errors.
    pub fn batch_retrieve_inventory_counts(
        &self,
        request: BatchRetrieveInventoryCounts,
    ) -> impl Stream<Item = Result<Page<InventoryCount>, SyncError>> + Send + Unpin + 'static + use<>
    {
        list::pages(self.clone(), &BATCH_RETRIEVE_INVENTORY_COUNTS, request)
    }
}
