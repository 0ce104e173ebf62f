-- Reports that always answer, and that subtract what was returned from all they
-- sum up.

-- Of tax, tip and service charge: what was sold less what was returned. They are
-- null until the migration has derived them from `raw`.
alter table orders
    add column net_tax_amount bigint,
    add column net_tip_amount bigint,
    add column net_service_charge_amount bigint;

-- An amount that fits its column: one that is too large by far must not keep a
-- report from answering for everybody else. The sums themselves are exact.
create function saturated_amount(amount numeric) returns bigint
language sql immutable parallel safe as $$
    select case
        when amount > 9223372036854775807 then 9223372036854775807
        when amount < -9223372036854775808 then -9223372036854775808
        else amount::bigint
    end
$$;

-- What `at time zone` takes as a name, in lower case as it does not tell cases apart.
create view known_time_zones as
select lower(name) as name from pg_timezone_names
union
select lower(abbrev) from pg_timezone_abbrevs;

-- What reports need of a location: by which clock its days are, UTC where this
-- server does not know its zone or Square gave none. `offset 0` keeps it apart, so
-- that it is worked out once for each location and never once for each order; and
-- unlike a function that catches the error it leaves a report its parallel workers.
create view report_locations as
select
    id as location_id,
    case when lower(timezone) in (select name from known_time_zones) then timezone else 'UTC' end as time_zone,
    currency
from locations
offset 0;

-- Archived items are on no menu; a stock list may want to leave them out.
create or replace view stock_on_hand as
select
    l.id as location_id,
    l.name as location_name,
    i.id as item_id,
    i.name as item_name,
    v.id as variation_id,
    v.name as variation_name,
    v.sku,
    coalesce(c.quantity, 0) as quantity,
    c.calculated_at,
    coalesce(o.track_inventory, v.track_inventory, false) as is_tracked,
    coalesce(o.sold_out, false) as is_sold_out,
    case when i.present_at_all_locations
        then l.id <> all (i.absent_at_location_ids)
        else l.id = any (i.present_at_location_ids) end
    and case when v.present_at_all_locations
        then l.id <> all (v.absent_at_location_ids)
        else l.id = any (v.present_at_location_ids) end as is_present,
    coalesce(i.is_archived, false) as is_archived
from catalog_variations v
join catalog_items i on i.id = v.item_id and not i.is_deleted
cross join locations l
left join catalog_inventory c
    on c.variation_id = v.id and c.location_id = l.id and c.state = 'IN_STOCK' and not c.is_deleted
left join catalog_variation_overrides o on o.variation_id = v.id and o.location_id = l.id
where not v.is_deleted and l.status = 'ACTIVE';

-- What reports need of an order: only completed ones count, on the local day on
-- which they were closed.
create view report_orders as
select
    o.id as order_id,
    o.location_id,
    (coalesce(o.closed_at, o.created_at) at time zone coalesce(z.time_zone, 'UTC'))::date as day,
    coalesce(o.currency, z.currency) as currency,
    -- The totals only until the migration has derived the net amounts.
    coalesce(o.net_tax_amount, o.total_tax_amount) as tax,
    coalesce(o.net_tip_amount, o.total_tip_amount) as tip,
    coalesce(o.net_service_charge_amount, o.total_service_charge_amount) as service_charge
from orders o
left join report_locations z on z.location_id = o.location_id
where o.state = 'COMPLETED';

-- Completed orders by location, local day and currency. Net sales are gross sales
-- less discounts and returns, without tax, tips and service charges. A line's gross
-- amount holds its share of charges that are apportioned to lines (and of no other
-- charge); it is taken out, so that a charge counts once and as such, whichever way
-- the merchant has set it up.
create or replace view daily_sales as
select
    o.location_id,
    o.day,
    o.currency,
    count(*) as orders,
    saturated_amount(sum(coalesce(s.gross, 0))) as gross_sales_amount,
    saturated_amount(sum(coalesce(s.discount, 0))) as discount_amount,
    saturated_amount(sum(coalesce(o.tax, 0))) as tax_amount,
    saturated_amount(sum(coalesce(o.tip, 0))) as tip_amount,
    saturated_amount(sum(coalesce(o.service_charge, 0))) as service_charge_amount,
    saturated_amount(sum(coalesce(r.gross - r.discount, 0))) as returns_amount,
    saturated_amount(sum(coalesce(s.gross - s.discount, 0) - coalesce(r.gross - r.discount, 0)))
        as net_sales_amount
from report_orders o
left join lateral (
    select sum(coalesce(gross_sales_amount, 0)) - sum(coalesce(total_service_charge_amount, 0)) as gross,
        sum(coalesce(total_discount_amount, 0)) as discount
    from order_line_items where order_id = o.order_id
) s on true
left join lateral (
    select sum(coalesce(gross_sales_amount, 0)) - sum(coalesce(total_service_charge_amount, 0)) as gross,
        sum(coalesce(total_discount_amount, 0)) as discount
    from order_return_line_items where order_id = o.order_id
) r on true
group by 1, 2, 3;

-- The same by what was sold, with returned lines subtracted.
create or replace view item_sales as
select
    o.location_id,
    o.day,
    coalesce(s.currency, o.currency) as currency,
    s.catalog_object_id,
    s.name,
    s.variation_name,
    sum(s.quantity) as quantity,
    saturated_amount(sum(s.gross)) as gross_sales_amount,
    saturated_amount(sum(s.discount)) as discount_amount,
    saturated_amount(sum(s.gross) - sum(s.discount)) as net_sales_amount
from report_orders o
join (
    select order_id, currency, catalog_object_id, name, variation_name, coalesce(quantity, 0) as quantity,
        coalesce(gross_sales_amount, 0)::numeric - coalesce(total_service_charge_amount, 0) as gross,
        coalesce(total_discount_amount, 0)::numeric as discount
    from order_line_items
    union all
    select order_id, currency, catalog_object_id, name, variation_name, -coalesce(quantity, 0),
        coalesce(total_service_charge_amount, 0)::numeric - coalesce(gross_sales_amount, 0),
        -coalesce(total_discount_amount, 0)::numeric
    from order_return_line_items
) s on s.order_id = o.order_id
group by 1, 2, 3, 4, 5, 6;
