-- The import of all orders is cut into windows, and each remembers how far it
-- has come, so that no run asks Square again for what an earlier one has read.

create table sync_order_windows (
    window_id bigint generated always as identity primary key,
    -- The import that planned it, and whose figures it adds to.
    run_id text not null references sync_runs (run_id),
    -- At most ten: what one search of Square's may name.
    location_ids text[] not null check (cardinality(location_ids) between 1 and 10),
    -- Orders created from here up to, not including, the end.
    begins_at timestamptz not null,
    ends_at timestamptz not null,
    -- All orders created before this moment are in, and some of this very moment.
    place timestamptz,
    -- Those of this very moment: a call that goes on from there counts them no more.
    place_ids text[] not null default '{}',
    done_at timestamptz,
    -- Why the last call for it failed.
    error_name text,
    error_message text,
    check (begins_at < ends_at),
    check (place between begins_at and ends_at)
);
-- The windows of one import: each page asks how much of them is done.
create index sync_order_windows_run on sync_order_windows (run_id);
