//! What an order holds in lists besides its lines and tenders: rows of their own, which
//! change, go and wait with the order.

use serde_json::{Value, json};
use shared::orders::store::TABLES;

use crate::support::account::Account;
use crate::support::run;
use crate::support::run::World;
use crate::support::tables;

fn money(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

const MADE_AT: &str = "2026-06-01T00:00:00Z";

/// An order that has something in every list; `times` multiplies what there is of each.
fn order(location_id: &str, times: usize) -> Value {
    let updated_at = MADE_AT;
    let several = |uid: &str, one: Value| -> Value {
        let copies = (0..times).map(|n| {
            let mut copy = one.clone();
            copy[if uid.starts_with('=') { "id" } else { "uid" }] =
                json!(format!("{}{n}", uid.trim_start_matches('=')));
            copy
        });
        copies.collect()
    };
    let applied = |field: &str| json!({field: "X", "applied_money": money(3)});
    let charge = json!({
        "name": "Service", "type": "CUSTOM", "percentage": "3.50", "scope": "ORDER", "taxable": true,
        "calculation_phase": "TOTAL_PHASE", "treatment_type": "LINE_ITEM_TREATMENT", "catalog_version": 5,
        "applied_money": money(5), "total_money": money(6), "total_tax_money": money(1),
    });
    let tax = json!({"name": "Tax", "type": "ADDITIVE", "percentage": "7.25", "scope": "LINE_ITEM",
        "applied_money": money(3), "catalog_object_id": "T", "catalog_version": 4});
    let discount = json!({"name": "Off", "type": "FIXED_AMOUNT", "amount_money": money(3), "scope": "ORDER",
        "applied_money": money(3), "catalog_object_id": "D"});
    let modifier = json!({"name": "Oat", "quantity": "2.00", "base_price_money": money(4),
        "total_price_money": money(8), "catalog_object_id": "M", "catalog_version": 3});
    let recipient = json!({"customer_id": "C", "display_name": "Ada", "email_address": "ada@example.com",
        "phone_number": "+1", "address": {"locality": "London"}});
    let fulfillment = json!({"type": "SHIPMENT", "state": "PROPOSED", "line_item_application": "ALL",
        "shipment_details": {"recipient": recipient, "carrier": "UPS", "placed_at": updated_at,
            "failed_at": updated_at, "failure_reason": "Lost", "shipping_note": "Fragile"}});
    json!({
        "id": "PARTS", "location_id": location_id, "state": "COMPLETED", "version": times,
        "created_at": MADE_AT, "updated_at": MADE_AT, "total_money": money(540),
        "line_items": [{
            "quantity": "1", "total_money": money(500), "modifiers": several("m", modifier.clone()),
            "applied_taxes": several("at", applied("tax_uid")),
            "applied_discounts": several("ad", applied("discount_uid")),
            "applied_service_charges": several("as", applied("service_charge_uid")),
        }],
        "taxes": several("t", tax.clone()), "discounts": several("d", discount.clone()),
        "service_charges": several("s", charge.clone()), "fulfillments": several("f", fulfillment),
        "rewards": several("=r", json!({"reward_tier_id": "TIER"})),
        "refunds": several("=rf", json!({"location_id": location_id, "reason": "Broken", "status": "APPROVED",
            "amount_money": money(9), "created_at": updated_at})),
        "returns": several("rt", json!({
            "source_order_id": "S", "rounding_adjustment": {"amount_money": money(-1)},
            "return_amounts": {"total_money": money(9), "tax_money": money(1), "discount_money": money(0),
                "tip_money": money(2), "service_charge_money": money(3)},
            "return_taxes": [tax], "return_discounts": [discount], "return_service_charges": [charge],
            "return_tips": [applied("source_tender_id")],
            "return_line_items": [{
                "quantity": "1", "return_modifiers": [modifier], "applied_taxes": [applied("tax_uid")],
                "applied_discounts": [applied("discount_uid")],
                "applied_service_charges": [applied("service_charge_uid")],
            }],
        })),
    })
}

/// How many rows each table below `orders` has of it.
async fn rows(world: &World) -> Vec<(&'static str, i64)> {
    let mut rows = Vec::new();
    for table in &TABLES[1..] {
        let sql = format!(
            "select count(*) from {} where order_id = 'PARTS'",
            table.name
        );
        rows.push((table.name, world.number(&sql).await));
    }
    rows
}

async fn put(world: &World, order: Value) {
    let change = json!([{"op": "put_raw", "order": order}]);
    world.account.change(change).await;
}

/// Changes the order into that one, now.
async fn edit(world: &World, mut order: Value) {
    order.as_object_mut().unwrap().remove("updated_at");
    let change = json!([{"op": "edit_order", "id": "PARTS", "set": order}]);
    world.account.change(change).await;
}

fn only_orders() -> Value {
    json!({"only": ["orders"]})
}

#[test]
fn every_list_of_an_order_has_a_row_for_each_of_its_elements() {
    run(async {
        let account = Account::start(json!({"orders": 200, "locations": 2}));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        let locations = world
            .client
            .query_one("select min(id) from locations", &[])
            .await;
        let location: String = locations.unwrap().get(0);
        put(&world, order(&location, 2)).await;
        world.import(json!({})).await;
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
        for (table, count) in rows(&world).await {
            let expected = match table {
                "order_line_items" => 1,
                "order_tenders" => 0,
                _ => 2,
            };
            assert_eq!(count, expected, "{table}");
        }

        // More of each, then less, and at last none: what it no longer has is deleted.
        for times in [3, 1, 0] {
            edit(&world, order(&location, times)).await;
            world.sync(only_orders()).await;
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
        for (table, count) in rows(&world).await {
            assert_eq!(count, i64::from(table == "order_line_items"), "{table}");
        }
    });
}

#[test]
fn an_order_with_a_list_that_cannot_be_read_waits_as_a_whole_and_comes_when_it_can() {
    run(async {
        let account = Account::start(json!({"orders": 60, "locations": 1}));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        let location: String = world
            .client
            .query_one("select min(id) from locations", &[])
            .await
            .unwrap()
            .get(0);
        let wrong: [(&str, Value, &str); 5] = [
            (
                "/taxes/0/percentage",
                json!("much"),
                "taxes[0].percentage: ",
            ),
            (
                "/line_items/0/modifiers/0/quantity",
                json!({}),
                "line_items[0].modifiers[0].quantity: ",
            ),
            (
                "/returns/0/return_tips",
                json!("Ada"),
                "returns[0].return_tips: ",
            ),
            (
                "/refunds/0/amount_money/currency",
                json!(7),
                "refunds[0].amount_money.currency: ",
            ),
            (
                "/service_charges/0/total_money/currency",
                json!("EUR"),
                "service_charges[0]: amounts in two",
            ),
        ];
        put(&world, order(&location, 2)).await;
        world.import(json!({})).await;
        for (place, value, reason) in wrong {
            let sound = order(&location, 1);
            let mut broken = sound.clone();
            *broken.pointer_mut(place).unwrap() = value;
            edit(&world, broken).await;
            let before = rows(&world).await;
            let report = world.sync(only_orders()).await;
            assert_eq!(report.counts("orders").quarantined, 1, "{place}");
            assert_eq!(rows(&world).await, before, "{place}");
            let waiting = "select reason from sync_quarantine
                where object_id = 'PARTS' and resolved_at is null";
            let told: String = world.client.query_one(waiting, &[]).await.unwrap().get(0);
            assert!(told.contains(reason), "{told}");
            assert!(!told.contains("Ada") && !told.contains("much"), "{told}");

            edit(&world, sound).await;
            world.sync(only_orders()).await;
            assert!(
                world.client.query(waiting, &[]).await.unwrap().is_empty(),
                "{place}"
            );
            tables::assert_orders_equal_truth(&world.client, &world.account).await;
        }
    });
}
