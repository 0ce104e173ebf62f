-- The past is read again, a part of it every night. A window of the orders' history says
-- when it was last read from Square and compared: when an import has read it, or since.
alter table sync_order_windows add column verified_at timestamptz;

-- All orders that were made or changed from here on were brought by deltas: they join the
-- history that is read again. Of what was imported before, that is since its import ended.
alter table sync_watermarks add column fresh_since timestamptz;
update sync_watermarks w set fresh_since = (
    select max(done_at) from sync_order_windows
    where substr(w.list, 8) = any (location_ids))
where list like 'orders:%' and position is not null;
