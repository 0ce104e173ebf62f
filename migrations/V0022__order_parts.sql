-- What an order holds in lists besides its lines and tenders, from `orders.raw`: Square is not
-- asked. A migration fills them for the orders that are there. Amounts are in the currency's
-- smallest unit; rows without a uid of Square's are named `#` and their ordinal.

-- What was chosen for a line. `total_price_amount` is already times the line's quantity.
create table order_line_item_modifiers (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    line_item_uid text not null,
    parent_modifier_uid text,
    catalog_object_id text,
    catalog_version bigint,
    name text,
    quantity numeric,
    currency text,
    base_price_amount bigint,
    total_price_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

-- A tax's share in a line: the only exact tax by line. Taxes of the whole order stand on each
-- of their lines as well as in `order_taxes`, whose `applied_amount` is their sum with that
-- on service charges.
create table order_line_item_taxes (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    line_item_uid text not null,
    tax_uid text,
    currency text,
    applied_amount bigint,
    auto_applied boolean,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

-- A discount's share in a line.
create table order_line_item_discounts (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    line_item_uid text not null,
    discount_uid text,
    currency text,
    applied_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

-- The share in a line of a service charge that is apportioned to the lines.
create table order_line_item_service_charges (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    line_item_uid text not null,
    service_charge_uid text,
    currency text,
    applied_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_taxes (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    catalog_object_id text,
    catalog_version bigint,
    name text,
    type text,
    percentage numeric,
    scope text,
    currency text,
    applied_amount bigint,
    auto_applied boolean,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_discounts (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    catalog_object_id text,
    catalog_version bigint,
    name text,
    type text,
    percentage numeric,
    scope text,
    currency text,
    amount bigint,
    applied_amount bigint,
    reward_ids text[],
    pricing_rule_id text,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

-- Where the tax is inclusive, `total_amount` has it within `applied_amount`.
create table order_service_charges (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    catalog_object_id text,
    catalog_version bigint,
    name text,
    type text,
    percentage numeric,
    scope text,
    calculation_phase text,
    treatment_type text,
    taxable boolean,
    currency text,
    amount bigint,
    applied_amount bigint,
    total_amount bigint,
    total_tax_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

-- How an order reaches its buyer: picked up, delivered, shipped or in the store. The times of
-- the four that mean the same share a column.
create table order_fulfillments (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    type text,
    state text,
    line_item_application text,
    schedule_type text,
    placed_at timestamptz,
    accepted_at timestamptz,
    in_progress_at timestamptz,
    ready_at timestamptz,
    expected_at timestamptz,
    courier_pickup_at timestamptz,
    fulfilled_at timestamptz,
    canceled_at timestamptz,
    cancel_reason text,
    rejected_at timestamptz,
    expired_at timestamptz,
    failed_at timestamptz,
    failure_reason text,
    is_curbside_pickup boolean,
    is_no_contact_delivery boolean,
    managed_delivery boolean,
    carrier text,
    shipping_type text,
    tracking_number text,
    square_delivery_id text,
    external_delivery_id text,
    recipient_customer_id text,
    recipient_display_name text,
    recipient_email_address text,
    recipient_phone_number text,
    recipient_address jsonb,
    note text,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_rewards (
    order_id text not null references orders (id) on delete cascade,
    id text not null,
    ordinal integer not null,
    reward_tier_id text,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, id)
);

-- As the order tells of them. The status of one that was paid back is APPROVED.
create table order_refunds (
    order_id text not null references orders (id) on delete cascade,
    id text not null,
    ordinal integer not null,
    location_id text,
    transaction_id text,
    tender_id text,
    status text,
    reason text,
    currency text,
    amount bigint,
    processing_fee_amount bigint,
    created_at timestamptz,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, id)
);

-- What one order takes back of one sale. All its amounts, and those of its parts below, are
-- positive. No foreign key to the sale, which may be older than the history that was asked for.
create table order_returns (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    source_order_id text,
    currency text,
    total_amount bigint,
    tax_amount bigint,
    discount_amount bigint,
    tip_amount bigint,
    service_charge_amount bigint,
    rounding_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_return_taxes (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    return_uid text not null,
    source_tax_uid text,
    catalog_object_id text,
    catalog_version bigint,
    name text,
    type text,
    percentage numeric,
    scope text,
    currency text,
    applied_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_return_discounts (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    return_uid text not null,
    source_discount_uid text,
    catalog_object_id text,
    catalog_version bigint,
    name text,
    type text,
    percentage numeric,
    scope text,
    currency text,
    amount bigint,
    applied_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_return_service_charges (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    return_uid text not null,
    source_service_charge_uid text,
    catalog_object_id text,
    catalog_version bigint,
    name text,
    type text,
    percentage numeric,
    scope text,
    calculation_phase text,
    treatment_type text,
    taxable boolean,
    currency text,
    amount bigint,
    applied_amount bigint,
    total_amount bigint,
    total_tax_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_return_tips (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    return_uid text not null,
    source_tender_id text,
    source_tender_uid text,
    currency text,
    applied_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_return_line_item_modifiers (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    return_line_item_uid text not null,
    source_modifier_uid text,
    catalog_object_id text,
    catalog_version bigint,
    name text,
    quantity numeric,
    currency text,
    base_price_amount bigint,
    total_price_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_return_line_item_taxes (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    return_line_item_uid text not null,
    tax_uid text,
    currency text,
    applied_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_return_line_item_discounts (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    return_line_item_uid text not null,
    discount_uid text,
    currency text,
    applied_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);

create table order_return_line_item_service_charges (
    order_id text not null references orders (id) on delete cascade,
    uid text not null,
    ordinal integer not null,
    return_line_item_uid text not null,
    service_charge_uid text,
    currency text,
    applied_amount bigint,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (order_id, uid)
);
