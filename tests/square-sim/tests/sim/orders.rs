//! `POST /v2/orders/search` and its habits.

use serde_json::{Value, json};

use crate::support::{ORDERS, Sim, elements, ids, small};

fn time(order: &Value, field: &str) -> jiff::Timestamp {
    order[field].as_str().unwrap().parse().unwrap()
}

async fn search(sim: &Sim, field: &str, order: &str, range: Value) -> Vec<Value> {
    let mut filter = json!({"date_time_filter": {field.to_ascii_lowercase(): range}});
    if field == "CLOSED_AT" {
        filter["state_filter"] = json!({"states": ["COMPLETED", "CANCELED"]});
    }
    let sort = json!({"sort_field": field, "sort_order": order});
    let query = json!({"filter": filter, "sort": sort});
    sim.all(
        ORDERS,
        json!({"location_ids": sim.locations().await, "query": query, "limit": 23}),
    )
    .await
}

#[tokio::test]
async fn every_order_comes_once_in_either_direction() {
    let sim = Sim::new(small());
    for field in ["CREATED_AT", "UPDATED_AT", "CLOSED_AT"] {
        let up = search(&sim, field, "ASC", json!({})).await;
        let down = search(&sim, field, "DESC", json!({})).await;
        let name = field.to_ascii_lowercase();
        assert!(
            up.windows(2)
                .all(|pair| time(&pair[0], &name) <= time(&pair[1], &name))
        );
        assert!(up.iter().eq(down.iter().rev()));
        if field != "CLOSED_AT" {
            assert_eq!(ids(&up).len(), 300);
        }
    }
    let by_default = sim
        .post(ORDERS, json!({"location_ids": sim.locations().await}))
        .await;
    let by_default = elements(&by_default);
    assert!(
        by_default
            .windows(2)
            .all(|pair| time(&pair[0], "created_at") >= time(&pair[1], "created_at"))
    );
}

#[tokio::test]
async fn ranges_include_both_ends() {
    let sim = Sim::new(small());
    let all = search(&sim, "UPDATED_AT", "ASC", json!({})).await;
    let (from, to) = (&all[40], &all[60]);
    for order in ["ASC", "DESC"] {
        let range = json!({"start_at": from["updated_at"], "end_at": to["updated_at"]});
        let found = search(&sim, "UPDATED_AT", order, range).await;
        let inside = |order: &&Value| {
            (time(from, "updated_at")..=time(to, "updated_at")).contains(&time(order, "updated_at"))
        };
        assert_eq!(ids(&found), ids(all.iter().filter(inside)));
        assert!(found.len() >= 21);
    }
}

#[tokio::test]
async fn some_orders_share_a_moment() {
    let sim = Sim::new(small());
    let all = search(&sim, "UPDATED_AT", "ASC", json!({})).await;
    assert!(all.windows(5).any(|five| {
        five.iter()
            .all(|order| order["updated_at"] == five[0]["updated_at"])
    }));
}

#[tokio::test]
async fn an_open_range_ends_at_the_first_request() {
    let sim = Sim::new(square_sim::Config {
        ragged_pages: false,
        ..small()
    });
    let sort = json!({"sort_field": "UPDATED_AT", "sort_order": "ASC"});
    let filter = json!({"date_time_filter": {"updated_at": {"start_at": "2018-01-01T00:00:00Z"}}});
    let mut body = json!({"location_ids": sim.locations().await, "limit": 299, "query": {"filter": filter, "sort": sort}});
    let first = sim.post(ORDERS, body.clone()).await;
    let new = sim.change(json!({"op": "add_order", "count": 3})).await;
    body["cursor"] = first["cursor"].clone();
    let rest = elements(&sim.post(ORDERS, body.clone()).await);
    assert_eq!(
        rest.len(),
        1,
        "orders made while paging are left to the next search"
    );
    body.as_object_mut().unwrap().remove("cursor");
    body["limit"] = json!(1000);
    let found = ids(&sim.all(ORDERS, body).await);
    assert!(
        new["ids"]
            .as_array()
            .unwrap()
            .iter()
            .all(|id| found.contains(id.as_str().unwrap()))
    );
}

#[tokio::test]
async fn filters_by_location_state_source_and_customer() {
    let sim = Sim::new(small());
    let locations = sim.locations().await;
    let all = sim.all(ORDERS, json!({"location_ids": locations})).await;
    let one = sim
        .all(ORDERS, json!({"location_ids": [locations[0]]}))
        .await;
    assert_eq!(
        ids(&one),
        ids(all
            .iter()
            .filter(|order| order["location_id"] == locations[0].as_str()))
    );

    let customer = all
        .iter()
        .find_map(|order| order["customer_id"].as_str())
        .unwrap();
    for (filter, wanted) in [
        (
            json!({"state_filter": {"states": ["OPEN", "DRAFT"]}}),
            &(|order: &Value| order["state"] == "OPEN" || order["state"] == "DRAFT")
                as &dyn Fn(&Value) -> bool,
        ),
        (
            json!({"source_filter": {"source_names": ["Square Online"]}}),
            &|order: &Value| order["source"]["name"] == "Square Online",
        ),
        (
            json!({"customer_filter": {"customer_ids": [customer]}}),
            &|order: &Value| order["customer_id"] == customer,
        ),
        (
            json!({"fulfillment_filter": {"fulfillment_types": ["PICKUP"]}}),
            &|order: &Value| order["fulfillments"][0]["type"] == "PICKUP",
        ),
    ] {
        let found = sim
            .all(
                ORDERS,
                json!({"location_ids": locations, "query": {"filter": filter}}),
            )
            .await;
        let expected = ids(all.iter().filter(|order| wanted(order)));
        assert!(!expected.is_empty(), "{filter}");
        assert_eq!(ids(&found), expected, "{filter}");
    }
    let entries = sim
        .all(
            ORDERS,
            json!({"location_ids": locations, "return_entries": true}),
        )
        .await;
    assert_eq!(entries.len(), all.len());
    assert!(
        entries
            .iter()
            .zip(&all)
            .all(|(entry, order)| entry["order_id"] == order["id"]
                && entry.get("version") == order.get("version"))
    );
}

/// Enough orders to have some of every kind.
async fn many() -> (Sim, Vec<Value>) {
    let sim = Sim::new(square_sim::Config {
        orders: 3_000,
        ..small()
    });
    let body = json!({"location_ids": sim.locations().await, "limit": 1000});
    let all = sim.all(ORDERS, body).await;
    (sim, all)
}

/// Asserts that some order is such.
fn assert_some(all: &[Value], what: &str, wanted: &dyn Fn(&Value) -> bool) {
    assert!(all.iter().any(wanted), "no order {what}");
}

/// Whether some line of the order is such.
fn any_line(order: &Value, wanted: &dyn Fn(&Value) -> bool) -> bool {
    order["line_items"]
        .as_array()
        .is_some_and(|lines| lines.iter().any(wanted))
}

#[tokio::test]
async fn the_seed_has_every_kind_of_order() {
    let (_sim, all) = many().await;
    let some = |what: &str, wanted: &dyn Fn(&Value) -> bool| assert_some(&all, what, wanted);
    some("without lines", &|order| {
        order.get("line_items").is_none() && order.get("returns").is_none()
    });
    some("that returns", &|order| {
        order["returns"][0]["source_order_id"].is_string() && order.get("line_items").is_none()
    });
    some("that returns without a sale", &|order| {
        order["returns"][0].is_object() && order["returns"][0]["source_order_id"].is_null()
    });
    some("with two returns", &|order| order["returns"][1].is_object());
    some("that exchanges", &|order| {
        order["returns"][0].is_object() && any_line(order, &|_| true)
    });
    some("without a version", &|order| {
        order.get("version").is_none() && order["source"].is_object()
    });
    some("without net amounts", &|order| {
        order.get("net_amounts").is_none()
    });
    some("with a tender", &|order| {
        order["tenders"][0]["tip_money"]["amount"].is_i64()
    });
    some("paid in two parts", &|order| {
        order["tenders"][1].is_object()
    });
    some("for nothing", &|order| {
        order["tenders"][0]["type"] == "NO_SALE"
    });
    for (phase, treatment) in [
        ("APPORTIONED_PERCENTAGE_PHASE", "APPORTIONED_TREATMENT"),
        ("APPORTIONED_AMOUNT_PHASE", "APPORTIONED_TREATMENT"),
        ("SUBTOTAL_PHASE", "LINE_ITEM_TREATMENT"),
        ("TOTAL_PHASE", "LINE_ITEM_TREATMENT"),
    ] {
        let is_such = |charge: &Value| {
            charge["calculation_phase"] == phase && charge["treatment_type"] == treatment
        };
        let charges =
            |holder: &Value, field: &str| holder[field].as_array().cloned().unwrap_or_default();
        for kind in ["percentage", "amount_money"] {
            if phase.contains(&kind.to_uppercase()[..6]) || !phase.starts_with("APPORTIONED") {
                some(&format!("with {kind} in {phase}"), &|order| {
                    let charges = charges(order, "service_charges");
                    charges
                        .iter()
                        .any(|one| is_such(one) && one.get(kind).is_some())
                });
            }
        }
        some(&format!("that returns {phase}"), &|order| {
            let charges = charges(&order["returns"][0], "return_service_charges");
            charges.iter().any(&is_such)
        });
    }
    for kind in ["ADDITIVE", "INCLUSIVE"] {
        some(kind, &|order| order["taxes"][0]["type"] == kind);
        some(&format!("that returns tax, {kind}"), &|order| {
            order["returns"][0]["return_taxes"][0]["type"] == kind
        });
    }
    some("that returns a tip", &|order| {
        order["returns"][0]["return_tips"][0].is_object()
    });
    some("that returns a discount", &|order| {
        order["returns"][0]["return_discounts"][0].is_object()
    });
    some("without a total", &|order| {
        order.get("total_money").is_none() && order.get("total_tax_money").is_some()
    });
    some("without any total", &|order| {
        order.get("total_tax_money").is_none() && order.get("net_amounts").is_some()
    });
    some("with an unknown field", &|order| {
        order.get("sustainability").is_some()
    });
    for state in ["OPEN", "DRAFT", "CANCELED", "COMPLETED", "PARKED"] {
        some(state, &|order| order["state"] == state);
    }
    some("beyond 32 bits", &|order| {
        order["total_money"]["amount"].as_i64() > Some(i64::from(i32::MAX))
    });
    some("changed weeks later", &|order| {
        time(order, "updated_at")
            > time(order, "created_at") + jiff::SignedDuration::from_hours(240)
    });
}

#[tokio::test]
async fn the_seed_has_every_kind_of_line() {
    let (_sim, all) = many().await;
    let some = |what: &str, wanted: &dyn Fn(&Value) -> bool| assert_some(&all, what, wanted);
    some("with a custom amount", &|order| {
        any_line(order, &|line| {
            line["item_type"] == "CUSTOM_AMOUNT" && line.get("catalog_object_id").is_none()
        })
    });
    some("with a nameless line", &|order| {
        any_line(order, &|line| line.get("name").is_none())
    });
    some("with a gift card", &|order| {
        any_line(order, &|line| line["item_type"] == "GIFT_CARD")
    });
    some("with a line without uid", &|order| {
        any_line(order, &|line| line.get("uid").is_none()) && order["source"].is_object()
    });
    some("by weight", &|order| {
        any_line(order, &|line| {
            line["quantity_unit"]["measurement_unit"]["weight_unit"].is_string()
        })
    });
    some("with U+0000", &|order| {
        any_line(order, &|line| {
            line["note"]
                .as_str()
                .is_some_and(|note| note.contains('\0'))
        })
    });
}

#[tokio::test]
async fn what_comes_back_was_sold_and_every_location_is_known() {
    let (sim, all) = many().await;
    let returned = all
        .iter()
        .filter_map(|order| order["returns"][0]["source_order_id"].as_str());
    let sales = ids(&all);
    let sources: Vec<&str> = returned.collect();
    assert!(sources.len() > 20 && sources.iter().all(|id| sales.contains(*id)));
    let locations = sim.locations().await;
    assert!(all.iter().all(|order| {
        locations
            .iter()
            .any(|id| order["location_id"] == id.as_str())
    }));
}

#[tokio::test]
async fn totals_add_up() {
    let sim = Sim::new(small());
    let amount = |value: &Value| value["amount"].as_i64().unwrap();
    for order in sim
        .all(ORDERS, json!({"location_ids": sim.locations().await}))
        .await
    {
        let lines = order["line_items"].as_array().cloned().unwrap_or_default();
        let tip = order.get("total_tip_money").map_or(0, &amount);
        let total: i64 = lines.iter().map(|line| amount(&line["total_money"])).sum();
        let charges = order["service_charges"].as_array();
        let beside: i64 = charges
            .into_iter()
            .flatten()
            .filter(|charge| charge["treatment_type"] == "LINE_ITEM_TREATMENT")
            .map(|charge| amount(&charge["total_money"]))
            .sum();
        let Some(all) = order.get("total_money").map(&amount) else {
            continue;
        };
        assert_eq!(total + beside + tip, all, "{order}");
        for line in &lines {
            let list = &line["variation_total_price_money"];
            let Some(gross) = line.get("gross_sales_money").filter(|_| list.is_object()) else {
                continue;
            };
            let [discount, tax, share] = ["discount", "tax", "service_charge"]
                .map(|kind| amount(&line[format!("total_{kind}_money")]));
            let modifiers = line["modifiers"].as_array().into_iter().flatten();
            let modifiers: i64 = modifiers
                .map(|modifier| amount(&modifier["total_price_money"]))
                .sum();
            let price = amount(list) + modifiers - discount + share;
            let total = amount(&line["total_money"]);
            let gross = amount(gross) - discount;
            assert!(
                (total == price || total == price + tax)
                    && (gross == price || gross == price - tax),
                "{line}"
            );
        }
        if let (Some(back), Some(net)) = (order.get("return_amounts"), order.get("net_amounts")) {
            let expected = all - amount(&back["total_money"]);
            assert_eq!(amount(&net["total_money"]), expected);
        }
        if let Some(tenders) = order["tenders"].as_array() {
            assert_eq!(
                tenders
                    .iter()
                    .map(|tender| amount(&tender["amount_money"]))
                    .sum::<i64>(),
                amount(&order["total_money"])
            );
        }
    }
}

#[tokio::test]
async fn orders_can_be_added_edited_and_put_raw() {
    let sim = Sim::new(small());
    let location = sim.locations().await[1].clone();
    let id = sim.change(json!({"op": "add_order", "kind": "exchange", "state": "OPEN", "location_id": location})).await["ids"][0].clone();
    let latest = async |sim: &Sim| search(sim, "UPDATED_AT", "DESC", json!({})).await.remove(0);
    let made = latest(&sim).await;
    assert_eq!(
        (&made["id"], &made["state"], &made["location_id"]),
        (&id, &json!("OPEN"), &json!(location))
    );
    assert!(made.get("closed_at").is_none());

    sim.change(json!({"op": "edit_order", "id": id, "state": "COMPLETED"}))
        .await;
    let closed = latest(&sim).await;
    assert_eq!(
        (&closed["id"], &closed["closed_at"]),
        (&id, &closed["updated_at"])
    );
    let edited = sim.change(json!({"op": "edit_order", "count": 4})).await;
    assert_eq!(latest(&sim).await["id"], edited["ids"][3]);
    assert_eq!(
        search(&sim, "CREATED_AT", "ASC", json!({})).await.len(),
        301,
        "an edited order stays one"
    );

    let raw = json!({"id": "RAW", "location_id": location, "updated_at": "2030-01-01T00:00:00Z", "created_at": "2019-01-01T00:00:00Z", "line_items": "oops"});
    sim.change(json!({"op": "put_raw", "order": raw})).await;
    sim.post("/__sim/clock", json!({"now": "2031-01-01T00:00:00Z"}))
        .await;
    assert_eq!(latest(&sim).await, raw);
}

#[tokio::test]
async fn orders_are_retrieved_by_their_ids() {
    const RETRIEVE: &str = "/v2/orders/batch-retrieve";
    let sim = Sim::new(small());
    let all = search(&sim, "CREATED_AT", "ASC", json!({})).await;
    let (one, other) = (&all[3], &all[200]);
    let asked = json!([one["id"], "UNKNOWN", other["id"], one["id"]]);
    let found = sim.post(RETRIEVE, json!({"order_ids": asked})).await;
    let orders = found["orders"].as_array().unwrap();
    assert_eq!(orders.len(), 2);
    assert!(orders.contains(one) && orders.contains(other));
    let located = json!({"order_ids": asked, "location_id": one["location_id"]});
    let found = sim.post(RETRIEVE, located).await;
    let own = all
        .iter()
        .filter(|order| order["location_id"] == one["location_id"]);
    let own = own.filter(|order| [&one["id"], &other["id"]].contains(&&order["id"]));
    assert_eq!(found["orders"].as_array().unwrap().len(), own.count());
    let many: Vec<String> = (0..101).map(|n| format!("O{n}")).collect();
    let (status, refused) = sim
        .ask("POST", RETRIEVE, Some(&json!({"order_ids": many})))
        .await;
    assert_eq!(status, 400);
    assert_eq!(refused["errors"][0]["field"], "order_ids", "{refused}");
}
