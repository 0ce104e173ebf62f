//! The endpoints that the sync calls, and what it sends them.
//!
//! Paths and permissions are facts about Square, kept in one table so that an
//! error can name both. The requests carry only fields that we use: Square
//! refuses a body with a field that it does not know.

use jiff::Timestamp;
use serde::Serialize;

/// One of Square's operations.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// `true` for POST, `false` for GET. All of them only read.
    pub(super) is_post: bool,
    pub(super) path: &'static str,
    /// The permission that Square wants; what a refusal (403) names.
    pub(super) scope: &'static str,
}

pub(super) const RETRIEVE_TOKEN_STATUS: Endpoint = Endpoint {
    is_post: true,
    path: "/oauth2/token/status",
    // Square asks for no permission here; a refusal concerns the token as such.
    scope: "the right to ask for its own status",
};

pub(super) const LIST_LOCATIONS: Endpoint = Endpoint {
    is_post: false,
    path: "/v2/locations",
    scope: "MERCHANT_PROFILE_READ",
};

pub(super) const SEARCH_CATALOG_OBJECTS: Endpoint = Endpoint {
    is_post: true,
    path: "/v2/catalog/search",
    scope: "ITEMS_READ",
};

pub(super) const BATCH_RETRIEVE_INVENTORY_COUNTS: Endpoint = Endpoint {
    is_post: true,
    path: "/v2/inventory/counts/batch-retrieve",
    scope: "INVENTORY_READ",
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

/// `BatchRetrieveInventoryCountsRequest`.
#[derive(Debug, Clone, Serialize)]
pub struct BatchRetrieveInventoryCounts {
    /// Counts at these locations; empty means at all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub location_ids: Vec<String>,
    /// Counts calculated after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_after: Option<Timestamp>,
    /// Counts a page, 1 to 1000.
    pub limit: u32,
}
