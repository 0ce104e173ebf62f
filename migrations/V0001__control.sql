-- The control tables: which runs there were, what each step did, how far each
-- list has been read, who may write, and what could not be stored.

create table sync_runs (
    -- Also the execution's name in Step Functions, hence its alphabet and length.
    run_id text primary key check (run_id ~ '^[A-Za-z0-9_-]{1,80}$'),
    kind text not null check (kind in ('complete_sync', 'historical_orders', 'migration', 'restore')),
    mode text not null check (mode in ('incremental', 'full_refresh')),
    trigger text not null check (trigger in ('admin', 'schedule', 'api')),
    requested_by text not null,
    status text not null check (status in ('queued', 'running', 'succeeded', 'failed', 'stopped', 'skipped')),
    -- What was asked for, as it was read: the steps decide by it, the payloads between them stay small.
    request jsonb not null,
    idempotency_key text,
    execution_arn text,
    -- Grows with each redrive of the execution: it tells a redriven step from a late one.
    redrive_count integer not null default 0,
    -- The fencing token under which this run writes; none before it held a lease.
    lease_token bigint,
    error_name text,
    error_message text,
    error_step text,
    warnings jsonb not null default '[]',
    totals jsonb,
    queued_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    -- A run that ended says when, and one that failed says why.
    check ((status in ('queued', 'running')) = (finished_at is null)),
    check (status <> 'failed' or error_name is not null)
);

-- A retried request or a schedule's second delivery must find the first run.
create unique index sync_runs_idempotency_key on sync_runs (idempotency_key) where idempotency_key is not null;
-- The history is read newest first, by the page and by the validation of a new run.
create index sync_runs_newest on sync_runs (queued_at desc, run_id desc);

create table sync_steps (
    run_id text not null references sync_runs (run_id) on delete cascade,
    step text not null,
    -- The place in the run's order.
    ordinal integer not null,
    status text not null check (status in ('pending', 'running', 'succeeded', 'failed', 'skipped')),
    attempts integer not null default 0,
    progress_done bigint not null default 0,
    -- None while it is not known how much there is.
    progress_total bigint,
    -- {"items": {"created": 1, …}, …}
    stats jsonb not null default '{}',
    -- {"requests": 1, "retries": 0, …}
    square jsonb not null default '{}',
    -- The step's whole answer: a repeated call finds it and changes nothing.
    result jsonb,
    error_name text,
    error_message text,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (run_id, step),
    check (status <> 'succeeded' or result is not null)
);

-- How far each list has been read. Positions are Square's times, never ours.
create table sync_watermarks (
    list text primary key,
    position timestamptz,
    -- The overlap before this position was read once more after it was set.
    settled boolean not null default false,
    reconciled_at timestamptz,
    -- Something happened that only a whole listing can settle.
    reconcile_wanted boolean not null default false,
    updated_by_run text not null
);

-- At most one run writes. The token only grows; every writing transaction
-- checks it, so a step that outlived its run cannot write.
create table sync_leases (
    name text primary key check (name in ('catalog', 'orders')),
    holder text,
    token bigint not null default 0,
    -- The token of the last transaction that wrote under this lease.
    written_token bigint not null default 0,
    expires_at timestamptz not null default '-infinity'
);
insert into sync_leases (name) values ('catalog'), ('orders');
create sequence sync_lease_tokens;

-- What Square gave and the tables cannot hold yet: kept whole, tried again.
create table sync_quarantine (
    id bigint generated always as identity primary key,
    data_type text not null,
    object_id text not null,
    reason text not null,
    payload jsonb not null,
    -- The payload is a row that only lacks its parent, so every run tries it again.
    replayable boolean not null,
    run_id text not null,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    resolved_at timestamptz
);
-- An object waits once, however often Square gives it.
create unique index sync_quarantine_waiting on sync_quarantine (data_type, object_id) where resolved_at is null;

create table sync_backups (
    backup_id text primary key,
    run_id text not null,
    schema_version bigint not null,
    created_at timestamptz not null default now(),
    bytes bigint not null,
    rows jsonb not null
);

-- Who asked for what. Rows are only ever added.
create table audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor text not null,
    action text not null,
    source_ip text,
    run_id text,
    outcome text not null,
    detail jsonb not null default '{}'
);
create function audit_log_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'audit_log is append-only';
end $$;
create trigger audit_log_is_append_only before update or delete or truncate on audit_log
    for each statement execute function audit_log_is_append_only();
