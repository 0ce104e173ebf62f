//! The end of a history. Whatever happened, once all faults are gone one sync and one
//! import bring the tables to what Square has, a reconcile finds nothing more to do, and
//! an idle run writes nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::account;
use shared::orders::store::TABLES;
use shared::postgres::schema;

use crate::event::Ask;
use crate::execution::{Call, Ended, Execution};
use crate::runs::{self, Course, UNDISTURBED};
use crate::support::account::Account;
use crate::support::tables;
use crate::world::{World, all_parts};
use crate::{held, play};

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
    equal(world).await;
    *world.debts.lock().unwrap() = crate::world::Debts::default();
    held::check(world, false).await?;

    let reconcile = json!({"only": all_parts(), "reconcile": true});
    succeed(world, "end-reconcile", "complete_sync", reconcile).await?;
    let changed = "select totals::text from sync_runs where run_id = 'end-reconcile'
        and (totals ->> 'created', totals ->> 'updated', totals ->> 'deleted') <> ('0', '0', '0')";
    if let Some(totals) = world.texts(changed).await.first() {
        return Err(format!("a reconcile still found something to do: {totals}"));
    }
    let truth = equal(world).await;
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
    nothing_left(world, &truth).await
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
    world.story.tell(format!("  {run_id} {request}"));
    let execution = Execution {
        run_id: run_id.to_owned(),
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

/// The tables hold what Square has.
async fn equal(world: &World) -> Value {
    let account = Account::at(world.square.url());
    tables::assert_equal_truth(&world.client, &account).await;
    tables::assert_orders_equal_truth(&world.client, &account).await;
    world.learn().await
}

/// Each object that the reconcile was given is counted once.
async fn given(world: &World, truth: &Value) -> Result<(), String> {
    let aside = truth["quarantined"].as_array().into_iter().flatten();
    let aside: Vec<&str> = aside.filter_map(|row| row["table"].as_str()).collect();
    for table in account::objects() {
        let rows = truth[table.name].as_array().map_or(0, Vec::len);
        let most = rows + aside.iter().filter(|name| **name == table.name).count();
        let sql = format!(
            "select (sum((stats -> '{0}' ->> 'created')::bigint + (stats -> '{0}' ->> 'updated')::bigint
                 + (stats -> '{0}' ->> 'unchanged')::bigint))::text,
                 sum((stats -> '{0}' ->> 'quarantined')::bigint)::text
             from sync_steps where run_id = 'end-reconcile' and status = 'succeeded'",
            table.data_type
        );
        let row = world.client.query_one(&sql, &[]).await.unwrap();
        let number = |at: usize| {
            let text: Option<String> = row.get(at);
            text.map_or(0, |text| text.parse::<usize>().unwrap())
        };
        let (stored, quarantined) = (number(0), number(1));
        if stored != rows || stored + quarantined > most.max(rows) {
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
        let row = world.client.query_one(&sql, &[]).await.unwrap();
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
    for id in world.texts(waiting).await {
        if !broken.contains(&id) {
            return Err(format!("{id} waits in quarantine and could be read"));
        }
    }
    Ok(())
}
