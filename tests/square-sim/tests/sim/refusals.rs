//! What Square refuses, the simulator refuses: with Square's status, code and
//! field, always in Square's envelope.

use serde_json::{Value, json};

use crate::support::{CATALOG, COUNTS, OBJECTS, ORDERS, Sim, small};

/// The request is refused with that code, naming that field.
async fn assert_refused(sim: &Sim, path: &str, body: Value, code: &str, field: &str) {
    let (status, answer) = sim.ask("POST", path, Some(&body)).await;
    let error = &answer["errors"][0];
    let found = (status, error["code"].as_str(), error["field"].as_str());
    assert_eq!(found, (400, Some(code), Some(field)), "{path} {body}");
    assert_eq!(error["category"], "INVALID_REQUEST_ERROR");
    assert!(
        error["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty())
    );
}

#[tokio::test]
async fn catalog_searches_are_refused_with_the_field_named() {
    let sim = Sim::new(small());
    let cases = [
        (json!({"limitt": 5}), "UNKNOWN_BODY_PARAMETER", "limitt"),
        (
            json!({"end_time": "2024-01-01T00:00:00Z"}),
            "UNKNOWN_BODY_PARAMETER",
            "end_time",
        ),
        (json!({"limit": "5"}), "EXPECTED_INTEGER", "limit"),
        (json!({"limit": 1.5}), "EXPECTED_INTEGER", "limit"),
        (
            json!({"object_types": "ITEM"}),
            "EXPECTED_ARRAY",
            "object_types",
        ),
        (
            json!({"object_types": ["ITEM", "THING"]}),
            "INVALID_ENUM_VALUE",
            "object_types[1]",
        ),
        (
            json!({"begin_time": "yesterday"}),
            "INVALID_TIME",
            "begin_time",
        ),
        (json!({"begin_time": 17}), "EXPECTED_STRING", "begin_time"),
        (
            json!({"include_deleted_objects": "yes"}),
            "EXPECTED_BOOLEAN",
            "include_deleted_objects",
        ),
        (json!({"query": 1}), "EXPECTED_OBJECT", "query"),
        (json!({"cursor": null}), "EXPECTED_STRING", "cursor"),
        (json!({"cursor": "nonsense"}), "INVALID_CURSOR", "cursor"),
    ];
    for (body, code, field) in cases {
        assert_refused(&sim, CATALOG, body, code, field).await;
    }
}

#[tokio::test]
async fn object_requests_are_refused_with_the_field_named() {
    let sim = Sim::new(small());
    let many: Vec<String> = (0..1_001).map(|n| format!("ID{n}")).collect();
    let most = json!({"object_ids": many[1..]});
    assert_eq!(sim.post(OBJECTS, most).await, json!({}));
    let cases = [
        (json!({}), "MISSING_REQUIRED_PARAMETER", "object_ids"),
        (
            json!({"object_ids": []}),
            "MISSING_REQUIRED_PARAMETER",
            "object_ids",
        ),
        (
            json!({"object_ids": many}),
            "ARRAY_LENGTH_TOO_LONG",
            "object_ids",
        ),
        (json!({"object_ids": null}), "EXPECTED_ARRAY", "object_ids"),
        (
            json!({"object_ids": ["A", 7]}),
            "EXPECTED_STRING",
            "object_ids[1]",
        ),
        (
            json!({"object_ids": ["A"], "include_deleted_objects": 1}),
            "EXPECTED_BOOLEAN",
            "include_deleted_objects",
        ),
        (
            json!({"object_ids": ["A"], "catalog_version": "1"}),
            "EXPECTED_INTEGER",
            "catalog_version",
        ),
        (
            json!({"object_ids": ["A"], "cursor": "x"}),
            "UNKNOWN_BODY_PARAMETER",
            "cursor",
        ),
    ];
    for (body, code, field) in cases {
        assert_refused(&sim, OBJECTS, body, code, field).await;
    }
}

#[tokio::test]
async fn count_requests_are_refused_with_the_field_named() {
    let sim = Sim::new(small());
    let cases = [
        (json!({"limit": 0}), "VALUE_TOO_LOW", "limit"),
        (json!({"limit": 1001}), "VALUE_TOO_HIGH", "limit"),
        (
            json!({"states": ["STOCKED"]}),
            "INVALID_ENUM_VALUE",
            "states[0]",
        ),
        (
            json!({"location_ids": [7]}),
            "EXPECTED_STRING",
            "location_ids[0]",
        ),
        (
            json!({"updated_before": "2024-01-01T00:00:00Z"}),
            "UNKNOWN_BODY_PARAMETER",
            "updated_before",
        ),
    ];
    for (body, code, field) in cases {
        assert_refused(&sim, COUNTS, body, code, field).await;
    }
}

#[tokio::test]
async fn order_searches_are_refused_with_the_field_named() {
    let sim = Sim::new(small());
    let location = sim.locations().await[0].clone();
    let many: Vec<String> = vec![location.clone(); 11];
    let order = |query: Value| json!({"location_ids": [location], "query": query});
    let cases = [
        (json!({}), "MISSING_REQUIRED_PARAMETER", "location_ids"),
        (
            json!({"location_ids": []}),
            "MISSING_REQUIRED_PARAMETER",
            "location_ids",
        ),
        (
            json!({"location_ids": many}),
            "ARRAY_LENGTH_TOO_LONG",
            "location_ids",
        ),
        (
            json!({"location_ids": ["ELSEWHERE"]}),
            "INVALID_VALUE",
            "location_ids",
        ),
        (
            json!({"location_ids": [location], "limit": 1001}),
            "VALUE_TOO_HIGH",
            "limit",
        ),
        (
            json!({"location_ids": [location], "filter": {}}),
            "UNKNOWN_BODY_PARAMETER",
            "filter",
        ),
        (
            order(json!({"sort": {"sort_order": "ASC"}})),
            "MISSING_REQUIRED_PARAMETER",
            "query.sort.sort_field",
        ),
        (
            order(json!({"sort": {"sort_field": "TOTAL"}})),
            "INVALID_ENUM_VALUE",
            "query.sort.sort_field",
        ),
        (
            order(json!({"filter": {"state_filter": {"states": ["GONE"]}}})),
            "INVALID_ENUM_VALUE",
            "query.filter.state_filter.states[0]",
        ),
        (
            order(json!({"filter": {"date_time_filter": {"updated_at": {"since": "x"}}}})),
            "UNKNOWN_BODY_PARAMETER",
            "query.filter.date_time_filter.updated_at.since",
        ),
    ];
    for (body, code, field) in cases {
        assert_refused(&sim, ORDERS, body, code, field).await;
    }
}

#[tokio::test]
async fn the_sort_must_name_the_field_of_the_filter() {
    let sim = Sim::new(small());
    let location = sim.locations().await[0].clone();
    let range = json!({"start_at": "2018-01-01T00:00:00Z"});
    let query = |filter: Value, sort: Value| json!({"location_ids": [location], "query": {"filter": filter, "sort": sort}});
    let updated = json!({"date_time_filter": {"updated_at": range}});
    let closed = |states: Value| json!({"date_time_filter": {"closed_at": range}, "state_filter": {"states": states}});
    for (body, wanted) in [
        (
            query(updated.clone(), json!({"sort_field": "UPDATED_AT"})),
            200,
        ),
        (
            query(updated.clone(), json!({"sort_field": "CREATED_AT"})),
            400,
        ),
        (query(updated.clone(), Value::Null), 400),
        (
            query(
                json!({"date_time_filter": {"created_at": range}}),
                Value::Null,
            ),
            200,
        ),
        (
            query(
                json!({"date_time_filter": {"created_at": range, "updated_at": range}}),
                json!({"sort_field": "CREATED_AT"}),
            ),
            400,
        ),
        (query(json!({}), json!({"sort_field": "CLOSED_AT"})), 400),
        (
            query(
                closed(json!(["COMPLETED", "OPEN"])),
                json!({"sort_field": "CLOSED_AT"}),
            ),
            400,
        ),
        (
            query(
                closed(json!(["COMPLETED", "CANCELED"])),
                json!({"sort_field": "CLOSED_AT"}),
            ),
            200,
        ),
    ] {
        assert_eq!(
            sim.ask("POST", ORDERS, Some(&body)).await.0,
            wanted,
            "{body}"
        );
    }
    let reversed = json!({"start_at": "2024-01-02T00:00:00Z", "end_at": "2024-01-01T00:00:00Z"});
    let body = query(
        json!({"date_time_filter": {"created_at": reversed}}),
        Value::Null,
    );
    assert_eq!(
        sim.ask("POST", ORDERS, Some(&body)).await.1["errors"][0]["code"],
        "INVALID_TIME_RANGE"
    );
}

#[tokio::test]
async fn wrong_paths_methods_and_bodies() {
    let sim = Sim::new(small());
    for (method, path, status, code) in [
        ("GET", "/v2/nothing", 404, "NOT_FOUND"),
        ("POST", "/v2/locations", 405, "METHOD_NOT_ALLOWED"),
        ("GET", CATALOG, 405, "METHOD_NOT_ALLOWED"),
        (
            "GET",
            "/v2/locations?limit=3",
            400,
            "UNKNOWN_QUERY_PARAMETER",
        ),
        ("GET", "/v2/merchants/SOMEONE", 404, "NOT_FOUND"),
    ] {
        let (found, answer) = sim.ask(method, path, None).await;
        assert_eq!(
            (found, &answer["errors"][0]["code"]),
            (status, &json!(code)),
            "{method} {path}"
        );
    }
    let url = format!("{}{CATALOG}", sim.running.url());
    let post = || sim.http.post(&url).bearer_auth("sim-token");
    let plain = post().body("{}").send().await.unwrap();
    assert_eq!(plain.status(), 415);
    let broken = post()
        .header("content-type", "application/json")
        .body("{\"limit\":")
        .send()
        .await
        .unwrap();
    let answer: Value = broken.json().await.unwrap();
    assert_eq!(answer["errors"][0]["code"], "EXPECTED_JSON_BODY");
    let huge = post()
        .header("content-type", "application/json")
        .body(" ".repeat(5 << 20))
        .send()
        .await
        .unwrap();
    assert_eq!(huge.status(), 413);
}

#[tokio::test]
async fn the_version_is_checked_and_given_back() {
    let sim = Sim::new(small());
    let url = format!("{}/v2/locations", sim.running.url());
    let get = || sim.http.get(&url).bearer_auth("sim-token");
    let answer = get().send().await.unwrap();
    assert_eq!(answer.headers()["square-version"], "2026-07-15");
    let answer = get()
        .header("square-version", "2026-08-19")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["square-version"], "2026-08-19");
    let answer = get()
        .header("square-version", "latest")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
}
