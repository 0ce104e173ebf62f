-- Orders with their lines, returns and tenders. Amounts are in the currency's
-- smallest unit; returns are orders of their own and carry positive amounts.

create table orders (
    id text primary key,
    location_id text references locations (id),
    state text,
    source_name text,
    customer_id text,
    reference_id text,
    ticket_name text,
    created_at timestamptz,
    updated_at timestamptz,
    closed_at timestamptz,
    version bigint,
    currency text,
    total_amount bigint,
    total_tax_amount bigint,
    total_discount_amount bigint,
    total_tip_amount bigint,
    total_service_charge_amount bigint,
    net_total_amount bigint,
    net_amount_due_amount bigint,
    is_return boolean not null,
    raw jsonb not null,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null
);
-- Serves the foreign key and every report on one location's days.
create index orders_location_closed on orders (location_id, closed_at);

create table order_line_items (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    name text,
    variation_name text,
    -- No foreign key: a line is a snapshot and may name what the catalog no longer has.
    catalog_object_id text,
    catalog_version bigint,
    item_type text,
    quantity numeric,
    unit text,
    note text,
    base_price_amount bigint,
    gross_sales_amount bigint,
    total_tax_amount bigint,
    total_discount_amount bigint,
    total_service_charge_amount bigint,
    total_amount bigint,
    currency text,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);
-- All sales of one variation.
create index order_line_items_catalog_object on order_line_items (catalog_object_id);

create table order_return_line_items (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    -- No foreign key: the sale may be older than the history that was asked for.
    source_order_id text,
    source_line_item_uid text,
    ordinal integer not null,
    name text,
    variation_name text,
    catalog_object_id text,
    catalog_version bigint,
    item_type text,
    quantity numeric,
    unit text,
    note text,
    base_price_amount bigint,
    gross_sales_amount bigint,
    total_tax_amount bigint,
    total_discount_amount bigint,
    total_service_charge_amount bigint,
    total_amount bigint,
    currency text,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);
-- All returns of one variation.
create index order_return_line_items_catalog_object on order_return_line_items (catalog_object_id);
-- All returns of one sale.
create index order_return_line_items_source_order on order_return_line_items (source_order_id);

create table order_tenders (
    order_id text not null references orders (id) on delete cascade,
    id text not null,
    type text,
    amount bigint,
    tip_amount bigint,
    processing_fee_amount bigint,
    currency text,
    payment_id text,
    created_at timestamptz,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, id)
);
