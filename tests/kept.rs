//! What a refresh keeps: Square gave it, and we could not read it.

use serde_json::json;
use shared::account;

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

const LOCATIONS: &str = "/v2/locations";
const CATALOG: &str = "/v2/catalog/search";
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

async fn text(world: &World, sql: &str) -> String {
    world.client.query_one(sql, &[]).await.unwrap().get(0)
}

/// What Square has just given is never removed because we cannot read it.
#[test]
fn a_refresh_keeps_what_came_unreadable() {
    run(async {
        let mut wrong = Vec::new();
        for (what, endpoint, find, spoil) in [
            (
                "location",
                LOCATIONS,
                "select id from locations where status = 'ACTIVE' order by id limit 1",
                "\"id\":\"X\",\"name\":7",
            ),
            (
                "location that is not active",
                LOCATIONS,
                "select id from locations where status = 'ACTIVE' order by id desc limit 1",
                "\"id\":\"X\",\"name\":7",
            ),
            (
                "item",
                CATALOG,
                "select id from catalog_items where not is_deleted order by id limit 1",
                "\"id\":\"X\",\"version\":\"soon\"",
            ),
            (
                "variation",
                CATALOG,
                "select variation_id from catalog_inventory where not is_deleted order by 1 limit 1",
                "\"id\":\"X\",\"version\":\"soon\"",
            ),
            (
                "count",
                COUNTS,
                "select variation_id from catalog_inventory where not is_deleted order by 1 limit 1",
                "\"catalog_object_id\":\"X\",\"quantity\":5",
            ),
            (
                "item without its id",
                CATALOG,
                "select id from catalog_items where not is_deleted order by id limit 1",
                "\"id\":7",
            ),
        ] {
            let account = Account::start(json!({"locations": 12, "categories": 4, "items": 30,
                "variations": 60, "counts": 200, "orders": 100}));
            let world = World::new(account, &[]).await;
            world.sync(json!({})).await;
            world.import(json!({})).await;
            let id = text(&world, find).await;
            if what.ends_with("not active") {
                let off = json!([{"op": "deactivate_location", "id": id}]);
                world.account.change(off).await;
                world.sync(json!({})).await;
            }
            let before = live(&world).await;
            let name = if endpoint == COUNTS {
                "catalog_object_id"
            } else {
                "id"
            };
            world
                .account
                .rewrite(json!([{"endpoint": endpoint,
                "find": format!("\"{name}\":\"{id}\""), "with": spoil.replace('X', &id)}]))
                .await;
            let report = world.run(json!({"full_refresh": true})).await;
            let after = live(&world).await;
            if after != before || report.error.is_some() {
                wrong.push(format!(
                    "{what}: {:?} {:?}: {before:?} became {after:?}",
                    report.status, report.error
                ));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// What came without its id may be any row that the listing lacks, but none that it
/// names, and none that Square calls deleted when it is asked.
#[test]
fn an_object_without_its_id_brings_nothing_back_that_square_has_taken_away() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let category = "select min(id) from catalog_categories where not is_deleted";
        let category = text(&world, category).await;
        let overridden = "select min(variation_id) from catalog_variation_overrides";
        let overridden = text(&world, overridden).await;
        let other = "select max(id) from catalog_items where not is_deleted";
        let other = text(&world, other).await;
        let changes = json!([
            {"op": "delete_category", "id": category},
            {"op": "edit_variation", "id": overridden,
                "set": {"item_variation_data": {"location_overrides": []}}}
        ]);
        world.account.change(changes).await;
        let find = format!("\"id\":\"{other}\"");
        let rewrite = json!([{"endpoint": CATALOG, "find": find, "with": "\"id\":7"}]);
        world.account.rewrite(rewrite).await;
        world.sync(json!({"full_refresh": true})).await;
        let lives = |table: &str, id: &str| {
            format!("select count(*) from {table} where id = '{id}' and not is_deleted")
        };
        let overrides = format!(
            "select count(*) from catalog_variation_overrides where variation_id = '{overridden}'"
        );
        assert_eq!(world.number(&overrides).await, 0);
        assert_eq!(world.number(&lives("catalog_items", &other)).await, 1);
        assert_eq!(
            world.number(&lives("catalog_categories", &category)).await,
            0
        );

        world.account.clear_rewrites().await;
        world.sync(json!({"full_refresh": true})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}
