//! The catalog's tables.

use super::columns;
use crate::staging::column::names;
use crate::staging::table::Table;

/// `catalog_categories`.
pub const CATEGORIES: Table = Table {
    name: "catalog_categories",
    data_type: "categories",
    key: &["id"],
    columns: &names(&columns::CATEGORIES),
    staging_only: &[],
    version: "version",
    changed_at: Some("updated_at"),
    rank: OBJECT_RANK,
    has_tombstones: true,
    live: "not @.is_deleted",
    is_object: true,
    parents: &[],
    held_by: None,
    vouched: None,
    history: None,
};

/// `catalog_items`.
pub const ITEMS: Table = Table {
    name: "catalog_items",
    data_type: "items",
    key: &["id"],
    columns: &names(&columns::ITEMS),
    staging_only: &names(&columns::ITEMS_IN_STAGING),
    version: "version",
    changed_at: Some("updated_at"),
    rank: OBJECT_RANK,
    has_tombstones: true,
    // An item of which a living variation was listed has only slipped.
    live: "not @.is_deleted",
    is_object: true,
    parents: &[],
    held_by: None,
    vouched: Some(
        "select distinct item_id as id from staging.catalog_variations \
         where attempt = $1 and not is_deleted",
    ),
    history: None,
};

/// `catalog_item_categories`.
pub const ITEM_CATEGORIES: Table = Table {
    name: "catalog_item_categories",
    data_type: "item_categories",
    key: &["item_id", "category_id"],
    columns: &["item_id", "category_id", "ordinal"],
    staging_only: &[],
    version: "",
    changed_at: None,
    rank: &["seq"],
    has_tombstones: false,
    live: "true",
    is_object: false,
    parents: &[("item_id", "catalog_items")],
    held_by: Some(("item_id", "items")),
    vouched: None,
    history: None,
};

/// `catalog_variations`.
pub const VARIATIONS: Table = Table {
    name: "catalog_variations",
    data_type: "variations",
    key: &["id"],
    columns: &names(&columns::VARIATIONS),
    staging_only: &names(&columns::VARIATIONS_IN_STAGING),
    version: "version",
    changed_at: Some("updated_at"),
    // A copy that does not name its item must not win over one that does.
    rank: &[
        "is_deleted",
        "coalesce(version, 0)",
        "item_id is not null",
        "seq",
    ],
    has_tombstones: true,
    live: "not @.is_deleted",
    is_object: true,
    parents: &[("item_id", "catalog_items")],
    held_by: Some(("item_id", "items")),
    vouched: None,
    history: None,
};

/// `catalog_variation_overrides`.
pub const OVERRIDES: Table = Table {
    name: "catalog_variation_overrides",
    data_type: "variation_overrides",
    key: &["variation_id", "location_id"],
    columns: &[
        "variation_id",
        "location_id",
        "price_amount",
        "price_currency",
        "pricing_type",
        "track_inventory",
        "sold_out",
        "inventory_alert_type",
        "inventory_alert_threshold",
    ],
    staging_only: &[],
    version: "",
    changed_at: None,
    rank: &["seq"],
    has_tombstones: false,
    live: "true",
    is_object: false,
    parents: &[
        ("variation_id", "catalog_variations"),
        ("location_id", "locations"),
    ],
    held_by: Some(("variation_id", "variations")),
    vouched: None,
    history: None,
};

/// Every table that this step stages.
pub const TABLES: [&Table; 5] = [
    &CATEGORIES,
    &ITEMS,
    &ITEM_CATEGORIES,
    &VARIATIONS,
    &OVERRIDES,
];

/// Ids are never used again and a deletion is final at Square, so a tombstone
/// wins over any copy that was read before it.
const OBJECT_RANK: &[&str] = &["is_deleted", "coalesce(version, 0)", "seq"];
