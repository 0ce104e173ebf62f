-- What ends an import soon when Square is away for good, and what shares Square's
-- request limit among all who ask at the same time.

-- A window counts the calls that failed in a row, and an import whose windows have
-- used up their tries, while none of them came on, is cut off: the windows after
-- them need not wait through the same tries. A redriven import begins anew.
alter table sync_order_windows
    add column moved_at timestamptz,
    add column failures integer not null default 0,
    add column failing_since timestamptz,
    add column failing_redrive integer not null default 0;

-- Who asks Square at this moment, and for which share of the account's limit. A row
-- lasts for seconds unless it is renewed, so nothing is lost with the table, and
-- nothing of it need be written to the log.
create unlogged table if not exists square_askers (
    asker_id bigint primary key,
    run_id text not null,
    share double precision not null check (share between 0 and 1),
    expires_at timestamptz not null
);
