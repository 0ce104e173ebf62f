//! The pictures of the page in `docs/`. They are made again by
//! `SCREENSHOTS=docs make test ARGS='-p tests page_pictures'`, which needs a
//! browser, and then reduced to a palette, for instance with Pillow's
//! `Image.quantize(64)` (the phone's, which has three pixels for one, to half its
//! size before): text on plain ground keeps its looks at a third of the bytes.

use std::path::PathBuf;

use serde_json::json;

use crate::support::browser::{Browser, Driver, Options};
use crate::support::cloud::Cloud;
use crate::support::page::{desktop, open, signed_in, slow};
use crate::support::run;

const CATALOG: &str = "/v2/catalog/search";
const SYNC_NOW: &str = "form[action='/admin/sync/start'] button:not([name])";
const PREVIEW: &str = "form[action='/admin/sync/start'] button[name=dry_run]";

/// A day and a half of hourly syncs before now, one of which failed, and the first
/// sync before them.
const BEFORE: &str = "
    update sync_runs set queued_at = queued_at - interval '2 days',
        started_at = started_at - interval '2 days', finished_at = finished_at - interval '2 days';
    insert into sync_runs (run_id, kind, mode, trigger, requested_by, status, request,
        queued_at, started_at, finished_at, error_name, error_message, totals)
    select to_char(hour, '\"sync-\"YYYYMMDD\"T\"HH24MISS\"Z\"'), 'complete_sync', 'incremental',
        'schedule', 'schedule', case when n = 9 then 'failed' else 'succeeded' end, '{}',
        hour, hour, hour + (n * 7 % 5 + 3) * interval '1 second',
        case when n = 9 then 'SquareUnavailable' end, 'Square did not answer.',
        jsonb_build_object('created', n * 5 % 7, 'updated', n * 13 % 41 + 12, 'deleted', n % 3,
            'unchanged', 0, 'quarantined', 0)
    from generate_series(1, 36) n,
        lateral (select date_trunc('hour', now()) - n * interval '1 hour' as hour) as hours";

/// A month in which everything was listed every day, and once something had drifted.
const LISTED_EVERY_DAY: &str = "
    insert into sync_runs (run_id, kind, mode, trigger, requested_by, status, request,
        queued_at, started_at, finished_at)
    select 'listed-' || n, 'complete_sync', 'incremental', 'schedule', 'schedule', 'succeeded',
        '{}', day, day, day
    from generate_series(1, 29) n, lateral (select now() - n * interval '1 day' as day) as days;
    insert into sync_steps (run_id, step, ordinal, status, result, started_at, finished_at, stats)
    select 'listed-' || n, 'catalog', 1, 'succeeded', '{}', day, day, (
        select jsonb_object_agg(data_type, jsonb_build_object('created', 0, 'updated', 0,
            'deleted', 0, 'unchanged', 0, 'quarantined', 0,
            'drift', jsonb_build_object('created', 0, 'updated', case when data_type <> 'items' then 0
                when n = 12 then 3 when n = 13 then 1 else 0 end, 'deleted', 0)))
        from unnest(array['categories', 'items', 'variations']) data_type)
    from generate_series(1, 29) n, lateral (select now() - n * interval '1 day' as day) as days";
/// A spot check, and then the page that tells of it.
async fn trust(browser: &Browser, cloud: &Cloud) {
    open(browser, cloud, "/admin/sync/trust").await;
    let button = "form[action='/admin/sync/spot-check'] button";
    browser.click(button).await;
    browser.wait_text(".badge", "succeeded").await;
    open(browser, cloud, "/admin/sync/trust").await;
    browser.wait_text("h1", "Trust").await;
}

#[test]
fn pictures_for_the_readme() {
    let Some(directory) = std::env::var_os("SCREENSHOTS") else {
        return;
    };
    // Cargo runs tests in their crate's directory.
    let directory = PathBuf::from("..").join(directory);
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        let account = json!({"orders": 0, "items": 1_800, "variations": 4_200, "counts": 21_000,
            "locations": 6, "categories": 40, "drift": false});
        cloud.account.reset(account).await;
        let shoot = async |browser: &Browser, name: &str| {
            browser.screenshot(&directory.join(name)).await;
        };
        let browser = signed_in(&driver, &cloud, desktop()).await;

        slow(&cloud, CATALOG, 900).await;
        browser.click(SYNC_NOW).await;
        browser.wait_text(".step.running .name", "Catalog").await;
        browser.wait_text(".step.running .facts", ",").await;
        shoot(&browser, "page-progress.png").await;
        browser.wait_text(".badge", "succeeded").await;
        cloud.account.clear_faults().await;

        cloud.client.batch_execute(BEFORE).await.unwrap();
        let changes = json!([{"op": "add_item", "count": 12, "variations": 2},
            {"op": "edit_variation", "count": 40}, {"op": "sell", "times": 250}]);
        cloud.account.change(changes).await;
        open(&browser, &cloud, "/admin/sync").await;
        browser.click(SYNC_NOW).await;
        browser.wait_text(".badge", "succeeded").await;
        let run_id = browser.text(".run-id").await;
        let detail = format!("/admin/sync/runs/{run_id}");
        let changes = json!([{"op": "edit_item", "count": 2}, {"op": "delete_variation"},
            {"op": "edit_variation", "count": 1}, {"op": "recount", "count": 2}]);
        cloud.account.change(changes).await;
        open(&browser, &cloud, "/admin/sync").await;
        browser.click(PREVIEW).await;
        browser.wait_text(".badge", "succeeded").await;
        browser.wait_for(".preview").await;
        let show = "document.getElementById('preview-title').parentElement.scrollIntoView()";
        browser.execute(show).await;
        shoot(&browser, "page-preview.png").await;
        open(&browser, &cloud, "/admin/sync").await;
        browser.wait_text("h2", "The last run").await;
        shoot(&browser, "page-sync.png").await;
        cloud.client.batch_execute(LISTED_EVERY_DAY).await.unwrap();
        trust(&browser, &cloud).await;
        shoot(&browser, "page-trust.png").await;
        open(&browser, &cloud, "/admin/sync/runs").await;
        browser.wait_for("figure").await;
        shoot(&browser, "page-history.png").await;
        browser.close().await;

        for (name, phone, dark, path) in [
            ("page-phone.png", true, false, "/admin/sync"),
            ("page-dark.png", false, true, detail.as_str()),
        ] {
            let options = Options {
                phone,
                dark,
                ..desktop()
            };
            let browser = signed_in(&driver, &cloud, options).await;
            open(&browser, &cloud, path).await;
            browser.wait_for("h1").await;
            shoot(&browser, name).await;
            browser.close().await;
        }
    });
}
