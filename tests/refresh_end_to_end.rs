//! Full refresh, preview, backups and restore through the local AWS, with
//! somebody reading all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::cloud::Cloud;
use crate::support::patience::waits_for_a_lock;
use crate::support::{database, run, tables};

const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";

/// Whether some session writes at this moment what only its commit will show.
const WRITING: &str = "
    exists (select from pg_locks
        where relation = 'catalog_items'::regclass and mode = 'RowExclusiveLock')";

/// The first and the last row of every table: cheap enough to be asked hundreds of
/// times a second.
const PROBE: &str = "
    select array[
        (select last_changed_by_run from locations order by id limit 1),
        (select last_changed_by_run from locations order by id desc limit 1),
        (select last_changed_by_run from catalog_categories order by id limit 1),
        (select last_changed_by_run from catalog_categories order by id desc limit 1),
        (select last_changed_by_run from catalog_items order by id limit 1),
        (select last_changed_by_run from catalog_items order by id desc limit 1),
        (select last_changed_by_run from catalog_item_categories order by item_id, category_id limit 1),
        (select last_changed_by_run from catalog_variations order by id limit 1),
        (select last_changed_by_run from catalog_variations order by id desc limit 1),
        (select last_changed_by_run from catalog_variation_overrides
            order by variation_id, location_id limit 1),
        (select last_changed_by_run from catalog_inventory
            order by variation_id, location_id, state limit 1),
        (select last_changed_by_run from catalog_inventory
            order by variation_id desc, location_id desc, state desc limit 1)]";

/// Every row of every table.
const WHOLE: &str = "
    select array_agg(distinct run), count(*) from (
        select last_changed_by_run as run from locations
        union all select last_changed_by_run from catalog_categories
        union all select last_changed_by_run from catalog_items
        union all select last_changed_by_run from catalog_item_categories
        union all select last_changed_by_run from catalog_variations
        union all select last_changed_by_run from catalog_variation_overrides
        union all select last_changed_by_run from catalog_inventory) all_rows";

/// What a reader has seen.
#[derive(Default)]
struct Seen {
    runs: std::collections::BTreeSet<String>,
    /// How often it was answered while the new account was being written.
    while_writing: u32,
}

/// Reads until it is told to stop; every sample must be of one run alone.
async fn read(client: Client, sql: &'static str, pause: Duration, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let statement = client.prepare(sql).await.unwrap();
    let writing = format!("select {WRITING}");
    let writing = client.prepare(&writing).await.unwrap();
    loop {
        // Once more after the end, for a slow sample may have begun before it.
        let is_last = stop.load(Ordering::Relaxed);
        let is_writing = async || -> bool {
            let row = client.query_one(&writing, &[]).await.unwrap();
            row.get(0)
        };
        let before = is_writing().await;
        let row = client.query_one(&statement, &[]).await.unwrap();
        seen.while_writing += u32::from(before && is_writing().await);
        let runs: Vec<Option<String>> = row.get(0);
        let first = runs[0].clone();
        assert!(first.is_some(), "an empty table was seen");
        assert!(runs.iter().all(|run| *run == first), "mixed: {runs:?}");
        seen.runs.extend(first);
        if is_last {
            return seen;
        }
        tokio::time::sleep(pause).await;
    }
}

#[test]
fn readers_see_the_old_account_or_the_new_one_and_nothing_between() {
    run(async {
        let cloud = Cloud::turn().await;
        let account = json!({"locations": 5, "items": 4_000, "variations": 10_000,
            "counts": 12_000, "orders": 0});
        cloud.account.reset(account).await;
        // So that every row is of one run.
        let first = cloud.sync(json!({"full_refresh": true})).await;
        assert_eq!(first["status"], "succeeded", "{first}");
        let stop = Arc::new(AtomicBool::new(false));
        let url = &cloud.stack.file().database_url;
        let mut readers = Vec::new();
        for (sql, milliseconds) in [(PROBE, 2), (PROBE, 2), (WHOLE, 100)] {
            let client = database::connect(url).await;
            let pause = Duration::from_millis(milliseconds);
            readers.push(tokio::spawn(read(client, sql, pause, Arc::clone(&stop))));
        }
        let second = cloud.sync(json!({"full_refresh": true})).await;
        stop.store(true, Ordering::Relaxed);
        assert_eq!(second["status"], "succeeded", "{second}");
        assert_eq!(second["mode"], "full_refresh");
        let mut while_writing = 0;
        for reader in readers {
            let seen = reader.await.unwrap();
            while_writing += seen.while_writing;
            let runs = [&first, &second].map(|run| run["run_id"].as_str().unwrap().to_owned());
            assert_eq!(seen.runs.into_iter().collect::<Vec<_>>(), runs);
        }
        // Nobody had to wait for the commit.
        assert!(while_writing > 10, "{while_writing}");
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;
    });
}

#[test]
fn a_refresh_is_previewed_fails_is_killed_succeeds_and_is_put_back() {
    run(async {
        let cloud = Cloud::turn().await;
        cloud.sync(json!({})).await;
        let change = json!([{"op": "delete_item"}, {"op": "edit_item", "count": 3},
            {"op": "add_item", "count": 2, "variations": 2, "quantity": "3"}]);
        cloud.account.change(change).await;
        let items = "select coalesce(sum(hashtext(id || version || is_deleted)::bigint), 0)::bigint
            from catalog_items";
        let number =
            async |sql: &str| -> i64 { cloud.client.query_one(sql, &[]).await.unwrap().get(0) };
        let old = number(items).await;

        let preview = cloud
            .sync(json!({"full_refresh": true, "dry_run": true}))
            .await;
        assert_eq!(preview["status"], "succeeded", "{preview}");
        assert_eq!(
            (&preview["dry_run"], number(items).await),
            (&json!(true), old)
        );
        let shown = &preview["preview"]["items"];
        let counts = json!({"created": 2, "updated": 3, "deleted": 1, "purged": 0});
        assert_eq!(shown["counts"], counts, "{preview}");
        assert_eq!(shown["created"].as_array().unwrap().len(), 2, "{preview}");

        // Square fails at the last of the inventory's pages.
        let fault = json!({"endpoint": COUNTS, "request": 4, "times": 1000, "kind": "status",
            "status": 400});
        cloud.account.faults(json!([fault])).await;
        let failed = cloud.sync(json!({"full_refresh": true})).await;
        assert_eq!(failed["error"]["step"], "inventory", "{failed}");
        assert_eq!(number(items).await, old);
        cloud.account.clear_faults().await;

        // The function is killed while it publishes: the lock keeps it there.
        let blocker = database::connect(&cloud.stack.file().database_url).await;
        blocker
            .batch_execute("begin; lock table catalog_items in share row exclusive mode")
            .await
            .unwrap();
        let (status, started) = cloud.start(json!({"full_refresh": true})).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{started}");
        let run_id = started["run_id"].as_str().unwrap();
        let publishing = |run: &Value| {
            let steps = run["steps"].as_array().unwrap();
            let publish = steps.iter().find(|step| step["step"] == "publish");
            publish.unwrap()["status"] == "running"
        };
        cloud.until(run_id, publishing).await;
        waits_for_a_lock(&cloud.client).await;
        cloud.kill("publish");
        blocker.batch_execute("rollback").await.unwrap();
        let refreshed = cloud.end_of(run_id).await;
        assert_eq!(refreshed["status"], "succeeded", "{refreshed}");
        for data_type in [
            "locations",
            "categories",
            "items",
            "variations",
            "inventory",
        ] {
            let publish = |run: &Value| {
                let steps = run["steps"].as_array().unwrap();
                let publish = steps.iter().find(|step| step["step"] == "publish");
                publish.unwrap()["stats"][data_type].clone()
            };
            assert_eq!(publish(&refreshed), publish(&preview), "{data_type}");
        }
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;

        let (status, listed) = cloud.call(Method::GET, "/admin/backups", Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{listed}");
        let backup = &listed["backups"][0];
        assert_eq!(backup["backup_id"], run_id);
        assert!(backup["bytes"].as_i64() > Some(0) && backup["rows"]["catalog_items"].is_i64());
        let body = json!({"backup_id": run_id});
        let (status, started) = cloud.call(Method::POST, "/admin/restore", body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{started}");
        let restored = cloud.end_of(started["run_id"].as_str().unwrap()).await;
        assert_eq!(restored["status"], "succeeded", "{restored}");
        assert_eq!(restored["kind"], "restore");
        assert_eq!(number(items).await, old);
        refuses_what_cannot_be_put_back(&cloud, run_id).await;

        let asked = "select count(*) from audit_log
            where action in ('complete_sync', 'restore') and outcome = 'accepted'
                and actor <> '' and run_id is not null";
        assert!(number(asked).await >= 6);
        let healed = cloud.sync(json!({})).await;
        assert_eq!(healed["status"], "succeeded", "{healed}");
        tables::assert_equal_truth(&cloud.client, &cloud.account).await;
    });
}

/// A backup that is not there, and one of another schema version: no run is made of
/// either. A request that was repeated gets its run, whatever has become of its backup.
async fn refuses_what_cannot_be_put_back(cloud: &Cloud, backup_id: &str) {
    let restore = async |body: Value| cloud.call(Method::POST, "/admin/restore", body).await;
    let runs = async || -> i64 {
        let runs = "select count(*) from sync_runs";
        cloud.client.query_one(runs, &[]).await.unwrap().get(0)
    };
    let keyed = json!({"backup_id": backup_id, "idempotency_key": "once"});
    let (status, started) = restore(keyed.clone()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    cloud.end_of(started["run_id"].as_str().unwrap()).await;

    let before = runs().await;
    let nothing = json!({"backup_id": "nothing"});
    let (status, refused) = restore(nothing.clone()).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{refused}");
    assert_eq!(refused["error"]["name"], "NotFound");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("GET /admin/backups"), "{message}");

    let older = "update sync_backups set schema_version = schema_version - 1 returning backup_id";
    let older: String = cloud.client.query(older, &[]).await.unwrap()[0].get(0);
    let (status, refused) = restore(json!({"backup_id": older})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    assert_eq!(refused["error"]["name"], "DatabaseSchemaOutdated");

    let gone = "delete from sync_backups";
    cloud.client.execute(gone, &[]).await.unwrap();
    let (status, repeated) = restore(keyed).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{repeated}");
    assert_eq!(repeated["run_id"], started["run_id"]);
    // The key is the first request's, whatever else is asked for under it.
    for (path, body) in [
        (
            "restore",
            json!({"backup_id": "other", "idempotency_key": "once"}),
        ),
        ("complete-sync", json!({"idempotency_key": "once"})),
        ("historical-orders-sync", json!({"idempotency_key": "once"})),
        (
            "migrate-order-line-items",
            json!({"idempotency_key": "once"}),
        ),
    ] {
        let path = format!("/admin/{path}");
        let (status, refused) = cloud.call(Method::POST, &path, body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{path}: {refused}");
        assert_eq!(refused["error"]["name"], "IdempotencyConflict");
        assert_eq!(refused["error"]["run_id"], started["run_id"]);
    }
    assert_eq!(runs().await, before);
    let held = "select count(*) from sync_leases where expires_at > clock_timestamp()";
    let held: i64 = cloud.client.query_one(held, &[]).await.unwrap().get(0);
    assert_eq!(held, 0);
}
