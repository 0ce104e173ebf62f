//! Rows without a parent and objects that cannot be read: set aside, named,
//! tried again, and never a reason to fail.

use serde_json::json;

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

async fn waiting(world: &World) -> Vec<(String, String)> {
    let rows = world
        .client
        .query(
            "select data_type, object_id from sync_quarantine where resolved_at is null
             order by 1, 2",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn a_count_waits_for_its_variation_and_arrives_with_it() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let location = world
            .client
            .query_one("select id from locations order by id limit 1", &[])
            .await
            .unwrap();
        let location: String = location.get(0);
        world
            .account
            .change(json!([{"op": "put_raw", "inventory_count": {
                "catalog_object_id": "LATER", "catalog_object_type": "ITEM_VARIATION",
                "state": "IN_STOCK", "location_id": location, "quantity": "5",
                "calculated_at": "2026-07-01T01:00:00.12Z"
            }}]))
            .await;
        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("inventory").quarantined, 1);
        assert!(report.warnings[0].contains("sync_quarantine"), "{report:?}");
        let waits = format!("LATER:{location}:IN_STOCK");
        assert_eq!(
            waiting(&world).await,
            [("inventory".to_owned(), waits.clone())]
        );

        // Nothing new, and it goes on waiting.
        world.sync(json!({})).await;
        assert_eq!(waiting(&world).await.len(), 1);

        world
            .account
            .change(json!([{"op": "add_variation", "id": "LATER"}]))
            .await;
        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("variations").created, 1);
        assert_eq!(report.counts("inventory").created, 1);
        assert_eq!(waiting(&world).await, []);
        let arrived = "select count(*) from catalog_inventory where variation_id = 'LATER'";
        assert_eq!(world.number(arrived).await, 1);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_variation_waits_for_its_item_with_its_overrides() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let location = world
            .client
            .query_one("select id from locations order by id limit 1", &[])
            .await
            .unwrap();
        let location: String = location.get(0);
        world
            .account
            .change(json!([{"op": "put_raw", "object": {
                "type": "ITEM_VARIATION", "id": "ORPHAN", "version": 7,
                "item_variation_data": {"item_id": "MISSING", "name": "Large",
                    "location_overrides": [
                        {"location_id": location, "sold_out": true},
                        {"location_id": "NOWHERE"}]}
            }}]))
            .await;
        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("variations").quarantined, 1);
        assert_eq!(
            waiting(&world).await,
            [("variations".to_owned(), "ORPHAN".to_owned())]
        );

        world
            .account
            .change(json!([{"op": "add_item", "id": "MISSING", "variations": 1}]))
            .await;
        world.sync(json!({})).await;
        let overrides = "select count(*) from catalog_variation_overrides where variation_id = 'ORPHAN' and sold_out";
        assert_eq!(world.number(overrides).await, 1);
        assert_eq!(
            waiting(&world).await,
            [(
                "variation_overrides".to_owned(),
                "ORPHAN:NOWHERE".to_owned()
            )]
        );
    });
}

#[test]
fn an_object_that_cannot_be_read_is_set_aside_alone_and_its_row_stays() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let item: String = world
            .client
            .query_one(
                "select id from catalog_items where not is_deleted order by id limit 1",
                &[],
            )
            .await
            .unwrap()
            .get(0);
        world
            .account
            .change(json!([
                {"op": "put_raw", "object": {"type": "ITEM", "id": item, "version": "soon",
                    "item_data": {"name": "Broken"}}},
                {"op": "edit_item", "name": "Beside it", "count": 3}
            ]))
            .await;
        let report = world.sync(json!({"reconcile": true})).await;
        assert_eq!(report.counts("items").quarantined, 1, "{report:?}");
        let live = world
            .client
            .query_one(
                "select not is_deleted from catalog_items where id = $1",
                &[&item],
            )
            .await
            .unwrap();
        assert!(
            live.get::<_, bool>(0),
            "the row of a broken object was deleted"
        );
    });
}

#[test]
fn an_answer_that_is_spoilt_on_its_way_heals_once_it_is_whole() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let rewrite = json!([{"endpoint": "/v2/catalog/search", "find": "\"@1@\"", "with": "17"}]);
        world.account.rewrite(rewrite).await;
        let change = json!([{"op": "edit_item", "name": "@1@"}]);
        world.account.change(change).await;
        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("items").quarantined, 1, "{report:?}");
        world.account.clear_rewrites().await;
        world.sync(json!({"reconcile": true})).await;
        assert_eq!(waiting(&world).await, []);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn u0000_is_removed_with_a_warning() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        world
            .account
            .change(json!([{"op": "edit_item", "name": "zero\u{0}byte"}]))
            .await;
        let report = world.sync(json!({})).await;
        assert!(
            report.warnings.iter().any(|text| text.contains("U+0000")),
            "{report:?}"
        );
        let cleaned = "select count(*) from catalog_items where name = 'zerobyte'";
        assert_eq!(world.number(cleaned).await, 1);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_count_from_the_future_hides_none_of_the_present() {
    run(async {
        let sizes = json!({"locations": 2, "items": 3, "variations": 4, "counts": 6, "orders": 0,
            "now": jiff::Timestamp::now().to_string()});
        let world = World::new(Account::start(sizes), &[]).await;
        world.sync(json!({})).await;
        let row = "select variation_id, location_id, state from catalog_inventory limit 1";
        let row = world.client.query_one(row, &[]).await.unwrap();
        let [variation, location, state]: [String; 3] = [0, 1, 2].map(|at| row.get(at));
        let count = json!({"catalog_object_id": variation, "catalog_object_type": "ITEM_VARIATION",
            "location_id": location, "state": state, "quantity": "7",
            "calculated_at": "2100-01-01T00:00:00Z"});
        let change = json!([{"op": "put_raw", "count": count}]);
        world.account.change(change).await;
        world.sync(json!({})).await;
        world
            .account
            .change(json!([{"op": "sell", "count": 2}]))
            .await;
        let report = world.sync(json!({})).await;
        assert!(report.counts("inventory").updated >= 1, "{report:?}");
        tables::assert_equal_truth(&world.client, &world.account).await;
        let ahead = "select count(*) from sync_watermarks where position > now()";
        assert_eq!(world.number(ahead).await, 0);
    });
}
