//! The browser of the tests itself: that its judges find what is wrong, and
//! stay silent about a page that is right.

use std::ffi::OsStr;

use axum::Router;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::browser::{Driver, Key, Options, validate_html};
use crate::support::run;

const CLEAN: &str = r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Clean</title>
<link rel="icon" href="/icon.svg">
</head>
<body>
<main>
<h1>Hello</h1>
<form action="/clean"><label for="name">Name</label> <input id="name" name="name" type="text" value="old">
<button type="submit">Send</button></form>
<a href="/broken" title="Further">Broken</a>
<noscript><p id="plain">No script</p></noscript>
</main>
<script src="/late.js"></script>
</body>
</html>
"##;

const BROKEN: &str = r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Broken</title></head>
<body><main><h1>Broken</h1><img src="/icon.svg"><p><div>inside</div></p></main>
<script>document.title = "inline"</script></body>
</html>
"#;

const LATE: &str = "setTimeout(() => { const late = document.createElement('p');
    late.id = 'late'; late.textContent = 'Late news'; document.querySelector('main').append(late) }, 300)";

/// A small site; its policy forbids scripts in the page.
async fn site() -> String {
    let page = |html: &'static str| {
        get(async move || {
            (
                [(CONTENT_SECURITY_POLICY, "default-src 'self'")],
                Html(html),
            )
        })
    };
    let file = |kind: &'static str, text: &'static str| {
        get(async move || ([("content-type", kind)], text).into_response())
    };
    let icon = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>";
    let router = Router::new()
        .route("/clean", page(CLEAN))
        .route("/broken", page(BROKEN))
        .route("/moved", get(async || Redirect::to("/clean")))
        .route("/late.js", file("text/javascript", LATE))
        .route("/icon.svg", file("image/svg+xml", icon));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    origin
}

#[test]
fn a_machine_without_a_browser_gives_no_driver() {
    assert!(run(Driver::start_from(OsStr::new("/nowhere"))).is_none());
}

#[test]
fn a_clean_page_passes() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let origin = site().await;
        let browser = driver.open(Options::default()).await;
        browser.requests().await;
        browser.goto(&format!("{origin}/moved")).await;
        browser.wait_text("main p", "news").await;
        assert_eq!(browser.url().await, format!("{origin}/clean"));
        assert_eq!(browser.text("h1").await, "Hello");
        assert_eq!(browser.texts("main p").await, ["Late news"]);
        let requests = browser.requests().await;
        let paths: Vec<_> = requests
            .iter()
            .map(|request| request.url.replace(&origin, ""))
            .collect();
        assert_eq!(paths[..3], ["/moved", "/clean", "/late.js"], "{paths:?}");
        assert!(
            requests[..3].iter().all(|request| request.bytes > 0),
            "{requests:?}"
        );
        assert!(requests[1].bytes >= CLEAN.len() as u64, "{requests:?}");
        assert_eq!(browser.axe().await, Vec::<String>::new());
        assert_eq!(browser.console_errors().await, Vec::<String>::new());
        let html = browser.html().await;
        assert_eq!(html, CLEAN);
        assert_eq!(validate_html(&html), Vec::<String>::new());
        assert_eq!(browser.attribute("a", "title").await.unwrap(), "Further");

        browser.fill("#name", "new").await;
        assert_eq!(browser.property("#name", "value").await.unwrap(), "new");
        browser.key(Some("#name"), Key::Tab).await;
        assert_eq!(
            browser
                .execute("return document.activeElement.tagName")
                .await,
            "BUTTON"
        );
        browser.key(None, Key::Enter).await;
        browser.wait_text("h1", "Hello").await;
        browser.click("a").await;
        browser.wait_text("h1", "Broken").await;
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("page.png");
        browser.screenshot(&image).await;
        assert!(std::fs::metadata(image).unwrap().len() > 0);
        browser.close().await;
    });
}

#[test]
fn the_judges_find_what_is_wrong() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let browser = driver.open(Options::default()).await;
        browser.goto(&format!("{}/broken", site().await)).await;
        let violations = browser.axe().await;
        assert!(
            violations.iter().any(|line| line.starts_with("image-alt")),
            "{violations:?}"
        );
        let errors = browser.console_errors().await;
        assert!(
            errors
                .iter()
                .any(|line| line.contains("Content Security Policy")),
            "{errors:?}"
        );
        let complaints = validate_html(&browser.html().await);
        assert!(
            complaints.iter().any(|line| line.contains("wcag/h37")),
            "{complaints:?}"
        );
        browser.close().await;
    });
}

#[test]
fn a_dark_phone_without_javascript_is_one() {
    run(async {
        let Some(driver) = Driver::start().await else {
            return;
        };
        let options = Options {
            phone: true,
            javascript: false,
            dark: true,
        };
        let browser = driver.open(options).await;
        browser.goto(&format!("{}/clean", site().await)).await;
        assert_eq!(browser.text("#plain").await, "No script");
        assert!(!browser.exists("#late").await);
        let seen = "return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]";
        assert_eq!(browser.execute(seen).await, json!([390, true]));
        browser.close().await;
    });
}
