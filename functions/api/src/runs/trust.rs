//! What the database knows about how right its rows are.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use shared::error::SyncError;
use shared::part::Part;
use shared::run::freshness::Freshness;
use shared::run::stats;
use shared::{account, orders};
use tokio_postgres::Client;

use super::amount::{Amount, COUNTED_MAX, counting};
use super::contents;

/// Days of which drift is told, today among them. In UTC.
pub(crate) const DAYS: usize = 30;

/// What is known of all data types.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) types: Vec<DataType>,
    /// Of the orders of the past; none before they are imported.
    pub(crate) history: Option<History>,
    /// Locations whose orders nobody has imported, while others' have been; as far as they
    /// are counted.
    pub(crate) without_history: i64,
    /// Objects that wait in quarantine, as far as they are counted.
    pub(crate) waiting: i64,
    /// Days within which all of the history is to be read again; 0 is never.
    pub(crate) scrub_days: u32,
}

/// What is known of one data type.
#[derive(Debug, Clone)]
pub(crate) struct DataType {
    pub(crate) name: &'static str,
    pub(crate) rows: Amount,
    /// When all of it was last compared with what Square lists; of orders, all that was
    /// changed lately.
    pub(crate) listed_at: Option<Timestamp>,
    /// Rows that had drifted, by the day on which that was found, the oldest day first;
    /// none where no listing could tell.
    pub(crate) drift: Option<[i64; DAYS]>,
    /// Its objects in quarantine, as far as they are counted.
    pub(crate) waiting: i64,
}

/// The part of the orders' history that was read again lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    /// Whole hundredths: 100 is all of it.
    pub(crate) percent: i64,
    /// When the part was read that was read longest ago.
    pub(crate) oldest: Timestamp,
}

impl Facts {
    /// Rows that had drifted, and how many days ago the last of them were found.
    pub(crate) fn drift(&self) -> (i64, Option<usize>) {
        let days: Vec<&[i64; DAYS]> = self
            .types
            .iter()
            .filter_map(|one| one.drift.as_ref())
            .collect();
        let total = days.iter().flat_map(|days| days.iter()).sum();
        let last = days
            .iter()
            .filter_map(|days| days.iter().rev().position(|rows| *rows > 0));
        (total, last.min())
    }
}

/// The data types of orders, in their part's order.
const ORDERS: &str = "orders";
const LINES: &str = "line_items";

/// A data type with its table.
fn tables() -> Vec<(&'static str, &'static str)> {
    let staged = account::objects().into_iter();
    let staged = staged.map(|table| (table.data_type, table.name));
    let of_orders = [
        (ORDERS, &orders::store::ORDERS),
        (LINES, &orders::store::LINES),
    ];
    let of_orders = of_orders.map(|(name, table)| (name, table.name));
    staged.chain(of_orders).collect()
}

static ROWS: LazyLock<String> = LazyLock::new(|| counting(&tables()));

/// When lists that keep a watermark were last read whole. Of the locations whose orders
/// scheduled runs bring, the one that was looked back on longest ago counts.
const LISTED: &str = "
    select list, reconciled_at from sync_watermarks where list not like 'orders:%'
    union all
    select 'orders', case when count(*) = count(w.reconciled_at) then min(w.reconciled_at) end
    from sync_watermarks w join locations l on w.list = 'orders:' || l.id
    where w.kept_fresh and w.position is not null and l.status is distinct from 'INACTIVE'";

/// Drift by data type and days ago; 0 where a listing could have told some, and has not.
/// Parameter: how many days.
const DRIFT: &str = "
    select t.key as data_type,
        ((now() at time zone 'UTC')::date
            - (coalesce(s.finished_at, s.started_at) at time zone 'UTC')::date) as days_ago,
        sum((t.value -> 'drift' ->> 'created')::bigint
            + (t.value -> 'drift' ->> 'updated')::bigint
            + (t.value -> 'drift' ->> 'deleted')::bigint)::bigint as rows
    from sync_runs r join sync_steps s using (run_id), jsonb_each(s.stats) t
    where r.queued_at > now() - make_interval(days => $1 + 1)
        and (r.request -> 'dry_run') is distinct from 'true'::jsonb
        and s.started_at is not null and t.value ? 'drift'
    group by 1, 2";

/// The time of the locations that are active, weighed by their number: how much of it was
/// read within so many days, in hundredths. Parameter: those days.
const HISTORY: &str = "
    with windows as (
        select coalesce(w.verified_at, w.done_at) as at,
            extract(epoch from w.ends_at - w.begins_at) * (
                select count(*) from unnest(w.location_ids) as given (id)
                    join locations l on l.id = given.id
                where l.status is distinct from 'INACTIVE') as length
        from sync_order_windows w where w.done_at is not null)
    select floor(100 * coalesce(sum(length)
            filter (where at > now() - make_interval(days => $1)), 0) / sum(length))::bigint,
        min(at)
    from windows where length > 0
    having sum(length) > 0";

/// Parameter: how many are counted at most.
const WAITING: &str = "
    select data_type, count(*) from (
        select data_type from sync_quarantine where resolved_at is null limit $1) few
    group by data_type";

/// Every statement by its name, for the test that prepares them all.
pub(super) fn statements() -> Vec<(&'static str, &'static str)> {
    vec![
        ("trust_rows", &ROWS),
        ("trust_listed", LISTED),
        ("trust_drift", DRIFT),
        ("trust_history", HISTORY),
        ("trust_waiting", WAITING),
    ]
}

/// Reads them all. Locations have no list of changes: they are as fresh as they were
/// listed.
///
/// # Errors
/// The database's.
pub(crate) async fn read(
    client: &Client,
    scrub_days: u32,
    fresh: &[Freshness],
) -> Result<Facts, SyncError> {
    let mut listed: BTreeMap<String, Option<Timestamp>> = BTreeMap::new();
    for row in client.query(LISTED, &[]).await? {
        listed.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let mut drift: BTreeMap<String, [i64; DAYS]> = BTreeMap::new();
    let days = i32::try_from(DAYS).unwrap_or(i32::MAX);
    for row in client.query(DRIFT, &[&days]).await? {
        let (days_ago, rows): (i32, i64) = (row.try_get(1)?, row.try_get(2)?);
        let of_type = drift.entry(row.try_get(0)?).or_insert([0; DAYS]);
        let place = usize::try_from(days_ago).ok();
        let place = place.and_then(|ago| DAYS.checked_sub(ago + 1));
        if let Some(day) = place.and_then(|place| of_type.get_mut(place)) {
            *day += rows;
        }
    }
    let mut waiting: BTreeMap<String, i64> = BTreeMap::new();
    for row in client.query(WAITING, &[&(COUNTED_MAX + 1)]).await? {
        waiting.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let mut types = Vec::new();
    let rows = client.query(ROWS.as_str(), &[&(COUNTED_MAX + 1)]).await?;
    for ((name, _), row) in tables().into_iter().zip(rows) {
        types.push(DataType {
            name,
            rows: Amount::new(row.try_get(1)?, row.try_get(2)?),
            listed_at: listed_at(name, &listed, fresh),
            drift: drift.get(name).copied(),
            waiting: waiting.get(name).copied().unwrap_or(0),
        });
    }
    let days = i32::try_from(scrub_days).unwrap_or(i32::MAX);
    let history = client.query_opt(HISTORY, &[&days]).await?;
    let history = history.map(|row| -> Result<History, SyncError> {
        Ok(History {
            percent: row.try_get(0)?,
            oldest: row.try_get(1)?,
        })
    });
    let without_history = contents::without_history(client, COUNTED_MAX).await?;
    Ok(Facts {
        types,
        history: history.transpose()?,
        without_history: stats::count(without_history.len()),
        waiting: waiting.values().sum(),
        scrub_days,
    })
}

fn listed_at(
    data_type: &str,
    listed: &BTreeMap<String, Option<Timestamp>>,
    fresh: &[Freshness],
) -> Option<Timestamp> {
    let part = Part::ALL
        .into_iter()
        .find(|part| part.data_types().contains(&data_type))?;
    match (part, account::list(part)) {
        (Part::Orders, _) => *listed.get(part.name())?,
        (_, Some(list)) => *listed.get(list)?,
        (_, None) => fresh.iter().find(|one| one.data_type == part.name())?.as_of,
    }
}
