//! Faults: each kind does what it says, to the requests it is meant for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{CATALOG, COUNTS, OBJECTS, ORDERS, Sim, elements, ids, small};

async fn set(sim: &Sim, fault: Value) {
    sim.post("/__sim/faults", json!([fault])).await;
}

#[tokio::test]
async fn a_status_comes_in_squares_envelope() {
    let sim = Sim::new(small());
    set(&sim, json!({"endpoint": COUNTS, "request": 2, "times": 2, "kind": "status", "status": 429, "retry_after": 3})).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let url = format!("{}{COUNTS}", sim.running.url());
        let answer = sim
            .http
            .post(url)
            .bearer_auth("sim-token")
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        let wait = answer
            .headers()
            .get("retry-after")
            .map(|wait| wait.to_str().unwrap().to_owned());
        statuses.push((answer.status().as_u16(), wait));
        if answer.status() == 429 {
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["errors"][0]["code"], "RATE_LIMITED");
            assert_eq!(body["errors"][0]["category"], "RATE_LIMIT_ERROR");
        }
    }
    let limited = (429, Some("3".to_owned()));
    assert_eq!(
        statuses,
        [(200, None), limited.clone(), limited, (200, None)]
    );
}

#[tokio::test]
async fn gateways_and_half_answers() {
    let sim = Sim::new(small());
    for (fault, status, begins) in [
        (json!({"kind": "html"}), 502, "<!DOCTYPE html>"),
        (
            json!({"kind": "html", "status": 200}),
            200,
            "<!DOCTYPE html>",
        ),
        (json!({"kind": "text"}), 503, "upstream connect error"),
        (json!({"kind": "malformed_json"}), 200, "{"),
        (
            json!({"kind": "errors_in_200", "status": 401}),
            200,
            "{\"errors\":[{",
        ),
        (
            json!({"kind": "status", "status": 400, "code": "GONE_FISHING", "category": "API_ERROR"}),
            400,
            "{\"errors\":[{\"category\":\"API_ERROR\",\"code\":\"GONE_FISHING\"",
        ),
    ] {
        let mut fault = fault;
        fault["endpoint"] = json!("*");
        fault["request"] = json!(1);
        set(&sim, fault.clone()).await;
        let (found, body) = sim.try_ask(CATALOG, &json!({})).await.unwrap();
        assert_eq!(found, status);
        assert!(body.starts_with(begins), "{fault}: {body}");
        let sound = serde_json::from_str::<Value>(&body).is_ok();
        assert_eq!(
            sound,
            matches!(fault["kind"].as_str(), Some("errors_in_200" | "status"))
        );
    }
    assert_eq!(sim.try_ask(CATALOG, &json!({})).await.unwrap().0, 200);
}

#[tokio::test]
async fn broken_connections() {
    let sim = Sim::new(small());
    for kind in ["drop", "cut_body"] {
        set(
            &sim,
            json!({"endpoint": CATALOG, "request": 1, "kind": kind}),
        )
        .await;
        let error = sim.try_ask(CATALOG, &json!({"limit": 1000})).await;
        assert!(error.is_err(), "{kind}: {error:?}");
        assert_eq!(
            sim.try_ask(CATALOG, &json!({"limit": 1000}))
                .await
                .unwrap()
                .0,
            200
        );
    }
}

#[tokio::test]
async fn delays_delay() {
    let sim = Sim::new(small());
    set(
        &sim,
        json!({"endpoint": "/v2/locations", "request": 1, "kind": "delay", "delay_ms": 150}),
    )
    .await;
    let begin = Instant::now();
    assert_eq!(
        sim.get("/v2/locations").await["locations"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    assert!(begin.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn bent_lists() {
    let sim = Sim::new(square_sim::Config {
        ragged_pages: false,
        ..small()
    });
    set(
        &sim,
        json!({"endpoint": COUNTS, "request": 1, "kind": "empty_page"}),
    )
    .await;
    let body = json!({"limit": 300});
    let pages = sim.pages(COUNTS, body.clone()).await;
    assert_eq!(
        pages
            .iter()
            .map(|page| elements(page).len())
            .collect::<Vec<_>>(),
        [0, 300, 100]
    );

    set(
        &sim,
        json!({"endpoint": COUNTS, "request": 1, "kind": "cursor_repeats"}),
    )
    .await;
    let first = sim.post(COUNTS, body.clone()).await;
    let next = json!({"limit": 300, "cursor": first["cursor"]});
    let repeats = sim.post(COUNTS, next.clone()).await;
    assert_eq!(
        (elements(&repeats).len(), &repeats["cursor"]),
        (100, &first["cursor"])
    );
    assert!(sim.post(COUNTS, next.clone()).await.get("cursor").is_none());

    set(
        &sim,
        json!({"endpoint": COUNTS, "request": 1, "kind": "cursor_expired"}),
    )
    .await;
    sim.post(COUNTS, body).await;
    let (status, answer) = sim.ask("POST", COUNTS, Some(&next)).await;
    assert_eq!(
        (status, &answer["errors"][0]["code"]),
        (400, &json!("INVALID_CURSOR"))
    );
    sim.post(COUNTS, next).await;
}

#[tokio::test]
async fn a_skipped_object_slips_between_two_pages() {
    let sim = Sim::new(small());
    let location = sim.locations().await[0].clone();
    for (path, body) in [
        (CATALOG, json!({"object_types": ["ITEM"], "limit": 7})),
        (
            CATALOG,
            json!({"object_types": ["ITEM_VARIATION"], "limit": 100}),
        ),
        (ORDERS, json!({"location_ids": [location], "limit": 9})),
    ] {
        let whole = sim.all(path, body.clone()).await;
        let id = &whole[whole.len() / 2]["id"];
        set(&sim, json!({"endpoint": path, "kind": "skip", "id": id})).await;
        let mut others = whole.clone();
        others.retain(|object| object["id"] != *id);
        assert_eq!(sim.all(path, body.clone()).await, others, "{path}");
        sim.ask("DELETE", "/__sim/faults", None).await;
        assert_eq!(sim.all(path, body.clone()).await, whole);
    }
    let fault = json!({"endpoint": "/v2/locations", "kind": "skip", "id": location});
    set(&sim, fault).await;
    let left = sim.locations().await;
    assert!(left.len() == 3 && !left.contains(&location));
}

#[tokio::test]
async fn a_skip_takes_only_what_it_names_from_where_it_says() {
    let sim = Sim::new(small());
    let types = json!(["ITEM", "ITEM_VARIATION"]);
    let body = json!({"object_types": types, "limit": 1000});
    let whole = sim.all(CATALOG, body.clone()).await;
    let holds = |object: &&Value| object["item_data"]["variations"].is_array();
    let item = whole.iter().find(holds).unwrap();
    let variation = &item["item_data"]["variations"][0];
    for (id, endpoint) in [
        (&variation["id"], CATALOG),
        (&item["id"], CATALOG),
        (&item["id"], COUNTS),
    ] {
        let fault = json!({"endpoint": endpoint, "request": 2, "kind": "skip", "id": id});
        set(&sim, fault).await;
    }
    assert_eq!(sim.all(CATALOG, body.clone()).await, whole, "not the first");
    let second = sim.all(CATALOG, body.clone()).await;
    assert_eq!(second.len(), whole.len() - 2, "skips add up");
    assert_eq!(sim.all(CATALOG, body.clone()).await, whole, "once");

    let fault = |id: &Value| json!({"endpoint": CATALOG, "kind": "skip", "id": id});
    set(&sim, fault(&variation["id"])).await;
    assert!(
        sim.all(CATALOG, body.clone()).await.contains(item),
        "its item holds it"
    );
    let asked = json!({"object_ids": [variation["id"], item["id"]]});
    set(&sim, fault(&item["id"])).await;
    let objects = elements(&sim.post(OBJECTS, asked.clone()).await);
    assert_eq!(objects.len(), 2, "another endpoint skips nothing");
    set(
        &sim,
        json!({"endpoint": "*", "kind": "skip", "id": item["id"]}),
    )
    .await;
    let objects = elements(&sim.post(OBJECTS, asked).await);
    assert_eq!(ids(&objects), ids([variation]));
    set(&sim, json!({"endpoint": CATALOG, "kind": "text"})).await;
    let (status, _) = sim.try_ask(CATALOG, &body).await.unwrap();
    assert_eq!(status, 503, "a skip does not stand in another's way");
}

#[tokio::test]
async fn counts_are_skipped_at_one_location_or_everywhere() {
    let sim = Sim::new(small());
    let body = json!({"limit": 40});
    let whole = sim.all(COUNTS, body.clone()).await;
    let elsewhere = |count: &&Value, id: &Value, at: &Value| {
        count["catalog_object_id"] == *id && count["location_id"] != *at
    };
    let (id, at) = whole
        .iter()
        .map(|count| (&count["catalog_object_id"], &count["location_id"]))
        .find(|(id, at)| whole.iter().any(|count| elsewhere(&count, id, at)))
        .unwrap();
    for (fault, skipped) in [
        (json!({"catalog_object_id": id}), [true, true]),
        (json!({"id": id}), [true, true]),
        (json!({"id": id, "location_id": at}), [true, false]),
    ] {
        let mut fault = fault;
        fault["endpoint"] = json!(COUNTS);
        fault["kind"] = json!("skip");
        set(&sim, fault).await;
        let mut expected = whole.clone();
        expected.retain(|count| {
            let here = count["location_id"] == *at;
            count["catalog_object_id"] != *id || !skipped[usize::from(!here)]
        });
        assert!(expected.len() < whole.len());
        assert_eq!(sim.all(COUNTS, body.clone()).await, expected);
        expected.retain(|count| count["catalog_object_id"] == *id);
        let of_it = json!({"catalog_object_ids": [id], "limit": 1});
        assert_eq!(sim.all(COUNTS, of_it).await, expected);
        sim.ask("DELETE", "/__sim/faults", None).await;
    }
}

#[tokio::test]
async fn faults_can_be_cleared_and_nonsense_is_refused() {
    let sim = Sim::new(small());
    set(&sim, json!({"endpoint": "*", "kind": "drop"})).await;
    assert_eq!(sim.ask("DELETE", "/__sim/faults", None).await.0, 200);
    sim.get("/v2/locations").await;
    set(&sim, json!({"endpoint": "*", "kind": "drop"})).await;
    let other = json!([{"endpoint": "*", "request": 2, "kind": "text"}]);
    let replaced = sim.ask("PUT", "/__sim/faults", Some(&other)).await;
    assert_eq!(replaced, (200, json!({"set": 1})));
    sim.get("/v2/locations").await;
    assert_eq!(sim.try_ask(CATALOG, &json!({})).await.unwrap().0, 503);
    sim.ask("DELETE", "/__sim/faults", None).await;
    for wrong in [
        json!([{"endpoint": "/v2/catalogue/search", "kind": "drop"}]),
        json!([{"endpoint": "*", "kind": "delay"}]),
        json!([{"endpoint": "*", "kind": "skip"}]),
        json!([{"endpoint": "*", "kind": "drop", "id": "X"}]),
        json!([{"endpoint": COUNTS, "kind": "drop", "location_id": "X"}]),
        json!([{"endpoint": CATALOG, "kind": "skip", "id": "X", "location_id": "Y"}]),
        json!([{"endpoint": "*", "kind": "drop", "request": 0}]),
        json!([{"endpoint": "*", "kind": "explode"}]),
        json!({"endpoint": "*", "kind": "drop"}),
    ] {
        let (status, answer) = sim.ask("POST", "/__sim/faults", Some(&wrong)).await;
        assert!(
            status == 400 && answer["error"].is_string(),
            "{wrong}: {status} {answer}"
        );
    }
}
