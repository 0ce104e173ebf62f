//! The currency of an order and of its parts. Square repeats it beside each amount,
//! but promises none of them: a row whose usual amount names none has that which
//! any other amount names, first of its own, then of its order, then its location's.

use serde_json::Value;

/// The fields in which an order's currency is looked for, in this order; then anywhere
/// in it.
const FIELDS: [&str; 12] = [
    "total_money",
    "total_tax_money",
    "total_discount_money",
    "total_tip_money",
    "total_service_charge_money",
    "net_amounts",
    "net_amount_due_money",
    "tenders",
    "line_items",
    "return_amounts",
    "returns",
    "refunds",
];

/// Gives a currency to those of an order and its parts whose usual amounts name none:
/// of its lines, returned lines and tenders, in that order. `location` is the currency of
/// its location.
pub(super) fn settle(
    of_order: &mut Option<String>,
    parts: Vec<&mut Option<String>>,
    order: &Value,
    location: Option<&str>,
) {
    if of_order.is_none() {
        let named = FIELDS.iter().find_map(|field| named(field, &order[field]));
        let named = named.or_else(|| within(order));
        let named = named.or(location.filter(|name| !name.is_empty()));
        *of_order = named.map(str::to_owned);
    }
    let returned = items(&order["returns"]).flat_map(|back| items(&back["return_line_items"]));
    let sources = items(&order["line_items"])
        .chain(returned)
        .chain(items(&order["tenders"]));
    for (currency, source) in parts.into_iter().zip(sources) {
        if currency.is_none() {
            let own = within(source).map(str::to_owned);
            *currency = own.or_else(|| of_order.clone());
        }
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The first currency that an amount in there names.
fn within(value: &Value) -> Option<&str> {
    match value {
        Value::Array(values) => values.iter().find_map(within),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| named(name, value)),
        _ => None,
    }
}

/// The currency that a field names: what Square calls `…_money` is an amount.
fn named<'a>(field: &str, value: &'a Value) -> Option<&'a str> {
    if field.ends_with("_money") {
        return value["currency"].as_str().filter(|name| !name.is_empty());
    }
    within(value)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::rows::OrderRows;
    use crate::square::OrderWithSource;

    fn rows(order: &Value, location: Option<&str>) -> OrderRows {
        let source = serde_json::value::to_raw_value(order).unwrap();
        let given = OrderWithSource::read(source).unwrap();
        OrderRows::new(given, location).unwrap()
    }

    fn of_order(order: &Value, location: Option<&str>) -> Option<String> {
        rows(order, location).order.currency
    }

    fn money(currency: &str) -> Value {
        json!({"amount": 1, "currency": currency})
    }

    #[test]
    fn an_order_has_the_first_currency_that_any_of_its_amounts_names() {
        // Each of these names one, in the order in which they count.
        let fields = [
            ("total_money", money("AAA")),
            ("total_tax_money", money("BBB")),
            ("total_discount_money", money("CCC")),
            ("total_tip_money", money("DDD")),
            ("total_service_charge_money", money("EEE")),
            ("net_amounts", json!({"tip_money": money("FFF")})),
            ("net_amount_due_money", money("GGG")),
            (
                "tenders",
                json!([{}, {"processing_fee_money": money("HHH")}]),
            ),
            (
                "line_items",
                json!([{"quantity": "1", "modifiers": [{"base_price_money": money("III")}]}]),
            ),
            ("return_amounts", json!({"total_money": money("JJJ")})),
            (
                "returns",
                json!([{"return_tips": [{"applied_money": money("KKK")}]}]),
            ),
            ("refunds", json!([{"amount_money": money("LLL")}])),
            ("service_charges", json!([{"amount_money": money("MMM")}])),
        ];
        let mut order = json!({"id": "O", "metadata": {"currency": "no", "x_money": "no"}});
        assert_eq!(of_order(&order, None), None);
        assert_eq!(of_order(&order, Some("")), None);
        assert_eq!(of_order(&order, Some("ZZZ")).as_deref(), Some("ZZZ"));
        for (field, value) in fields.into_iter().rev() {
            let expected = value.to_string();
            order[field] = value;
            let found = of_order(&order, Some("ZZZ")).unwrap();
            assert!(expected.contains(&found), "{field}: {found}");
        }
        for none in [
            json!({}),
            json!({"amount": 1}),
            json!({"amount": 1, "currency": null}),
            money(""),
            Value::Null,
        ] {
            order["total_money"] = none;
            assert_eq!(of_order(&order, None).as_deref(), Some("BBB"));
        }
    }

    #[test]
    fn a_part_has_its_own_then_its_orders_then_its_locations() {
        let parts = |order: &Value, location| {
            let rows = rows(order, location);
            let lines = rows.lines.into_iter().map(|line| line.currency);
            let returned = rows.returned.into_iter().map(|back| back.line.currency);
            let tenders = rows.tenders.into_iter().map(|tender| tender.currency);
            lines.chain(returned).chain(tenders).collect::<Vec<_>>()
        };
        let line = |field: &str| json!({"quantity": "1", field: money("OWN")});
        let order = |total: Value| {
            json!({"id": "O", "total_money": total,
                "line_items": [line("total_tax_money"), {"quantity": "1"}],
                "returns": [{}, {"return_line_items": [{"quantity": "1"}, line("gross_return_money")]}],
                "tenders": [{"tip_money": money("OWN")}, {"cash_details": {"change_back_money": money("OWN")}}, {}],
            })
        };
        let expected = |other: &str| {
            let own = [true, false, false, true, true, true, false];
            own.map(|own| Some(if own { "OWN" } else { other }.to_owned()))
                .to_vec()
        };
        assert_eq!(parts(&order(money("ALL")), Some("LOC")), expected("ALL"));
        assert_eq!(parts(&order(Value::Null), Some("LOC")), expected("OWN"));
        let silent = json!({"id": "O", "line_items": [{"quantity": "1"}], "tenders": [{}]});
        assert_eq!(parts(&silent, Some("LOC")), vec![Some("LOC".to_owned()); 2]);
        assert_eq!(parts(&silent, None), vec![None; 2]);
    }
}
