-- Counts per variation, location and state. A missing row means that the
-- variation never was in that state there, which is not the same as zero.

create table catalog_inventory (
    variation_id text not null references catalog_variations (id),
    location_id text not null references locations (id),
    state text not null,
    quantity numeric not null,
    calculated_at timestamptz,
    is_deleted boolean not null,
    deleted_at timestamptz,
    first_synced_at timestamptz not null,
    last_changed_at timestamptz not null,
    last_changed_by_run text not null,
    primary key (variation_id, location_id, state),
    check (is_deleted = (deleted_at is not null))
);
-- Serves the foreign key to locations and the stock list of one location.
create index catalog_inventory_location on catalog_inventory (location_id);

-- One row a change seen, never rewritten. No foreign keys: the history outlives
-- what it tells of, a full refresh included.
create table catalog_inventory_history (
    variation_id text not null,
    location_id text not null,
    state text not null,
    calculated_at timestamptz not null,
    quantity numeric not null,
    primary key (variation_id, location_id, state, calculated_at)
);
