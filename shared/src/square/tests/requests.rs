//! The look of a request, and the reading of good answers.

use futures::TryStreamExt;

use super::server::{Reply, Server, count, counts, gzip, http, json};
use super::{TOKEN, all_counts, all_items, client, fast, quantities, settings};
use crate::square::{BatchRetrieveInventoryCounts, SearchCatalogObjects, Square};

#[tokio::test]
async fn every_request_carries_version_token_and_agent() {
    let server = Server::start([json("{}")]).await;
    client(&server).list_locations().await.unwrap();

    let head = &server.received()[0].head;
    assert!(head.starts_with("GET /v2/locations HTTP/1.1\r\n"), "{head}");
    let version = env!("CARGO_PKG_VERSION");
    for header in [
        "square-version: 2026-07-15",
        &format!("authorization: Bearer {TOKEN}"),
        &format!("user-agent: square-sync/{version}"),
        "accept-encoding: gzip",
    ] {
        assert!(head.contains(&format!("{header}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn the_token_status_is_asked_for_without_a_body() {
    let body = r#"{"scopes":["ITEMS_READ"],"expires_at":"2026-12-01T00:00:00Z","merchant_id":"M"}"#;
    let server = Server::start([json(body)]).await;
    let status = client(&server).retrieve_token_status().await.unwrap();
    assert_eq!(status.scopes.unwrap(), ["ITEMS_READ"]);
    assert_eq!(
        status.expires_at.unwrap().to_string(),
        "2026-12-01T00:00:00Z"
    );

    let received = &server.received()[0];
    assert!(received.head.starts_with("POST /oauth2/token/status "));
    // Some gateways refuse a POST that does not say how long it is.
    assert!(
        received.head.contains("content-length: 0\r\n"),
        "{received:?}"
    );
    assert_eq!(received.body, "");
}

#[tokio::test]
async fn a_request_body_holds_only_what_was_asked_for() {
    let server = Server::start([json("{}")]).await;
    let square = client(&server);
    quantities(&square).await.unwrap();
    let since = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let some = BatchRetrieveInventoryCounts {
        catalog_object_ids: Vec::new(),
        location_ids: vec!["L1".into()],
        updated_after: Some(since),
        ..all_counts()
    };
    let pages = square.batch_retrieve_inventory_counts(some);
    pages.try_for_each(async |_| Ok(())).await.unwrap();
    let changed = SearchCatalogObjects {
        begin_time: Some(since),
        include_deleted_objects: true,
        ..all_items()
    };
    let pages = square.search_catalog_objects(changed);
    pages.try_for_each(async |_| Ok(())).await.unwrap();

    let bodies: Vec<_> = server.received().iter().map(|r| r.json()).collect();
    assert_eq!(
        bodies,
        [
            serde_json::json!({"limit": 500}),
            serde_json::json!({
                "location_ids": ["L1"], "updated_after": "2026-01-02T03:04:05.678Z", "limit": 500
            }),
            serde_json::json!({
                "object_types": ["ITEM", "CATEGORY"], "begin_time": "2026-01-02T03:04:05.678Z",
                "include_deleted_objects": true, "limit": 1000
            }),
        ]
    );
}

#[tokio::test]
async fn an_override_may_have_a_path() {
    let server = Server::start([json("{}")]).await;
    let address = format!("{}/square/", server.url);
    let square = Square::with_policy(&settings(&address, &[]), fast()).unwrap();
    square.list_locations().await.unwrap();
    let head = &server.received()[0].head;
    assert!(head.starts_with("GET /square/v2/locations "), "{head}");
}

#[tokio::test]
async fn a_packed_answer_is_read_and_counted_as_it_came() {
    let body = format!(
        r#"{{"locations":[{}]}}"#,
        vec![r#"{"id":"L","name":"Café 東京"}"#; 500].join(",")
    );
    let packed = gzip(&body);
    let answer = http("200 OK", "content-encoding: gzip\r\n", &packed);
    let server = Server::start([Reply::Send(answer)]).await;
    let square = client(&server);
    let page = square.list_locations().await.unwrap();
    assert_eq!(page.objects.len(), 500);
    assert_eq!(page.objects[499].name.as_deref(), Some("Café 東京"));

    let counters = square.counters();
    assert_eq!(counters.bytes, u64::try_from(packed.len()).unwrap());
    assert!(packed.len() < body.len() / 10);
    assert_eq!(
        (counters.requests, counters.retries, counters.pages),
        (1, 0, 1)
    );
}

#[tokio::test]
async fn a_chunked_answer_is_read() {
    let body = serde_json::json!({"counts": [count("1.5")]}).to_string();
    let mut answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for piece in [&body[..9], &body[9..], ""] {
        answer.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    let server = Server::start([Reply::Send(answer.into_bytes())]).await;
    assert_eq!(quantities(&client(&server)).await.unwrap(), [["1.5"]]);
}

#[tokio::test]
async fn one_connection_serves_a_whole_list() {
    let server = Server::start([
        counts(&["1"], Some("a")),
        counts(&["2"], Some("b")),
        counts(&["3"], None),
    ])
    .await;
    quantities(&client(&server)).await.unwrap();
    assert_eq!(server.received().len(), 3);
    assert_eq!(server.connections(), 1);
}
