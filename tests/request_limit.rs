//! The request limit is the account's: added up at Square, whatever asks.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::env::Env;
use shared::orders;
use shared::run::step::StepInput;

use crate::support::account::Account;
use crate::support::patience::patiently;
use crate::support::run::{World, deadline, env, new_run_id};
use crate::support::{database, run};

const CATALOG: &str = "/v2/catalog/search";
const ORDERS: &str = "/v2/orders/search";

/// Requests a second that all together may send.
const LIMIT: f64 = 20.0;
const WINDOWS: usize = 4;

/// An import that is planned, and functions for its windows and for a sync.
struct Busy {
    world: World,
    functions: Vec<Env>,
    run_id: String,
    windows: Vec<i64>,
}

async fn planned() -> Busy {
    let account = Account::start(json!({
        "locations": 2, "categories": 4, "items": 40, "variations": 80, "counts": 80,
        "orders": 900
    }));
    let url = database::migrated().await;
    let settings = [
        ("SQUARE_MAX_REQUESTS_PER_SECOND", "20"),
        // Then the network can bring together no more than one of each function's.
        ("SQUARE_CONCURRENCY", "1"),
        ("ORDERS_BATCH_SIZE", "10"),
        ("CATALOG_BATCH_SIZE", "10"),
        ("INVENTORY_BATCH_SIZE", "10"),
    ];
    let function = || env(&account.url, &url, &settings);
    let functions = (0..=WINDOWS).map(|_| function()).collect();
    let world = World {
        env: function(),
        client: database::connect(&url).await,
        account,
    };
    let run_id = new_run_id();
    world
        .open_as("historical_orders", &run_id, json!({}))
        .await
        .unwrap();
    let plan = world.plan(&run_id).await.unwrap();
    let windows = plan["windows"].as_array().unwrap().iter();
    let windows = windows
        .map(|window| window["window_id"].as_i64().unwrap())
        .collect();
    Busy {
        world,
        functions,
        run_id,
        windows,
    }
}

impl Busy {
    async fn window(&self, function: &Env, window_id: i64) -> Value {
        let event = json!({"run_id": self.run_id, "work": "window", "window_id": window_id});
        let input = serde_json::from_value(event).unwrap();
        let output = Box::pin(orders::handle(function, input, deadline())).await;
        serde_json::to_value(output.unwrap()).unwrap()
    }

    async fn shares(&self) -> Vec<f64> {
        let live = "select share from square_askers where expires_at > clock_timestamp()";
        let rows = self.world.client.query(live, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until those who ask have shares like these.
    async fn until(&self, enough: impl Fn(&[f64]) -> bool) {
        let found = patiently(async || {
            let shares = self.shares().await;
            assert!(shares.iter().sum::<f64>() <= 1.5 + 1e-9, "{shares:?}");
            enough(&shares).then_some(())
        });
        assert!(found.await.is_some(), "{:?}", self.shares().await);
    }
}

/// In no stretch of time were there more than one and a half times the limit, and for
/// each function one that began it and one that was on its way.
fn assert_kept(arrivals: &[u64], functions: usize) {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap());
    let allowance = number(2 * functions + 1);
    for (first, began) in arrivals.iter().enumerate() {
        for (last, ended) in arrivals.iter().enumerate().skip(first) {
            let seconds = Duration::from_micros(ended - began).as_secs_f64() + 0.01;
            let most = 1.5 * LIMIT * seconds + allowance;
            let found = number(last - first + 1);
            assert!(found <= most, "{found} requests in {seconds} s");
        }
    }
}

#[test]
fn an_import_and_a_sync_at_once_keep_to_the_accounts_limit() {
    run(async {
        let account = planned().await;
        let sync = &account.functions[WINDOWS];
        let opened = account.world.open("beside", json!({})).await.unwrap();
        account.world.account.clear_counters().await;
        let read = account.functions[..WINDOWS].iter().enumerate();
        let windows = join_all(read.map(async |(slot, function)| {
            let own = account.windows.iter().skip(slot).step_by(WINDOWS);
            for window_id in own {
                while account.window(function, *window_id).await["done"] == false {}
            }
        }));
        let syncs = async {
            for step in opened.steps {
                let input = StepInput {
                    run_id: "beside".to_owned(),
                    redrive_count: 0,
                };
                let end = deadline();
                let result = match step.as_str() {
                    "locations" => shared::locations::sync(sync, input, end).await,
                    "catalog" => shared::catalog::sync(sync, input, end).await,
                    _ => shared::inventory::sync(sync, input, end).await,
                };
                result.unwrap();
            }
        };
        tokio::join!(windows, syncs);
        let arrivals = account.world.account.arrivals().await;
        assert!(arrivals.len() > 100, "{}", arrivals.len());
        assert_kept(&arrivals, WINDOWS + 1);
        assert_eq!(account.shares().await, [0.0; 0], "all have left");
        account
            .world
            .finished(&account.run_id, "historical_orders")
            .await;
    });
}

#[test]
fn whoever_comes_gets_a_share_and_whoever_goes_leaves_it_to_the_others() {
    run(async {
        let account = planned().await;
        let held = json!([
            {"endpoint": CATALOG, "kind": "empty_page", "times": u64::MAX},
            {"endpoint": ORDERS, "kind": "empty_page", "times": u64::MAX},
        ]);
        account.world.open("beside", json!({})).await.unwrap();
        account.world.step("beside", "locations").await.unwrap();
        // Neither the first step nor a step that has ended has a share.
        assert_eq!(account.shares().await, [0.0; 0]);
        account.world.account.faults(held).await;

        let input = StepInput {
            run_id: "beside".to_owned(),
            redrive_count: 0,
        };
        let catalog = shared::catalog::sync(&account.functions[WINDOWS], input, deadline());
        let story = async {
            account.until(|shares| shares == [1.0]).await;
            {
                let read = account.functions[..WINDOWS].iter().zip(&account.windows);
                let read = read.map(|(function, id)| account.window(function, *id));
                // They come at one moment, and have the fifth part each soon after.
                let fifths = account.until(|shares| {
                    shares.len() == WINDOWS + 1
                        && shares.iter().all(|share| (share - 0.2).abs() < 1e-9)
                });
                tokio::select! {
                    _ = join_all(read) => panic!("a window has ended"),
                    () = fifths => {}
                }
            }
            // Dropped, as functions that die: their shares run out.
            account.until(|shares| shares == [1.0]).await;
            account.world.account.clear_faults().await;
        };
        let (catalog, ()) = tokio::join!(Box::pin(catalog), story);
        catalog.unwrap();
        // It leaves as soon as it ends, and does not wait for its share to run out.
        assert_eq!(account.shares().await, [0.0; 0]);
    });
}
