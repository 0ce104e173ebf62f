-- Text of any length and any sort, from outside, must fit or be set aside alone.

-- A b-tree refuses a text above some 2,700 bytes, and a stock-keeping unit has no
-- greatest length. A hash index holds a number per text; it serves `sku = …`, which
-- is how products are looked up. An empty text would fill one bucket.
drop index catalog_variations_sku;
create index catalog_variations_sku on catalog_variations using hash (sku) where sku <> '';

-- What was set aside without an id that can be told: such a listing cannot say what
-- it lacks.
alter table staging.quarantine add column is_named boolean not null default true;

-- The JSON of an object that is set aside. What `jsonb` refuses (a number without
-- end, more levels than the stack has, a character that the database's encoding
-- lacks) is kept as the text of it, with nothing in it but ASCII.
create function staging.payload(source text) returns jsonb
language plpgsql immutable as $$
begin
    return source::jsonb;
exception
    when data_exception or program_limit_exceeded or statement_too_complex then
        return to_jsonb(source);
end $$;
