//! What the page says of how right the numbers are.

use serde_json::json;

use crate::support::browser::{Browser, Driver};
use crate::support::cloud::Cloud;
use crate::support::page::{desktop, open, signed_in};
use crate::support::run;

const TRUST: &str = "/admin/sync/trust";

/// What stands on top, once it is of that kind.
async fn verdict(browser: &Browser, cloud: &Cloud, class: &str) -> String {
    open(browser, cloud, TRUST).await;
    let place = format!(".verdict.{class}");
    browser.wait_for(&place).await;
    browser.text(&place).await
}

/// The table's cells of a data type, but for its name.
async fn cells(browser: &Browser, name: &str) -> Vec<String> {
    let script = format!(
        "return [...document.querySelectorAll('tbody tr')]
            .filter(row => row.cells[0].textContent === '{name}')
            .map(row => [...row.cells].slice(1).map(cell => cell.innerText.trim()))[0]"
    );
    serde_json::from_value(browser.execute(&script).await).unwrap()
}

async fn sql(cloud: &Cloud, statement: &str) {
    cloud.client.batch_execute(statement).await.unwrap();
}

#[test]
fn a_sentence_says_whether_the_numbers_can_be_trusted_and_why() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        cloud.account.reset(json!({"orders": 40})).await;
        let browser = signed_in(&driver, &cloud, desktop()).await;
        let nothing = verdict(&browser, &cloud, "not-yet").await;
        assert!(nothing.contains("nothing has been synced"), "{nothing}");
        let current = "nav a[aria-current=page]";
        assert_eq!(browser.text(current).await, "Trust");

        // Fresh, whole, and nothing aside.
        cloud.sync(json!({})).await;
        let sentence = verdict(&browser, &cloud, "yes").await;
        assert!(!sentence.contains("drifted"), "{sentence}");
        assert!(!sentence.contains("history"), "{sentence}");
        let [rows, listed, drift, waiting] = &cells(&browser, "Items").await[..] else {
            panic!("four cells")
        };
        let stored = "select count(*) from catalog_items";
        let stored: i64 = cloud.client.query_one(stored, &[]).await.unwrap().get(0);
        assert_eq!(*rows, stored.to_string());
        assert!(listed.starts_with("20"), "{listed}");
        // The first listing has nothing to compare with.
        assert_eq!([drift.as_str(), waiting.as_str()], ["not told yet", "0"]);
        assert_eq!(cells(&browser, "Orders").await[..2], ["0", "none yet"]);

        // A row that was changed by hand is drift, which is put right and told for a month.
        let by_hand = "update catalog_items set name = 'by hand'
            where id = (select min(id) from catalog_items)";
        sql(&cloud, by_hand).await;
        let run = cloud.sync(json!({"reconcile": true})).await;
        assert_eq!(run["totals"]["drift"]["updated"], 1, "{run}");
        let sentence = verdict(&browser, &cloud, "except").await;
        let today = "except that 1 row had drifted, last found and put right today.";
        assert!(sentence.ends_with(today), "{sentence}");
        assert_eq!(cells(&browser, "Items").await[2], "1");
        assert_eq!(cells(&browser, "Categories").await[2], "0");
        let charts = "return [...document.querySelectorAll('svg.spark')]
            .filter(chart => chart.querySelectorAll('rect').length === 30)
            .map(chart => chart.querySelectorAll('rect.failed').length)";
        // Of items alone, on one day.
        let days = browser.execute(charts).await;
        let days: Vec<i64> = serde_json::from_value(days).unwrap();
        assert_eq!(days.iter().sum::<i64>(), 1, "{days:?}");
        let aged = |days: i64| {
            format!(
                "update sync_runs set queued_at = queued_at - interval '{days} days';
                 update sync_steps set finished_at = finished_at - interval '{days} days'"
            )
        };
        sql(&cloud, &aged(29)).await;
        let sentence = verdict(&browser, &cloud, "except").await;
        assert!(sentence.contains("put right 29 days ago"), "{sentence}");
        sql(&cloud, &aged(2)).await;
        let sentence = verdict(&browser, &cloud, "yes").await;
        assert!(!sentence.contains("drifted"), "{sentence}");

        // The history is in, and then not read again for longer than it should.
        let (status, started) = cloud
            .call(
                reqwest::Method::POST,
                "/admin/historical-orders-sync",
                json!({}),
            )
            .await;
        assert_eq!(status, 202, "{started}");
        cloud.end_of(started["run_id"].as_str().unwrap()).await;
        let sentence = verdict(&browser, &cloud, "yes").await;
        let all = "all of the orders' history was read within 90 days";
        assert!(sentence.contains(all), "{sentence}");
        let half = "update sync_order_windows set done_at = done_at - interval '91 days',
                verified_at = null
            where window_id % 2 = (select max(window_id) % 2 from sync_order_windows)";
        sql(&cloud, half).await;
        let sentence = verdict(&browser, &cloud, "except").await;
        assert!(
            sentence.contains("% of the orders' history was read within the last 90 days"),
            "{sentence}"
        );
        sql(&cloud, "update sync_order_windows set verified_at = now()").await;
        verdict(&browser, &cloud, "yes").await;

        // What waits in quarantine is in no table.
        let waiting = "insert into sync_quarantine
            (data_type, object_id, reason, payload, run_id, replayable)
            select 'variations', 'lost', 'No item.', '{}', max(run_id), true from sync_runs";
        sql(&cloud, waiting).await;
        let sentence = verdict(&browser, &cloud, "except").await;
        let one = "1 object of Square's waits in quarantine and in no table";
        assert!(sentence.contains(one), "{sentence}");
        assert_eq!(cells(&browser, "Variations").await[3], "1");
        sql(&cloud, "delete from sync_quarantine").await;
        browser.close().await;
    });
}

#[test]
fn a_spot_check_is_asked_for_on_the_page_and_its_word_counts() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        cloud.sync(json!({})).await;
        let browser = signed_in(&driver, &cloud, desktop()).await;
        let check = async || {
            open(&browser, &cloud, TRUST).await;
            browser.fill("input[name=sample]", "2000").await;
            let button = "form[action='/admin/sync/spot-check'] button";
            browser.click(button).await;
            browser.wait_text(".badge", "succeeded").await;
        };
        check().await;
        let sentence = verdict(&browser, &cloud, "yes").await;
        let all = "the last spot check found all of ";
        assert!(sentence.contains(all), "{sentence}");
        let by_hand = "update catalog_variations set sku = 'by hand'
            where id = (select min(id) from catalog_variations)";
        sql(&cloud, by_hand).await;
        check().await;
        let sentence = verdict(&browser, &cloud, "no").await;
        let found = "the last spot check found 1 row that Square has otherwise";
        assert!(sentence.contains(found), "{sentence}");
        browser.wait_text("main", "Columns that differ").await;
        // Once a listing has put it right, the next check says so.
        cloud.sync(json!({"reconcile": true})).await;
        check().await;
        let sentence = verdict(&browser, &cloud, "except").await;
        assert!(sentence.contains("1 row had drifted"), "{sentence}");
        browser.close().await;
    });
}

#[test]
fn data_that_no_sync_brings_is_not_to_be_relied_on() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        cloud.sync(json!({"only": ["locations", "catalog"]})).await;
        let browser = signed_in(&driver, &cloud, desktop()).await;
        let sentence = verdict(&browser, &cloud, "no").await;
        let missing = "the last syncs did not bring inventory.";
        assert!(sentence.ends_with(missing), "{sentence}");
        browser.close().await;
    });
}
