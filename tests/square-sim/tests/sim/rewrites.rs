//! Rewritten answers.

use serde_json::{Value, json};

use crate::support::{CATALOG, COUNTS, OBJECTS, Sim, small};

/// The bytes of an answer.
async fn raw(sim: &Sim, path: &str, body: &Value) -> Vec<u8> {
    let url = format!("{}{path}", sim.running.url());
    let request = sim.http.post(url).bearer_auth("sim-token").json(body);
    request
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .to_vec()
}

fn holds(body: &[u8], bytes: &[u8]) -> bool {
    body.windows(bytes.len()).any(|window| window == bytes)
}

#[tokio::test]
async fn a_marker_goes_out_as_any_bytes() {
    let sim = Sim::new(small());
    sim.change(json!({"op": "add_item", "id": "MARKED", "name": "@1@"}))
        .await;
    let body = json!({"object_ids": ["MARKED"]});
    let plain = raw(&sim, OBJECTS, &body).await;
    assert!(holds(&plain, br#""name":"@1@""#));
    for (with, bytes) in [
        (json!({"with": "NaN"}), &b"\"name\":NaN,"[..]),
        (json!({"with": "1e400"}), b"\"name\":1e400,"),
        (json!({"with": r#""\ud83c""#}), br#""name":"\ud83c","#),
        (json!({"with": "1,\"name\":2"}), b"\"name\":1,\"name\":2,"),
        (json!({"with_hex": "22fF22"}), b"\"name\":\"\xff\","),
        (json!({"with_hex": ""}), b"\"name\":,"),
    ] {
        let mut rewrite = with;
        rewrite["endpoint"] = json!(OBJECTS);
        rewrite["find"] = json!("\"@1@\"");
        sim.post("/__sim/rewrites", json!([rewrite])).await;
        let answer = raw(&sim, OBJECTS, &body).await;
        assert!(
            holds(&answer, bytes),
            "{rewrite}: {}",
            answer.escape_ascii()
        );
        let elsewhere = json!({"object_types": ["ITEM"], "limit": 1000});
        assert!(holds(&raw(&sim, CATALOG, &elsewhere).await, b"\"@1@\""));
        sim.ask("DELETE", "/__sim/rewrites", None).await;
        assert_eq!(raw(&sim, OBJECTS, &body).await, plain);
    }
}

#[tokio::test]
async fn every_occurrence_everywhere_and_one_rewrite_after_the_other() {
    let sim = Sim::new(small());
    let rewrites = json!([
        {"endpoint": "*", "find": "IN_STOCK", "with": "@"},
        {"endpoint": COUNTS, "find": "@", "with": "IN_STOCK_IN_STOCK"},
    ]);
    assert_eq!(sim.post("/__sim/rewrites", rewrites).await["set"], 2);
    let counts = sim.all(COUNTS, json!({"limit": 1000})).await;
    assert!(counts.iter().all(|count| count["state"] != "IN_STOCK"));
    let doubled = |count: &&Value| count["state"] == "IN_STOCK_IN_STOCK";
    assert!(counts.iter().filter(doubled).count() > 100);
    let truth = sim.truth().await.to_string();
    assert!(truth.contains("\"IN_STOCK\""), "the control is not Square");

    let fault = json!([{"endpoint": CATALOG, "kind": "status", "detail": "no IN_STOCK"}]);
    sim.post("/__sim/faults", fault).await;
    let (_, refusal) = sim.ask("POST", CATALOG, Some(&json!({}))).await;
    assert_eq!(refusal["errors"][0]["detail"], "no @");

    sim.post("/__sim/reset", json!({})).await;
    let counts = sim.all(COUNTS, json!({"limit": 1000})).await;
    assert!(counts.iter().any(|count| count["state"] == "IN_STOCK"));
}

#[tokio::test]
async fn rewrites_come_before_compression_and_length() {
    let sim = Sim::new(small());
    let rewrite = json!([{"endpoint": COUNTS, "find": "{\"counts\"", "with": format!("{}{{\"counts\"", " ".repeat(5_000))}]);
    sim.post("/__sim/rewrites", rewrite).await;
    let url = format!("{}{COUNTS}", sim.running.url());
    for coding in ["identity", "gzip"] {
        let request = sim.http.post(&url).bearer_auth("sim-token");
        let request = request.json(&json!({"limit": 1000}));
        let answer = request
            .header("accept-encoding", coding)
            .send()
            .await
            .unwrap();
        let announced = answer.content_length().unwrap();
        let packed = answer.headers().contains_key("content-encoding");
        let body = answer.bytes().await.unwrap();
        assert_eq!(announced, body.len() as u64);
        let mut plain = Vec::new();
        if packed {
            let mut decoder = flate2::read::GzDecoder::new(&*body);
            std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
        } else {
            plain.extend_from_slice(&body);
        }
        assert_eq!(packed, coding == "gzip");
        assert!(plain.starts_with(b"     ") && plain.len() > 5_000);
        serde_json::from_slice::<Value>(&plain).unwrap();
    }
}

#[tokio::test]
async fn wrong_rewrites_are_refused() {
    let sim = Sim::new(small());
    for wrong in [
        json!({"endpoint": "*", "find": "", "with": "x"}),
        json!({"endpoint": "*", "find": "x"}),
        json!({"endpoint": "*", "find": "x", "with": "y", "with_hex": "00"}),
        json!({"endpoint": "*", "find": "x", "with_hex": "0"}),
        json!({"endpoint": "*", "find": "x", "with_hex": "0g"}),
        json!({"endpoint": "*", "find": "x", "by": "y"}),
        json!({"endpoint": "/v2/nothing", "find": "x", "with": "y"}),
    ] {
        let rewrites = json!([wrong]);
        let (status, answer) = sim.ask("POST", "/__sim/rewrites", Some(&rewrites)).await;
        assert!(
            status == 400 && answer["error"].is_string(),
            "{wrong}: {status} {answer}"
        );
    }
}
