//! Square or PostgreSQL fails half-way: the step's tables stay as they were, the
//! run says why, and the next one heals it.

use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::run::{World, env, new_run_id};
use crate::support::{database, run, tables};

const CATALOG: &str = "/v2/catalog/search";
const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";

/// Fails a run with `fault`, then heals.
async fn fails_then_heals(fault: Value, step: &str, name: &str) {
    let account = Account::small();
    let settings = [("CATALOG_BATCH_SIZE", "20"), ("INVENTORY_BATCH_SIZE", "20")];
    let world = World::new(account, &settings).await;
    world.sync(json!({})).await;
    let change = json!([{"op": "edit_item", "count": 25}, {"op": "sell", "times": 60}, {"op": "edit_location", "name": "New"}]);
    world.account.change(change).await;
    world.account.faults(json!([fault])).await;
    let (found, report) = world.fail(json!({"reconcile": true})).await;
    assert_eq!(found, name, "{fault}");
    let error = report.error.unwrap();
    assert_eq!(error.step, step, "{fault}");
    assert!(error.message.len() > 40, "{error:?}");
    // The step before is in; the failed one and those after it are as they were.
    let in_run = |table: &str| {
        format!(
            "select count(*) from {table} where last_changed_by_run = '{}'",
            report.run_id
        )
    };
    assert_eq!(world.number(&in_run("locations")).await, 1, "{fault}");
    assert_eq!(
        world.number(&in_run("catalog_inventory")).await,
        0,
        "{fault}"
    );
    if step == "catalog" {
        assert_eq!(world.number(&in_run("catalog_items")).await, 0, "{fault}");
    }
    world.account.clear_faults().await;
    world.sync(json!({})).await;
    tables::assert_equal_truth(&world.client, &world.account).await;
}

#[test]
fn a_failure_at_a_later_page_changes_nothing_and_the_next_run_heals() {
    run(async {
        for (kind, name) in [
            (json!({"kind": "status", "status": 400}), "SquareRejected"),
            (
                json!({"kind": "status", "status": 401}),
                "SquareUnauthorized",
            ),
            (json!({"kind": "status", "status": 403}), "SquareForbidden"),
            (json!({"kind": "cursor_repeats"}), "SquarePageLimit"),
        ] {
            for (endpoint, step) in [(CATALOG, "catalog"), (COUNTS, "inventory")] {
                let mut fault = kind.clone();
                fault["endpoint"] = json!(endpoint);
                fault["request"] = json!(3);
                fault["times"] = json!(1000);
                fails_then_heals(fault, step, name).await;
            }
        }
    });
}

#[test]
fn what_passes_by_itself_does_not_fail_the_run() {
    run(async {
        for kind in [
            json!({"kind": "status", "status": 429, "retry_after": "0", "times": 3}),
            json!({"kind": "status", "status": 503, "times": 2}),
            json!({"kind": "cut_body", "times": 2}),
            json!({"kind": "drop", "times": 2}),
            json!({"kind": "html", "times": 1}),
            json!({"kind": "text", "times": 1}),
            json!({"kind": "malformed_json", "times": 1}),
            json!({"kind": "cursor_expired", "times": 1}),
            json!({"kind": "empty_page", "times": 3}),
            json!({"kind": "errors_in_200", "status": 500, "times": 1}),
        ] {
            let settings = [("CATALOG_BATCH_SIZE", "20"), ("INVENTORY_BATCH_SIZE", "20")];
            let world = World::new(Account::small(), &settings).await;
            for endpoint in [CATALOG, COUNTS] {
                let mut fault = kind.clone();
                fault["endpoint"] = json!(endpoint);
                fault["request"] = json!(2);
                world.account.faults(json!([fault])).await;
            }
            world.sync(json!({})).await;
            tables::assert_equal_truth(&world.client, &world.account).await;
        }
    });
}

#[test]
fn a_wrong_token_ends_in_preflight_and_says_what_to_do() {
    run(async {
        let account = Account::small();
        let url = database::migrated().await;
        let world = World {
            env: env(&account.url, &url, &[("SQUARE_ACCESS_TOKEN", "wrong")]),
            client: database::connect(&url).await,
            account,
        };
        let (name, report) = world.fail(json!({})).await;
        let error = report.error.unwrap();
        assert_eq!(
            (name.as_str(), error.step.as_str()),
            ("SquareUnauthorized", "preflight")
        );
        assert!(error.message.contains("SQUARE_ACCESS_TOKEN"), "{error:?}");
        assert!(!error.message.contains("wrong"), "{error:?}");
        let steps = "select count(*) from sync_steps where status = 'skipped'";
        assert_eq!(world.number(steps).await, 4);
    });
}

#[test]
fn a_missing_scope_is_named_before_anything_starts() {
    run(async {
        let world = World::small().await;
        let scopes = json!(["MERCHANT_PROFILE_READ", "ITEMS_READ", "ORDERS_READ"]);
        world
            .account
            .token(json!({"token": "sim-token", "scopes": scopes}))
            .await;
        let (name, report) = world.fail(json!({})).await;
        assert_eq!(name, "SquareForbidden");
        assert!(report.error.unwrap().message.contains("INVENTORY_READ"));
        // What needs no such scope can still be synced.
        world.sync(json!({"only": ["locations", "catalog"]})).await;
    });
}

#[test]
fn an_account_that_seems_empty_is_guarded() {
    run(async {
        let world = World::new(Account::start(json!({"orders": 0})), &[]).await;
        world.sync(json!({})).await;
        world
            .account
            .change(json!([{"op": "delete_silently", "type": "ITEM", "count": 200}]))
            .await;
        let (name, report) = world.fail(json!({"reconcile": true})).await;
        assert_eq!(name, "DeletionGuard");
        let error = report.error.unwrap();
        assert!(error.message.contains("catalog_items"), "{error:?}");
        let marked =
            "select count(*) from catalog_items where is_deleted and last_changed_by_run <> 'run'";
        let before = world.number(marked).await;
        world
            .sync(json!({"reconcile": true, "allow_mass_deletion": true}))
            .await;
        assert_eq!(world.number(marked).await, before + 200);
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_step_stops_itself_in_time_and_names_the_setting() {
    run(async {
        let world = World::new(Account::small(), &[("CATALOG_SYNC_TIMEOUT", "1")]).await;
        world.account.hold(CATALOG, 0).await;
        let (name, report) = world.fail(json!({})).await;
        assert_eq!(name, "StepTimeout");
        assert!(
            report
                .error
                .unwrap()
                .message
                .contains("CATALOG_SYNC_TIMEOUT")
        );
        assert_eq!(world.number("select count(*) from catalog_items").await, 0);
    });
}

#[test]
fn postgresql_dropping_connections_half_way_is_healed_by_a_retry() {
    run(async {
        let world = World::small().await;
        world.open("cut", json!({})).await.unwrap();
        world.step("cut", "locations").await.unwrap();
        world.account.hold(CATALOG, 0).await;
        let kill = async {
            world.account.held(CATALOG, 0).await;
            world
                .client
                .batch_execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid()",
                )
                .await
                .unwrap();
            world.account.clear_faults().await;
        };
        let (cut, ()) = tokio::join!(world.step("cut", "catalog"), kill);
        assert_eq!(cut.unwrap_err().name(), "DatabaseUnavailable");
        world.step("cut", "catalog").await.unwrap();
        world.step("cut", "inventory").await.unwrap();
        tables::assert_equal_truth(&world.client, &world.account).await;
    });
}

#[test]
fn a_database_at_another_version_is_refused_and_an_empty_one_is_migrated() {
    run(async {
        let account = Account::small();
        let url = database::empty().await;
        let world = World {
            env: env(&account.url, &url, &[]),
            client: database::connect(&url).await,
            account,
        };
        world.sync(json!({})).await;
        tables::assert_equal_truth(&world.client, &world.account).await;
        world
            .client
            .batch_execute("delete from refinery_schema_history where version > 5")
            .await
            .unwrap();
        let error = world.open("outdated", json!({})).await.unwrap_err();
        assert_eq!(error.name(), "DatabaseSchemaOutdated");
        assert!(
            error.to_string().contains("migrate-order-line-items"),
            "{error}"
        );
    });
}

#[test]
fn a_database_that_cannot_hold_every_text_is_refused_before_anything_is_read() {
    run(async {
        let account = Account::small();
        let url = database::in_latin1().await;
        let world = World {
            env: env(&account.url, &url, &[]),
            client: database::connect(&url).await,
            account,
        };
        let error = world.open("latin", json!({})).await.unwrap_err();
        assert_eq!(error.name(), "ConfigInvalid");
        let message = error.to_string();
        for word in ["DATABASE_URL", "LATIN1", "UTF8"] {
            assert!(message.contains(word), "{message}");
        }
        assert_eq!(world.account.requests().await, 0);
    });
}

#[test]
fn a_full_database_is_not_filled_further() {
    run(async {
        let world = World::new(
            Account::small(),
            &[("DATABASE_STORAGE_LIMIT_BYTES", "1000")],
        )
        .await;
        let (name, report) = world.fail(json!({})).await;
        assert_eq!(name, "DatabaseRejected");
        assert!(
            report
                .error
                .unwrap()
                .message
                .contains("DATABASE_STORAGE_LIMIT_BYTES")
        );
    });
}

/// A run of every kind that asks Square ends in preflight, and changes nothing.
async fn assert_refused(world: &World, stored: &str) {
    let rows = "select (select count(*) from locations) + (select count(*) from catalog_items)
        + (select count(*) from orders) + (select count(*) from sync_watermarks)
        + (select count(*) from catalog_inventory)";
    let before = world.number(rows).await;
    let mut errors = Vec::new();
    for request in [
        json!({}),
        json!({"reconcile": true}),
        json!({"full_refresh": true}),
        json!({"full_refresh": true, "dry_run": true}),
        json!({"dry_run": true}),
        json!({"only": ["orders"]}),
        json!({"only": ["catalog"]}),
        json!({"trigger": "schedule"}),
    ] {
        errors.push(world.fail(request).await.1.error.unwrap());
    }
    let import = world.import_named(&new_run_id(), json!({})).await;
    errors.push(import.error.unwrap());
    for error in errors {
        assert_eq!((&*error.name, &*error.step), ("ConfigInvalid", "preflight"));
        for word in ["SQUARE_ACCESS_TOKEN", "OTHER", stored, "empty database"] {
            assert!(error.message.contains(word), "{word}: {error:?}");
        }
    }
    assert_eq!(world.number(rows).await, before);
}

#[test]
fn a_token_of_another_merchant_ends_in_preflight() {
    run(async {
        let other = json!({"merchant_id": "OTHER"});
        for first in [
            json!({}),
            json!({"only": ["catalog"]}),
            json!({"only": ["orders"]}),
        ] {
            let account = Account::start(json!({
                "locations": 2, "items": 4, "variations": 4, "counts": 4, "orders": 20
            }));
            let world = World::new(account, &[]).await;
            let truth = world.account.truth().await;
            let merchant = truth["locations"][0]["merchant_id"].as_str().unwrap();
            // Nothing is stored yet, so it may still be another's.
            world.account.token(other.clone()).await;
            world.sync(json!({"dry_run": true})).await;
            world.account.token(json!({"merchant_id": merchant})).await;
            world.sync(first).await;
            world.account.token(other.clone()).await;
            assert_refused(&world, merchant).await;
            // It was remembered, too.
            let nameless = "update locations set merchant_id = null";
            world.client.batch_execute(nameless).await.unwrap();
            assert_refused(&world, merchant).await;

            // Who does not say whose it is, is not asked.
            world.account.token(json!({"merchant_id": null})).await;
            world.sync(json!({})).await;
        }
    });
}

#[test]
fn a_database_of_an_earlier_release_knows_its_merchant_by_its_locations() {
    run(async {
        let world = World::small().await;
        world.sync(json!({})).await;
        let own = "select min(merchant_id) from locations";
        let own: String = world.client.query_one(own, &[]).await.unwrap().get(0);
        let earlier = "delete from sync_merchant; update locations set merchant_id = 'THEIRS'";
        world.client.batch_execute(earlier).await.unwrap();
        world.account.token(json!({"merchant_id": "OTHER"})).await;
        assert_refused(&world, "THEIRS").await;
        world.account.token(json!({"merchant_id": "THEIRS"})).await;
        let theirs = json!([{"endpoint": "/v2/locations", "find": own, "with": "THEIRS"}]);
        world.account.rewrite(theirs).await;
        world.sync(json!({})).await;
    });
}

/// A location may name any merchant; the token has named its own.
#[test]
fn what_a_location_names_locks_nobody_out() {
    run(async {
        for is_first in [true, false] {
            let account = Account::start(json!({
                "locations": 1, "items": 4, "variations": 4, "counts": 4, "orders": 0
            }));
            let world = World::new(account, &[]).await;
            if !is_first {
                world.sync(json!({})).await;
            }
            let truth = world.account.truth().await;
            let merchant = truth["locations"][0]["merchant_id"].as_str().unwrap();
            world.account.token(json!({"merchant_id": merchant})).await;
            let find = format!("\"merchant_id\":\"{merchant}\"");
            for with in [r#""merchant_id":"\ud83c""#, r#""merchant_id":"OTHER""#] {
                let spoilt = json!([{"endpoint": "/v2/locations", "find": find, "with": with}]);
                world.account.rewrite(spoilt).await;
                world.sync(json!({})).await;
                world.sync(json!({})).await;
                world.account.clear_rewrites().await;
                world.sync(json!({})).await;
                tables::assert_equal_truth(&world.client, &world.account).await;
            }
        }
    });
}
