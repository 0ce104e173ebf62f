-- A time zone by the name that `at time zone` takes: `lower` makes the same of more
-- names than that, so it is the server's own name that counts, not the one given.
create or replace view known_time_zones as
select distinct on (name) name, zone from (
    select lower(name) as name, name as zone from pg_timezone_names
    union all
    select lower(abbrev), abbrev from pg_timezone_abbrevs
) known
order by name, zone;

create or replace view report_locations as
select
    l.id as location_id,
    coalesce(z.zone, 'UTC') as time_zone,
    l.currency
from locations l
left join known_time_zones z on z.name = lower(l.timezone)
offset 0;

-- What reports need of an order: only completed ones count, on the local day on
-- which they were closed. A time of day at the ends of PostgreSQL's own calendar may
-- lie beyond them on another clock.
create or replace view report_orders as
select
    o.id as order_id,
    o.location_id,
    case when coalesce(o.closed_at, o.created_at) is not null then
        (least(greatest(coalesce(o.closed_at, o.created_at), timestamptz '4712-01-01 UTC BC'),
            timestamptz '294276-12-01 UTC') at time zone coalesce(z.time_zone, 'UTC'))::date
    end as day,
    coalesce(o.currency, z.currency) as currency,
    -- The totals only until the migration has derived the net amounts.
    coalesce(o.net_tax_amount, o.total_tax_amount) as tax,
    coalesce(o.net_tip_amount, o.total_tip_amount) as tip,
    coalesce(o.net_service_charge_amount, o.total_service_charge_amount) as service_charge
from orders o
left join report_locations z on z.location_id = o.location_id
where o.state = 'COMPLETED';
