//! Lists whose elements are no objects: nobody can place them, and they stop nothing.

use serde_json::json;

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

const LISTS: [(&str, &str); 4] = [
    ("/v2/locations", "locations"),
    ("/v2/catalog/search", "objects"),
    ("/v2/inventory/counts/batch-retrieve", "counts"),
    ("/v2/orders/search", "orders"),
];

#[test]
fn what_is_no_object_waits_and_stops_nothing() {
    run(async {
        for element in ["null", "7", "true", "\"text\"", "[]", "[null]", "{}"] {
            let account = Account::start(json!({"locations": 2, "categories": 2, "items": 4,
                "variations": 6, "counts": 10, "orders": 20}));
            let world = World::new(account, &[]).await;
            let rewrites: Vec<_> = LISTS
                .iter()
                .map(|(endpoint, array)| {
                    json!({"endpoint": endpoint, "find": format!("\"{array}\":[{{"),
                        "with": format!("\"{array}\":[{element},{{")})
                })
                .collect();
            world.account.rewrite(json!(rewrites)).await;
            // Twice: what waits is tried again, and asked for.
            for _ in 0..2 {
                let whole = json!({"reconcile": true,
                    "only": ["locations", "catalog", "inventory", "orders"]});
                world.sync(whole).await;
                world.import(json!({})).await;
            }
            world.sync(json!({"full_refresh": true})).await;
            let waiting = "select count(distinct data_type) from sync_quarantine
                where resolved_at is null";
            assert!(world.number(waiting).await >= 3, "{element}");
            world.account.clear_rewrites().await;
            world.sync(json!({"reconcile": true})).await;
            tables::assert_equal_truth(&world.client, &world.account).await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}
