-- Drift is what a whole listing changes although the deltas should have brought it long
-- ago. It says something only where the rows were ours alone since the listing before:
-- not after a restore, a full refresh or a migration, whose rows the next one settles.
alter table sync_watermarks add column counts_drift boolean not null default false;
