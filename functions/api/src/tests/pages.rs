//! Pages of an admin where something is wrong: they keep their frame, say what it
//! is, and have the status that goes with it.

use super::browser::{KEY, get, sealed, send, session};
use super::*;

const NAVIGATION: &str = "<nav aria-label=\"Admin\">";

#[tokio::test]
async fn without_a_database_every_page_says_so_in_its_frame() {
    let (app, cookie) = (app(), sealed(session(), KEY));
    let pages = page::routes().into_iter().map(|(path, _)| path);
    let mut shown = 0;
    for path in pages {
        let path = path.replace("{run_id}", "sync-1");
        let answer = get(&app, &path, &cookie).await;
        if answer.status == StatusCode::METHOD_NOT_ALLOWED {
            continue;
        }
        shown += 1;
        assert_eq!(answer.status, 503, "{path}");
        let words = "<h1>The database does not answer</h1>";
        for part in [NAVIGATION, words, "DATABASE_URL", "Sign out", "Try again"] {
            assert!(answer.text.contains(part), "{path}: {}", answer.text);
        }
        assert!(!answer.text.contains("nobody@"), "{path}");
    }
    assert_eq!(shown, 12);
}

#[tokio::test]
async fn a_wrong_form_names_its_field() {
    let (app, session) = (app(), session());
    let token = session.csrf_token.clone();
    let cookie = sealed(session, KEY);
    let headers = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    for (path, form, words) in [
        ("start", "", "only: wants at least one data type"),
        ("start", "only.customers=true", "only[0]"),
        ("start", "only.catalog=true&ful_refresh=true", "ful_refresh"),
        (
            "start",
            "full_refresh=perhaps&only.catalog=true",
            "full_refresh: cannot",
        ),
        ("start", "full_refresh=true", "Not confirmed"),
        (
            "start",
            "full_refresh=true&confirm=perhaps",
            "Not confirmed",
        ),
        ("orders", "from=yesterday", "from: wants a time"),
        ("orders", "to=2024-13-01", "to: wants a time"),
        ("orders", "location_ids=A%01", "location_ids[0]: wants"),
        ("orders", "locations=A", "locations"),
        ("migration", "", "Not confirmed"),
        ("restore", "backup_id=b", "Not confirmed"),
        ("restore", "confirm=yes", "backup_id"),
    ] {
        let body = format!("{form}&csrf_token={token}");
        let path = format!("/admin/sync/{path}");
        let answer = send(&app, &Method::POST, &path, &headers, &body).await;
        assert_eq!(answer.status, 400, "{path} {form}: {}", answer.text);
        for part in [NAVIGATION, words] {
            assert!(answer.text.contains(part), "{path} {form}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_is_a_page() {
    let app = app();
    for path in ["/admin/sync/nothing", "/admin/sync/runs/a/b"] {
        let answer = get(&app, path, "").await;
        assert_eq!(answer.status, 404);
        assert!(answer.text.contains("<h1>Not found</h1>"), "{path}");
    }
    let answer = send(&app, &Method::POST, "/admin/sync/nothing", &[], "").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text.contains("\"NotFound\""), "{}", answer.text);
}
