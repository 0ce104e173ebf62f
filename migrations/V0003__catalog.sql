-- The catalog: categories, items and their variations. What Square deleted is
-- only marked, with its data kept for reports on the past.

create table catalog_categories (
    id text primary key,
    name text,
    category_type text,
    -- No foreign key: Square lets categories point at deleted ones.
    parent_category_id text,
    is_top_level boolean,
    version bigint,
    updated_at timestamptz,
    is_deleted boolean not null,
    deleted_at timestamptz,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    -- A deletion always has its time, and nothing else has one.
    check (is_deleted = (deleted_at is not null))
);

create table catalog_items (
    id text primary key,
    name text,
    description text,
    product_type text,
    -- No foreign key: an item may name a category that Square deleted.
    category_id text,
    is_archived boolean,
    present_at_all_locations boolean not null,
    present_at_location_ids text[] not null,
    absent_at_location_ids text[] not null,
    version bigint,
    updated_at timestamptz,
    is_deleted boolean not null,
    deleted_at timestamptz,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    check (is_deleted = (deleted_at is not null))
);
-- Reports group items by category.
create index catalog_items_category on catalog_items (category_id);

create table catalog_item_categories (
    item_id text not null references catalog_items (id) on delete cascade,
    category_id text not null,
    ordinal bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (item_id, category_id)
);
-- The way back: all items of a category.
create index catalog_item_categories_category on catalog_item_categories (category_id);

create table catalog_variations (
    id text primary key,
    item_id text not null references catalog_items (id),
    name text,
    sku text,
    upc text,
    ordinal bigint,
    pricing_type text,
    price_amount bigint,
    price_currency text,
    track_inventory boolean,
    sellable boolean,
    stockable boolean,
    measurement_unit_id text,
    present_at_all_locations boolean not null,
    present_at_location_ids text[] not null,
    absent_at_location_ids text[] not null,
    version bigint,
    updated_at timestamptz,
    is_deleted boolean not null,
    deleted_at timestamptz,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    check (is_deleted = (deleted_at is not null))
);
-- Serves the foreign key and the cascade from a deleted item.
create index catalog_variations_item on catalog_variations (item_id);
-- Analysts look products up by their stock-keeping unit.
create index catalog_variations_sku on catalog_variations (sku);

create table catalog_variation_overrides (
    variation_id text not null references catalog_variations (id) on delete cascade,
    location_id text not null references locations (id),
    price_amount bigint,
    price_currency text,
    pricing_type text,
    track_inventory boolean,
    sold_out boolean,
    inventory_alert_type text,
    inventory_alert_threshold bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (variation_id, location_id)
);
-- Serves the foreign key to locations.
create index catalog_variation_overrides_location on catalog_variation_overrides (location_id);
