//! Runs as somebody at the page starts, watches, stops and understands them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::browser::{Browser, Driver};
use crate::support::cloud::Cloud;
use crate::support::page::{desktop, fetched, open, signed_in};
use crate::support::patience::patiently;
use crate::support::run;

const CATALOG: &str = "/v2/catalog/search";
const START: &str = "form[action='/admin/sync/start']";

/// A page that is loaded anew forgets this.
const MARK: &str = "window.stayed = true";
const STAYED: &str = "return window.stayed === true";

async fn rows(cloud: &Cloud, table: &str) -> i64 {
    let count = format!("select count(*) from {table}");
    cloud.client.query_one(&count, &[]).await.unwrap().get(0)
}

/// How much the running catalog step is shown to have read, once it is more than that.
async fn read_more_than(browser: &Browser, before: u32) -> u32 {
    let text = "return [...document.querySelectorAll('.step.running')]
        .filter(step => step.querySelector('.name').textContent === 'catalog')
        .map(step => step.querySelector('.facts').textContent.split(' read')[0]).join()";
    let more = patiently(async || {
        let shown = browser.execute(text).await;
        let figure = shown.as_str()?.parse().ok()?;
        (figure > before).then_some(figure)
    });
    let Some(figure) = more.await else {
        panic!("no more than {before} shown");
    };
    figure
}

#[test]
fn a_preview_changes_nothing_and_a_refresh_wants_its_box() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        let browser = signed_in(&driver, &cloud, desktop()).await;

        // Before there is anything.
        browser
            .wait_text("main", "Nothing has been synced yet")
            .await;
        open(&browser, &cloud, "/admin/sync/runs").await;
        browser.wait_text("main", "There has been no run yet").await;
        open(&browser, &cloud, "/admin/sync/backups").await;
        browser.wait_text("main", "There is no backup yet").await;
        open(&browser, &cloud, "/admin/sync/runs/no-such-run").await;
        browser.wait_text("h1", "No such run").await;
        let answer = fetched(&browser, "location.href").await;
        assert_eq!(answer["status"], 404);
        open(&browser, &cloud, "/admin/sync/runs?kind=nothing").await;
        browser.wait_text("main", "kind").await;
        assert_eq!(fetched(&browser, "location.href").await["status"], 400);

        open(&browser, &cloud, "/admin/sync").await;
        browser
            .click(&format!("{START} button[name=dry_run]"))
            .await;
        browser.wait_text("h1", "preview").await;
        browser.wait_text(".badge", "succeeded").await;
        browser.wait_text("caption", "What this run would do").await;
        browser.wait_text("h2", "What would change").await;
        let tables = browser.texts("table.preview caption strong").await;
        let types = [
            "Locations",
            "Categories",
            "Items",
            "Item categories",
            "Variations",
            "Variation overrides",
            "Inventory",
        ];
        assert_eq!(tables, types.map(str::to_owned));
        assert!(!browser.text("table.preview tbody th").await.is_empty());
        for table in ["locations", "catalog_items", "catalog_inventory"] {
            assert_eq!(rows(&cloud, table).await, 0, "{table}");
        }

        // The server wants the box as well, whoever made the form.
        open(&browser, &cloud, "/admin/sync").await;
        let button = ".danger-zone button.danger";
        browser.wait_for(button).await;
        let is_dead = format!("return document.querySelector('{button}').disabled");
        assert_eq!(browser.execute(&is_dead).await, json!(true));
        browser.click("#confirm").await;
        assert_eq!(browser.execute(&is_dead).await, json!(false));
        browser.click("#confirm").await;
        assert_eq!(browser.execute(&is_dead).await, json!(true));
        let before = rows(&cloud, "sync_runs").await;
        for more in ["", "+'&confirm=no'", "+'&confirm='"] {
            let call = format!(
                "'/admin/sync/start', {{method: 'POST', headers:
                {{'content-type': 'application/x-www-form-urlencoded'}}, body: 'full_refresh=true&csrf_token='
                + document.querySelector('[name=csrf_token]').value {more}}}"
            );
            let answer = fetched(&browser, &call).await;
            assert_eq!(answer["status"], 400, "{answer}");
            assert!(answer["text"].as_str().unwrap().contains("Not confirmed"));
        }
        assert_eq!(rows(&cloud, "sync_runs").await, before);

        // Without its box a preview of it is fine.
        browser.click(".danger-zone button[name=dry_run]").await;
        browser.wait_text("h1", "Full refresh, preview").await;
        browser.wait_text(".badge", "succeeded").await;
        browser.wait_text("caption", "delete every row").await;
        assert_eq!(rows(&cloud, "locations").await, 0);
        browser.close().await;
    });
}

#[test]
fn a_run_is_watched_stopped_and_its_failure_explained() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        let few = json!({"orders": 0, "page_limit_cap": 40, "ragged_pages": false});
        cloud.account.reset(few).await;
        let browser = signed_in(&driver, &cloud, desktop()).await;

        // Figures move to the end, without a reload.
        cloud.account.hold(CATALOG, 3).await;
        browser.click(&format!("{START} button:not([name])")).await;
        browser.wait_for(".step.running").await;
        browser.execute(MARK).await;
        let mut figure = 0;
        for _ in 0..3 {
            figure = read_more_than(&browser, figure).await;
            cloud.account.hold(CATALOG, 3).await;
        }
        cloud.account.clear_faults().await;
        browser.wait_for(".badge.succeeded").await;
        assert_eq!(browser.execute(STAYED).await, json!(true));
        let finish = "return [...document.querySelectorAll('.step')].map(step => step.className)";
        let steps = browser.execute(finish).await;
        assert_eq!(steps, json!(["step succeeded"; 5].to_vec()), "{steps}");
        let items = rows(&cloud, "catalog_items").await.to_string();
        let created = "return [...document.querySelectorAll('tr')]
            .find(row => row.cells[0].textContent === 'items').cells[1].textContent";
        assert_eq!(browser.execute(created).await, json!(items));

        // Stopping asks first.
        cloud.account.hold(CATALOG, 0).await;
        open(&browser, &cloud, "/admin/sync").await;
        browser.click("input[name=reconcile]").await;
        browser.click(&format!("{START} button:not([name])")).await;
        browser.wait_text(".step.running .name", "Catalog").await;
        let run_id = browser.text(".run-id").await;
        let yes = "details.confirm button.danger";
        let shown = format!("return document.querySelector('{yes}').checkVisibility()");
        assert_eq!(browser.execute(&shown).await, json!(false));
        browser.click("details.confirm summary").await;
        browser.wait_text(".confirm p", "Stop this run?").await;
        // It stays open while the page is brought up to date.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(browser.execute(&shown).await, json!(true));
        assert_eq!(cloud.run(&run_id).await["status"], "running");
        browser.click(yes).await;
        browser.wait_text(".badge", "stopped").await;
        let stopped = cloud.end_of(&run_id).await;
        assert_eq!(stopped["status"], "stopped");
        assert!(!browser.exists("details.confirm").await);

        // A failure says what, where, what to do, and where to read on.
        cloud.account.clear_faults().await;
        let fault = json!([{"endpoint": CATALOG, "kind": "status", "status": 401}]);
        cloud.account.faults(fault).await;
        open(&browser, &cloud, "/admin/sync").await;
        browser.click(&format!("{START} button:not([name])")).await;
        browser.wait_text(".badge", "failed").await;
        let error = browser.text(".error").await;
        for part in ["SquareUnauthorized", "catalog", "SQUARE_ACCESS_TOKEN"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("sim-token"), "{error}");
        let run = cloud.run(&browser.text(".run-id").await).await;
        let console = browser.attribute(".run .facts a", "href").await;
        assert_eq!(console.map(Value::from), Some(run["console_url"].clone()));
        assert_eq!(
            browser.text(".step.failed .name").await.to_lowercase(),
            "catalog"
        );
        open(&browser, &cloud, "/admin/sync/runs").await;
        browser.wait_text("td", "SquareUnauthorized").await;
        browser.close().await;
    });
}

#[test]
fn a_run_that_the_guard_has_stopped_can_be_allowed_on_the_page() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        let sizes =
            json!({"locations": 2, "items": 100, "variations": 100, "counts": 0, "orders": 0});
        cloud.account.reset(sizes).await;
        cloud.sync(json!({})).await;
        let browser = signed_in(&driver, &cloud, desktop()).await;
        let allow = "input[name=allow_mass_deletion]";
        assert!(!browser.exists(allow).await);
        cloud
            .account
            .change(json!([{"op": "delete_item", "count": 60}]))
            .await;
        browser.click(&format!("{START} button")).await;
        browser.wait_text("main", "DeletionGuard").await;
        assert_eq!(rows(&cloud, "catalog_items where is_deleted").await, 0);
        open(&browser, &cloud, "/admin/sync").await;
        browser.click(allow).await;
        browser.click(&format!("{START} button")).await;
        browser.wait_text(".run", "succeeded").await;
        let deleted = "catalog_items where is_deleted";
        let marked = patiently(async || (rows(&cloud, deleted).await == 60).then_some(()));
        if marked.await.is_none() {
            panic!("{} items are marked", rows(&cloud, deleted).await);
        }
    });
}
