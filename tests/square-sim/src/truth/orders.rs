//! The rows of the order tables. Lines are numbered from 0 over the whole order
//! (over all its returns for returned lines), and one without a uid is called
//! `#` and its number. Amounts of returned lines stay as Square gives them. A
//! unit is the name of a custom unit, else Square's name of the standard one.

use serde_json::Value;

use super::order_parts::PARTS;
use super::reader::{Reader, Row, clean};
use super::{Truth, Wanted, push};
use crate::account::Account;
use crate::account::counts::{decimals_needed, quantity_text, quantity_units};

/// The first tables, before those of [`PARTS`].
const TABLES: [&str; 4] = [
    "orders",
    "order_line_items",
    "order_return_line_items",
    "order_tenders",
];

fn names() -> impl Iterator<Item = &'static str> {
    let parts = PARTS.iter().map(|part| part.table);
    TABLES.into_iter().chain(parts)
}

/// Adds the order tables.
pub(super) fn tables(account: &Account, wanted: &Wanted, truth: &mut Truth) {
    if !names().any(|table| wanted.includes(table)) {
        return;
    }
    let mut tables: Vec<Vec<u8>> = names().map(|_| Vec::new()).collect();
    for number in 0..account.orders.len() {
        let mut text = Vec::new();
        account.orders.write(number, &mut text);
        let json: Value = serde_json::from_slice(&text).unwrap_or_default();
        let id = json["id"].as_str().unwrap_or_default();
        let location = json["location_id"].as_str().unwrap_or_default();
        if !truth.locations.contains(location) {
            truth.set_aside("orders", id, "its location is not there");
            continue;
        }
        match of_order(&json, account.locations.currency(location)) {
            Ok((order, inner)) => {
                push(&mut tables[0], &order);
                add_raw(&mut tables[0], &text, &json);
                for (table, rows) in tables[1..].iter_mut().zip(inner) {
                    rows.iter().for_each(|row| push(table, row));
                }
            }
            Err(reason) => truth.set_aside("orders", id, reason),
        }
    }
    truth.tables.extend(names().zip(tables));
}

/// Adds the order itself to its row, the last one written. Nearly always that
/// is the text as Square gives it; only U+0000 has to be taken out.
fn add_raw(table: &mut Vec<u8>, text: &[u8], json: &Value) {
    table.pop();
    table.extend_from_slice(b",\"raw\":");
    if text.windows(6).any(|part| part == b"\\u0000") {
        table.extend_from_slice(stripped(json).to_string().as_bytes());
    } else {
        table.extend_from_slice(text);
    }
    table.push(b'}');
}

/// Rows of the tables that hang on an order.
type Inner = Vec<Vec<Row>>;

/// One order's row and those that hang on it. What names no currency of its own has
/// the order's, and an order that names none has its location's.
fn of_order(json: &Value, of_location: Option<&str>) -> Result<(Row, Inner), String> {
    let id = json["id"].as_str().unwrap_or_default();
    let fields = ORDER_FIELDS.iter().filter_map(|field| json.get(*field));
    let currency = fields.chain([json]).find_map(currency);
    let currency = currency.or(of_location).filter(|name| !name.is_empty());
    let order = order(json, currency)?;
    let currency = order["currency"].clone();
    let lines = list(json, "line_items").enumerate();
    let lines = lines.map(|(ordinal, line)| line_item(id, ordinal, line));
    let returned = list(json, "returns").flat_map(|back| {
        let source = &back["source_order_id"];
        list(back, "return_line_items").map(move |line| (source, line))
    });
    let returned = returned.enumerate();
    let returned = returned.map(|(ordinal, (source, line))| return_line(id, ordinal, source, line));
    let tenders = list(json, "tenders").enumerate();
    let tenders = tenders.map(|(ordinal, one)| tender(id, ordinal, one));
    let mut inner: Inner = vec![
        lines.collect::<Result<_, _>>()?,
        returned.collect::<Result<_, _>>()?,
        tenders.collect::<Result<_, _>>()?,
    ];
    for row in inner.iter_mut().flatten() {
        if row["currency"].is_null() {
            row.insert("currency".to_owned(), currency.clone());
        }
    }
    for part in &PARTS {
        inner.push(part.rows(json, &currency)?);
    }
    Ok((order, inner))
}

/// Where an order's currency is looked for, one after the other.
const ORDER_FIELDS: [&str; 12] = [
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

/// The first currency named in there. Only an amount has one: the notes of programs
/// are texts, and not looked into.
fn currency(json: &Value) -> Option<&str> {
    let own = || json["currency"].as_str().filter(|name| !name.is_empty());
    match json {
        Value::Object(fields) => own().or_else(|| {
            let inner = fields.iter().filter(|(name, _)| *name != "metadata");
            inner.map(|(_, value)| value).find_map(currency)
        }),
        Value::Array(list) => list.iter().find_map(currency),
        _ => None,
    }
}

pub(super) fn list<'a>(json: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    json[field].as_array().into_iter().flatten()
}

/// What was sold less what was returned, of one kind of amount.
fn net(json: &Value, kind: &str, total: &str) -> Value {
    let field = format!("{kind}_money");
    let amount = |money: &Value| money["amount"].as_i64();
    let sold = amount(&json[total]);
    if let Some(net) = amount(&json["net_amounts"][&field]) {
        return net.into();
    }
    let returned = amount(&json["return_amounts"][&field]).or_else(|| {
        let returns = list(json, "returns").filter_map(|back| {
            let parts = list(back, PARTS_OF_RETURN.iter().find(|(of, _)| *of == kind)?.1);
            let parts = parts.filter_map(|part| amount(&part["applied_money"]));
            let lines = list(back, "return_line_items");
            let lines = lines.filter_map(|line| amount(&line[total]));
            amount(&back["return_amounts"][&field])
                .or_else(|| parts.reduce(i64::saturating_add))
                .or_else(|| lines.reduce(i64::saturating_add))
        });
        returns.reduce(i64::saturating_add)
    });
    match (sold, returned) {
        (None, None) => Value::Null,
        _ => sold
            .unwrap_or(0)
            .saturating_sub(returned.unwrap_or(0))
            .into(),
    }
}

/// Where a return says what it takes back, kind by kind.
const PARTS_OF_RETURN: [(&str, &str); 3] = [
    ("tax", "return_taxes"),
    ("tip", "return_tips"),
    ("service_charge", "return_service_charges"),
];

fn order(json: &Value, currency: Option<&str>) -> Result<Row, String> {
    let mut reader = Reader::new(json);
    reader.key("id", "/id");
    for column in [
        "location_id",
        "state",
        "customer_id",
        "reference_id",
        "ticket_name",
    ] {
        reader.text(column, &format!("/{column}"));
    }
    reader.text("source_name", "/source/name");
    for column in ["created_at", "updated_at", "closed_at"] {
        reader.time(column, &format!("/{column}"));
    }
    reader.whole("version", "/version");
    reader.set("currency", currency.map_or(Value::Null, clean));
    for (column, kind, total) in [
        ("net_tax_amount", "tax", "total_tax_money"),
        ("net_tip_amount", "tip", "total_tip_money"),
        (
            "net_service_charge_amount",
            "service_charge",
            "total_service_charge_money",
        ),
    ] {
        reader.set(column, net(json, kind, total));
    }
    for (column, field) in [
        ("total_amount", "total_money"),
        ("total_tax_amount", "total_tax_money"),
        ("total_discount_amount", "total_discount_money"),
        ("total_tip_amount", "total_tip_money"),
        ("total_service_charge_amount", "total_service_charge_money"),
        ("net_total_amount", "net_amounts/total_money"),
        ("net_amount_due_amount", "net_amount_due_money"),
    ] {
        reader.whole(column, &format!("/{field}/amount"));
    }
    let some = |field: &str| json[field].as_array().is_some_and(|list| !list.is_empty());
    reader.set("is_return", some("returns") && !some("line_items"));
    reader.finish()
}

/// Columns that sold and returned lines share.
fn line<'a>(order_id: &str, ordinal: usize, json: &'a Value, gross: &str) -> Reader<'a> {
    let mut reader = Reader::new(json);
    reader.set("order_id", order_id);
    reader.set("uid", named(json, "uid", ordinal));
    reader.set("ordinal", ordinal);
    for column in [
        "name",
        "variation_name",
        "catalog_object_id",
        "item_type",
        "note",
    ] {
        reader.text(column, &format!("/{column}"));
    }
    reader.whole("catalog_version", "/catalog_version");
    reader.key("quantity", "/quantity");
    reader.set("unit", unit(&json["quantity_unit"]["measurement_unit"]));
    for (column, field) in [
        ("base_price_amount", "base_price_money"),
        ("gross_sales_amount", gross),
        ("total_tax_amount", "total_tax_money"),
        ("total_discount_amount", "total_discount_money"),
        ("total_service_charge_amount", "total_service_charge_money"),
        ("total_amount", "total_money"),
    ] {
        reader.whole(column, &format!("/{field}/amount"));
    }
    let usual = ["total_money", "base_price_money"].map(|field| &json[field]);
    let own = usual.into_iter().chain([json]).find_map(currency);
    reader.set("currency", own.map_or(Value::Null, clean));
    reader
}

fn line_item(order_id: &str, ordinal: usize, json: &Value) -> Result<Row, String> {
    counted(line(order_id, ordinal, json, "gross_sales_money").finish()?)
}

fn return_line(
    order_id: &str,
    ordinal: usize,
    source: &Value,
    json: &Value,
) -> Result<Row, String> {
    let mut reader = line(order_id, ordinal, json, "gross_return_money");
    reader.set(
        "source_order_id",
        source.as_str().map_or(Value::Null, clean),
    );
    reader.text("source_line_item_uid", "/source_line_item_uid");
    counted(reader.finish()?)
}

fn tender(order_id: &str, ordinal: usize, json: &Value) -> Result<Row, String> {
    let mut reader = Reader::new(json);
    reader.set("order_id", order_id);
    reader.set("id", named(json, "id", ordinal));
    reader.text("type", "/type");
    for (column, field) in [
        ("amount", "amount_money"),
        ("tip_amount", "tip_money"),
        ("processing_fee_amount", "processing_fee_money"),
    ] {
        reader.whole(column, &format!("/{field}/amount"));
    }
    let own = currency(&json["amount_money"]).or_else(|| currency(json));
    reader.set("currency", own.map_or(Value::Null, clean));
    reader.text("payment_id", "/payment_id");
    reader.time("created_at", "/created_at");
    reader.finish()
}

/// The row with its quantity written the shortest way.
fn counted(mut row: Row) -> Result<Row, String> {
    let units = row["quantity"].as_str().and_then(quantity_units);
    let units = units.ok_or("/quantity is not a decimal number")?;
    row.insert(
        "quantity".to_owned(),
        quantity_text(units, decimals_needed(units)).into(),
    );
    Ok(row)
}

pub(super) fn named(json: &Value, field: &str, ordinal: usize) -> Value {
    json[field]
        .as_str()
        .map_or_else(|| Value::from(format!("#{ordinal}")), clean)
}

fn unit(unit: &Value) -> Value {
    let standard = [
        "area_unit",
        "length_unit",
        "volume_unit",
        "weight_unit",
        "generic_unit",
        "time_unit",
    ];
    let custom = unit["custom_unit"]["name"].as_str();
    let name = custom.or_else(|| standard.iter().find_map(|field| unit[*field].as_str()));
    name.map_or(Value::Null, clean)
}

/// The JSON with U+0000 taken out of every text.
fn stripped(json: &Value) -> Value {
    match json {
        Value::String(text) => clean(text),
        Value::Array(list) => list.iter().map(stripped).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.replace('\0', ""), stripped(value)))
            .collect(),
        other => other.clone(),
    }
}
