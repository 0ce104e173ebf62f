-- Which orders scheduled runs keep fresh, and whose data this is.

-- A location that an import has left out must not make every hourly run read its
-- orders since 2018. One that is newer than that import has no row at all.
alter table sync_watermarks add column kept_fresh boolean not null default true;

-- Before, the locations that were left out were not written down. Where only limited
-- imports have been planned, and no run has read the orders of all, they are those
-- without a watermark.
insert into sync_watermarks (list, kept_fresh, updated_by_run)
select 'orders:' || l.id, false, i.run_id
from locations l cross join (
    select max(r.run_id) as run_id
    from sync_runs r join sync_steps s using (run_id)
    where s.status = 'succeeded' and (s.step = 'plan' or s.step = 'orders')
    having bool_and(r.kind = 'historical_orders' and r.request ? 'location_ids')) i
on conflict (list) do nothing;

-- The merchant whose data is stored: not every table says so.
create table sync_merchant (
    only_row boolean primary key default true check (only_row),
    merchant_id text not null
);
