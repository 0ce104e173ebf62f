//! How old the data is said to be: never younger than it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use shared::run::freshness;

use crate::support::run;
use crate::support::run::World;

type Times = BTreeMap<String, Option<Timestamp>>;

async fn times(world: &World) -> Times {
    let before = Timestamp::now();
    let client = world.env.database.client().await.unwrap();
    let fresh = freshness::read(&client).await.unwrap();
    let order: Vec<&str> = fresh.iter().map(|one| one.data_type.as_str()).collect();
    assert_eq!(order, ["locations", "catalog", "inventory", "orders"]);
    for one in &fresh {
        assert_eq!(one.as_of.is_some(), one.age_seconds.is_some());
        if let (Some(as_of), Some(age)) = (one.as_of, one.age_seconds) {
            // To the second, as of a moment between these two.
            let at_most = Timestamp::now().duration_since(as_of).as_secs() + 1;
            let at_least = before.duration_since(as_of).as_secs() - 1;
            assert!((at_least.max(0)..=at_most).contains(&age), "{age}");
        }
    }
    fresh
        .into_iter()
        .map(|one| (one.data_type, one.as_of))
        .collect()
}

/// Which data types became fresher.
fn fresher(before: &Times, after: &Times) -> Vec<String> {
    after
        .iter()
        .filter(|(data_type, time)| **time > before[*data_type])
        .map(|(data_type, _)| data_type.clone())
        .collect()
}

#[test]
fn only_what_was_applied_makes_data_fresher() {
    run(async {
        let world = World::small().await;
        let never = times(&world).await;
        assert!(never.values().all(Option::is_none));

        world.sync(json!({"dry_run": true})).await;
        assert_eq!(times(&world).await, never);

        world.sync(json!({})).await;
        let first = times(&world).await;
        assert_eq!(
            fresher(&never, &first),
            ["catalog", "inventory", "locations"]
        );

        // Catalog is applied although the step after it fails.
        let refused = json!({"kind": "status", "status": 403, "times": 1000,
            "endpoint": "/v2/inventory/counts/batch-retrieve"});
        world.account.faults(json!([refused])).await;
        world.fail(json!({})).await;
        let half = times(&world).await;
        assert_eq!(fresher(&first, &half), ["catalog", "locations"]);

        // Of a refresh nothing is, until it publishes.
        world.fail(json!({"full_refresh": true})).await;
        assert_eq!(times(&world).await, half);
        world.account.clear_faults().await;
        let refreshed = world.sync(json!({"full_refresh": true})).await;
        let whole = times(&world).await;
        assert_eq!(
            fresher(&half, &whole),
            ["catalog", "inventory", "locations"]
        );

        // A backup that is put back is as old as it is.
        world.restore(&refreshed.run_id).await;
        let restored = times(&world).await;
        let sql = "select created_at from sync_backups where backup_id = $1";
        let row = world.client.query_one(sql, &[&refreshed.run_id]).await;
        let created_at: Timestamp = row.unwrap().get(0);
        for data_type in ["locations", "catalog", "inventory"] {
            assert_eq!(restored[data_type], Some(created_at));
        }
        world.sync(json!({})).await;
        assert_eq!(fresher(&restored, &times(&world).await).len(), 3);
    });
}

#[test]
fn orders_are_fresh_by_a_whole_import_and_by_their_own_step() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let before = times(&world).await;
        world.import(json!({"from": "2024-01-01T00:00:00Z"})).await;
        assert_eq!(times(&world).await, before);
        world.import(json!({})).await;
        let imported = times(&world).await;
        assert_eq!(fresher(&before, &imported), ["orders"]);
        world.sync(json!({"only": ["orders"]})).await;
        assert_eq!(fresher(&imported, &times(&world).await), ["orders"]);
    });
}
