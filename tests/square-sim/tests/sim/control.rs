//! The control interface: changes, waiting changes, counters, reset.

use std::io::Read;

use serde_json::{Value, json};

use crate::support::{CATALOG, COUNTS, Sim, ids, row, rows, small};

/// Live ids by type, as a client finds them, and the places counted.
async fn served(sim: &Sim) -> Value {
    let mut found = json!({});
    for kind in ["CATEGORY", "ITEM", "ITEM_VARIATION"] {
        found[kind] = json!(ids(&sim
            .all(CATALOG, json!({"object_types": [kind], "limit": 1000}))
            .await));
    }
    let counts = sim.all(COUNTS, json!({"limit": 1000})).await;
    let mut places: Vec<String> = counts
        .iter()
        .map(|count| {
            format!(
                "{}/{}/{}",
                count["catalog_object_id"], count["location_id"], count["state"]
            )
        })
        .collect();
    places.sort();
    found["counts"] = json!(places);
    found["locations"] = json!(sim.locations().await);
    found
}

/// The same, from the truth.
async fn told(sim: &Sim) -> Value {
    let truth = sim.truth().await;
    let mut places: Vec<String> = rows(&truth, "catalog_inventory")
        .iter()
        .map(|row| {
            format!(
                "{}/{}/{}",
                row["variation_id"], row["location_id"], row["state"]
            )
        })
        .collect();
    places.sort();
    json!({
        "CATEGORY": ids(&rows(&truth, "catalog_categories")),
        "ITEM": ids(&rows(&truth, "catalog_items")),
        "ITEM_VARIATION": ids(&rows(&truth, "catalog_variations")),
        "counts": places,
        "locations": ids(&rows(&truth, "locations")),
    })
}

#[tokio::test]
async fn the_truth_is_what_is_served_through_changes_of_every_kind() {
    let sim = Sim::new(small());
    assert_eq!(served(&sim).await, told(&sim).await);
    for change in [
        json!({"op": "add_item", "count": 2, "variations": 3, "quantity": "4.5"}),
        json!({"op": "edit_item", "count": 5}),
        json!({"op": "move_item", "count": 3}),
        json!({"op": "delete_item", "count": 4}),
        json!({"op": "add_variation", "count": 3, "price_amount": 125, "quantity": "1"}),
        json!({"op": "edit_variation", "count": 3, "bump_item": true}),
        json!({"op": "delete_variation", "count": 3}),
        json!({"op": "add_category", "count": 2}),
        json!({"op": "edit_category"}),
        json!({"op": "delete_category", "count": 2}),
        json!({"op": "add_location", "count": 2}),
        json!({"op": "edit_location"}),
        json!({"op": "deactivate_location"}),
        json!({"op": "activate_location"}),
        json!({"op": "remove_location", "drop_counts": true}),
        json!({"op": "sell", "times": 20}),
        json!({"op": "recount", "times": 5}),
        json!({"op": "restock", "times": 5, "quantity": "0.00001"}),
        json!({"op": "delete_silently"}),
        json!({"op": "delete_silently", "type": "ITEM_VARIATION", "count": 2}),
        json!({"op": "delete_silently", "type": "CATEGORY"}),
        json!({"op": "delete_item", "cascade_tombstones": false}),
    ] {
        let before = sim.truth().await;
        let report = sim.change(change.clone()).await;
        assert_eq!(report["op"], change["op"]);
        let after = sim.truth().await;
        assert_ne!(before, after, "{change} changed nothing");
        assert_eq!(served(&sim).await, told(&sim).await, "{change}");
    }
}

#[tokio::test]
async fn changes_come_strictly_later() {
    let sim = Sim::new(small());
    let mut last = sim.get("/__sim/clock").await["now"]
        .as_str()
        .unwrap()
        .to_owned();
    for change in [
        json!({"op": "edit_item", "count": 3}),
        json!({"op": "sell"}),
        json!({"op": "delete_category"}),
    ] {
        let at = sim.change(change).await["at"].as_str().unwrap().to_owned();
        assert!(at > last);
        last = at;
    }
    let (status, _) = sim
        .ask(
            "POST",
            "/__sim/clock",
            Some(&json!({"now": "2020-01-01T00:00:00Z"})),
        )
        .await;
    assert_eq!(status, 400, "the clock does not go back");
    sim.post("/__sim/clock", json!({"advance_seconds": 86_400}))
        .await;
    assert!(
        sim.change(json!({"op": "sell"})).await["at"]
            .as_str()
            .unwrap()
            > last.as_str()
    );
}

#[tokio::test]
async fn fields_given_are_kept() {
    let sim = Sim::new(small());
    let location = sim.locations().await[0].clone();
    let added = sim.change(json!({"op": "add_item", "id": "MINE", "name": "Mine", "price_amount": 5_000_000_000_i64, "quantity": "7", "location_id": location, "set": {"item_data": {"abbreviation": "mi"}}})).await;
    let truth = sim.truth().await;
    assert_eq!(
        row(&truth, "catalog_items", "MINE").unwrap()["name"],
        "Mine"
    );
    let variation = added["variation_ids"][0].as_str().unwrap();
    assert_eq!(
        row(&truth, "catalog_variations", variation).unwrap()["price_amount"],
        5_000_000_000_i64
    );
    let stock: Vec<Value> = rows(&truth, "catalog_inventory")
        .into_iter()
        .filter(|row| row["variation_id"] == variation)
        .collect();
    assert_eq!(
        (stock.len(), &stock[0]["quantity"], &stock[0]["location_id"]),
        (1, &json!("7"), &json!(location))
    );

    sim.change(json!({"op": "edit_item", "id": "MINE", "name": "Yours", "description": "new", "is_archived": true})).await;
    sim.change(json!({"op": "edit_location", "id": location, "name": "Elsewhere"}))
        .await;
    let truth = sim.truth().await;
    let item = row(&truth, "catalog_items", "MINE").unwrap();
    assert_eq!(
        (&item["name"], &item["description"], &item["is_archived"]),
        (&json!("Yours"), &json!("new"), &json!(true))
    );
    assert_eq!(
        row(&truth, "locations", &location).unwrap()["name"],
        "Elsewhere"
    );
}

#[tokio::test]
async fn wrong_changes_are_refused_and_change_nothing() {
    let sim = Sim::new(small());
    let truth = sim.truth().await;
    for wrong in [
        json!({"op": "explode"}),
        json!({"op": "edit_item", "nmae": "x"}),
        json!({"op": "edit_item", "id": "NOBODY"}),
        json!({"op": "delete_item", "count": 1_000}),
        json!({"op": "add_item", "id": "a\"b"}),
        json!({"op": "sell", "quantity": "much"}),
        json!({"op": "sell", "location_id": "NOWHERE", "variation_id": truth["catalog_variations"][0]["id"]}),
        json!({"op": "put_raw"}),
        json!({"op": "add_order", "kind": "gift"}),
        json!({"op": "delete_silently", "id": "NOBODY"}),
        json!({"op": "add_category", "id": truth["catalog_items"][0]["id"]}),
    ] {
        let (status, answer) = sim
            .ask("POST", "/__sim/change", Some(&json!([wrong])))
            .await;
        assert!(
            status == 400 && answer["error"].is_string(),
            "{wrong}: {status} {answer}"
        );
    }
    let mut after = sim.truth().await;
    after["now"] = truth["now"].clone();
    assert_eq!(after, truth);
}

#[tokio::test]
async fn a_change_can_wait_for_a_request() {
    let sim = Sim::new(square_sim::Config {
        ragged_pages: false,
        ..small()
    });
    let types = json!(["ITEM"]);
    let victim = sim
        .all(CATALOG, json!({"object_types": types}))
        .await
        .last()
        .unwrap()["id"]
        .clone();
    let hook = json!({"when": {"endpoint": CATALOG, "request": 2}, "changes": [{"op": "delete_item", "id": victim}, {"op": "sell"}]});
    sim.post("/__sim/change-later", hook).await;
    assert_eq!(sim.get("/__sim/change-later").await["waiting"], 1);
    let found = sim
        .all(CATALOG, json!({"object_types": types, "limit": 59}))
        .await;
    assert_eq!(
        found.len(),
        59,
        "the last item was deleted before the second page"
    );
    let report = sim.get("/__sim/change-later").await;
    assert_eq!(
        (&report["waiting"], &report["done"][0]["ids"][0]),
        (&json!(0), &victim)
    );
    assert_eq!(report["done"][1]["op"], "sell");
    let wrong = json!({"when": {"endpoint": "/v2/nothing"}, "changes": []});
    assert_eq!(
        sim.ask("POST", "/__sim/change-later", Some(&wrong)).await.0,
        400
    );
}

/// Three requests that meet, and one that goes nowhere. On a busy machine the first
/// may be answered before the last arrives; then they meet at slower answers.
async fn counters_of_three_at_once(sim: &Sim) -> Value {
    let mut delay_ms = 120;
    loop {
        let fault = json!([{"endpoint": COUNTS, "kind": "delay", "delay_ms": delay_ms}]);
        sim.ask("PUT", "/__sim/faults", Some(&fault)).await;
        let asks = (0..3).map(|_| sim.post(COUNTS, json!({"limit": 7})));
        futures::future::join_all(asks).await;
        sim.ask("GET", "/v2/nothing", None).await;
        let counters = sim.get("/__sim/counters").await;
        if counters["largest_parallelism"] == 3 {
            return counters;
        }
        assert!(delay_ms < 1_000_000, "{counters}");
        delay_ms *= 2;
        sim.ask("DELETE", "/__sim/counters", None).await;
    }
}

#[tokio::test]
async fn counters_count_and_can_be_cleared() {
    let sim = Sim::new(square_sim::Config {
        gzip: false,
        ..small()
    });
    let counters = counters_of_three_at_once(&sim).await;
    assert_eq!(counters["requests"], json!({COUNTS: 3, "/v2/nothing": 1}));
    assert_eq!(
        counters["statuses"],
        json!({COUNTS: {"200": 3}, "/v2/nothing": {"404": 1}})
    );
    assert_eq!(counters["largest_parallelism"], 3);
    assert_eq!(
        counters["bodies"][COUNTS],
        json!(["{\"limit\":7}", "{\"limit\":7}", "{\"limit\":7}"])
    );
    assert!(counters["bytes"].as_u64().unwrap() > 2_000);
    sim.ask("DELETE", "/__sim/counters", None).await;
    assert_eq!(sim.get("/__sim/counters").await["requests"], json!({}));
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_like_it() {
    let body = json!({"limit": 1000});
    for (offered, likes) in [(true, true), (true, false), (false, true)] {
        let sim = Sim::new(square_sim::Config {
            gzip: offered,
            ..small()
        });
        let url = format!("{}{COUNTS}", sim.running.url());
        let mut request = sim.http.post(url).bearer_auth("sim-token").json(&body);
        if likes {
            request = request.header("accept-encoding", "br, gzip;q=1.0");
        }
        let answer = request.send().await.unwrap();
        let coding = answer.headers().get("content-encoding").cloned();
        let sent = answer.bytes().await.unwrap();
        assert_eq!(sim.get("/__sim/counters").await["bytes"], sent.len());
        assert_eq!(coding.is_some(), offered && likes);
        let mut plain = Vec::new();
        if coding.is_some() {
            flate2::read::GzDecoder::new(&*sent)
                .read_to_end(&mut plain)
                .unwrap();
            assert!(sent.len() * 3 < plain.len());
        } else {
            plain.extend_from_slice(&sent);
        }
        let page: Value = serde_json::from_slice(&plain).unwrap();
        assert_eq!(page["counts"].as_array().unwrap().len(), 400);
    }
}

#[tokio::test]
async fn a_reset_starts_anew() {
    let sim = Sim::new(small());
    let truth = sim.truth().await;
    sim.change(json!({"op": "delete_item", "count": 5})).await;
    sim.post("/__sim/faults", json!([{"endpoint": "*", "kind": "drop"}]))
        .await;
    sim.post("/__sim/token", json!({"token": "other"})).await;
    sim.post("/__sim/reset", json!({})).await;
    assert_eq!(sim.truth().await, truth);
    sim.get("/v2/locations").await;
    assert_eq!(
        sim.get("/__sim/counters").await["requests"],
        json!({"/v2/locations": 1})
    );

    sim.post(
        "/__sim/reset",
        json!({"items": 5, "variations": 5, "counts": 3, "seed": 9}),
    )
    .await;
    assert_eq!(rows(&sim.truth().await, "catalog_items").len(), 5);
    assert_eq!(sim.get("/__sim/config").await["seed"], 9);
    for wrong in [
        json!({"item": 5}),
        json!({"items": -1}),
        json!({"items": 0}),
    ] {
        assert_eq!(
            sim.ask("POST", "/__sim/reset", Some(&wrong)).await.0,
            400,
            "{wrong}"
        );
    }
    assert_eq!(
        rows(&sim.truth().await, "catalog_items").len(),
        5,
        "a refused reset leaves the account"
    );
}

#[tokio::test]
async fn no_web_page_reads_or_changes_the_account() {
    let sim = Sim::new(small());
    let url = sim.running.url();
    let before = sim.truth().await;
    for path in [
        "/__sim/reset",
        "/__sim/token",
        "/__sim/truth",
        "/v2/locations",
    ] {
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("referer", "http://evil.example/"),
            ("user-agent", "Mozilla/5.0 (Macintosh) Version/15.0 Safari"),
            ("host", "evil.example:80"),
        ] {
            let post = sim.http.post(format!("{url}{path}"));
            let get = sim.http.get(format!("{url}{path}"));
            for request in [post.header("content-type", "text/plain"), get] {
                let answer = request.header(name, value).send().await.unwrap();
                assert_eq!(answer.status(), 403, "{path} with {name}: {value}");
            }
        }
    }
    assert_eq!(sim.truth().await, before);
}
