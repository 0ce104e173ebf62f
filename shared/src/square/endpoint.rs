//! The endpoints that the sync calls, and what it sends them.
//!
//! Paths and permissions are facts about Square, kept in one table so that an
//! error can name both. The requests carry only fields that we use: Square
//! refuses a body with a field that it does not know.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

/// One of Square's operations.
#[derive(Debug)]
pub struct Endpoint {
    /// `true` for POST, `false` for GET. All of them only read.
    pub(super) is_post: bool,
    pub path: &'static str,
    /// The permission that Square wants; what a refusal (403) names.
    pub scope: &'static str,
}

pub(super) const RETRIEVE_TOKEN_STATUS: Endpoint = Endpoint {
    is_post: true,
    path: "/oauth2/token/status",
    // Square asks for no permission here; a refusal concerns the token as such.
    scope: "the right to ask for its own status",
};

pub(crate) const LIST_LOCATIONS: Endpoint = Endpoint {
    is_post: false,
    path: "/v2/locations",
    scope: "MERCHANT_PROFILE_READ",
};

pub(crate) const SEARCH_CATALOG_OBJECTS: Endpoint = Endpoint {
    is_post: true,
    path: "/v2/catalog/search",
    scope: "ITEMS_READ",
};

pub(super) const BATCH_RETRIEVE_CATALOG_OBJECTS: Endpoint = Endpoint {
    is_post: true,
    path: "/v2/catalog/batch-retrieve",
    scope: "ITEMS_READ",
};

pub(crate) const BATCH_RETRIEVE_INVENTORY_COUNTS: Endpoint = Endpoint {
    is_post: true,
    path: "/v2/inventory/counts/batch-retrieve",
    scope: "INVENTORY_READ",
};

pub(crate) const SEARCH_ORDERS: Endpoint = Endpoint {
    is_post: true,
    path: "/v2/orders/search",
    scope: "ORDERS_READ",
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

/// The time that orders are searched and sorted by: Square wants both the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderTime {
    CreatedAt,
    UpdatedAt,
}

impl OrderTime {
    fn field(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }

    fn sort_field(self) -> &'static str {
        match self {
            Self::CreatedAt => "CREATED_AT",
            Self::UpdatedAt => "UPDATED_AT",
        }
    }
}

/// `SearchOrdersRequest`, written by `SearchOrders::new`.
#[derive(Debug, Clone, Serialize)]
pub struct SearchOrders {
    location_ids: Vec<String>,
    query: serde_json::Value,
    limit: u32,
}

impl SearchOrders {
    /// The most locations that one search may name.
    pub const LOCATIONS_MAX: usize = 10;

    /// Orders of one to ten locations from a time on, oldest first. Square takes
    /// both ends of the range as part of it; without an end, it ends with the
    /// moment of the first page.
    #[must_use]
    pub fn ascending(
        location_ids: Vec<String>,
        by: OrderTime,
        start_at: Option<Timestamp>,
        end_at: Option<Timestamp>,
        limit: u32,
    ) -> Self {
        let mut range = serde_json::Map::new();
        for (name, time) in [("start_at", start_at), ("end_at", end_at)] {
            if let Some(time) = time {
                range.insert(name.to_owned(), time.to_string().into());
            }
        }
        let mut query = sorted(by, "ASC");
        if !range.is_empty() {
            query["filter"] = json!({"date_time_filter": {by.field(): range}});
        }
        Self {
            location_ids,
            query,
            limit,
        }
    }

    /// The newest order of one to ten locations, or the newest up to that time.
    #[must_use]
    pub fn newest(location_ids: Vec<String>, by: OrderTime, end_at: Option<Timestamp>) -> Self {
        let mut query = sorted(by, "DESC");
        if let Some(end_at) = end_at {
            let range = json!({"end_at": end_at.to_string()});
            query["filter"] = json!({"date_time_filter": {by.field(): range}});
        }
        Self {
            location_ids,
            query,
            limit: 1,
        }
    }
}

fn sorted(by: OrderTime, sort_order: &str) -> serde_json::Value {
    json!({"sort": {"sort_field": by.sort_field(), "sort_order": sort_order}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_sorts_by_the_time_that_it_filters_by() {
        let request = SearchOrders::ascending(
            vec!["L".to_owned()],
            OrderTime::UpdatedAt,
            "2026-01-01T00:00:00.5Z".parse().ok(),
            None,
            500,
        );
        assert_eq!(
            serde_json::to_value(request).unwrap(),
            json!({
                "location_ids": ["L"],
                "query": {
                    "filter": {"date_time_filter": {"updated_at": {"start_at": "2026-01-01T00:00:00.5Z"}}},
                    "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
                },
                "limit": 500,
            })
        );
    }
}
