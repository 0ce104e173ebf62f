-- A spot check compares a sample of the rows with Square's copies. It is a run like any
-- other, with a record, but it writes no data and so holds no lease.
alter table sync_runs drop constraint sync_runs_kind_check;
alter table sync_runs add constraint sync_runs_kind_check
    check (kind in ('complete_sync', 'historical_orders', 'migration', 'restore', 'spot_check'));
