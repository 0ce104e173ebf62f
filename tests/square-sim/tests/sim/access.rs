//! Who gets in and who may go on: tokens, scopes and cursors.

use serde_json::{Value, json};

use crate::support::{CATALOG, COUNTS, OBJECTS, ORDERS, Sim, elements, small};

#[tokio::test]
async fn tokens_and_scopes() {
    let sim = Sim::new(small());
    let url = format!("{}/v2/locations", sim.running.url());
    let none = sim.http.get(&url).send().await.unwrap();
    assert_eq!(none.status(), 401);
    let wrong: Value = sim
        .http
        .get(&url)
        .bearer_auth("wrong")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(wrong["errors"][0]["category"], "AUTHENTICATION_ERROR");
    assert_eq!(wrong["errors"][0]["code"], "UNAUTHORIZED");

    let status = sim.post("/oauth2/token/status", json!({})).await;
    assert_eq!(
        status["scopes"],
        json!([
            "MERCHANT_PROFILE_READ",
            "ITEMS_READ",
            "INVENTORY_READ",
            "ORDERS_READ"
        ])
    );
    assert!(
        status.get("expires_at").is_none()
            && status["merchant_id"] == sim.get("/v2/merchants/me").await["merchant"]["id"]
    );

    sim.post(
        "/__sim/token",
        json!({"scopes": ["INVENTORY_READ"], "expires_at": "2999-01-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(
        sim.post("/oauth2/token/status", json!({})).await["expires_at"],
        "2999-01-01T00:00:00Z"
    );
    sim.post(COUNTS, json!({})).await;
    for (method, path, scope) in [
        ("GET", "/v2/locations", "MERCHANT_PROFILE_READ"),
        ("GET", "/v2/merchants/me", "MERCHANT_PROFILE_READ"),
        ("POST", CATALOG, "ITEMS_READ"),
        ("POST", OBJECTS, "ITEMS_READ"),
        ("POST", ORDERS, "ORDERS_READ"),
    ] {
        let (status, answer) = sim.ask(method, path, None).await;
        let error = &answer["errors"][0];
        assert_eq!(
            (status, &error["code"]),
            (403, &json!("INSUFFICIENT_SCOPES"))
        );
        assert!(error["detail"].as_str().unwrap().contains(scope), "{error}");
    }
}

#[tokio::test]
async fn tokens_can_be_revoked_expire_and_change() {
    let sim = Sim::new(small());
    for (change, code) in [
        (json!({"revoked": true}), "ACCESS_TOKEN_REVOKED"),
        (
            json!({"revoked": false, "expires_at": "2020-01-01T00:00:00Z"}),
            "ACCESS_TOKEN_EXPIRED",
        ),
        (
            json!({"expires_at": null, "token": "other"}),
            "UNAUTHORIZED",
        ),
    ] {
        sim.post("/__sim/token", change).await;
        let (status, answer) = sim.ask("POST", COUNTS, Some(&json!({}))).await;
        assert_eq!((status, &answer["errors"][0]["code"]), (401, &json!(code)));
    }
    sim.post("/__sim/token", json!({"token": "sim-token"}))
        .await;
    sim.post(COUNTS, json!({})).await;
}

#[tokio::test]
async fn cursors_need_the_same_body_and_expire() {
    let sim = Sim::new(square_sim::Config {
        ragged_pages: false,
        ..small()
    });
    let page = sim.post(CATALOG, json!({"limit": 10})).await;
    let again = json!({"limit": 10, "cursor": page["cursor"]});
    let next = sim.post(CATALOG, again.clone()).await;
    assert_eq!(
        elements(&next),
        elements(&sim.post(CATALOG, again.clone()).await),
        "a page can be asked for again"
    );
    for other in [
        json!({"limit": 11, "cursor": page["cursor"]}),
        json!({"limit": 10, "object_types": ["ITEM"], "cursor": page["cursor"]}),
    ] {
        let (status, answer) = sim.ask("POST", CATALOG, Some(&other)).await;
        assert_eq!(
            (status, &answer["errors"][0]["code"]),
            (400, &json!("INVALID_CURSOR"))
        );
    }
    assert_eq!(
        sim.ask("POST", COUNTS, Some(&again)).await.0,
        400,
        "nor does it work elsewhere"
    );
    sim.post("/__sim/reset", json!({})).await;
    assert_eq!(
        sim.ask("POST", CATALOG, Some(&again)).await.0,
        400,
        "nor after a reset"
    );

    sim.post(
        "/__sim/reset",
        json!({"cursor_ttl_seconds": 0, "ragged_pages": false}),
    )
    .await;
    let page = sim.post(CATALOG, json!({"limit": 10})).await;
    let (status, answer) = sim
        .ask(
            "POST",
            CATALOG,
            Some(&json!({"limit": 10, "cursor": page["cursor"]})),
        )
        .await;
    assert_eq!(status, 400);
    assert!(
        answer["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("expired")
    );
}
