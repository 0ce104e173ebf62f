//! Previews: what they show is what the run that follows does, and nothing of it is done.

use serde_json::{Value, json};
use shared::account;
use shared::staging::table::Table;

use crate::refresh::changes;
use crate::support::run::{Report, World};
use crate::support::{run, tables};

const FATES: [&str; 4] = ["created", "updated", "deleted", "purged"];

fn figures(report: &Report) -> Vec<(&'static str, i64, i64, i64)> {
    account::objects()
        .iter()
        .map(|table| {
            let counts = report.counts(table.data_type);
            (
                table.data_type,
                counts.created,
                counts.updated,
                counts.deleted,
            )
        })
        .collect()
}

/// What a preview has stored of the rows that would differ.
async fn sample(world: &World, preview: &Report) -> Value {
    let sql = "select result -> 'preview' from sync_steps
        where run_id = $1 and step = 'publish'";
    let row = world.client.query_one(sql, &[&preview.run_id]).await;
    row.unwrap().get(0)
}

fn rows<'a>(sample: &'a Value, data_type: &str, fate: &str) -> &'a [Value] {
    let rows = sample[data_type][fate].as_array();
    rows.map_or(&[], Vec::as_slice)
}

/// Rows are called what people call them, after what they hang on.
async fn assert_is_named(world: &World, sample: &Value) {
    for fate in ["created", "deleted"] {
        let items = rows(sample, "items", fate);
        assert!(!items.is_empty(), "{sample}");
        for row in items {
            assert_eq!(row["label"], row["name"], "{sample}");
        }
    }
    let edited = rows(sample, "items", "updated");
    assert!(edited[0]["changes"]["version"]["from"].is_i64(), "{sample}");
    let name = "select name from catalog_items where id = $1";
    for row in edited {
        let id = row["key"]["id"].as_str().unwrap();
        let old = world.client.query_one(name, &[&id]).await.unwrap();
        let new = row["changes"]["name"]["to"].as_str();
        assert_eq!(row["label"], new.unwrap_or(old.get(0)), "{sample}");
    }
    let variations = rows(sample, "variations", "created");
    assert!(!variations.is_empty(), "{sample}");
    for row in variations {
        let mut items = rows(sample, "items", "created").iter();
        let item = items.find(|item| item["id"] == row["item_id"]).unwrap();
        let [item, own] = [item, row].map(|row| row["name"].as_str().unwrap());
        assert_eq!(row["label"], format!("{item} · {own}"), "{sample}");
    }
}

/// There are as many rows as are counted, up to twenty.
fn assert_is_counted(sample: &Value) {
    for Table { data_type, .. } in account::all_tables() {
        for fate in FATES {
            let count = sample[data_type]["counts"][fate].as_u64().unwrap_or(0);
            let shown = u64::try_from(rows(sample, data_type, fate).len()).unwrap();
            assert_eq!(shown, count.min(20), "{data_type} {fate}: {sample}");
        }
    }
}

#[test]
fn a_previews_figures_are_those_of_the_run_that_follows() {
    run(async {
        let mut reconciled = Vec::new();
        for request in [
            json!({}),
            json!({"reconcile": true}),
            json!({"full_refresh": true}),
            json!({"only": ["locations", "catalog"]}),
        ] {
            let world = World::small().await;
            world.sync(json!({})).await;
            world.sync(json!({})).await;
            world.account.change(changes()).await;
            let old = tables::fingerprint(&world.client).await;
            let watermarks = "select coalesce(sum(hashtext(w::text)::bigint), 0)::bigint
                from sync_watermarks w";
            let marks = world.number(watermarks).await;
            let mut dry = request.clone();
            dry["dry_run"] = json!(true);
            let preview = world.sync(dry).await;
            assert_eq!(tables::fingerprint(&world.client).await, old, "{request}");
            assert_eq!(world.number(watermarks).await, marks, "{request}");
            let quarantined = "select count(*) from sync_quarantine";
            assert_eq!(world.number(quarantined).await, 0);
            let schemas = "select count(*) from pg_namespace where nspname like 'backup%'";
            assert_eq!(world.number(schemas).await, 0);

            let sample = sample(&world, &preview).await;
            assert_is_named(&world, &sample).await;
            assert_is_counted(&sample);
            let counts = |table: &&Table| sample[table.data_type]["counts"].clone();
            let differences: Vec<Value> = account::objects().iter().map(counts).collect();
            if request["full_refresh"] == true {
                // Whatever it writes, it leads to the same.
                assert_eq!(differences, reconciled);
            } else {
                for (counts, figures) in differences.iter().zip(figures(&preview)) {
                    let (data_type, created, updated, deleted) = figures;
                    let wanted = [created, updated, deleted];
                    let found = ["created", "updated", "deleted"]
                        .map(|fate| counts[fate].as_i64().unwrap_or(0));
                    assert_eq!(found, wanted, "{data_type} {request}");
                }
            }
            if request["reconcile"] == true {
                reconciled = differences;
            }

            let real = world.sync(request.clone()).await;
            assert_eq!(figures(&preview), figures(&real), "{request}");
            // A delta cannot know of what vanished without a trace.
            if request["reconcile"] == true || request["full_refresh"] == true {
                tables::assert_equal_truth(&world.client, &world.account).await;
            }
        }
    });
}

/// What no figure of the run has: what hangs on objects, what was marked before, and a
/// location that is not active any more, which is no row less.
#[test]
fn a_preview_of_a_refresh_shows_every_row_that_would_differ_and_no_other() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let refresh = json!({"full_refresh": true, "dry_run": true});
        let preview = world.sync(refresh.clone()).await;
        assert!(preview.counts("items").created > 0);
        assert_eq!(sample(&world, &preview).await, json!({}));

        world.account.change(json!([{"op": "delete_item"}])).await;
        world.sync(json!({})).await;
        let text =
            async |sql: &str| -> String { world.client.query_one(sql, &[]).await.unwrap().get(0) };
        let variation = text("select min(id) from catalog_variations where not is_deleted").await;
        let location = text("select max(id) from locations where status = 'ACTIVE'").await;
        let price = json!({"amount": 4_711, "currency": "USD"});
        let overrides = json!([{"location_id": location, "price_money": price}]);
        world
            .account
            .change(json!([
                {"op": "deactivate_location"},
                {"op": "move_item"},
                {"op": "edit_variation", "id": variation,
                    "set": {"item_variation_data": {"location_overrides": overrides}}},
            ]))
            .await;
        let preview = world.sync(refresh).await;
        let sample = sample(&world, &preview).await;
        assert_is_counted(&sample);

        for (data_type, table) in [
            ("items", "catalog_items"),
            ("variations", "catalog_variations"),
        ] {
            let marked = format!("select count(*) from {table} where is_deleted");
            let marked = world.number(&marked).await;
            assert!(marked > 0);
            assert_eq!(sample[data_type]["counts"]["purged"], marked, "{sample}");
        }
        let counts = json!({"created": 0, "updated": 1, "deleted": 0, "purged": 0});
        assert_eq!(sample["locations"]["counts"], counts, "{sample}");
        let status = json!({"status": {"from": "ACTIVE", "to": "INACTIVE"}});
        assert_eq!(sample["locations"]["updated"][0]["changes"], status);
        assert_eq!(sample["items"]["counts"]["updated"], 1, "{sample}");
        // Each by the names of what it hangs on.
        for (data_type, key, names) in [
            ("item_categories", "category_id", 1),
            ("variation_overrides", "location_id", 3),
        ] {
            let shown = FATES.iter().flat_map(|fate| rows(&sample, data_type, fate));
            let shown: Vec<&Value> = shown.collect();
            assert!(!shown.is_empty(), "{data_type}: {sample}");
            for row in shown {
                let key = row["key"].get(key).or_else(|| row.get(key));
                assert!(key.is_some_and(Value::is_string), "{row}");
                let label = row["label"].as_str().unwrap();
                assert_eq!(label.split(" · ").count(), names, "{row}");
            }
        }
    });
}

#[test]
fn a_preview_of_an_empty_database_and_a_scheduled_refresh_are_runs_like_any_other() {
    run(async {
        let world = World::small().await;
        let preview = world.sync(json!({"dry_run": true})).await;
        assert_eq!(world.number("select count(*) from catalog_items").await, 0);
        assert!(preview.counts("items").created > 0);
        world.import(json!({})).await;
        let scheduled = json!({"trigger": "schedule", "scheduled_time": "1", "full_refresh": true});
        let report = world.sync(scheduled).await;
        // The import has brought the locations, which the refresh replaces.
        assert_eq!(figures(&report)[1..], figures(&preview)[1..]);
        let read =
            "select count(*) from sync_steps where step in ('locations', 'catalog', 'inventory')
            and progress_done = 0";
        assert_eq!(world.number(read).await, 0);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

/// A preview lists what the run would: all counts, where a variation lives after all.
#[test]
fn a_preview_shows_the_counts_that_come_back_with_their_variation() {
    run(async {
        for parts in [json!(null), json!(["catalog", "inventory"])] {
            let world = World::small().await;
            world.sync(json!({})).await;
            let one = "select min(variation_id) from catalog_inventory where not is_deleted";
            let id: String = world.client.query_one(one, &[]).await.unwrap().get(0);
            for (table, key) in [
                ("catalog_variations", "id"),
                ("catalog_inventory", "variation_id"),
            ] {
                let gone = format!(
                    "update {table} set is_deleted = true, deleted_at = '2020-01-01'
                    where {key} = $1"
                );
                world.client.execute(&gone, &[&id]).await.unwrap();
            }
            let edit = json!([{"op": "edit_variation", "id": id, "name": "Back"}]);
            world.account.change(edit).await;
            let mut request = json!({"dry_run": true});
            if !parts.is_null() {
                request["only"] = parts;
            }
            let preview = world.sync(request.clone()).await;
            request["dry_run"] = json!(false);
            let report = world.sync(request.clone()).await;
            for data_type in ["items", "variations", "inventory"] {
                let (shown, done) = (preview.counts(data_type), report.counts(data_type));
                assert_eq!(shown, done, "{data_type} {request}");
            }
            assert!(report.counts("inventory").updated > 0, "{report:?}");
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}
