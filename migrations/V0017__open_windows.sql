-- A till whose clock is ahead makes orders of times still to come. The newest windows of
-- an import bring them too, although they are done up to Square's newest change only.
alter table sync_order_windows add column is_open boolean not null default false;
