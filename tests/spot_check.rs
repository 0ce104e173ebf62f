//! The spot check: what it finds, what it lets pass, and that it leaves no trace.

use serde_json::{Value, json};
use shared::orders::store::TABLES;

use crate::support::account::Account;
use crate::support::run;
use crate::support::run::{Report, World, new_run_id};

/// An account of which everything is here, its orders included.
async fn world() -> World {
    let account = Account::start(json!({
        "locations": 3, "categories": 6, "items": 30, "variations": 60, "counts": 200, "orders": 80
    }));
    let world = World::new(account, &[]).await;
    world.sync(json!({})).await;
    world.import(json!({})).await;
    world.sync(json!({"only": ["orders"]})).await;
    world
}

/// Checks every row; returns what the run's record has of it.
async fn check(world: &World) -> (Report, Value) {
    let report = world.spot_check(json!({"sample": 2_000})).await;
    assert_eq!(report.error, None, "{report:?}");
    let found = record(world, &report.run_id).await;
    (report, found)
}

async fn record(world: &World, run_id: &str) -> Value {
    let sql = "select result -> 'spot_check' from sync_steps
        where run_id = $1 and step = 'spot_check'";
    let row = world.client.query_one(sql, &[&run_id]).await.unwrap();
    row.get::<_, Option<Value>>(0).unwrap_or_default()
}

/// Changes one row by hand, and returns its id.
async fn scramble(world: &World, sql: &str) -> String {
    let rows = world.client.query(sql, &[]).await.unwrap();
    let [row] = &rows[..] else {
        panic!("{} rows: {sql}", rows.len());
    };
    row.get(0)
}

/// Of every table, where each row version stands and who made it.
async fn versions(world: &World) -> Vec<(String, String)> {
    let tables = "select format('%I.%I', n.nspname, c.relname) from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname in ('public', 'staging')
            and c.relname not in ('sync_runs', 'sync_steps', 'sync_leases', 'sync_merchant',
                'square_askers')
        order by 1";
    let mut found = Vec::new();
    for row in world.client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let sql = format!(
            "select md5(coalesce(string_agg(concat(ctid, ' ', xmin, ' ', xmax), ',' order by ctid), ''))
             from {table}"
        );
        let rows = world.client.query_one(&sql, &[]).await.unwrap().get(0);
        found.push((table, rows));
    }
    found
}

#[test]
fn a_copy_that_is_as_at_square_differs_in_nothing_and_stays_untouched() {
    run(async {
        let world = world().await;
        let before = versions(&world).await;
        let (report, found) = check(&world).await;
        assert_eq!(
            (&found["differ"], &found["rows_differ"]),
            (&json!([]), &json!(0))
        );
        assert_eq!(found["in_flight"], 0, "{found}");
        let rows = "select (select count(*) from locations)
            + (select count(*) from catalog_categories) + (select count(*) from catalog_items)
            + (select count(*) from catalog_item_categories)
            + (select count(*) from catalog_variations)
            + (select count(*) from catalog_variation_overrides)
            + (select count(*) from catalog_inventory)";
        let orders = TABLES.map(|table| format!(" + (select count(*) from {})", table.name));
        let rows = format!("{rows}{}", orders.concat());
        assert_eq!(found["compared"], world.number(&rows).await);
        assert!(
            !report.warnings.iter().any(|text| text.contains("differ")),
            "{report:?}"
        );
        assert_eq!(versions(&world).await, before);
        let totals = "select count(*) from sync_runs where kind = 'spot_check'
            and totals @> '{\"created\": 0, \"unchanged\": 0}' and lease_token is null";
        assert_eq!(world.number(totals).await, 1);
        let left = "select count(*) from pg_class where relname like 'spot_%' and relkind = 'r'";
        assert_eq!(world.number(left).await, 0);
    });
}

#[test]
fn a_small_sample_asks_for_little() {
    run(async {
        let world = world().await;
        world.account.clear_counters().await;
        let report = world.spot_check(json!({"sample": 5})).await;
        let found = record(&world, &report.run_id).await;
        let compared = found["compared"].as_i64().unwrap();
        assert!((20..250).contains(&compared), "{found}");
        // The token, and a question a kind.
        assert_eq!(world.account.requests().await, 5);
    });
}

#[test]
fn a_row_that_was_changed_by_hand_is_found_in_every_table() {
    run(async {
        let world = world().await;
        for (row_type, column, sql) in [
            (
                "locations",
                "name",
                "update locations set name = 'by hand' where id = (select min(id) from locations)
                 returning id",
            ),
            (
                "categories",
                "is_top_level",
                "update catalog_categories set is_top_level = not coalesce(is_top_level, false)
                 where id = (select id from catalog_categories where not is_deleted
                     order by updated_at limit 1) returning id",
            ),
            (
                "items",
                "present_at_location_ids",
                "update catalog_items set present_at_location_ids = array['NOWHERE']
                 where id = (select id from catalog_items where not is_deleted
                     order by updated_at limit 1) returning id",
            ),
            (
                "items",
                "is_deleted",
                "update catalog_items set is_deleted = true, deleted_at = now() where id = (
                     select i.id from catalog_items i where not is_deleted and not exists (
                         select from catalog_variations v where v.item_id = i.id)
                     or id = (select id from catalog_items where not is_deleted
                         order by updated_at limit 1) order by updated_at limit 1) returning id",
            ),
            (
                "item_categories",
                "ordinal",
                "update catalog_item_categories set ordinal = -5 where ctid = (
                     select c.ctid from catalog_item_categories c join catalog_items i
                     on i.id = c.item_id where not i.is_deleted order by i.updated_at limit 1)
                 returning item_id || ':' || category_id",
            ),
            (
                "variations",
                "price_amount",
                "update catalog_variations set price_amount = 123456 where id = (
                     select id from catalog_variations where not is_deleted
                     order by updated_at limit 1) returning id",
            ),
            (
                "variation_overrides",
                "id",
                "insert into catalog_variation_overrides (variation_id, location_id, sold_out,
                     first_synced_at, last_changed_at, last_changed_by_run)
                 select v.id, l.id, true, '2026-01-01', '2026-01-01', 'hand'
                 from catalog_variations v, locations l
                 where not v.is_deleted and not exists (
                     select from catalog_variation_overrides o where o.variation_id = v.id)
                 order by v.updated_at limit 1 returning variation_id || ':' || location_id",
            ),
            (
                "inventory",
                "quantity",
                "update catalog_inventory set quantity = -7 where ctid = (
                     select ctid from catalog_inventory where not is_deleted
                     order by calculated_at limit 1)
                 returning variation_id || ':' || location_id || ':' || state",
            ),
            (
                "orders",
                "total_amount",
                "update orders set total_amount = -1 where id = (
                     select id from orders order by updated_at limit 1) returning id",
            ),
            (
                "line_items",
                "quantity",
                "update order_line_items set quantity = 77 where ctid = (
                     select l.ctid from order_line_items l join orders o on o.id = l.order_id
                     order by o.updated_at limit 1) returning order_id || ':' || uid",
            ),
            (
                "return_line_items",
                "note",
                "update order_return_line_items set note = 'by hand' where ctid = (
                     select l.ctid from order_return_line_items l join orders o
                     on o.id = l.order_id order by o.updated_at limit 1)
                 returning order_id || ':' || uid",
            ),
            (
                "tenders",
                "type",
                "update order_tenders set type = 'BARTER' where ctid = (
                     select l.ctid from order_tenders l join orders o on o.id = l.order_id
                     order by o.updated_at limit 1) returning order_id || ':' || id",
            ),
        ] {
            let id = scramble(&world, sql).await;
            let (report, found) = check(&world).await;
            let differ = found["differ"].as_array().unwrap();
            let of_row: Vec<&Value> = differ
                .iter()
                .filter(|one| one["type"] == row_type && one["id"] == id.as_str())
                .collect();
            let [one] = &of_row[..] else {
                panic!("{row_type} {id}: {found}");
            };
            assert_eq!(one["column"], column, "{found}");
            assert_ne!(one["ours"], one["square"], "{found}");
            assert!(
                report.warnings.iter().any(|text| text.contains(&id)),
                "{report:?}"
            );
            heal(&world).await;
        }
    });
}

#[test]
fn a_row_that_only_one_side_has_is_found() {
    run(async {
        let world = world().await;
        // Each was there long before the last sync.
        let gone = [
            (
                "inventory",
                "delete from catalog_inventory where ctid = (select ctid from catalog_inventory
                     where not is_deleted order by calculated_at limit 1)
                 returning variation_id || ':' || location_id || ':' || state",
            ),
            (
                "variation_overrides",
                "delete from catalog_variation_overrides where ctid = (
                     select o.ctid from catalog_variation_overrides o join catalog_variations v
                     on v.id = o.variation_id where not v.is_deleted order by v.updated_at limit 1)
                 returning variation_id || ':' || location_id",
            ),
            (
                "tenders",
                "delete from order_tenders where ctid = (
                     select t.ctid from order_tenders t join orders o on o.id = t.order_id
                     order by o.updated_at limit 1) returning order_id || ':' || id",
            ),
        ];
        for (row_type, sql) in gone {
            let id = scramble(&world, sql).await;
            let (_, found) = check(&world).await;
            let expected = json!({"type": row_type, "id": id, "column": "id", "ours": null,
                "square": id});
            let differ = found["differ"].as_array().unwrap();
            assert!(differ.contains(&expected), "{found}");
        }
        // What Square has lost without a word, and what it never had.
        let lost = json!([{"op": "delete_silently", "type": "CATEGORY", "count": 1}]);
        world.account.change(lost).await;
        let extra = "insert into orders (id, location_id, is_return, created_at, updated_at, raw,
                first_synced_at, last_changed_at, last_changed_by_run)
            select 'EXTRA', min(id), false, '2020-01-01', '2020-01-01', '{}',
                '2020-01-01', '2020-01-01', 'hand' from locations returning id";
        scramble(&world, extra).await;
        let (_, found) = check(&world).await;
        let differ = found["differ"].as_array().unwrap();
        let category = differ
            .iter()
            .find(|one| one["type"] == "categories")
            .unwrap();
        assert_eq!(
            (&category["column"], &category["ours"], &category["square"]),
            (&json!("is_deleted"), &json!("false"), &json!("true"))
        );
        let expected = json!({"type": "orders", "id": "EXTRA", "column": "id", "ours": "EXTRA",
            "square": null});
        assert!(differ.contains(&expected), "{found}");
        let rows = "select count(*) from sync_steps where step = 'spot_check'
            and (result -> 'spot_check' ->> 'rows_differ')::int = 5";
        assert_eq!(world.number(rows).await, 1, "{found}");
    });
}

#[test]
fn what_no_sync_has_brought_yet_is_in_flight() {
    run(async {
        let world = world().await;
        let changes = json!([
            {"op": "edit_category", "count": 1},
            {"op": "edit_item", "count": 2},
            {"op": "edit_variation", "count": 2},
            {"op": "delete_item", "count": 1},
            {"op": "recount", "count": 3},
            {"op": "edit_order", "count": 2},
        ]);
        world.account.change(changes).await;
        let (report, found) = check(&world).await;
        assert_eq!(found["differ"], json!([]), "{found}");
        assert!(found["in_flight"].as_i64().unwrap() >= 10, "{found}");
        assert!(
            !report.warnings.iter().any(|text| text.contains("differ")),
            "{report:?}"
        );
        world.sync(json!({})).await;
        world.sync(json!({"only": ["orders"]})).await;
        let (_, found) = check(&world).await;
        assert_eq!(
            (&found["differ"], &found["in_flight"]),
            (&json!([]), &json!(0))
        );
    });
}

#[test]
fn an_answer_that_is_wrong_once_is_none() {
    run(async {
        let world = world().await;
        world.account.clear_counters().await;
        let skipped = json!([{"endpoint": "/v2/orders/batch-retrieve", "kind": "nothing",
            "times": 1}]);
        world.account.faults(skipped).await;
        let (_, found) = check(&world).await;
        assert_eq!(found["differ"], json!([]), "{found}");
        let asked = world.account.requests_to("/v2/orders/batch-retrieve").await;
        assert!(asked > 1, "{asked}");
    });
}

#[test]
fn square_failing_half_way_ends_the_check_and_leaves_nothing() {
    run(async {
        let world = world().await;
        let before = versions(&world).await;
        for (fault, name) in [
            (json!({"kind": "status", "status": 400}), "SquareRejected"),
            (
                json!({"kind": "status", "status": 401}),
                "SquareUnauthorized",
            ),
        ] {
            let mut fault = fault;
            fault["endpoint"] = json!("/v2/orders/batch-retrieve");
            world.account.faults(json!([fault])).await;
            let report = world.spot_check(json!({})).await;
            world.account.clear_faults().await;
            let error = report.error.unwrap();
            assert_eq!(
                (error.name.as_str(), error.step.as_str()),
                (name, "spot_check")
            );
            assert!(
                error.message.contains("/v2/orders/batch-retrieve"),
                "{}",
                error.message
            );
            assert_eq!(record(&world, &report.run_id).await, Value::Null);
        }
        assert_eq!(versions(&world).await, before);
        let (_, found) = check(&world).await;
        assert_eq!(found["differ"], json!([]), "{found}");
    });
}

#[test]
fn it_runs_beside_a_sync_that_holds_its_leases_and_ends_when_it_is_stopped() {
    run(async {
        let world = world().await;
        let sync = new_run_id();
        world
            .open(
                &sync,
                json!({"only": ["locations", "catalog", "inventory", "orders"]}),
            )
            .await
            .unwrap();
        let held = "select count(*) from sync_leases where holder = '";
        let held = format!("{held}{sync}'");
        assert_eq!(world.number(&held).await, 2);
        let (_, found) = check(&world).await;
        assert_eq!(found["differ"], json!([]), "{found}");
        assert_eq!(world.number(&held).await, 2);

        let run_id = new_run_id();
        let opened = world
            .open_as("spot_check", &run_id, json!({}))
            .await
            .unwrap();
        assert_eq!(opened.steps, ["spot_check"]);
        world.stop(&run_id).await;
        let error = world.step(&run_id, "spot_check").await.unwrap_err();
        assert_eq!(error.name(), "Cancelled");
        // One that is stopped while Square takes its time, notices.
        let run_id = new_run_id();
        world
            .open_as("spot_check", &run_id, json!({}))
            .await
            .unwrap();
        let slow = json!([{"endpoint": "/v2/orders/batch-retrieve", "kind": "delay",
            "delay_ms": 60_000, "times": 9}]);
        world.account.clear_counters().await;
        world.account.faults(slow).await;
        let (stopped, ()) = tokio::join!(world.step(&run_id, "spot_check"), async {
            world.account.held("/v2/orders/batch-retrieve", 0).await;
            world.stop(&run_id).await;
        });
        world.account.clear_faults().await;
        assert_eq!(stopped.unwrap_err().name(), "LeaseLost");
        let open = "select count(*) from sync_steps s join sync_runs r using (run_id)
            where r.kind = 'spot_check' and (r.status = 'running' or s.status = 'running')";
        assert_eq!(world.number(open).await, 0);
    });
}

#[test]
fn a_token_needs_the_right_to_read_orders_only_where_there_are_any() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let without = json!({"scopes": ["MERCHANT_PROFILE_READ", "ITEMS_READ", "INVENTORY_READ"]});
        world.account.token(without).await;
        let (_, found) = check(&world).await;
        assert_eq!(found["differ"], json!([]), "{found}");
        world
            .account
            .token(json!({"scopes": ["MERCHANT_PROFILE_READ", "ITEMS_READ"]}))
            .await;
        let report = world.spot_check(json!({})).await;
        let error = report.error.unwrap();
        assert_eq!(
            (error.name.as_str(), error.step.as_str()),
            ("SquareForbidden", "preflight")
        );
    });
}

/// Brings every row back to what Square has.
async fn heal(world: &World) {
    world.sync(json!({"reconcile": true})).await;
    // What an order's tables hold comes from its own JSON.
    let report = world.migrate(&new_run_id()).await;
    assert_eq!(report.error, None, "{report:?}");
    let (_, found) = check(world).await;
    assert_eq!(found["differ"], json!([]), "{found}");
}
