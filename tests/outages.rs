//! An import while Square is away for good, away for a moment, or away for one
//! window alone.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::env::Env;
use shared::error::SyncError;
use shared::orders;

use crate::support::account::Account;
use crate::support::run::{Report, World, deadline, env, new_run_id};
use crate::support::{database, run, tables};

const ORDERS: &str = "/v2/orders/search";

/// What a call asks before it gives up.
const ATTEMPTS: u64 = 10;
/// How often the state machine calls a window that Square does not answer.
const TRIES: u64 = 3;

/// An import of many windows, and as many functions as read them side by side.
struct Import {
    world: World,
    slots: Vec<Env>,
    run_id: String,
    windows: Vec<i64>,
}

/// How windows ended.
#[derive(Debug, Default)]
struct Ended {
    done: usize,
    /// Names of errors, of windows that failed by themselves.
    failed: Vec<String>,
    /// Names of errors, of windows that an outage ended.
    cut_off: Vec<String>,
}

impl Import {
    /// Opened and planned.
    async fn planned(slots: usize, orders: usize) -> Self {
        let account = Account::start(json!({
            "locations": 12, "categories": 2, "items": 10, "variations": 20, "counts": 40,
            "orders": orders
        }));
        let url = database::migrated().await;
        let settings = [("ORDERS_BATCH_SIZE", "20")];
        let function = || env(&account.url, &url, &settings);
        let mut import = Self {
            slots: (0..slots).map(|_| function()).collect(),
            world: World {
                env: function(),
                client: database::connect(&url).await,
                account,
            },
            run_id: new_run_id(),
            windows: Vec::new(),
        };
        let (world, run_id) = (&import.world, &import.run_id);
        world
            .open_as("historical_orders", run_id, json!({}))
            .await
            .unwrap();
        let plan = world.plan(run_id).await.unwrap();
        let windows = plan["windows"].as_array().unwrap().iter();
        import.windows = windows
            .map(|window| window["window_id"].as_i64().unwrap())
            .collect();
        assert!(import.windows.len() > 60, "{plan}");
        world.account.clear_counters().await;
        import
    }

    async fn faults(&self, fault: Value) {
        let mut fault = fault;
        fault["endpoint"] = json!(ORDERS);
        self.world.account.faults(json!([fault])).await;
    }

    /// Calls for a window, as the state machine does, but without its waits.
    async fn window(&self, slot: &Env, window_id: i64) -> Result<Value, SyncError> {
        let mut tries = 1;
        loop {
            match self.call(slot, window_id, 0).await {
                Err(error) if SyncError::RETRYABLE.contains(&error.name()) && tries < TRIES => {
                    tries += 1;
                }
                Ok(output) if output["done"] == false && output["cut_off"] == false => {}
                ended => return ended,
            }
        }
    }

    async fn call(&self, slot: &Env, window_id: i64, redrives: i32) -> Result<Value, SyncError> {
        let event = json!({"run_id": self.run_id, "redrive_count": redrives,
            "work": "window", "window_id": window_id});
        let input = serde_json::from_value(event).unwrap();
        let output = Box::pin(orders::handle(slot, input, deadline())).await?;
        Ok(serde_json::to_value(output).unwrap())
    }

    /// All windows, as many at once as there are slots.
    async fn read(&self) -> Ended {
        let queue: Mutex<VecDeque<i64>> = Mutex::new(self.windows.iter().copied().collect());
        let ended = Mutex::new(Ended::default());
        let work = self.slots.iter().map(async |slot| {
            loop {
                let Some(window_id) = queue.lock().unwrap().pop_front() else {
                    return;
                };
                let result = self.window(slot, window_id).await;
                let mut ended = ended.lock().unwrap();
                match result {
                    Ok(output) if output["cut_off"] == true => {
                        let message = output["message"].as_str().unwrap();
                        assert!(message.len() > 40, "{output}");
                        let error = output["error"].as_str().unwrap();
                        ended.cut_off.push(error.to_owned());
                    }
                    Ok(_) => ended.done += 1,
                    Err(error) => ended.failed.push(error.name().to_owned()),
                }
            }
        });
        join_all(work).await;
        ended.into_inner().unwrap()
    }

    /// Ends the run as failed.
    async fn close(&self) {
        let error = SyncError::Cancelled("A window failed.".to_owned());
        let report = self.world.failed(&self.run_id, error).await;
        assert_eq!(report.status, "failed");
    }

    /// The next import, which reads what is missing, and nothing that is there.
    async fn heal(&self) -> Report {
        let world = &self.world;
        world.account.clear_faults().await;
        let before = world.number("select count(*) from orders").await;
        let report = world.import(json!({})).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        let all = world.number("select count(*) from orders").await;
        let counts = report.counts("orders");
        assert_eq!(counts.created, all - before);
        // Those of the very moment at which a window was left.
        assert!(counts.unchanged <= 8, "{counts:?}");
        report
    }
}

/// Square goes away for good at some request after the plan.
async fn away_for_good(mut fault: Value, at: u64, name: &str) {
    let import = Import::planned(4, 1_500).await;
    fault["request"] = json!(at);
    fault["times"] = json!(u64::MAX);
    import.faults(fault.clone()).await;
    let ended = import.read().await;
    let all = ended.done + ended.failed.len() + ended.cut_off.len();
    assert_eq!(all, import.windows.len(), "{fault}: {ended:?}");
    let mut names = ended.failed.iter().chain(&ended.cut_off);
    assert!(names.all(|found| found == name), "{fault}: {ended:?}");
    // Those that were under way tried on; no other did.
    let tried = ended.failed.len();
    assert!((1..=4).contains(&tried), "{fault}: {ended:?}");
    // Four windows' tries, and one more try for each of the next, at the most.
    let most = at + 4 * TRIES * ATTEMPTS + 4 * ATTEMPTS;
    let asked = import.world.account.requests_to(ORDERS).await;
    assert!(asked <= most, "{fault}: {asked} requests");

    // What comes late asks nothing either.
    let undone = "select max(window_id) from sync_order_windows where done_at is null";
    let window_id = import.world.number(undone).await;
    let late = import.call(&import.slots[0], window_id, 0).await.unwrap();
    assert_eq!(late["cut_off"], true, "{late}");
    assert_eq!(import.world.account.requests_to(ORDERS).await, asked);
    import.close().await;
    import.heal().await;
}

#[test]
fn an_import_ends_soon_when_square_is_away_for_good() {
    run(async {
        let away = |status: u16| json!({"kind": "status", "status": status});
        let drop = json!({"kind": "drop"});
        tokio::join!(
            away_for_good(away(503), 1, "SquareUnavailable"),
            away_for_good(away(500), 40, "SquareUnavailable"),
            away_for_good(away(429), 60, "SquareRateLimited"),
            away_for_good(drop, 25, "SquareUnavailable"),
        );
    });
}

#[test]
fn a_window_that_fails_alone_ends_no_other() {
    run(async {
        let alone = async |slots: usize| {
            let import = Import::planned(slots, 300).await;
            let (client, window_id) = (&import.world.client, import.windows[2]);
            let sql = "select rtrim(to_char(ends_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), '.0'),
                    (select count(*) from sync_order_windows b where b.ends_at = a.ends_at)
                from sync_order_windows a where window_id = $1";
            let row = client.query_one(sql, &[&window_id]).await.unwrap();
            // Each chunk of locations has one that ends then.
            let (ends_at, alike): (String, i64) = (row.get(0), row.get(1));
            let fault = json!({"kind": "status", "status": 500,
                "body": format!("\"end_at\":\"{ends_at}")});
            import.faults(fault).await;
            let ended = import.read().await;
            // Nobody is left to show that Square answers when the second of them ends.
            let failed = ended.failed.len() + ended.cut_off.len();
            assert_eq!(i64::try_from(failed).unwrap(), alike, "{slots}: {ended:?}");
            import.close().await;
            import.heal().await;
        };
        tokio::join!(alone(4), alone(3));
    });
}

#[test]
fn a_hiccup_within_a_windows_own_tries_fails_nothing() {
    run(async {
        let import = Import::planned(4, 600).await;
        // As long as it takes the four windows that are under way to fail once.
        import
            .faults(json!({"kind": "status", "status": 503, "request": 6, "times": 4 * ATTEMPTS}))
            .await;
        let ended = import.read().await;
        assert_eq!(ended.failed, Vec::<String>::new());
        assert_eq!(ended.cut_off, Vec::<String>::new());
        let report = import
            .world
            .finished(&import.run_id, "historical_orders")
            .await;
        assert_eq!(report.counts("orders").created, 600);
        tables::assert_orders_equal_truth(&import.world.client, &import.world.account).await;
    });
}

#[test]
fn a_token_that_was_revoked_ends_the_import_at_once() {
    run(async {
        for at in [1, 30] {
            let import = Import::planned(4, 600).await;
            let revoked = json!({"kind": "status", "status": 401, "request": at, "times": 100_000});
            import.faults(revoked).await;
            let ended = import.read().await;
            let mut names = ended.failed.iter().chain(&ended.cut_off);
            assert!(names.all(|name| name == "SquareUnauthorized"), "{ended:?}");
            // A page that was on its way may be stored after the first refusal.
            assert!((1..=8).contains(&ended.failed.len()), "{ended:?}");
            assert!(ended.cut_off.len() > 20, "{ended:?}");
            let asked = import.world.account.requests_to(ORDERS).await;
            assert!(asked < at + 16, "{asked}");
            import.close().await;
            import.heal().await;
        }
    });
}

/// Windows that have used up their tries, in an outage that began now.
const OUTAGE: &str =
    "update sync_order_windows set failures = 3, failing_since = clock_timestamp(),
    error_name = $1, error_message = 'It was away.' where window_id = any ($2)";

#[test]
fn an_outage_is_what_two_windows_show_and_a_page_or_a_redrive_ends_it() {
    run(async {
        let import = Import::planned(1, 300).await;
        let (slot, windows) = (&import.slots[0], &import.windows);
        let client = &import.world.client;
        let outage = async |name: &str, windows: &[i64]| {
            client.execute(OUTAGE, &[&name, &windows]).await.unwrap();
            import.world.account.clear_counters().await;
        };

        // One that fails alone does not keep the next from asking.
        outage("SquareUnavailable", &windows[..1]).await;
        let output = import.call(slot, windows[9], 0).await.unwrap();
        assert_eq!(
            (&output["done"], &output["cut_off"]),
            (&json!(true), &json!(false))
        );

        // Its page was an answer, so that the failure of before says nothing more.
        outage("SquareUnavailable", &windows[1..2]).await;
        let output = import.call(slot, windows[8], 0).await.unwrap();
        assert_eq!(output["cut_off"], false, "{output}");

        for name in ["SquareUnavailable", "SquareRateLimited"] {
            outage(name, &windows[..2]).await;
            let output = import.call(slot, windows[7], 0).await.unwrap();
            assert_eq!(
                (&output["cut_off"], &output["error"]),
                (&json!(true), &json!(name))
            );
            assert_eq!(output["message"], "It was away.");
            assert_eq!(import.world.account.requests().await, 0);
        }
        // What ends every window is shown by one.
        client
            .batch_execute("update sync_order_windows set failures = 0, failing_since = null")
            .await
            .unwrap();
        outage("SquareForbidden", &windows[..1]).await;
        let output = import.call(slot, windows[7], 0).await.unwrap();
        assert_eq!(output["error"], "SquareForbidden", "{output}");
        assert_eq!(import.world.account.requests().await, 0);

        // Its own failures are no sign to a window: that is what its tries are for.
        let output = import.call(slot, windows[0], 0).await.unwrap();
        assert_eq!(output["done"], true, "{output}");

        outage("SquareUnavailable", &windows[1..3]).await;
        import.close().await;
        let output = import.call(slot, windows[7], 1).await.unwrap();
        assert_eq!(output["done"], true, "{output}");
    });
}

#[test]
fn errors_of_a_windows_own_end_no_other() {
    run(async {
        for kind in [
            json!({"kind": "status", "status": 400}),
            json!({"kind": "malformed_json"}),
        ] {
            let import = Import::planned(2, 100).await;
            let mut fault = kind.clone();
            fault["times"] = json!(30);
            import.faults(fault).await;
            let ended = import.read().await;
            assert!(ended.failed.len() >= 5, "{kind}: {ended:?}");
            assert_eq!(ended.cut_off, Vec::<String>::new(), "{kind}");
            import.close().await;
            import.heal().await;
        }
    });
}
