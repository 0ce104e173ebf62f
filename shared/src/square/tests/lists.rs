//! The course and the end of a list of pages.

use futures::{StreamExt, TryStreamExt};

use super::server::{Server, count, counts, errors, json, status};
use super::{all_counts, all_items, client, client_with, fast, quantities};
use crate::square::retry::Policy;

fn stale_cursor() -> super::server::Reply {
    status(
        "400 Bad Request",
        &errors("INVALID_REQUEST_ERROR", "INVALID_CURSOR", "expired"),
    )
}

#[tokio::test]
async fn only_a_missing_or_empty_cursor_ends_a_list() {
    for last in [
        serde_json::json!({"counts": [count("9")]}),
        serde_json::json!({"counts": [count("9")], "cursor": ""}),
        serde_json::json!({"counts": [count("9")], "cursor": null}),
    ] {
        let server = Server::start([
            counts(&["1", "2"], Some("a")),
            counts(&[], Some("b")),
            json(r#"{"cursor":"c"}"#),
            json(&last.to_string()),
        ])
        .await;
        let square = client(&server);
        let pages = quantities(&square).await.unwrap();
        assert_eq!(pages, [vec!["1", "2"], vec![], vec![], vec!["9"]]);
        assert_eq!(square.counters().pages, 4);

        let bodies: Vec<_> = server.received().iter().map(|r| r.json()).collect();
        assert_eq!(bodies[0], serde_json::json!({"limit": 500}));
        for (body, cursor) in bodies[1..].iter().zip(["a", "b", "c"]) {
            assert_eq!(*body, serde_json::json!({"limit": 500, "cursor": cursor}));
        }
    }
}

#[tokio::test]
async fn an_account_without_counts_is_one_empty_page() {
    let server = Server::start([json("{}")]).await;
    let pages = quantities(&client(&server)).await.unwrap();
    assert_eq!(pages, [Vec::<String>::new()]);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_page_carries_the_catalogs_latest_time() {
    let body = r#"{"objects":[{"type":"ITEM","id":"I"}],"latest_time":"2026-01-02T03:04:05.67Z"}"#;
    let server = Server::start([json(body)]).await;
    let mut pages = client(&server).search_catalog_objects(all_items());
    let page = pages.try_next().await.unwrap().unwrap();
    assert_eq!(page.objects[0].id, "I");
    assert_eq!(
        page.latest_time.unwrap().to_string(),
        "2026-01-02T03:04:05.67Z"
    );
}

#[tokio::test]
async fn a_broken_object_does_not_cost_its_page_or_the_list() {
    let server = Server::start([
        json(&serde_json::json!({"counts": [count("1"), {"id": 7}], "cursor": "a"}).to_string()),
        counts(&["2"], None),
    ])
    .await;
    let pages = client(&server).batch_retrieve_inventory_counts(all_counts());
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    assert_eq!(pages.len(), 2);
    assert_eq!(pages[0].objects.len(), 1);
    assert_eq!(pages[0].broken.len(), 1);
    assert_eq!(pages[0].broken[0].payload, r#"{"id":7}"#);
}

#[tokio::test]
async fn a_cursor_that_came_before_ends_the_list_with_an_error() {
    let server = Server::start([
        counts(&["1"], Some("a")),
        counts(&["2"], Some("b")),
        counts(&["3"], Some("a")),
    ])
    .await;
    let mut pages = client(&server).batch_retrieve_inventory_counts(all_counts());
    assert!(pages.next().await.unwrap().is_ok());
    assert!(pages.next().await.unwrap().is_ok());
    let error = pages.next().await.unwrap().unwrap_err();
    assert_eq!(error.name(), "SquarePageLimit");
    assert!(error.to_string().contains("/v2/inventory/"), "{error}");
    assert!(pages.next().await.is_none());
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn a_list_beyond_the_page_limit_ends_with_an_error() {
    let replies = ["a", "b", "c", "d"].map(|cursor| counts(&["1"], Some(cursor)));
    let server = Server::start(replies).await;
    let policy = Policy {
        page_count_max: 3,
        ..fast()
    };
    let error = quantities(&client_with(&server, policy)).await.unwrap_err();
    assert_eq!(error.name(), "SquarePageLimit");
    assert!(error.to_string().contains("more than 3 pages"), "{error}");
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn an_expired_cursor_starts_the_list_over() {
    for refusal in [
        errors("INVALID_REQUEST_ERROR", "INVALID_CURSOR", "x"),
        errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", "The Cursor is too old."),
        r#"{"errors":[{"category":"INVALID_REQUEST_ERROR","code":"BAD_REQUEST","field":"cursor"}]}"#
            .to_owned(),
    ] {
        for line in ["400 Bad Request", "200 OK"] {
            let server = Server::start([
                counts(&["1"], Some("a")),
                status(line, &refusal),
                // The same cursor again is no repetition in a new list.
                counts(&["1"], Some("a")),
                counts(&["2"], None),
            ])
            .await;
            let square = client(&server);
            let pages = quantities(&square).await.unwrap();
            assert_eq!(pages, [["1"], ["1"], ["2"]]);
            let bodies: Vec<_> = server.received().iter().map(|r| r.json()).collect();
            assert_eq!(bodies[2], serde_json::json!({"limit": 500}));
            assert_eq!(square.counters().retries, 0);
        }
    }
}

#[tokio::test]
async fn a_list_starts_over_twice_and_then_is_rejected() {
    let first = || counts(&["1"], Some("a"));
    let replies = [
        first(),
        stale_cursor(),
        first(),
        stale_cursor(),
        first(),
        stale_cursor(),
    ];
    let server = Server::start(replies).await;
    let error = quantities(&client(&server)).await.unwrap_err();
    assert_eq!(error.name(), "SquareRejected");
    assert!(error.to_string().contains("INVALID_CURSOR"), "{error}");
    assert_eq!(server.received().len(), 6);
}

#[tokio::test]
async fn a_refusal_that_is_not_about_the_cursor_is_final() {
    // On the first page there is no cursor yet, whatever the code says.
    let server = Server::start([stale_cursor()]).await;
    let error = quantities(&client(&server)).await.unwrap_err();
    assert_eq!(error.name(), "SquareRejected");
    assert_eq!(server.received().len(), 1);

    let other = errors("INVALID_REQUEST_ERROR", "BAD_REQUEST", "limit is wrong");
    let server =
        Server::start([counts(&["1"], Some("a")), status("400 Bad Request", &other)]).await;
    let error = quantities(&client(&server)).await.unwrap_err();
    assert_eq!(error.name(), "SquareRejected");
    assert_eq!(server.received().len(), 2);
}
