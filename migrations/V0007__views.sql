-- Reports that analysts need first.

-- What is on hand: every live variation at every active location. A variation
-- that never was in stock somewhere stands there with 0.
create view stock_on_hand as
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
        else l.id = any (v.present_at_location_ids) end as is_present
from catalog_variations v
join catalog_items i on i.id = v.item_id and not i.is_deleted
cross join locations l
left join catalog_inventory c
    on c.variation_id = v.id and c.location_id = l.id and c.state = 'IN_STOCK' and not c.is_deleted
left join catalog_variation_overrides o on o.variation_id = v.id and o.location_id = l.id
where not v.is_deleted and l.status = 'ACTIVE';

-- Completed orders by location, local day and currency. Net sales are gross
-- sales less discounts and returns, without tax and tips.
create view daily_sales as
select
    o.location_id,
    (coalesce(o.closed_at, o.created_at) at time zone coalesce(l.timezone, 'UTC'))::date as day,
    o.currency,
    count(*) as orders,
    sum(coalesce(s.gross, 0))::bigint as gross_sales_amount,
    sum(coalesce(s.discount, 0))::bigint as discount_amount,
    sum(coalesce(o.total_tax_amount, 0))::bigint as tax_amount,
    sum(coalesce(o.total_tip_amount, 0))::bigint as tip_amount,
    sum(coalesce(o.total_service_charge_amount, 0))::bigint as service_charge_amount,
    sum(coalesce(r.net, 0))::bigint as returns_amount,
    sum(coalesce(s.gross, 0) - coalesce(s.discount, 0) - coalesce(r.net, 0))::bigint as net_sales_amount
from orders o
left join locations l on l.id = o.location_id
left join lateral (
    select sum(gross_sales_amount) as gross, sum(total_discount_amount) as discount
    from order_line_items where order_id = o.id
) s on true
left join lateral (
    select sum(coalesce(gross_sales_amount, 0) - coalesce(total_discount_amount, 0)) as net
    from order_return_line_items where order_id = o.id
) r on true
where o.state = 'COMPLETED'
group by 1, 2, 3;

-- The same by what was sold, with returned lines subtracted.
create view item_sales as
select
    o.location_id,
    (coalesce(o.closed_at, o.created_at) at time zone coalesce(l.timezone, 'UTC'))::date as day,
    s.currency,
    s.catalog_object_id,
    s.name,
    s.variation_name,
    sum(s.quantity) as quantity,
    sum(s.gross)::bigint as gross_sales_amount,
    sum(s.discount)::bigint as discount_amount,
    sum(s.gross - s.discount)::bigint as net_sales_amount
from orders o
join (
    select order_id, currency, catalog_object_id, name, variation_name, quantity,
        coalesce(gross_sales_amount, 0) as gross, coalesce(total_discount_amount, 0) as discount
    from order_line_items
    union all
    select order_id, currency, catalog_object_id, name, variation_name, -quantity,
        -coalesce(gross_sales_amount, 0), -coalesce(total_discount_amount, 0)
    from order_return_line_items
) s on s.order_id = o.id
left join locations l on l.id = o.location_id
where o.state = 'COMPLETED'
group by 1, 2, 3, 4, 5, 6;
