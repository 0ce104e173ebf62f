-- A run that yields makes way at once for any run that does not: the other takes its
-- lease, and it ends as skipped.
alter table sync_runs add column yields boolean not null default false;
