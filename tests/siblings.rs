//! Siblings of what was mended: the same kind in another field, table, order of events
//! or way of asking.

use serde_json::{Value, json};
use shared::account;

use crate::support::account::Account;
use crate::support::run;
use crate::support::run::{World, new_run_id};

const LOCATIONS: &str = "/v2/locations";
const CATALOG: &str = "/v2/catalog/search";
const AGAIN: &str = "/v2/catalog/batch-retrieve";
const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";

/// Rows that live, of all tables.
async fn live(world: &World) -> Vec<(&'static str, i64)> {
    let mut live = Vec::new();
    for table in account::objects() {
        let (name, lives) = (table.name, table.lives("t"));
        let sql = format!("select count(*) from {name} t where {lives}");
        live.push((name, world.number(&sql).await));
    }
    live
}

/// Syncs while Square gives an object as it was before its last change.
async fn an_older_copy_comes(world: &World, id: &str) {
    let stale = json!([{"op": "serve_stale", "id": id}]);
    world.account.change(stale).await;
    let again = "update sync_watermarks set position = position - interval '1 hour'
        where list = 'catalog'";
    world.client.batch_execute(again).await.unwrap();
    world.sync(json!({})).await;
}

async fn text(world: &World, sql: &str) -> String {
    world.client.query_one(sql, &[]).await.unwrap().get(0)
}

/// A type that is a text, but none that we know.
#[test]
fn a_type_that_is_no_type_deletes_nothing() {
    run(async {
        let mut wrong = Vec::new();
        for kind in [r#""CATEGORY\ud83c""#, r#""""#, "7"] {
            let world = World::small().await;
            world.sync(json!({})).await;
            let before = live(&world).await;
            let id = text(
                &world,
                "select id from catalog_categories where not is_deleted order by id limit 1",
            )
            .await;
            world
                .account
                .rewrite(json!([{"endpoint": "*", "find": "\"@T@\"", "with": kind}]))
                .await;
            world
                .account
                .change(json!([{"op": "edit_category", "id": id, "set": {"type": "@T@"}}]))
                .await;
            let report = world.run(json!({"reconcile": true})).await;
            let after = live(&world).await;
            if after != before {
                wrong.push(format!(
                    "{kind}: {:?} {:?}: {before:?} became {after:?}",
                    report.status, report.warnings
                ));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// One order stops all of its locations.
#[test]
fn a_line_may_be_called_like_the_name_that_we_give() {
    run(async {
        let account = Account::start(json!({"locations": 2, "categories": 1, "items": 2,
            "variations": 2, "counts": 2, "orders": 20}));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        world.import(json!({})).await;
        let mut wrong = Vec::new();
        for (what, set) in [
            (
                "lines",
                json!({"line_items": [{"uid": "#1", "quantity": "1"}, {"quantity": "1"}]}),
            ),
            (
                "tenders",
                json!({"tenders": [{"id": "#1"}, {"id": ""}, {"id": ""}, {"id": "#1"}]}),
            ),
            (
                "lines that are both so called",
                json!({"line_items": [{"uid": "#1", "quantity": "1"}, {"uid": "#1", "quantity": "1"}]}),
            ),
        ] {
            let added = world
                .account
                .change(json!([{"op": "add_order", "set": set}, {"op": "add_order"}]))
                .await;
            let report = world.run(json!({"only": ["orders"]})).await;
            if let Some(error) = report.error {
                wrong.push(format!("{what}: {error:?}"));
            }
            let _ = added;
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// Where values do not go through COPY.
#[test]
fn a_time_that_postgresql_refuses_stops_nothing() {
    run(async {
        let mut wrong = Vec::new();
        let account = Account::start(json!({"locations": 2, "categories": 1, "items": 2,
            "variations": 2, "counts": 2, "orders": 20}));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        let id = text(&world, "select id from locations order by id limit 1").await;
        world
            .account
            .change(json!([{"op": "edit_location", "id": id,
            "set": {"created_at": "-009000-01-01T00:00:00Z"}}]))
            .await;
        world.sync(json!({"only": ["locations"]})).await;
        let report = world.import_named(&new_run_id(), json!({})).await;
        if let Some(error) = report.error {
            wrong.push(format!("import: {error:?}"));
        }
        let report = world.run(json!({"only": ["orders"]})).await;
        if let Some(error) = report.error {
            wrong.push(format!("fresh orders: {error:?}"));
        }
        let world = World::small().await;
        world
            .account
            .rewrite(json!([{"endpoint": CATALOG, "find": "\"latest_time\":",
            "with": "\"latest_time\":\"-009000-01-01T00:00:00Z\",\"x\":"}]))
            .await;
        let report = world.run(json!({})).await;
        if let Some(error) = report.error {
            wrong.push(format!("latest_time: {error:?}"));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// Step Functions passes on 256 KB and fails the state beyond that.
#[test]
fn a_long_text_does_not_make_an_answer_too_long() {
    run(async {
        let world = World::small().await;
        let id = json!("L");
        let long = "é".repeat(200_000);
        let mut location =
            world.account.square(LOCATIONS, Value::Null).await["locations"][0].clone();
        location["id"] = id;
        location["timezone"] = json!(long);
        world
            .account
            .change(json!([{"op": "put_raw", "location": location}]))
            .await;
        let report = world.sync(json!({})).await;
        let answer = serde_json::to_string(&report.steps["locations"]).unwrap();
        assert!(answer.len() < 256 * 1024, "{} bytes", answer.len());
    });
}

/// The views always answer.
#[test]
fn reports_answer_whatever_time_and_zone_there_is() {
    run(async {
        let mut wrong = Vec::new();
        for (zone, closed_at) in [
            ("Asia/\u{212a}olkata", "2026-01-01T00:00:00Z"),
            ("\u{130}ran", "2026-01-01T00:00:00Z"),
            ("America/New_York", "-004713-11-24T00:00:00Z"),
            ("America/New_York", "-004712-11-24T00:00:00Z"),
        ] {
            let account = Account::start(json!({"locations": 1, "categories": 1, "items": 2,
                "variations": 2, "counts": 2, "orders": 0}));
            let world = World::new(account, &[]).await;
            let mut location =
                world.account.square(LOCATIONS, Value::Null).await["locations"][0].clone();
            location["timezone"] = json!(zone);
            let id = location["id"].clone();
            world
                .account
                .change(json!([{"op": "put_raw", "location": location},
                {"op": "put_raw", "order": {"id": "O", "location_id": id, "state": "COMPLETED",
                    "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
                    "closed_at": closed_at, "line_items": [{"quantity": "1"}]}}]))
                .await;
            world.sync(json!({})).await;
            world.import(json!({})).await;
            let stored = world.number("select count(*) from orders").await;
            for view in ["daily_sales", "item_sales"] {
                if let Err(error) = world
                    .client
                    .query(&format!("select * from {view}"), &[])
                    .await
                {
                    wrong.push(format!(
                        "{zone} {closed_at} ({stored}) {view}: {:?}",
                        error.as_db_error()
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// By absence alone all of a table of over five.
#[test]
fn counts_do_not_go_all_at_once_with_a_catalog_that_looks_empty() {
    run(async {
        let account = Account::start(json!({"locations": 10, "categories": 2, "items": 3,
            "variations": 5, "counts": 45, "orders": 0}));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        let before = live(&world).await;
        world
            .account
            .faults(json!([{"endpoint": CATALOG, "kind": "nothing"},
            {"endpoint": AGAIN, "kind": "nothing"}]))
            .await;
        let report = world.run(json!({"reconcile": true})).await;
        assert_eq!(live(&world).await, before, "{:?}", report.status);
    });
}

/// An older copy has no effect of any kind.
#[test]
fn an_outdated_copy_closes_nothing_that_waits() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let id = text(
            &world,
            "select id from catalog_variations where not is_deleted order by id limit 1",
        )
        .await;
        world
            .account
            .change(
                json!([{"op": "edit_variation", "id": id, "set": {"item_variation_data":
            {"location_overrides": [{"location_id": "NOWHERE", "sold_out": true}]}}}]),
            )
            .await;
        world.sync(json!({})).await;
        let waiting = "select count(*) from sync_quarantine where resolved_at is null
            and data_type = 'variation_overrides'";
        assert_eq!(world.number(waiting).await, 1);
        an_older_copy_comes(&world, &id).await;
        let waits = world.number(waiting).await;
        world
            .account
            .change(json!([{"op": "serve_stale", "id": id, "stale": false},
            {"op": "add_location", "id": "NOWHERE"}]))
            .await;
        world
            .client
            .batch_execute("update sync_watermarks set settled = true where list = 'catalog'")
            .await
            .unwrap();
        world.sync(json!({})).await;
        let placed = world
            .number(
                "select count(*) from catalog_variation_overrides where location_id = 'NOWHERE'",
            )
            .await;
        assert_eq!((waits, placed), (1, 1));
    });
}

/// What was unreadable in the listing, and deleted while it was read. The first of the
/// two is readable, and shows that the test does what it says.
#[test]
fn a_tombstone_counts_though_the_listing_held_it_unreadable() {
    run(async {
        let mut found = Vec::new();
        for spoilt in ["18", "17"] {
            let world = World::new(Account::small(), &[("CATALOG_BATCH_SIZE", "10")]).await;
            world.sync(json!({})).await;
            let id = text(
                &world,
                "select id from catalog_categories where not is_deleted order by id limit 1",
            )
            .await;
            let with = if spoilt == "17" {
                spoilt.to_owned()
            } else {
                format!("\"{spoilt}\"")
            };
            world
                .account
                .rewrite(json!([{"endpoint": CATALOG, "find": "\"@9@\"", "with": with}]))
                .await;
            world
                .account
                .change(json!([{"op": "edit_category", "id": id, "name": "@9@"}]))
                .await;
            world
                .account
                .change_later(
                    json!({"when": {"endpoint": CATALOG, "request": 8}, "changes": [
                {"op": "delete_category", "id": id}]}),
                )
                .await;
            world.sync(json!({"reconcile": true})).await;
            let truth = world.account.truth().await;
            assert!(truth["deleted"]["categories"].to_string().contains(&id));
            let deleted =
                format!("select count(*) from catalog_categories where id = '{id}' and is_deleted");
            let at_once = world.number(&deleted).await;
            // As if reading the listing had gone on for ten minutes.
            world
                .client
                .batch_execute(
                    "update sync_watermarks set position = position + interval '10 minutes'
                where list = 'catalog'",
                )
                .await
                .unwrap();
            world.sync(json!({})).await;
            let later = world.number(&deleted).await;
            let waits = world
                .number("select count(*) from sync_quarantine where resolved_at is null")
                .await;
            found.push((at_once, later, waits));
        }
        assert_eq!(found, [(1, 1, 0), (1, 1, 0)]);
    });
}

/// The token's merchant changes after preflight.
#[test]
fn a_token_replaced_after_preflight_changes_no_row() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let before = live(&world).await;
        let run_id = new_run_id();
        world.open(&run_id, json!({})).await.unwrap();
        world
            .account
            .reset(
                json!({"seed": 2, "locations": 3, "categories": 4, "items": 30,
            "variations": 60, "counts": 200, "orders": 0}),
            )
            .await;
        let step = world.step(&run_id, "locations").await;
        let merchants = world
            .number("select count(distinct merchant_id) from locations")
            .await;
        assert_eq!((live(&world).await, merchants), (before, 1), "{step:?}");
    });
}

/// The first currency that any of the order's amounts names.
#[test]
fn a_number_that_we_do_not_read_hides_no_currency() {
    run(async {
        let account = Account::start(json!({"locations": 1, "categories": 1, "items": 2,
            "variations": 2, "counts": 2, "orders": 0}));
        let world = World::new(account, &[]).await;
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        world
            .account
            .rewrite(
                json!([{"endpoint": "*", "find": "\"@N@\"", "with": "1e400"},
            {"endpoint": "*", "find": "\"@D@\"", "with": deep}]),
            )
            .await;
        world.sync(json!({})).await;
        let location = text(&world, "select id from locations").await;
        let order = |id: &str, unread: &str| {
            json!({"op": "put_raw", "order": {"id": id,
            "location_id": location, "state": "COMPLETED", "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z", "closed_at": "2026-01-01T00:00:00Z",
            "total_money": {"amount": 5}, "total_tax_money": {"amount": 1, "currency": "JPY"},
            "line_items": [{"quantity": "1", "total_tax_money": {"amount": 1, "currency": "JPY"}}],
            "new": unread}})
        };
        world
            .account
            .change(json!([
                order("A", "plain"),
                order("B", "@N@"),
                order("C", "@D@")
            ]))
            .await;
        world.import(json!({})).await;
        let rows = world
            .client
            .query(
                "select o.id, o.currency, l.currency from orders o
            join order_line_items l on l.order_id = o.id order by 1",
                &[],
            )
            .await
            .unwrap();
        let found: Vec<(String, Option<String>, Option<String>)> = rows
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect();
        let jpy = || Some("JPY".to_owned());
        let expected: Vec<_> = ["A", "B", "C"]
            .map(|id| (id.to_owned(), jpy(), jpy()))
            .into();
        assert_eq!(found, expected);
    });
}

/// Square's word that an object is gone, beside a field that we cannot read.
#[test]
fn a_tombstone_that_is_spoilt_elsewhere_is_one() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let id = text(
            &world,
            "select id from catalog_categories where not is_deleted order by id limit 1",
        )
        .await;
        world
            .account
            .rewrite(json!([{"endpoint": "*", "find": format!("\"id\":\"{id}\""),
            "with": format!("\"id\":\"{id}\",\"version\":\"soon\"")}]))
            .await;
        world
            .account
            .change(json!([{"op": "delete_category", "id": id}]))
            .await;
        world.sync(json!({})).await;
        world.sync(json!({"reconcile": true})).await;
        let deleted =
            format!("select count(*) from catalog_categories where id = '{id}' and is_deleted");
        assert_eq!(world.number(&deleted).await, 1);
    });
}

/// An older copy that can be read does not close the newer one that cannot.
#[test]
fn an_outdated_copy_does_not_stand_for_one_that_cannot_be_read() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let id = text(
            &world,
            "select id from catalog_variations where not is_deleted order by id limit 1",
        )
        .await;
        world
            .account
            .rewrite(json!([{"endpoint": "*", "find": "\"@9@\"", "with": "17"}]))
            .await;
        world
            .account
            .change(json!([{"op": "edit_variation", "id": id, "name": "@9@"}]))
            .await;
        world.sync(json!({})).await;
        let waiting = "select count(*) from sync_quarantine where resolved_at is null";
        assert_eq!(world.number(waiting).await, 1);
        an_older_copy_comes(&world, &id).await;
        assert_eq!(world.number(waiting).await, 1);
    });
}

/// As of the catalog: a question that Square refuses leaves the listing to decide.
#[test]
fn a_question_for_counts_that_square_refuses_stops_nothing() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let sql = "select variation_id, location_id from catalog_inventory
            where not is_deleted and state = 'IN_STOCK' order by 1, 2 limit 1";
        let row = world.client.query_one(sql, &[]).await.unwrap();
        let (id, location): (String, String) = (row.get(0), row.get(1));
        world
            .account
            .change(json!([{"op": "delete_silently", "id": id, "location_id": location}]))
            .await;
        world
            .account
            .faults(json!([{"endpoint": COUNTS, "kind": "status", "status": 404,
            "body": id}]))
            .await;
        let report = world.run(json!({"reconcile": true})).await;
        let marked = format!(
            "select count(*) from catalog_inventory where variation_id = '{id}'
            and location_id = '{location}' and state = 'IN_STOCK' and is_deleted"
        );
        assert_eq!(world.number(&marked).await, 1, "{:?}", report.error);
    });
}

/// A variation of a time still to come is taken out of its item by a delta, as any other.
#[test]
fn a_variation_from_the_future_leaves_its_item() {
    run(async {
        let mut found = Vec::new();
        for version in [1_i64, 4_102_444_800_000] {
            let world = World::small().await;
            world.sync(json!({})).await;
            let sql = "select item_id, min(id) from catalog_variations where not is_deleted
                group by 1 having count(*) > 1 order by 1 limit 1";
            let row = world.client.query_one(sql, &[]).await.unwrap();
            let (item, id): (String, String) = (row.get(0), row.get(1));
            world
                .client
                .execute(
                    "update catalog_variations set version = $2 where id = $1",
                    &[&id, &version],
                )
                .await
                .unwrap();
            world
                .account
                .change(
                    json!([{"op": "delete_silently", "type": "ITEM_VARIATION", "id": id},
                {"op": "edit_item", "id": item, "name": "With one less"}]),
                )
                .await;
            world.sync(json!({})).await;
            found.push(
                world
                    .number(&format!(
                        "select count(*) from catalog_variations where id = '{id}'
                and is_deleted"
                    ))
                    .await,
            );
        }
        assert_eq!(found, [1, 1]);
    });
}
