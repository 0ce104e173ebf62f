//! The reports on orders against sums that are made without SQL, from what the
//! account says of itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::run;
use crate::support::run::World;

/// Sums by a report's key; what is absent counts as nothing.
type Sums = BTreeMap<String, Vec<Decimal>>;

fn amount(row: &Value, column: &str) -> Decimal {
    Decimal::from(row[column].as_i64().unwrap_or(0))
}

fn quantity(row: &Value) -> Decimal {
    row["quantity"].as_str().unwrap().parse().unwrap()
}

fn add(sums: &mut Sums, key: Vec<&Value>, figures: &[Decimal]) {
    let sums = sums
        .entry(json!(key).to_string())
        .or_insert_with(|| vec![Decimal::ZERO; figures.len()]);
    for (sum, figure) in sums.iter_mut().zip(figures) {
        *sum += figure;
    }
}

/// The completed orders with the local day of each.
fn completed(truth: &Value) -> BTreeMap<&str, (&Value, Value)> {
    let zones: BTreeMap<&str, &str> = truth["locations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|location| {
            let zone = location["timezone"].as_str().unwrap_or("UTC");
            (location["id"].as_str().unwrap(), zone)
        })
        .collect();
    let orders = truth["orders"].as_array().unwrap().iter();
    orders
        .filter(|order| order["state"] == "COMPLETED")
        .map(|order| {
            let time = order["closed_at"].as_str().or(order["created_at"].as_str());
            let time: Timestamp = time.unwrap().parse().unwrap();
            let zone = TimeZone::get(zones[order["location_id"].as_str().unwrap()]).unwrap();
            let day = json!(time.to_zoned(zone).date().to_string());
            (order["id"].as_str().unwrap(), (order, day))
        })
        .collect()
}

fn daily_sales(truth: &Value) -> Sums {
    let orders = completed(truth);
    let mut sums = Sums::new();
    let zero = Decimal::ZERO;
    for (order, day) in orders.values() {
        let [tax, tip, service] = [
            "total_tax_amount",
            "total_tip_amount",
            "total_service_charge_amount",
        ]
        .map(|column| amount(order, column));
        let key = vec![&order["location_id"], day, &order["currency"]];
        let figures = [Decimal::ONE, zero, zero, tax, tip, service, zero, zero];
        add(&mut sums, key, &figures);
    }
    for (table, is_return) in [
        ("order_line_items", false),
        ("order_return_line_items", true),
    ] {
        for line in truth[table].as_array().unwrap() {
            let Some((order, day)) = orders.get(line["order_id"].as_str().unwrap()) else {
                continue;
            };
            let gross = amount(line, "gross_sales_amount");
            let discount = amount(line, "total_discount_amount");
            let net = gross - discount;
            let key = vec![&order["location_id"], day, &order["currency"]];
            let figures = if is_return {
                [zero, zero, zero, zero, zero, zero, net, -net]
            } else {
                [zero, gross, discount, zero, zero, zero, zero, net]
            };
            add(&mut sums, key, &figures);
        }
    }
    sums
}

fn item_sales(truth: &Value) -> Sums {
    let orders = completed(truth);
    let mut sums = Sums::new();
    for (table, sign) in [("order_line_items", 1), ("order_return_line_items", -1)] {
        let sign = Decimal::from(sign);
        for line in truth[table].as_array().unwrap() {
            let Some((order, day)) = orders.get(line["order_id"].as_str().unwrap()) else {
                continue;
            };
            let gross = sign * amount(line, "gross_sales_amount");
            let discount = sign * amount(line, "total_discount_amount");
            let key = vec![
                &order["location_id"],
                day,
                &line["currency"],
                &line["catalog_object_id"],
                &line["name"],
                &line["variation_name"],
            ];
            let figures = [sign * quantity(line), gross, discount, gross - discount];
            add(&mut sums, key, &figures);
        }
    }
    sums
}

async fn view(world: &World, name: &str, key: &[&str], figures: &[&str]) -> Sums {
    let figures: Vec<String> = figures
        .iter()
        .map(|name| format!("{name}::numeric"))
        .collect();
    let sql = format!(
        "select jsonb_build_array({}), array[{}] from {name}",
        key.join(", "),
        figures.join(", ")
    );
    let rows = world.client.query(&sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| (row.get::<_, Value>(0).to_string(), row.get(1)))
        .collect()
}

fn compare(found: &Sums, expected: &Sums) {
    assert_eq!(found.len(), expected.len());
    for (key, figures) in expected {
        assert_eq!(found.get(key), Some(figures), "{key}");
    }
}

#[test]
fn sales_by_day_and_by_item_are_what_the_orders_add_up_to() {
    run(async {
        let account = Account::start(json!({
            "locations": 5, "items": 20, "variations": 40, "counts": 40, "orders": 3_000
        }));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        world.import(json!({})).await;
        let truth = world.account.truth().await;
        let expected = daily_sales(&truth);
        assert!(expected.len() > 1_000, "{}", expected.len());
        assert!(expected.values().any(|figures| figures[6] > Decimal::ZERO));
        let daily = view(
            &world,
            "daily_sales",
            &["location_id", "day", "currency"],
            &[
                "orders",
                "gross_sales_amount",
                "discount_amount",
                "tax_amount",
                "tip_amount",
                "service_charge_amount",
                "returns_amount",
                "net_sales_amount",
            ],
        );
        compare(&daily.await, &expected);
        let items = view(
            &world,
            "item_sales",
            &[
                "location_id",
                "day",
                "currency",
                "catalog_object_id",
                "name",
                "variation_name",
            ],
            &[
                "quantity",
                "gross_sales_amount",
                "discount_amount",
                "net_sales_amount",
            ],
        );
        compare(&items.await, &item_sales(&truth));
    });
}
