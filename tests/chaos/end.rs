//! The end of a history. Whatever happened, once all faults are gone one sync and one
//! import bring the tables to what Square has, a reconcile finds nothing more to do, and
//! an idle run writes nothing.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use shared::account;
use shared::orders::store::TABLES;
use shared::postgres::schema;
use shared::run::request::SAMPLE_MAX;

use crate::event::Ask;
use crate::execution::{Call, Ended, Execution};
use crate::runs::{self, Course, UNDISTURBED};
use crate::world::{World, all_parts, ids};
use crate::{held, play, rows};

pub(crate) async fn end(world: &World) -> Result<(), String> {
    make_sound(world).await;
    play::report(world).await?;
    held::check(world, false).await?;
    let version = "select max(version)::text from refinery_schema_history";
    if world.texts(version).await != [schema::wanted().to_string()] {
        succeed(world, "end-migration", "migration", json!({})).await?;
    }
    let is_blind = world.debts.lock().unwrap().is_blind;
    // What is left may be more than the guard lets pass.
    let mut sync = json!({"only": all_parts(), "allow_mass_deletion": true});
    if is_blind {
        sync["reconcile"] = json!(true);
    }
    succeed(world, "end-sync", "complete_sync", sync).await?;
    let all = Ask::Import {
        days: None,
        limited: false,
    };
    let Some((kind, import)) = runs::request(world, &all, &mut fastrand::Rng::with_seed(0)).await
    else {
        return Err("there is nothing to import".to_owned());
    };
    succeed(world, "end-import", kind, import).await?;
    equal(world).await?;
    *world.debts.lock().unwrap() = crate::world::Debts::default();
    held::check(world, false).await?;

    let reconcile = json!({"only": all_parts(), "reconcile": true});
    succeed(world, "end-reconcile", "complete_sync", reconcile).await?;
    let changed = format!(
        "select totals::text from sync_runs where run_id = '{}'
         and (totals ->> 'created', totals ->> 'updated', totals ->> 'deleted') <> ('0', '0', '0')",
        world.name("end-reconcile")
    );
    if let Some(totals) = world.texts(&changed).await.first() {
        return Err(format!("a reconcile still found something to do: {totals}"));
    }
    let truth = equal(world).await?;
    given(world, &truth).await?;

    let before = versions(world).await;
    succeed(
        world,
        "end-idle",
        "complete_sync",
        json!({"only": all_parts()}),
    )
    .await?;
    let after = versions(world).await;
    if let Some((table, _)) = before
        .iter()
        .zip(&after)
        .find(|(before, after)| before != after)
    {
        return Err(format!("an idle run wrote to {}", table.0));
    }
    held::check(world, false).await?;
    checked(world, &truth).await?;
    nothing_left(world, &truth).await
}

/// A spot check of everything finds nothing; but orders of a location that Square no longer
/// lists may have been changed, and stay on their way for ever.
async fn checked(world: &World, truth: &Value) -> Result<(), String> {
    let sample = json!({"sample": SAMPLE_MAX});
    succeed(world, "end-check", "spot_check", sample).await?;
    let found = format!(
        "select (result -> 'spot_check')::text from sync_steps
         where run_id = '{}' and step = 'spot_check'
             and (result -> 'spot_check' -> 'rows_differ' <> '0'
                 or {} and result -> 'spot_check' -> 'in_flight' <> '0')",
        world.name("end-check"),
        ids(&truth["deleted"], "locations").is_empty()
    );
    match world.texts(&found).await.first() {
        Some(found) => Err(format!("a spot check found {found}")),
        None => Ok(()),
    }
}

/// All faults are gone, and what was hostile is sound again.
async fn make_sound(world: &World) {
    world.square.clear().await;
    let (stale, heal) = {
        let mut debts = world.debts.lock().unwrap();
        debts.is_blind |= !debts.stale.is_empty();
        (
            std::mem::take(&mut debts.stale),
            std::mem::take(&mut debts.heal),
        )
    };
    for id in stale {
        world
            .change(&json!({"op": "serve_stale", "id": id, "stale": false}))
            .await;
    }
    world.keep_time().await;
    for change in heal {
        world.change(&change).await;
    }
}

/// A run that nothing keeps from succeeding.
async fn succeed(
    world: &World,
    run_id: &str,
    kind: &'static str,
    request: Value,
) -> Result<(), String> {
    let run_id = world.name(run_id);
    world.story.tell(format!("  {run_id} {request}"));
    let execution = Execution {
        run_id: run_id.clone(),
        kind,
        request,
        redrives: 0,
    };
    let rng = fastrand::Rng::with_seed(0);
    let course = Course {
        world,
        execution,
        mishap: UNDISTURBED,
        rng,
    };
    let ended = course.run(vec![Call::Open]).await?;
    if ended == Ended::Closed("succeeded".to_owned()) {
        Ok(())
    } else {
        Err(format!("{run_id} did not succeed, but {ended:?}"))
    }
}

/// The tables hold what Square has. Square does not let anybody ask for the orders of a
/// location that it no longer lists, nor know one that was never seen.
async fn equal(world: &World) -> Result<Value, String> {
    let truth = world.learn().await;
    let rows = rows::read(&world.client()).await;
    let removed = ids(&truth["deleted"], "locations");
    let is_removed = |row: &Map<String, Value>| {
        let location = row.get("location_id").and_then(Value::as_str);
        location.is_some_and(|id| removed.iter().any(|removed| removed == id))
    };
    let out_of_reach: BTreeSet<String> = rows::of_truth(&truth, &rows::table("orders"))
        .into_iter()
        .filter(|(_, row)| is_removed(row))
        .map(|(id, _)| id)
        .collect();
    for table in rows::tables() {
        let name = table.name;
        let is_of_order = name.starts_with("order");
        let mut expected = rows::of_truth(&truth, &table);
        for row in rows.iter().filter(|row| row.table == name) {
            let order = row.key.split(':').next().unwrap_or_default();
            if is_of_order && out_of_reach.contains(order) {
                continue;
            }
            match expected.remove(&row.key) {
                Some(wanted) if row.lives => {
                    if let Some((column, value)) = wanted
                        .iter()
                        .find(|(column, value)| row.data.get(*column) != Some(value))
                    {
                        let found = &row.data[column];
                        return Err(format!(
                            "{name} {}: {column} is {found}, not {value}",
                            row.key
                        ));
                    }
                }
                Some(_) => return Err(format!("{name} {} is marked as gone", row.key)),
                None if row.lives && !(name == "locations" && row.data["status"] == "INACTIVE") => {
                    return Err(format!("{name} {} is too many", row.key));
                }
                None => {}
            }
        }
        expected.retain(|key, row| {
            let order = key.split(':').next().unwrap_or_default();
            let unseen = is_removed(row) || is_of_order && out_of_reach.contains(order);
            !unseen
        });
        if let Some((key, _)) = expected.first_key_value() {
            return Err(format!("{name} {key} is missing"));
        }
    }
    Ok(truth)
}

/// Each object that the reconcile was given is counted once.
async fn given(world: &World, truth: &Value) -> Result<(), String> {
    let aside = truth["quarantined"].as_array().into_iter().flatten();
    let aside: Vec<&str> = aside.filter_map(|row| row["table"].as_str()).collect();
    for table in account::objects() {
        let rows = truth[table.name].as_array().map_or(0, Vec::len);
        // An override is counted with its variation, and only if it is set aside.
        let is_of = |name: &&&str| {
            **name == table.name
                || table.name == "catalog_variations" && **name == "catalog_variation_overrides"
        };
        let most = rows + aside.iter().filter(is_of).count();
        let sql = format!(
            "select (sum((stats -> '{0}' ->> 'created')::bigint + (stats -> '{0}' ->> 'updated')::bigint
                 + (stats -> '{0}' ->> 'unchanged')::bigint))::text,
                 sum((stats -> '{0}' ->> 'quarantined')::bigint)::text
             from sync_steps where run_id = '{1}' and status = 'succeeded'",
            table.data_type,
            world.name("end-reconcile")
        );
        let row = world.client().query_one(&sql, &[]).await.unwrap();
        let number = |at: usize| {
            let text: Option<String> = row.get(at);
            text.map_or(0, |text| text.parse::<usize>().unwrap())
        };
        let (stored, quarantined) = (number(0), number(1));
        if stored > rows || !(rows..=most).contains(&(stored + quarantined)) {
            return Err(format!(
                "of {} Square has {rows} and {} broken ones, and the reconcile counted \
                 {stored} and {quarantined}",
                table.name,
                most - rows
            ));
        }
    }
    Ok(())
}

/// Where each row version lies, and what wrote it.
async fn versions(world: &World) -> Vec<(&'static str, Option<String>)> {
    let catalog = account::all_tables().into_iter().map(|table| table.name);
    let orders = TABLES.iter().map(|table| table.name);
    let mut versions = Vec::new();
    for table in catalog.chain(orders).chain(["catalog_inventory_history"]) {
        let sql = format!(
            "select md5(string_agg(concat(ctid, ':', xmin, ':', xmax), ',' order by ctid)) from {table}"
        );
        let row = world.client().query_one(&sql, &[]).await.unwrap();
        versions.push((table, row.get(0)));
    }
    versions
}

/// No lease is held, no run is open, and nothing waits that could be read.
async fn nothing_left(world: &World, truth: &Value) -> Result<(), String> {
    let held = "select name from sync_leases where holder is not null
        union all select run_id from sync_runs where status in ('queued', 'running')";
    if let Some(left) = world.texts(held).await.first() {
        return Err(format!("{left} is still held or open"));
    }
    let broken = truth["quarantined"].as_array().into_iter().flatten();
    let broken: BTreeSet<String> = broken
        .filter_map(|row| row["id"].as_str().map(|id| id.replace('/', ":")))
        .collect();
    let waiting = "select object_id from sync_quarantine where resolved_at is null";
    let removed = ids(&truth["deleted"], "locations");
    let orders = truth["orders"].as_array().into_iter().flatten();
    let out_of_reach: BTreeSet<&str> = orders
        .filter(|order| removed.iter().any(|id| order["location_id"] == *id))
        .filter_map(|order| order["id"].as_str())
        .collect();
    for id in world.texts(waiting).await {
        let is_of_removed = id
            .split(':')
            .any(|part| removed.iter().any(|id| id == part));
        if !broken.contains(&id) && !is_of_removed && !out_of_reach.contains(&*id) {
            return Err(format!("{id} waits in quarantine and could be read"));
        }
    }
    Ok(())
}
