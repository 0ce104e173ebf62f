-- Orders that came without their ids, of which each call that reads orders asks: few,
-- among the many that may wait for a location.
create index sync_quarantine_nameless_orders on sync_quarantine (id)
where data_type = 'orders' and resolved_at is null
    and (jsonb_typeof(payload -> 'id') is distinct from 'string' or payload ->> 'id' = '');
