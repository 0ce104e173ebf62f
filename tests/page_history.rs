//! The history: what is listed, page after page, and what can be taken along.

use serde_json::{Value, json};

use crate::support::browser::Driver;
use crate::support::cloud::Cloud;
use crate::support::page::{desktop, fetched, open, signed_in};
use crate::support::run;
use crate::support::run::{World, new_run_id};

/// Forty runs, one a minute, of which every fifth failed and every fourth is an
/// import; the newest was skipped.
const RUNS: &str = "
    insert into sync_runs (run_id, kind, mode, trigger, requested_by, status, request,
        queued_at, started_at, finished_at, error_name, error_message, totals)
    select 'run-' || lpad(n::text, 2, '0'),
        case when n % 4 = 0 then 'historical_orders' else 'complete_sync' end, 'incremental',
        'schedule', '=cmd', case when n = 40 then 'skipped' when n % 5 = 0 then 'failed'
        else 'succeeded' end, '{}',
        now() - (100 - n) * interval '1 minute', now() - (100 - n) * interval '1 minute',
        now() - (100 - n) * interval '1 minute' + n * interval '1 second',
        case when n % 5 = 0 and n < 40 then 'SquareUnavailable' end, 'Try again.',
        jsonb_build_object('created', n, 'updated', 0, 'deleted', 0, 'unchanged', 0,
            'quarantined', 0)
    from generate_series(1, 40) n";

#[test]
fn the_history_is_filtered_paged_and_taken_along() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let cloud = Cloud::page().await;
        cloud.sync(json!({"only": ["locations"]})).await;
        cloud
            .client
            .batch_execute("delete from sync_runs")
            .await
            .unwrap();
        cloud.client.batch_execute(RUNS).await.unwrap();
        let browser = signed_in(&driver, &cloud, desktop()).await;

        let listed = async || browser.texts("tbody th a").await;
        let charts = async || {
            let bars = "return [...document.querySelectorAll('figure')].map(figure =>
                [figure.querySelectorAll('rect').length, figure.querySelectorAll('rect.failed').length,
                 figure.querySelector('svg').getAttribute('aria-label')])";
            browser.execute(bars).await
        };
        let names = |numbers: &mut dyn Iterator<Item = u32>| -> Vec<String> {
            numbers.map(|n| format!("run-{n:02}")).collect()
        };
        // Runs 10 to 39: the skipped one did nothing.
        let all_charts = json!([
            [30, 6, "Records changed: the last 30 runs, at most 39"],
            [30, 6, "Duration: the last 30 runs, at most 39 s"],
            [30, 6, "Failures: 6 of the last 30 runs"],
        ]);

        open(&browser, &cloud, "/admin/sync/runs").await;
        assert_eq!(listed().await, names(&mut (11..=40).rev()));
        assert_eq!(charts().await, all_charts);
        browser.click("a.button.quiet").await;
        browser.wait_text("tbody th a", "run-10").await;
        assert_eq!(listed().await, names(&mut (1..=10).rev()));
        assert_eq!(charts().await, all_charts, "whatever is listed");
        assert!(!browser.exists("a.button.quiet").await);

        // A filter holds for the list and for what is taken along, not for the charts.
        open(&browser, &cloud, "/admin/sync/runs").await;
        browser
            .click("select[name=status] option:nth-child(5)")
            .await;
        browser.click(".filters button").await;
        browser.wait_text("tbody tr:first-child", "run-35").await;
        let failed = names(&mut [35, 30, 25, 20, 15, 10, 5].into_iter());
        assert_eq!(listed().await, failed);
        assert_eq!(charts().await, all_charts);
        let selected = browser.property("select[name=status]", "value").await;
        assert_eq!(selected.as_deref(), Some("failed"));
        let href = async |part: &str| {
            let link = format!("a[href*='{part}'][download]");
            format!("'{}'", browser.attribute(&link, "href").await.unwrap())
        };
        let csv = fetched(&browser, &href("runs.csv").await).await;
        assert_eq!(
            csv["disposition"],
            "attachment; filename=\"square-sync-runs.csv\""
        );
        let lines: Vec<&str> = csv["text"].as_str().unwrap().lines().collect();
        assert_eq!(lines.len(), 8, "{csv}");
        assert!(lines[0].starts_with("run_id,kind,mode,"), "{csv}");
        for (line, name) in lines[1..].iter().zip(&failed) {
            assert!(line.starts_with(&format!("{name},")), "{csv}");
            // No formula for a spreadsheet.
            assert!(line.contains(",'=cmd,"), "{csv}");
            assert!(line.ends_with(",SquareUnavailable"), "{csv}");
        }
        let taken = fetched(&browser, &href("runs.json").await).await;
        let taken: Value = serde_json::from_str(taken["text"].as_str().unwrap()).unwrap();
        let taken: Vec<&str> = taken["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["run_id"].as_str().unwrap())
            .collect();
        assert_eq!(taken, failed);

        // Two filters at once, and none that fits.
        open(
            &browser,
            &cloud,
            "/admin/sync/runs?kind=historical_orders&status=failed",
        )
        .await;
        assert_eq!(listed().await, ["run-20"]);
        open(&browser, &cloud, "/admin/sync/runs?trigger=admin").await;
        browser.wait_text("main", "No run is like this").await;
        assert_eq!(charts().await, all_charts);

        // One run, with what became of each data type.
        let run = cloud.sync(json!({})).await;
        let run_id = run["run_id"].as_str().unwrap();
        open(&browser, &cloud, &format!("/admin/sync/runs/{run_id}")).await;
        let csv = fetched(&browser, &href("/csv").await).await;
        let name = format!("attachment; filename=\"square-sync-{run_id}.csv\"");
        assert_eq!(csv["disposition"], name);
        let items = &run["steps"][2]["stats"]["items"]["created"];
        let line = format!("catalog,items,{items},0,0,0,0,");
        assert!(
            csv["text"].as_str().unwrap().lines().any(|one| one == line),
            "{csv}"
        );
        let taken = fetched(&browser, &href("/json").await).await;
        let taken: Value = serde_json::from_str(taken["text"].as_str().unwrap()).unwrap();
        assert_eq!(taken["totals"], run["totals"]);

        // A preview that is taken along was not looked at.
        let preview = cloud.sync(json!({"dry_run": true})).await;
        let shown = "select count(*) from audit_log where action = 'preview'";
        let shown = async || -> i64 { cloud.client.query_one(shown, &[]).await.unwrap().get(0) };
        let before = shown().await;
        let run_id = preview["run_id"].as_str().unwrap();
        let address = format!("'/admin/sync/runs/{run_id}/json'");
        assert_eq!(fetched(&browser, &address).await["status"], 200);
        assert_eq!(shown().await, before);
        let given = "select count(*) from audit_log where run_id = $1 and action = 'export'";
        let given = cloud.client.query_one(given, &[&run_id]).await.unwrap();
        assert_eq!(given.get::<_, i64>(0), 1);
        browser.close().await;
    });
}

/// Else the page would miss data that nobody has tried to bring.
#[test]
fn a_preview_and_a_run_that_was_stopped_have_brought_nothing() {
    run(async {
        let world = World::small().await;
        let has_synced = async || api::store::has_synced(&world.client).await.unwrap();
        world.sync(json!({"dry_run": true})).await;
        let run_id = new_run_id();
        world.open(&run_id, json!({})).await.unwrap();
        world.stop(&run_id).await;
        assert!(!has_synced().await);
        world.sync(json!({})).await;
        assert!(has_synced().await);
    });
}

/// The page counts the next run from this moment.
#[test]
fn the_schedule_last_wanted_a_run_when_it_said_so() {
    run(async {
        let world = World::small().await;
        let last = async || api::store::last_scheduled(&world.client).await.unwrap();
        assert_eq!(last().await, None);
        world.sync(json!({"trigger": "admin"})).await;
        assert_eq!(last().await, None, "nobody's schedule");
        let moment = "2026-11-22T18:00:00Z";
        let request = json!({"trigger": "schedule", "scheduled_time": moment});
        world.sync(request).await;
        assert_eq!(last().await, Some(moment.parse().unwrap()));
        // One that says nothing readable counts from its own beginning.
        let before = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60);
        let request = json!({"trigger": "schedule", "scheduled_time": "soon"});
        world.sync(request).await;
        assert!(last().await.unwrap() > before);
    });
}
