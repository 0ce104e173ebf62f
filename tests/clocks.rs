//! Square's clock may go ahead of the database's: what it has just changed is newer than
//! what is known, all the same.

use serde_json::json;

use crate::support::account::Account;
use crate::support::run;
use crate::support::run::World;
use crate::support::tables;

#[test]
fn a_count_that_waits_gives_way_to_one_of_a_clock_that_goes_ahead() {
    run(async {
        let account =
            json!({"orders": 0, "locations": 2, "items": 5, "variations": 8, "counts": 30});
        let world = World::new(Account::start(account), &[]).await;
        // Without their variations all of them wait.
        let alone = world.sync(json!({"only": ["inventory"]})).await;
        assert_eq!(alone.counts("inventory").quarantined, 30);
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(1);
        world.account.clock(json!({"now": now.to_string()})).await;
        let change = json!([{"op": "recount", "times": 12}]);
        world.account.change(change).await;

        let report = world.sync(json!({})).await;
        assert_eq!(report.counts("inventory").created, 30);
        let future = "select count(*) from catalog_inventory where calculated_at > now()";
        assert!(world.number(future).await > 0, "no clock goes ahead");
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn an_older_copy_does_not_replace_a_row_of_a_clock_that_goes_ahead() {
    run(async {
        let account =
            json!({"orders": 20, "locations": 1, "items": 5, "variations": 8, "counts": 30});
        let world = World::new(Account::start(account), &[]).await;
        world.sync(json!({})).await;
        world.import(json!({})).await;
        let ahead = "update orders set updated_at = now() + interval '60 seconds', ticket_name = 'newer';
            update catalog_inventory set calculated_at = now() + interval '60 seconds', quantity = 77";
        world.client.batch_execute(ahead).await.unwrap();
        world
            .sync(json!({"only": ["inventory", "orders"], "reconcile": true}))
            .await;
        for kept in [
            "select count(*) from orders where ticket_name <> 'newer'",
            "select count(*) from catalog_inventory where quantity <> 77",
        ] {
            assert_eq!(world.number(kept).await, 0, "{kept}");
        }
    });
}
