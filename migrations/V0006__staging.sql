-- Where pages land while they arrive. Unlogged, because a step that loses them
-- reads Square again; without constraints, because judging rows is the step's
-- work. `attempt` keeps a step that outlived its run away from the next one's
-- rows; `seq` is the order of arrival, 0 for a row tried again from quarantine.

create schema staging;
create sequence staging.attempts;

create unlogged table staging.locations (
    attempt bigint not null,
    seq bigint not null,
    id text not null,
    name text,
    business_name text,
    type text,
    status text,
    address_line_1 text,
    address_line_2 text,
    address_line_3 text,
    locality text,
    administrative_district_level_1 text,
    postal_code text,
    country text,
    timezone text,
    currency text,
    language_code text,
    phone_number text,
    business_email text,
    website_url text,
    latitude double precision,
    longitude double precision,
    mcc text,
    merchant_id text,
    capabilities text[],
    created_at timestamptz
);

create unlogged table staging.catalog_categories (
    attempt bigint not null,
    seq bigint not null,
    id text not null,
    name text,
    category_type text,
    parent_category_id text,
    is_top_level boolean,
    version bigint,
    updated_at timestamptz,
    is_deleted boolean not null,
    deleted_at timestamptz
);

create unlogged table staging.catalog_items (
    attempt bigint not null,
    seq bigint not null,
    id text not null,
    name text,
    description text,
    product_type text,
    category_id text,
    is_archived boolean,
    present_at_all_locations boolean,
    present_at_location_ids text[],
    absent_at_location_ids text[],
    version bigint,
    updated_at timestamptz,
    is_deleted boolean not null,
    deleted_at timestamptz,
    -- The variations that this copy of the item holds; none when it does not say.
    variation_ids text[],
    -- Rows of catalog_item_categories, to be spread when the step applies.
    categories jsonb
);

create unlogged table staging.catalog_item_categories (
    attempt bigint not null,
    seq bigint not null,
    item_id text not null,
    category_id text not null,
    ordinal bigint
);

create unlogged table staging.catalog_variations (
    attempt bigint not null,
    seq bigint not null,
    id text not null,
    item_id text,
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
    present_at_all_locations boolean,
    present_at_location_ids text[],
    absent_at_location_ids text[],
    version bigint,
    updated_at timestamptz,
    is_deleted boolean not null,
    deleted_at timestamptz,
    -- The copy of the item that held it; none when it came on its own.
    item_seq bigint,
    -- Rows of catalog_variation_overrides, to be spread when the step applies.
    overrides jsonb
);

create unlogged table staging.catalog_variation_overrides (
    attempt bigint not null,
    seq bigint not null,
    variation_id text not null,
    location_id text not null,
    price_amount bigint,
    price_currency text,
    pricing_type text,
    track_inventory boolean,
    sold_out boolean,
    inventory_alert_type text,
    inventory_alert_threshold bigint
);

create unlogged table staging.catalog_inventory (
    attempt bigint not null,
    seq bigint not null,
    variation_id text not null,
    location_id text not null,
    state text not null,
    quantity numeric not null,
    calculated_at timestamptz,
    is_deleted boolean not null,
    deleted_at timestamptz
);

-- What an attempt could not place: becomes sync_quarantine with its commit.
create unlogged table staging.quarantine (
    attempt bigint not null,
    seq bigint not null,
    data_type text not null,
    object_id text not null,
    reason text not null,
    payload jsonb not null,
    replayable boolean not null
);
