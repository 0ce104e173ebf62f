-- How orders are stored, measured with 30,000 orders of 2.3 KB of JSON each
-- (PostgreSQL 15, best of two; loading is by COPY, 500 rows a transaction):
--
--                              load   table  of it heap   compare   one field   whole
--   jsonb, pglz               2.0 s   45 MB       35 MB    7.7 ms      103 ms   718 ms
--   jsonb, lz4                1.9 s   48 MB       38 MB    6.5 ms       47 ms   523 ms
--   jsonb, lz4, target 1024   1.5 s   49 MB       13 MB    8.9 ms       99 ms   561 ms
--   jsonb, lz4, target 8160   1.3 s   92 MB       90 MB    5.5 ms       23 ms   491 ms
--   jsonb, uncompressed       1.5 s  107 MB       12 MB    6.5 ms       72 ms   529 ms
--   json, pglz                1.0 s   44 MB       40 MB    3.0 ms      398 ms   280 ms
--   json, lz4                 0.9 s   47 MB       38 MB    3.1 ms      339 ms   161 ms
--
-- (compare: 500 staged copies against the table; one field: `raw ->> 'state'` of
-- all rows; whole: all rows as text.) jsonb, because analysts look into it, and
-- loading is bound by the other columns, the lines and the indexes anyway. lz4,
-- because it is read twice as fast for six per cent more room; a server built
-- without it keeps pglz. And out of the way: with the target of 1024 bytes `raw`
-- moves to the side table, so that a report on all orders reads a third of the
-- pages. Not less than 1024, or the row's own short texts would move as well.
alter table orders set (toast_tuple_target = 1024);
do $$
begin
    execute 'alter table orders alter column raw set compression lz4';
exception
    when feature_not_supported or syntax_error then null;
end $$;

-- Orders are not partitioned. They are looked up and written by their id, which
-- would have to be in every partition's key together with the time, and foreign
-- keys from lines to orders with it; nothing is ever dropped by time; and five
-- million orders with three lines each are within what one index serves.

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
