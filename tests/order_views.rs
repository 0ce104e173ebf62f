//! The reports on orders against sums that are made without SQL, from the orders as
//! Square gives them.

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

const DAILY_KEY: [&str; 3] = ["location_id", "day", "currency"];
const DAILY: [&str; 8] = [
    "orders",
    "gross_sales_amount",
    "discount_amount",
    "tax_amount",
    "tip_amount",
    "service_charge_amount",
    "returns_amount",
    "net_sales_amount",
];
const ITEM_KEY: [&str; 6] = [
    "location_id",
    "day",
    "currency",
    "catalog_object_id",
    "name",
    "variation_name",
];
const ITEM: [&str; 4] = [
    "quantity",
    "gross_sales_amount",
    "discount_amount",
    "net_sales_amount",
];

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

fn amount(value: &Value, field: &str) -> Decimal {
    Decimal::from(value[field]["amount"].as_i64().unwrap_or(0))
}

fn total<'a>(values: impl Iterator<Item = &'a Value>, field: &str) -> Decimal {
    values.map(|value| amount(value, field)).sum()
}

/// The first currency that is found in there; a seeded order has only one.
fn currency(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(values) => values.iter().find_map(currency),
        Value::Object(fields) => fields
            .get("currency")
            .or_else(|| fields.values().find_map(currency)),
        _ => None,
    }
}

fn add(sums: &mut Sums, key: &[&Value], figures: &[Decimal]) {
    let sums = sums
        .entry(json!(key).to_string())
        .or_insert_with(|| vec![Decimal::ZERO; figures.len()]);
    for (sum, figure) in sums.iter_mut().zip(figures) {
        *sum += figure;
    }
}

/// A completed order as Square gives it, with its day and currency.
struct Sale<'a> {
    order: &'a Value,
    day: Value,
    currency: &'a Value,
}

impl<'a> Sale<'a> {
    /// All completed orders of the account.
    fn all(truth: &'a Value) -> Vec<Self> {
        let locations: BTreeMap<&str, &Value> = list(truth, "locations")
            .map(|location| (location["id"].as_str().unwrap(), location))
            .collect();
        list(truth, "orders")
            .map(|row| &row["raw"])
            .filter(|order| order["state"] == "COMPLETED")
            .map(|order| {
                let location = locations[order["location_id"].as_str().unwrap()];
                let time = order["closed_at"].as_str().or(order["created_at"].as_str());
                let time: Timestamp = time.unwrap().parse().unwrap();
                let zone = TimeZone::get(location["timezone"].as_str().unwrap()).unwrap();
                Self {
                    order,
                    day: json!(time.to_zoned(zone).date().to_string()),
                    currency: currency(order).unwrap_or(&location["currency"]),
                }
            })
            .collect()
    }

    fn returned(&self) -> impl Iterator<Item = &'a Value> {
        list(self.order, "returns").flat_map(|back| list(back, "return_line_items"))
    }

    /// What was charged beside the lines.
    fn separate<'b>(of: &'b Value, charges: &str) -> impl Iterator<Item = &'b Value> {
        list(of, charges).filter(|charge| charge["treatment_type"] == "LINE_ITEM_TREATMENT")
    }

    /// Tax, tip and service charge, out of what they consist of.
    fn extras(&self) -> [Decimal; 3] {
        let order = self.order;
        let tax = total(list(order, "line_items"), "total_tax_money")
            + total(Self::separate(order, "service_charges"), "total_tax_money");
        let tip = total(list(order, "tenders"), "tip_money");
        let charged = total(list(order, "service_charges"), "applied_money");
        let mut extras = [tax, tip, charged];
        for back in list(order, "returns") {
            let charges = "return_service_charges";
            extras[0] -= total(list(back, "return_line_items"), "total_tax_money")
                + total(Self::separate(back, charges), "total_tax_money");
            extras[1] -= total(list(back, "return_tips"), "applied_money");
            extras[2] -= total(list(back, charges), "applied_money");
        }
        extras
    }
}

/// A line's gross amount without its share of service charges, and its discount.
fn price(line: &Value, gross: &str) -> (Decimal, Decimal) {
    (
        amount(line, gross) - amount(line, "total_service_charge_money"),
        amount(line, "total_discount_money"),
    )
}

fn daily_sales(truth: &Value) -> Sums {
    let mut sums = Sums::new();
    for sale in Sale::all(truth) {
        let key = [&sale.order["location_id"], &sale.day, sale.currency];
        let mut sold = (Decimal::ZERO, Decimal::ZERO);
        for line in list(sale.order, "line_items") {
            let (gross, discount) = price(line, "gross_sales_money");
            sold = (sold.0 + gross, sold.1 + discount);
        }
        let returned: Decimal = sale
            .returned()
            .map(|line| price(line, "gross_return_money"))
            .map(|(gross, discount)| gross - discount)
            .sum();
        let [tax, tip, charged] = sale.extras();
        let net = sold.0 - sold.1 - returned;
        let one = Decimal::ONE;
        let figures = [one, sold.0, sold.1, tax, tip, charged, returned, net];
        add(&mut sums, &key, &figures);
    }
    sums
}

fn item_sales(truth: &Value) -> Sums {
    let mut sums = Sums::new();
    for sale in Sale::all(truth) {
        let sold = list(sale.order, "line_items").map(|line| (line, "gross_sales_money", 1));
        let returned = sale.returned().map(|line| (line, "gross_return_money", -1));
        for (line, gross, sign) in sold.chain(returned) {
            let sign = Decimal::from(sign);
            let (gross, discount) = price(line, gross);
            let quantity: Decimal = line["quantity"].as_str().unwrap().parse().unwrap();
            let key = [
                &sale.order["location_id"],
                &sale.day,
                sale.currency,
                &line["catalog_object_id"],
                &line["name"],
                &line["variation_name"],
            ];
            let figures = [quantity, gross, discount, gross - discount];
            add(&mut sums, &key, &figures.map(|figure| sign * figure));
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
    let sums: Sums = rows
        .iter()
        .map(|row| (row.get::<_, Value>(0).to_string(), row.get(1)))
        .collect();
    assert_eq!(sums.len(), rows.len(), "a key of {name} has one row");
    sums
}

async fn daily(world: &World) -> Sums {
    view(world, "daily_sales", &DAILY_KEY, &DAILY).await
}

async fn items(world: &World) -> Sums {
    view(world, "item_sales", &ITEM_KEY, &ITEM).await
}

fn compare(found: &Sums, expected: &Sums) {
    for (key, figures) in expected {
        assert_eq!(found.get(key), Some(figures), "{key}");
    }
    assert_eq!(found.len(), expected.len());
}

fn numbers(figures: &[i64]) -> Vec<Decimal> {
    figures
        .iter()
        .map(|figure| Decimal::from(*figure))
        .collect()
}

#[test]
fn sales_by_day_and_by_item_are_what_the_orders_add_up_to() {
    run(async {
        let account = Account::start(json!({
            "locations": 7, "items": 20, "variations": 40, "counts": 40, "orders": 4_000
        }));
        let world = World::new(account, &[]).await;
        world.sync(json!({})).await;
        world.import(json!({})).await;
        let truth = world.account.truth().await;
        let expected = daily_sales(&truth);
        assert!(expected.len() > 1_000, "{}", expected.len());
        for column in 3..7 {
            let some = |wanted: fn(&Decimal) -> bool| {
                expected.values().any(|figures| wanted(&figures[column]))
            };
            assert!(some(Decimal::is_sign_positive), "{}", DAILY[column]);
            assert!(
                column == 6 || some(Decimal::is_sign_negative),
                "{}",
                DAILY[column]
            );
        }
        assert!(expected.keys().any(|key| key.contains("AUD")));
        compare(&daily(&world).await, &expected);
        compare(&items(&world).await, &item_sales(&truth));

        // Items add up to days, and where nothing was returned in every column.
        let differ = "
            select count(*) from (
                select sum(gross) as gross, sum(discount) as discount, sum(net) as net, sum(returned) as returned
                from (
                    select location_id, day, currency, gross_sales_amount as gross,
                        discount_amount as discount, net_sales_amount as net, 0 as returned
                    from item_sales
                    union all
                    select location_id, day, currency, -gross_sales_amount, -discount_amount,
                        -net_sales_amount, returns_amount
                    from daily_sales) part
                group by location_id, day, currency) d
            where net <> 0 or gross - discount + returned <> 0
                or (returned = 0 and (gross <> 0 or discount <> 0))";
        assert_eq!(world.number(differ).await, 0);
    });
}

/// A world with two locations, `A` and `B`, whose clock is that of New York.
async fn shops() -> World {
    let account = Account::start(json!({
        "locations": 1, "categories": 1, "items": 2, "variations": 2, "counts": 0, "orders": 0
    }));
    for id in ["A", "B"] {
        account
            .change(
                json!([{"op": "put_raw", "location": location(id, &json!("America/New_York"))}]),
            )
            .await;
    }
    World::new(account, &[]).await
}

fn location(id: &str, zone: &Value) -> Value {
    json!({"id": id, "name": format!("Shop {id}"), "status": "ACTIVE", "currency": "USD", "timezone": zone})
}

fn usd(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

/// Puts these orders into the account and imports all there are.
async fn import(world: &World, orders: &[Value]) {
    let changes: Vec<Value> = orders
        .iter()
        .map(|order| json!({"op": "put_raw", "order": order}))
        .collect();
    world.account.change(json!(changes)).await;
    world.sync(json!({})).await;
    world.import(json!({})).await;
}

/// A completed order of 5 May, noon in New York, with these fields.
fn order(id: &str, location: &str, fields: Value) -> Value {
    let mut order = json!({"id": id, "location_id": location, "state": "COMPLETED",
        "created_at": "2026-05-05T15:59:00Z", "updated_at": "2026-05-05T16:00:05Z",
        "closed_at": "2026-05-05T16:00:04.700Z"});
    for (name, value) in fields.as_object().unwrap() {
        order[name] = value.clone();
    }
    order
}

/// A dinner of 20.00 less 2.00 and a service charge of 1.80, with a tax of 10 % on all
/// of it; and the half of it taken back.
fn dinner(id: &str, location: &str, phase: &str) -> Value {
    let apportioned = phase.starts_with("APPORTIONED");
    let line = |gross: &str, half: i64| {
        let share = if apportioned { 180 / half } else { 0 };
        let price = 1_800 / half + share;
        json!({"uid": gross, "name": "Dinner", "quantity": (2 / half).to_string(),
            "base_price_money": usd(1_000), gross: usd(2_000 / half + share),
            "total_discount_money": usd(200 / half), "total_service_charge_money": usd(share),
            "total_tax_money": usd(price / 10), "total_money": usd(price + price / 10)})
    };
    let charge = |half: i64| {
        let applied = 180 / half;
        let tax = if apportioned { 0 } else { applied / 10 };
        let treatment = if apportioned {
            "APPORTIONED_TREATMENT"
        } else {
            "LINE_ITEM_TREATMENT"
        };
        json!([{"uid": "s", "name": "Service", "amount_money": usd(applied),
            "applied_money": usd(applied), "total_tax_money": usd(tax),
            "total_money": usd(applied + tax), "calculation_phase": phase,
            "treatment_type": treatment, "taxable": true, "scope": "ORDER"}])
    };
    let amounts = |half: i64| {
        json!({"total_money": usd(2_178 / half), "tax_money": usd(198 / half),
            "discount_money": usd(200 / half), "tip_money": usd(0),
            "service_charge_money": usd(180 / half)})
    };
    order(
        id,
        location,
        json!({
            "line_items": [line("gross_sales_money", 1)], "service_charges": charge(1),
            "total_money": usd(2_178), "total_tax_money": usd(198), "total_discount_money": usd(200),
            "total_tip_money": usd(0), "total_service_charge_money": usd(180),
            "returns": [{"return_line_items": [line("gross_return_money", 2)],
                "return_service_charges": charge(2), "return_amounts": amounts(2)}],
            "return_amounts": amounts(2),
            "net_amounts": {"total_money": usd(1_089), "tax_money": usd(99),
                "discount_money": usd(100), "tip_money": usd(0), "service_charge_money": usd(90)},
        }),
    )
}

#[test]
fn a_service_charge_counts_alike_apportioned_or_on_its_own() {
    for (apportioned, separate) in [
        ("APPORTIONED_PERCENTAGE_PHASE", "SUBTOTAL_PHASE"),
        ("APPORTIONED_AMOUNT_PHASE", "TOTAL_PHASE"),
    ] {
        run(async {
            let world = shops().await;
            let orders = [dinner("1", "A", apportioned), dinner("2", "B", separate)];
            import(&world, &orders).await;
            let (days, items) = (daily(&world).await, items(&world).await);
            for shop in ["A", "B"] {
                let figures = &days[&json!([shop, "2026-05-05", "USD"]).to_string()];
                let expected = numbers(&[1, 2_000, 200, 99, 0, 90, 900, 900]);
                assert_eq!(figures, &expected, "{apportioned} {shop}");
                let key = json!([shop, "2026-05-05", "USD", null, "Dinner", null]);
                let figures = &items[&key.to_string()];
                assert_eq!(
                    figures,
                    &numbers(&[1, 1_000, 100, 900]),
                    "{apportioned} {shop}"
                );
            }
        });
    }
}

/// A hat of 10.00 with tax, tip and service charge; taken back, as an order of its own.
fn hat(is_return: bool) -> Value {
    let gross = if is_return {
        "gross_return_money"
    } else {
        "gross_sales_money"
    };
    let line = json!({"uid": "l", "name": "Hat", "quantity": "1", "base_price_money": usd(1_000),
        gross: usd(1_000), "total_tax_money": usd(88), "total_discount_money": usd(0), "total_money": usd(1_088)});
    let amounts = |sign: i64| {
        json!({"total_money": usd(sign * 1_238), "tax_money": usd(sign * 88), "discount_money": usd(0),
            "tip_money": usd(sign * 100), "service_charge_money": usd(sign * 50)})
    };
    if !is_return {
        return json!({"line_items": [line], "net_amounts": amounts(1), "total_money": usd(1_238),
            "total_tax_money": usd(88), "total_tip_money": usd(100), "total_service_charge_money": usd(50)});
    }
    json!({"total_money": usd(0), "total_tax_money": usd(0), "total_tip_money": usd(0),
        "total_service_charge_money": usd(0), "net_amounts": amounts(-1), "return_amounts": amounts(1),
        "returns": [{"source_order_id": "sale", "return_line_items": [line], "return_amounts": amounts(1),
            "return_taxes": [{"applied_money": usd(88)}], "return_tips": [{"applied_money": usd(100)}],
            "return_service_charges": [{"applied_money": usd(50), "treatment_type": "LINE_ITEM_TREATMENT"}]}]})
}

#[test]
fn a_sale_and_its_whole_return_leave_nothing_however_it_is_told() {
    let without = |fields: &[&str]| {
        let mut back = hat(true);
        for field in fields {
            if let Some(inner) = field.strip_prefix("returns.") {
                back["returns"][0].as_object_mut().unwrap().remove(inner);
            } else {
                back.as_object_mut().unwrap().remove(*field);
            }
        }
        back
    };
    let (net, own, each) = ("net_amounts", "return_amounts", "returns.return_amounts");
    for back in [
        without(&[]),
        without(&[net]),
        without(&[net, own]),
        without(&[net, own, each]),
        without(&[
            net,
            own,
            each,
            "total_tax_money",
            "total_tip_money",
            "total_service_charge_money",
        ]),
    ] {
        run(async {
            let world = shops().await;
            import(
                &world,
                &[order("sale", "A", hat(false)), order("back", "A", back)],
            )
            .await;
            let days = daily(&world).await;
            let figures = &days[&json!(["A", "2026-05-05", "USD"]).to_string()];
            assert_eq!(figures, &numbers(&[2, 1_000, 0, 0, 0, 0, 1_000, 0]));
            let items = items(&world).await;
            assert_eq!(items.into_values().collect::<Vec<_>>(), [numbers(&[0; 4])]);
        });
    }
}

#[test]
fn a_return_of_another_day_is_subtracted_on_that_day() {
    run(async {
        let world = shops().await;
        let mut back = order("back", "A", hat(true));
        back["closed_at"] = json!("2026-06-02T03:00:00Z");
        import(&world, &[order("sale", "A", hat(false)), back]).await;
        let days = daily(&world).await;
        let day = |day: &str| &days[&json!(["A", day, "USD"]).to_string()];
        assert_eq!(
            day("2026-05-05"),
            &numbers(&[1, 1_000, 0, 88, 100, 50, 0, 1_000])
        );
        assert_eq!(
            day("2026-06-01"),
            &numbers(&[1, 0, 0, -88, -100, -50, 1_000, -1_000])
        );
    });
}

#[test]
fn days_of_an_unknown_time_zone_are_utcs_and_the_run_says_whose() {
    run(async {
        let world = shops().await;
        let unknown = [
            json!(""),
            json!(" "),
            json!("Mars/Olympus_Mons"),
            json!("America/New_York "),
            json!("UTC+99"),
            json!("America"),
            json!("x".repeat(300)),
            json!("'; select"),
            json!("日本"),
            Value::Null,
        ];
        let known = [json!("Asia/Tokyo"), json!("asia/tokyo"), json!("Etc/GMT-9")];
        let mut orders = Vec::new();
        for (number, zone) in unknown.iter().chain(&known).enumerate() {
            let id = format!("Z{number}");
            world
                .account
                .change(json!([{"op": "put_raw", "location": location(&id, zone)}]))
                .await;
            let fields = json!({"closed_at": "2026-05-05T20:00:00Z", "total_money": usd(1),
                "line_items": [{"quantity": "1", "gross_sales_money": usd(1)}]});
            orders.push(order(&format!("O{number}"), &id, fields));
        }
        let changes: Vec<Value> = orders
            .iter()
            .map(|order| json!({"op": "put_raw", "order": order}))
            .collect();
        world.account.change(json!(changes)).await;
        let report = world.sync(json!({})).await;
        world.import(json!({})).await;
        let warning = report
            .warnings
            .iter()
            .find(|warning| warning.contains("time zone"))
            .unwrap();
        for number in 0..unknown.len() {
            assert!(
                warning.contains(&format!("Shop Z{number} (Z{number}, ")),
                "{warning}"
            );
        }
        for number in unknown.len()..unknown.len() + known.len() {
            assert!(!warning.contains(&format!("Shop Z{number}")), "{warning}");
        }
        assert!(warning.contains("\"Mars/Olympus_Mons\""), "{warning}");
        assert!(!warning.contains("Shop A"), "{warning}");
        for name in ["daily_sales", "item_sales"] {
            let days = view(&world, name, &["location_id", "day"], &["net_sales_amount"]).await;
            for number in 0..orders.len() {
                let day = if number < unknown.len() {
                    "2026-05-05"
                } else {
                    "2026-05-06"
                };
                let key = json!([format!("Z{number}"), day]).to_string();
                assert!(days.contains_key(&key), "{name}: {key}");
            }
        }
        let kept =
            "select count(*) from locations where timezone = '' or timezone = 'Mars/Olympus_Mons'";
        assert_eq!(world.number(kept).await, 2);

        // A preview and a refresh say so, too.
        for request in [json!({"dry_run": true}), json!({"full_refresh": true})] {
            let report = world.sync(request).await;
            assert!(
                report
                    .warnings
                    .iter()
                    .any(|warning| warning.contains("Shop Z0 (Z0, \"\")")),
                "{report:?}"
            );
        }
    });
}

#[test]
fn an_order_counts_on_the_day_on_which_it_is_closed() {
    run(async {
        let world = shops().await;
        let fields = json!({"state": "OPEN", "closed_at": null, "created_at": "2026-05-01T16:00:00Z",
            "updated_at": "2026-05-01T16:01:00Z", "total_money": usd(30_000),
            "line_items": [{"uid": "l", "quantity": "1", "gross_sales_money": usd(30_000)}],
            "tenders": [{"id": "T", "type": "CARD", "amount_money": usd(30_000), "created_at": "2026-05-01T16:00:58Z"}]});
        let mut paid = order("cake", "A", fields);
        import(&world, &[paid.clone()]).await;
        assert_eq!(daily(&world).await, Sums::new());

        paid["state"] = json!("COMPLETED");
        paid["updated_at"] = json!("2026-05-08T15:02:40Z");
        paid["closed_at"] = json!("2026-05-08T15:02:46.300Z");
        world
            .account
            .change(json!([{"op": "put_raw", "order": paid}]))
            .await;
        world.sync(json!({"only": ["orders"]})).await;
        let key = json!(["A", "2026-05-08", "USD"]).to_string();
        let expected = Sums::from([(key, numbers(&[1, 30_000, 0, 0, 0, 0, 0, 30_000]))]);
        assert_eq!(daily(&world).await, expected);
    });
}

#[test]
fn no_order_keeps_the_reports_from_answering_nor_splits_a_day() {
    run(async {
        let world = shops().await;
        let line = |currency: &Value| {
            json!({"quantity": "1", "name": "Hat",
            "gross_sales_money": {"amount": 100, "currency": currency}})
        };
        let silent = json!({"line_items": [{"quantity": "1", "name": "Hat", "gross_sales_money": {"amount": 100}}]});
        let spoken = json!({"line_items": [line(&json!("USD")), line(&Value::Null)]});
        let paid = json!({"total_tax_money": usd(7), "line_items": [line(&Value::Null)]});
        let orders = [("1", silent), ("2", spoken), ("3", paid)];
        import(&world, &orders.map(|(id, fields)| order(id, "A", fields))).await;
        let key = json!(["A", "2026-05-05", "USD"]).to_string();
        let expected = Sums::from([(key, numbers(&[3, 400, 0, 7, 0, 0, 0, 400]))]);
        assert_eq!(daily(&world).await, expected);
        assert_eq!(
            items(&world).await.into_values().collect::<Vec<_>>(),
            [numbers(&[4, 400, 0, 400])]
        );

        let odd = format!(
            "insert into orders (id, location_id, state, closed_at, is_return, raw, net_tax_amount,
                 first_synced_at, last_changed_at, last_changed_by_run)
             select id, location, 'COMPLETED', at::timestamptz, false, '{{}}', {max}, now(), now(), ''
             from (values ('nowhere', null, '2026-05-05T16:00:00Z'), ('never', 'A', null), ('big', 'A', '2026-05-05T16:00:00Z'),
                 ('bigger', 'A', '2026-05-05T16:00:00Z')) as given (id, location, at);
             insert into order_line_items (order_id, uid, ordinal, gross_sales_amount, total_service_charge_amount,
                 total_discount_amount, first_synced_at, last_changed_at, last_changed_by_run)
             select order_id, uid, 0, {max}, {min}, null, now(), now(), ''
             from (values ('big', 'a'), ('big', 'b'), ('bigger', 'a'), ('nowhere', 'a')) as given (order_id, uid);
             insert into order_return_line_items (order_id, uid, ordinal, gross_sales_amount, total_service_charge_amount,
                 total_discount_amount, first_synced_at, last_changed_at, last_changed_by_run)
             values ('never', 'r', 0, {max}, {min}, {min}, now(), now(), '')",
            max = i64::MAX,
            min = i64::MIN
        );
        world.client.batch_execute(&odd).await.unwrap();
        let days = daily(&world).await;
        assert_eq!(days.len(), 3);
        let max = Decimal::from(i64::MAX);
        let day = &days[&json!(["A", "2026-05-05", "USD"]).to_string()];
        assert_eq!(
            (day[0], day[1], day[3], day[7]),
            (Decimal::from(5), max, max, max)
        );
        let never = &days[&json!(["A", null, "USD"]).to_string()];
        assert_eq!((never[6], never[7]), (max, Decimal::from(i64::MIN)));
        let nowhere = &days[&json!([null, "2026-05-05", null]).to_string()];
        assert_eq!(nowhere[1], max);
        assert_eq!(items(&world).await.len(), 4);
    });
}

#[test]
fn the_stock_list_tells_archived_items() {
    run(async {
        let world = shops().await;
        world.sync(json!({})).await;
        let archive =
            "update catalog_items set is_archived = id = (select min(id) from catalog_items)";
        world.client.batch_execute(archive).await.unwrap();
        let rows = "select count(*) from stock_on_hand where is_archived";
        assert!(world.number(rows).await > 0);
        let others = "select count(*) from stock_on_hand s join catalog_items i on i.id = s.item_id
            where s.is_archived is distinct from i.is_archived";
        assert_eq!(world.number(others).await, 0);
    });
}
