use serde_json::json;

use super::*;

#[test]
fn an_empty_input_typed_by_hand_is_a_whole_sync() {
    for input in [json!({}), Value::Null] {
        let request = Request::parse(Kind::CompleteSync, input).unwrap();
        assert_eq!(
            request.steps(),
            ["preflight", "locations", "catalog", "inventory", "finish"]
        );
        assert_eq!(request.requester(), "console");
    }
}

#[test]
fn only_keeps_the_order_whatever_was_written() {
    let request = Request::parse(
        Kind::CompleteSync,
        json!({"only": ["inventory", "locations"]}),
    )
    .unwrap();
    assert_eq!(
        request.steps(),
        ["preflight", "locations", "inventory", "finish"]
    );
}

#[test]
fn orders_come_last_and_only_when_asked_for() {
    let leases = |kind, input| Request::parse(kind, input).unwrap().leases();
    let request =
        Request::parse(Kind::CompleteSync, json!({"only": ["orders", "catalog"]})).unwrap();
    assert_eq!(
        request.steps(),
        ["preflight", "catalog", "orders", "finish"]
    );
    assert_eq!(request.leases(), ["catalog", "orders"]);
    assert_eq!(leases(Kind::CompleteSync, json!({})), ["catalog"]);
    assert_eq!(
        leases(Kind::CompleteSync, json!({"only": ["orders"]})),
        ["orders"]
    );
    assert_eq!(leases(Kind::HistoricalOrders, json!({})), ["orders"]);
    assert_eq!(leases(Kind::Migration, json!({})), ["catalog", "orders"]);
}

#[test]
fn a_field_of_another_kind_of_run_is_refused() {
    for (kind, input, field) in [
        (
            Kind::CompleteSync,
            json!({"from": "2020-01-01T00:00:00Z"}),
            "from",
        ),
        (Kind::HistoricalOrders, json!({"only": ["orders"]}), "only"),
        (
            Kind::HistoricalOrders,
            json!({"location_ids": []}),
            "location_ids",
        ),
        (
            Kind::HistoricalOrders,
            json!({"from": "2020-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z"}),
            "to",
        ),
        (
            Kind::HistoricalOrders,
            json!({"from": "yesterday"}),
            "execution input",
        ),
        (Kind::Migration, json!({"reconcile": true}), "reconcile"),
    ] {
        let error = Request::parse(kind, input).unwrap_err();
        assert_eq!(error.name(), "InputInvalid");
        assert!(error.to_string().starts_with(field), "{error}");
    }
}

#[test]
fn a_misspelt_field_is_named() {
    for (input, field) in [
        (json!({"ful_refresh": true}), "ful_refresh"),
        (json!({"only": ["cataloge"]}), "cataloge"),
        (json!({"only": []}), "only"),
        (json!({"reconcile": "yes"}), "yes"),
        (json!(["api"]), "execution input"),
    ] {
        let error = Request::parse(Kind::CompleteSync, input).unwrap_err();
        assert_eq!(error.name(), "InputInvalid");
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn a_schedules_second_delivery_has_the_same_key() {
    let key = |input: Value| {
        let request = Request::parse(Kind::CompleteSync, input).unwrap();
        request.repeat_key()
    };
    let hourly = json!({"trigger": "schedule", "scheduled_time": "2026-11-22T18:00:00Z"});
    let daily = json!({
        "trigger": "schedule", "scheduled_time": "2026-11-22T18:00:00Z",
        "only": ["locations", "catalog"], "reconcile": true
    });
    assert_eq!(
        key(hourly).as_deref(),
        Some("\tschedule 2026-11-22T18:00:00Z")
    );
    assert_eq!(
        key(daily).as_deref(),
        Some("\tschedule 2026-11-22T18:00:00Z locations catalog reconcile")
    );
}

#[test]
fn nobodys_own_key_can_be_a_schedules() {
    let hourly = json!({"trigger": "schedule", "scheduled_time": "2026-11-22T18:00:00Z"});
    let request = Request::parse(Kind::CompleteSync, hourly).unwrap();
    let key = request.repeat_key().unwrap();
    for kind in [Kind::CompleteSync, Kind::HistoricalOrders, Kind::Migration] {
        let error = Request::parse(kind, json!({"idempotency_key": key})).unwrap_err();
        assert!(error.to_string().starts_with("idempotency_key"), "{error}");
        // It is the first character alone that keeps them apart.
        let own = json!({"idempotency_key": key.trim_start()});
        let own = Request::parse(kind, own).unwrap();
        assert_ne!(own.repeat_key().unwrap(), key);
    }
}

#[test]
fn a_keys_length_is_counted_in_characters() {
    let read =
        |key: String| Request::parse(Kind::Migration, json!({"idempotency_key": key})).is_ok();
    for (key, is_taken) in [
        ("ä".repeat(200), true),
        ("ä".repeat(201), false),
        (String::new(), false),
        ("a b".to_owned(), true),
        ("a\nb".to_owned(), false),
        ("a\u{85}".to_owned(), false),
    ] {
        assert_eq!(read(key.clone()), is_taken, "{key:?}");
    }
}

#[test]
fn two_requests_are_the_same_whoever_asks_and_in_whatever_order() {
    let read = |kind, input| Request::parse(kind, input).unwrap();
    let sync = |input| read(Kind::CompleteSync, input);
    let import = |input| read(Kind::HistoricalOrders, input);
    let all = json!({"only": ["inventory", "catalog", "locations"], "trigger": "api",
        "requested_by": "ada", "idempotency_key": "k"});
    assert!(sync(json!({})).asks_the_same(&sync(all)));
    let (ab, ba) = (
        json!({"location_ids": ["A", "B"]}),
        json!({"location_ids": ["B", "A"]}),
    );
    assert!(import(ab).asks_the_same(&import(ba)));

    // Any field makes it another one, and the kind does.
    let ours = [
        sync(json!({})),
        sync(json!({"only": ["catalog"]})),
        sync(json!({"only": ["locations", "catalog", "inventory", "orders"]})),
        sync(json!({"reconcile": true})),
        sync(json!({"allow_mass_deletion": true})),
        sync(json!({"full_refresh": true})),
        sync(json!({"dry_run": true})),
        sync(json!({"full_refresh": true, "dry_run": true})),
        import(json!({})),
        import(json!({"from": "2024-01-01T00:00:00Z"})),
        import(json!({"to": "2024-01-01T00:00:00Z"})),
        import(json!({"location_ids": ["A"]})),
        read(Kind::Migration, json!({})),
        read(Kind::Restore, json!({"backup_id": "a"})),
        read(Kind::Restore, json!({"backup_id": "b"})),
    ];
    for (place, one) in ours.iter().enumerate() {
        for (other_place, other) in ours.iter().enumerate() {
            let same = one.asks_the_same(other);
            assert_eq!(same, place == other_place, "{one:?} {other:?}");
        }
    }
}

#[test]
fn a_placeholder_that_nobody_filled_in_is_no_key() {
    let input = json!({"trigger": "schedule", "scheduled_time": "<aws.scheduler.scheduled-time>"});
    let request = Request::parse(Kind::CompleteSync, input).unwrap();
    assert_eq!(request.repeat_key(), None);
}
