//! What is held after every event, whatever happened.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value};
use shared::account;
use shared::staging::table::Table;

use crate::rows::{self, Row};
use crate::world::World;

/// A query that returns what is wrong, and what that is.
const NEVER: [(&str, &str); 8] = [
    (
        "a watermark is ahead of the database's clock",
        "select list from sync_watermarks where position > now()",
    ),
    (
        "a window is ahead of the database's clock",
        "select window_id::text from sync_order_windows where greatest(place, ends_at) > now()",
    ),
    (
        "a failed run does not say why, or where",
        "select run_id || ': ' || concat_ws(', ', error_name, error_step, error_message)
         from sync_runs where status = 'failed'
             and (coalesce(error_name, '') = '' or coalesce(error_step, '') = ''
                 or coalesce(error_message, '') = '')",
    ),
    (
        "a lease is held by no open run",
        "select name || ' by ' || holder from sync_leases
         where holder is not null and not exists (
             select from sync_runs where run_id = holder and status in ('queued', 'running'))",
    ),
    (
        "figures are below nothing",
        "select run_id || ' ' || step || ' ' || stats::text from sync_steps
         where exists (
             select from jsonb_each(stats) of_type, jsonb_each(of_type.value) figure
             where jsonb_typeof(figure.value) = 'number' and figure.value::text::numeric < 0)",
    ),
    (
        "a run's totals are not those of its steps",
        "select r.run_id || ': ' || r.totals::text from sync_runs r
         where r.status = 'succeeded' and exists (
             select from jsonb_each(r.totals) total
             where jsonb_typeof(total.value) = 'number' and total.value::text::numeric <> (
                 select coalesce(sum((of_type.value ->> total.key)::numeric), 0)
                 from sync_steps s, jsonb_each(s.stats) of_type
                 where s.run_id = r.run_id and s.status = 'succeeded'))",
    ),
    (
        "orders were not counted once",
        "select stored || ' stored, ' || counted || ' counted' from (
             select (select count(*) from orders) as stored,
                 (select coalesce(sum((stats -> 'orders' ->> 'created')::bigint), 0)
                     from sync_steps) as counted) figures
         where stored <> counted",
    ),
    (
        "a step of a run that succeeded did not",
        "select run_id || ' ' || step from sync_steps join sync_runs using (run_id)
         where sync_runs.status = 'succeeded' and sync_steps.status <> 'succeeded'",
    ),
];

/// Checks all of it.
pub(crate) async fn check(world: &World, is_restored: bool) -> Result<(), String> {
    let truth = world.learn().await;
    let rows = world.look(is_restored).await?;
    world.known.lock().unwrap().judge(&rows)?;
    for (wrong, sql) in NEVER {
        if let Some(found) = world.texts(sql).await.first() {
            return Err(format!("{wrong}: {found}"));
        }
    }
    counted(world).await?;
    nothing_drifted(world).await?;
    nothing_passed_over(world, &truth, &rows).await
}

/// The rows of each table are those that runs said to have created, less those that a
/// refresh said to have removed. An order's location may come without a step of its own.
async fn counted(world: &World) -> Result<(), String> {
    for table in account::objects() {
        let (name, data_type) = (table.name, table.data_type);
        if data_type == "locations" {
            continue;
        }
        let sql = format!(
            "select stored || ' stored, ' || counted || ' counted' from (
                 select (select count(*) from {name}) as stored,
                     (select coalesce(sum((stats -> '{data_type}' ->> 'created')::bigint
                         - case when step in ('publish', 'restore')
                             then (stats -> '{data_type}' ->> 'deleted')::bigint else 0 end), 0)
                         from sync_steps s join sync_runs r using (run_id)
                         where s.status = 'succeeded' and stats ? '{data_type}'
                             and not coalesce((r.request ->> 'dry_run')::boolean, false)
                     ) as counted) figures
             where stored <> counted"
        );
        if let Some(found) = world.texts(&sql).await.first() {
            return Err(format!("{name} were not counted once: {found}"));
        }
    }
    Ok(())
}

/// No listing has found what a delta had missed, as long as Square's lists were whole and
/// nobody wrote into the tables.
async fn nothing_drifted(world: &World) -> Result<(), String> {
    if world.may_drift.load(Ordering::Relaxed) {
        return Ok(());
    }
    let drifted = "select run_id || ' ' || step || ' ' || stats::text from sync_steps
        where exists (
            select from jsonb_each(stats) of_type, jsonb_each(of_type.value -> 'drift') figure
            where figure.value <> '0')";
    match world.texts(drifted).await.first() {
        Some(found) => Err(format!("a delta had missed what a listing found: {found}")),
        None => Ok(()),
    }
}

/// How much of the time before a watermark may still show up late.
fn cutoff(world: &World) -> &'static str {
    if world.is_of_now { "2 minutes" } else { "0" }
}

/// What lies behind a watermark, a place or a window is in the tables, or waits in
/// quarantine; unless Square itself did not tell of it.
async fn nothing_passed_over(world: &World, truth: &Value, rows: &[Row]) -> Result<(), String> {
    {
        let debts = world.debts.lock().unwrap();
        if debts.is_blind || !debts.stale.is_empty() || !debts.heal.is_empty() {
            return Ok(());
        }
    }
    let stored: BTreeMap<(&str, &str), &Map<String, Value>> = rows
        .iter()
        .filter(|row| row.lives)
        .map(|row| ((row.table.as_str(), row.key.as_str()), &row.data))
        .collect();
    let waiting = "select data_type || ' ' || object_id from sync_quarantine
        where resolved_at is null";
    let waiting = world.texts(waiting).await;
    let waits = |table: &Table, key: &str| waiting.contains(&format!("{} {key}", table.data_type));
    let positions = format!(
        "select list || ' ' || to_char((position - interval '{}') at time zone 'UTC',
             'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
         from sync_watermarks
         where position is not null and not reconcile_wanted
             and (reconciled_at is not null or list like 'orders:%')",
        cutoff(world)
    );
    let positions = world.texts(&positions).await;
    let positions: BTreeMap<&str, &str> = positions
        .iter()
        .filter_map(|position| position.split_once(' '))
        .collect();
    for table in account::objects() {
        let list = if table.name == "catalog_inventory" {
            "inventory"
        } else {
            "catalog"
        };
        let (Some(position), true) = (positions.get(list), table.name.starts_with("catalog"))
        else {
            continue;
        };
        let time = if list == "inventory" {
            "calculated_at"
        } else {
            "updated_at"
        };
        for (key, row) in rows::of_truth(truth, &rows::table(table.name)) {
            let is_behind = row[time].as_str().is_some_and(|time| time < *position);
            if !is_behind || waits(table, &key) {
                continue;
            }
            match stored.get(&(table.name, &key)) {
                None => return Err(format!("{} {key} was passed over", table.name)),
                Some(found) if found[time] != row[time] => {
                    return Err(format!(
                        "{} {key} is of {} and was passed over at {}",
                        table.name, found[time], row[time]
                    ));
                }
                Some(_) => {}
            }
        }
    }
    orders_passed_over(world, truth, &stored, &waiting).await
}

/// An order in a window that was read, or before a window's place, is there.
async fn orders_passed_over(
    world: &World,
    truth: &Value,
    stored: &BTreeMap<(&str, &str), &Map<String, Value>>,
    waiting: &[String],
) -> Result<(), String> {
    let read = "select concat_ws(' ', window_id,
             to_char(begins_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
             to_char(case when done_at is null then coalesce(place, begins_at) else ends_at end
                 at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
             array_to_string(location_ids, ','))
        from sync_order_windows";
    let windows = world.texts(read).await;
    let late = world.debts.lock().unwrap().late.clone();
    let table = rows::table("orders");
    for (id, row) in rows::of_truth(truth, &table) {
        let is_there = stored.contains_key(&(table.name, &id));
        if is_there || late.contains(&id) || waiting.contains(&format!("orders {id}")) {
            continue;
        }
        let (Some(created_at), Some(location)) =
            (row["created_at"].as_str(), row["location_id"].as_str())
        else {
            continue;
        };
        for window in &windows {
            let parts: Vec<&str> = window.split(' ').collect();
            let [window, from, to, locations] = parts[..] else {
                continue;
            };
            let is_in = locations.split(',').any(|id| id == location);
            if is_in && from <= created_at && created_at < to {
                return Err(format!(
                    "order {id} of {created_at} was passed over by window {window}, from {from} to {to}"
                ));
            }
        }
    }
    Ok(())
}
