//! The catalog's columns, and where its rows keep their values.

use jiff::Timestamp;

use super::rows::{CategoryRow, ItemRow, VariationRow};
use crate::staging::column::{Column, column};

/// The columns of `catalog_categories`.
pub(crate) const CATEGORIES: [Column<CategoryRow>; 9] = [
    column("id", |row| &row.id),
    column("name", |row| &row.name),
    column("category_type", |row| &row.category_type),
    column("parent_category_id", |row| &row.parent_category_id),
    column("is_top_level", |row| &row.is_top_level),
    column("version", |row| &row.version),
    column("updated_at", |row| &row.updated_at),
    column("is_deleted", |row| &row.is_deleted),
    column("deleted_at", |_| &None::<Timestamp>),
];

/// The columns of a staged category.
pub(crate) const STAGED_CATEGORIES: &[&[Column<CategoryRow>]] =
    &[&[column("seq", |row| &row.seq)], &CATEGORIES];

/// The columns of `catalog_items`.
pub(crate) const ITEMS: [Column<ItemRow>; 13] = [
    column("id", |row| &row.id),
    column("name", |row| &row.name),
    column("description", |row| &row.description),
    column("product_type", |row| &row.product_type),
    column("category_id", |row| &row.category_id),
    column("is_archived", |row| &row.is_archived),
    column("present_at_all_locations", |row| {
        &row.presence.at_all_locations
    }),
    column("present_at_location_ids", |row| {
        &row.presence.at_location_ids
    }),
    column("absent_at_location_ids", |row| {
        &row.presence.absent_at_location_ids
    }),
    column("version", |row| &row.version),
    column("updated_at", |row| &row.updated_at),
    column("is_deleted", |row| &row.is_deleted),
    column("deleted_at", |_| &None::<Timestamp>),
];

/// The columns of an item that only staging has.
pub(crate) const ITEMS_IN_STAGING: [Column<ItemRow>; 2] = [
    column("variation_ids", |row| &row.variation_ids),
    column("categories", |row| &row.categories),
];

/// The columns of a staged item.
pub(crate) const STAGED_ITEMS: &[&[Column<ItemRow>]] =
    &[&[column("seq", |row| &row.seq)], &ITEMS, &ITEMS_IN_STAGING];

/// The columns of `catalog_variations`.
pub(crate) const VARIATIONS: [Column<VariationRow>; 20] = [
    column("id", |row| &row.id),
    column("item_id", |row| &row.item_id),
    column("name", |row| &row.name),
    column("sku", |row| &row.sku),
    column("upc", |row| &row.upc),
    column("ordinal", |row| &row.ordinal),
    column("pricing_type", |row| &row.pricing_type),
    column("price_amount", |row| &row.price.amount),
    column("price_currency", |row| &row.price.currency),
    column("track_inventory", |row| &row.track_inventory),
    column("sellable", |row| &row.sellable),
    column("stockable", |row| &row.stockable),
    column("measurement_unit_id", |row| &row.measurement_unit_id),
    column("present_at_all_locations", |row| {
        &row.presence.at_all_locations
    }),
    column("present_at_location_ids", |row| {
        &row.presence.at_location_ids
    }),
    column("absent_at_location_ids", |row| {
        &row.presence.absent_at_location_ids
    }),
    column("version", |row| &row.version),
    column("updated_at", |row| &row.updated_at),
    column("is_deleted", |row| &row.is_deleted),
    column("deleted_at", |_| &None::<Timestamp>),
];

/// The columns of a variation that only staging has.
pub(crate) const VARIATIONS_IN_STAGING: [Column<VariationRow>; 2] = [
    column("item_seq", |row| &row.item_seq),
    column("overrides", |row| &row.overrides),
];

/// The columns of a staged variation.
pub(crate) const STAGED_VARIATIONS: &[&[Column<VariationRow>]] = &[
    &[column("seq", |row| &row.seq)],
    &VARIATIONS,
    &VARIATIONS_IN_STAGING,
];
