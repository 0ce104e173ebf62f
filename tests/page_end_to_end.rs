//! The admin page in a real browser, behind the real sign-in, in front of the
//! local AWS.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::browser::{Browser, Driver, Options, ZONE, ZONE_HOURS, validate_html};
use crate::support::cloud::Cloud;
use crate::support::page::{desktop, open, origin, refresh, signed_in};
use crate::support::run;

const PAGES: [&str; 7] = [
    "/admin/sync",
    "/admin/sync/trust",
    "/admin/sync/runs",
    "/admin/sync/orders",
    "/admin/sync/migration",
    "/admin/sync/backups",
    "/admin/sync/quarantine",
];
/// Of one page with all its files, compressed.
const PAGE_BYTES_MAX: u64 = 60_000;

/// Times are those of the browser's zone, which is named; pointed at, they are in UTC.
async fn assert_in_zone(browser: &Browser) {
    assert_eq!(browser.text("#zone").await, ZONE);
    for (place, shape) in [
        ("h1 time", "%-d %B %H:%M"),
        (".run .facts time", "%Y-%m-%d %H:%M"),
    ] {
        let attribute = async |name: &str| browser.attribute(place, name).await.unwrap();
        let at: Timestamp = attribute("datetime").await.parse().unwrap();
        let here = at + SignedDuration::from_hours(ZONE_HOURS);
        let shown = here.strftime(shape).to_string();
        browser.wait_text(place, &shown).await;
        let utc = at.strftime("%Y-%m-%d %H:%M UTC").to_string();
        assert_eq!(attribute("title").await, utc);
    }
}

#[test]
fn an_admin_syncs_refreshes_and_signs_out_in_a_browser() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        let browser = signed_in(&driver, &cloud, desktop()).await;

        // A sync, watched to its end without reloading.
        browser
            .click("form[action='/admin/sync/start'] button")
            .await;
        browser.wait_text(".badge", "succeeded").await;
        assert_in_zone(&browser).await;
        // What the page asks for later comes in UTC as well.
        let forget = "document.querySelectorAll('time').forEach(time => time.textContent = '?')";
        browser.execute(forget).await;
        // A run that has ended is not asked for again by itself.
        refresh(&browser).await;
        assert_eq!(browser.text("h1 time").await, "?");
        browser
            .execute("document.getElementById('main').dataset.live = 1")
            .await;
        refresh(&browser).await;
        assert_in_zone(&browser).await;
        let run_id = browser.text(".run-id").await;
        let run = cloud.run(&run_id).await;
        assert_eq!(
            (&run["trigger"], &run["kind"]),
            (&json!("admin"), &json!("complete_sync"))
        );
        assert!(run["totals"]["created"].as_i64().unwrap() > 0, "{run}");

        // What has the focus keeps it where what needs attention moves to the front.
        open(&browser, &cloud, "/admin/sync").await;
        let link = ".status a[href='/admin/sync/quarantine']";
        browser.wait_for(link).await;
        let focus = format!("document.querySelector(\"{link}\").focus()");
        browser.execute(&focus).await;
        let waiting = "insert into sync_quarantine
            (data_type, object_id, reason, payload, replayable, run_id)
            values ('items', 'X', 'It cannot be read.', '{}', false, 'r')";
        cloud.client.batch_execute(waiting).await.unwrap();
        refresh(&browser).await;
        browser.wait_text(".status .why", "not in the tables").await;
        let focused = "return document.activeElement.getAttribute('href')";
        let focused = browser.execute(focused).await;
        assert_eq!(focused, json!("/admin/sync/quarantine"));
        let none = "delete from sync_quarantine";
        cloud.client.batch_execute(none).await.unwrap();

        // The button of a refresh is dead without the box.
        open(&browser, &cloud, "/admin/sync").await;
        let button = ".danger-zone button.danger";
        let is_dead = "return document.querySelector('.danger-zone button.danger').disabled";
        browser.wait_for(button).await;
        assert_eq!(browser.execute(is_dead).await, json!(true));
        browser.click("#confirm").await;
        assert_eq!(browser.execute(is_dead).await, json!(false));
        browser.click(button).await;
        browser.wait_text(".badge", "succeeded").await;
        let refresh = cloud.run(&browser.text(".run-id").await).await;
        assert_eq!(refresh["mode"], "full_refresh");

        // It left a backup, which can be put back.
        open(&browser, &cloud, "/admin/sync/backups").await;
        browser.click("details.confirm summary").await;
        browser.click("details.confirm input[type=checkbox]").await;
        browser.click("details.confirm button.danger").await;
        browser.wait_text(".badge", "succeeded").await;
        let restored = cloud.run(&browser.text(".run-id").await).await;
        assert_eq!(restored["kind"], "restore");

        browser.click(".person button").await;
        browser.wait_text("h1", "Signed out").await;
        open(&browser, &cloud, "/admin/sync").await;
        browser.wait_for("input[name=username]").await;
        browser.close().await;
    });
}

#[test]
fn every_page_is_sound_and_asks_nobody_else() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        let run = cloud.sync(json!({})).await;
        let wide = json!([{"op": "edit_item", "count": 3, "description": "https://x".repeat(99)},
            {"op": "add_item", "name": "unbroken".repeat(30)}, {"op": "delete_item"}]);
        cloud.account.change(wide).await;
        let preview = cloud.sync(json!({"dry_run": true})).await;
        let [detail, preview] = [run, preview]
            .map(|run| format!("/admin/sync/runs/{}", run["run_id"].as_str().unwrap()));
        let details = [detail.as_str(), preview.as_str()];
        let pages: Vec<&str> = PAGES.into_iter().chain(details).collect();
        // What is dark is so at any size.
        for (phone, dark) in [(false, false), (true, false), (true, true)] {
            let options = Options {
                phone,
                dark,
                ..desktop()
            };
            let browser = signed_in(&driver, &cloud, options).await;
            let is_dark = "return matchMedia('(prefers-color-scheme: dark)').matches";
            assert_eq!(browser.execute(is_dark).await, json!(dark));
            let origin = origin(&cloud);
            // What came so far is the issuer's.
            browser.requests().await;
            browser.console_errors().await;
            for page in &pages {
                open(&browser, &cloud, page).await;
                browser.wait_for("h1").await;
                assert_eq!(browser.axe().await, Vec::<String>::new(), "{page} {dark}");
                let requests = browser.requests().await;
                let elsewhere: Vec<&str> = requests
                    .iter()
                    .map(|request| request.url.as_str())
                    .filter(|url| !url.starts_with(&origin))
                    .collect();
                assert_eq!(elsewhere, Vec::<&str>::new(), "{page}");
                let bytes: u64 = requests.iter().map(|request| request.bytes).sum();
                assert!(bytes < PAGE_BYTES_MAX, "{page}: {bytes}");
                if phone {
                    let overflows = "return document.documentElement.scrollWidth > innerWidth + 1";
                    assert_eq!(browser.execute(overflows).await, json!(false), "{page}");
                    // Beside a long value a name has room, and no value runs on for ever.
                    let squeezed = "return [...document.querySelectorAll('table.preview')]
                        .filter(table => table.offsetWidth > 900 ||
                            [...table.querySelectorAll('tbody th')]
                                .some(name => name.offsetWidth < 144)).length";
                    assert_eq!(browser.execute(squeezed).await, json!(0), "{page}");
                } else {
                    let html = browser.html().await;
                    assert_eq!(validate_html(&html), Vec::<String>::new(), "{page}");
                }
            }
            assert_eq!(browser.console_errors().await, Vec::<String>::new());
            browser.close().await;
        }
    });
}

#[test]
fn without_a_session_or_from_another_site_nothing_is_done() {
    run(async {
        let cloud = Cloud::page().await;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let url = |path: &str| format!("{}{path}", cloud.stack.file().api_url);
        for page in PAGES {
            let answer = http.get(url(page)).send().await.unwrap();
            assert_eq!(answer.status(), 303, "{page}");
            let place = answer.headers()["location"].to_str().unwrap();
            assert!(
                place.starts_with("/admin/sign-in?return_to=%2Fadmin%2Fsync"),
                "{place}"
            );
        }
        for form in ["start", "orders", "migration", "restore", "runs/a/stop"] {
            let request = http
                .post(url(&format!("/admin/sync/{form}")))
                .header("content-type", "application/x-www-form-urlencoded")
                .header("cookie", "__Host-square-sync=forged")
                .body("only.catalog=true&confirm=yes");
            assert_eq!(request.send().await.unwrap().status(), 401, "{form}");
        }
        let runs = cloud
            .call(reqwest::Method::GET, "/admin/runs", Value::Null)
            .await;
        assert_eq!(runs.1["runs"], json!([]));
    });
}
