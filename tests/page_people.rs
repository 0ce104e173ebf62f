//! Who is at the page: somebody who may not, somebody whose session has ended,
//! somebody with two tabs, somebody without JavaScript.

use serde_json::{Value, json};

use crate::support::browser::{Driver, Options};
use crate::support::cloud::Cloud;
use crate::support::page::{
    come_back, create_stranger, desktop, enter, fetched, open, refresh, sign_in, signed_in,
};
use crate::support::run;

const CATALOG: &str = "/v2/catalog/search";
const SYNC_NOW: &str = "form[action='/admin/sync/start'] button:not([name])";
const SESSION: &str = "__Host-square-sync";

async fn runs(cloud: &Cloud) -> Vec<Value> {
    let (_, answer) = cloud
        .call(reqwest::Method::GET, "/admin/runs", Value::Null)
        .await;
    answer["runs"].as_array().unwrap().clone()
}

#[test]
fn somebody_who_is_no_admin_is_told_so_and_can_leave() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        let password = "Stranger-1-of-the-tests";
        create_stranger(&cloud, "stranger", password).await;
        let browser = driver.open(desktop()).await;
        open(&browser, &cloud, "/admin/sync").await;
        browser.wait_for("input[name=username]").await;
        enter(&browser, "stranger", password).await;
        browser.wait_text("h1", "For admins only").await;
        browser.wait_text("main", "signed in as stranger").await;
        for path in ["/admin/sync", "/admin/sync/runs", "/admin/runs"] {
            let answer = fetched(&browser, &format!("'{path}'")).await;
            assert_eq!(answer["status"], 403, "{path}: {answer}");
        }
        let call = "'/admin/sync/start', {method: 'POST', headers:
            {'content-type': 'application/x-www-form-urlencoded'}, body: 'only.catalog=true&csrf_token='
            + document.querySelector('[name=csrf_token]').value}";
        assert_eq!(fetched(&browser, call).await["status"], 403);
        assert_eq!(runs(&cloud).await, Vec::<Value>::new());

        // Out, and in again as somebody who may.
        browser.click(".person button").await;
        browser.wait_text("h1", "Signed out").await;
        sign_in(&browser, &cloud).await;
        browser.close().await;
    });
}

#[test]
fn an_ended_session_leads_through_sign_in_to_where_one_was() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        cloud.sync(json!({"only": ["locations"]})).await;
        let browser = signed_in(&driver, &cloud, desktop()).await;
        let place = "/admin/sync/runs?kind=complete_sync";

        // The page notices by itself.
        open(&browser, &cloud, place).await;
        browser.forget_cookie(SESSION).await;
        refresh(&browser).await;
        browser.wait_text("#notice", "Your session has ended").await;
        browser.click("#notice a").await;
        come_back(&browser, &cloud, place).await;
        browser.wait_text("h1", "Runs").await;

        // So does an address.
        browser.forget_cookie(SESSION).await;
        open(&browser, &cloud, place).await;
        come_back(&browser, &cloud, place).await;
        browser.wait_text("h1", "Runs").await;

        // A form that comes too late starts nothing.
        open(&browser, &cloud, "/admin/sync").await;
        let before = runs(&cloud).await.len();
        browser.forget_cookie(SESSION).await;
        browser.click(SYNC_NOW).await;
        browser.wait_text("h1", "Session ended").await;
        assert_eq!(runs(&cloud).await.len(), before);
        browser.click("main a.button").await;
        come_back(&browser, &cloud, "/admin/sync").await;
        browser.close().await;
    });
}

#[test]
fn two_tabs_tell_of_each_other() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        cloud.account.hold(CATALOG, 0).await;
        let browser = signed_in(&driver, &cloud, desktop()).await;
        let first = browser.tab().await;
        let second = browser.new_tab().await;
        open(&browser, &cloud, "/admin/sync").await;
        browser.wait_for(SYNC_NOW).await;

        // What one starts, the other sees, and may stop.
        browser.switch(&first).await;
        browser.click(SYNC_NOW).await;
        browser.wait_for(".step.running").await;
        let run_id = browser.text(".run-id").await;
        browser.switch(&second).await;
        refresh(&browser).await;
        browser.wait_for(&format!("#run-{run_id} .step")).await;
        assert!(!browser.exists(SYNC_NOW).await, "nothing else can start");
        browser.click("details.confirm summary").await;
        browser.click("details.confirm button.danger").await;
        browser.wait_text(".badge", "stopped").await;
        cloud.account.clear_faults().await;
        browser.switch(&first).await;
        refresh(&browser).await;
        browser.wait_text(".badge", "stopped").await;

        // Who signs out in one is out in the other.
        open(&browser, &cloud, "/admin/sync").await;
        browser.wait_for(SYNC_NOW).await;
        browser.switch(&second).await;
        browser.click(".person button").await;
        browser.wait_text("h1", "Signed out").await;
        browser.switch(&first).await;
        let before = runs(&cloud).await.len();
        browser.click(SYNC_NOW).await;
        browser.wait_text("h1", "Session ended").await;
        assert_eq!(runs(&cloud).await.len(), before);
        browser.close().await;
    });
}

#[test]
fn without_javascript_everything_can_be_started_and_read() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        let browser = driver
            .open(Options {
                javascript: false,
                ..desktop()
            })
            .await;
        sign_in(&browser, &cloud).await;
        browser.click(SYNC_NOW).await;
        browser.wait_for(".run").await;
        let run_id = browser.text(".run-id").await;
        assert_eq!(cloud.end_of(&run_id).await["status"], "succeeded");
        // It says the same things, as of when it is loaded.
        open(&browser, &cloud, &format!("/admin/sync/runs/{run_id}")).await;
        browser.wait_text(".badge", "succeeded").await;
        browser.wait_text("caption", "What became of").await;
        assert_eq!(browser.text("#zone").await, "UTC");
        let time = ".run .facts time";
        let utc = format!("{} UTC", browser.text(time).await);
        assert_eq!(browser.attribute(time, "title").await, Some(utc));

        // The box of a refresh is wanted without a script too.
        open(&browser, &cloud, "/admin/sync").await;
        browser.click(".danger-zone button.danger").await;
        browser.wait_text("h1", "Sync").await;
        assert_eq!(
            runs(&cloud).await.len(),
            1,
            "the browser itself asks for the box"
        );
        browser.click("#confirm").await;
        browser.click(".danger-zone button.danger").await;
        browser.wait_text("h1", "Full refresh").await;
        let run_id = browser.text(".run-id").await;
        assert_eq!(cloud.end_of(&run_id).await["status"], "succeeded");
        open(&browser, &cloud, "/admin/sync/backups").await;
        browser.wait_text("h2", "Replaced").await;
        browser.close().await;
    });
}
