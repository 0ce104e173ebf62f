//! An object's JSON as cells.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

use super::cell::Cell;
use super::field::{CHILD_HEAD, Child, Field, Kind};
use super::misfit::Misfit;
use super::names::Names;
use super::path::{Element, Found, find, list};

/// A row, in the order of its table's columns.
pub(crate) type Row = Vec<Cell>;

/// The name of a child's row.
pub(crate) fn name(row: &Row) -> Option<&str> {
    row.get(CHILD_HEAD - 2)?.text()
}

/// The rows of a child's table. Those whose amounts name no currency have the parent's.
pub(crate) fn children(
    object: &Value,
    id: &str,
    child: &Child,
    currency: Option<&str>,
) -> Result<Vec<Row>, Misfit> {
    let root = Element {
        value: object,
        name: id,
        place: ("", 0),
        holder: None,
    };
    let levels = child.path.split('.').count();
    let mut walk = Walk {
        child,
        id,
        currency,
        levels: (0..levels).map(|_| Level::default()).collect(),
        rows: Vec::new(),
    };
    walk.go(&root, child.path, 0)?;
    Ok(walk.rows)
}

/// The elements of one list of a path, whatever holds them.
#[derive(Default)]
struct Level {
    names: Names,
    count: i32,
}

struct Walk<'a> {
    child: &'a Child,
    id: &'a str,
    currency: Option<&'a str>,
    levels: Vec<Level>,
    rows: Vec<Row>,
}

impl Walk<'_> {
    fn go(&mut self, holder: &Element<'_>, way: &str, depth: usize) -> Result<(), Misfit> {
        let (step, rest) = way.split_once('.').unwrap_or((way, ""));
        let name = step.trim_end_matches("[]");
        let value = match holder.value {
            Value::Object(fields) => fields.get(name),
            other => {
                let misfit = Misfit::new("", other, "an object");
                return Err(misfit.within(&holder.prefix()));
            }
        };
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Ok(());
        };
        let items = list(name, value).map_err(|misfit| misfit.within(&holder.prefix()))?;
        for (number, value) in items.iter().enumerate() {
            if !value.is_object() {
                let misfit = Misfit::new(&format!("{name}[{number}]"), value, "an object");
                return Err(misfit.within(&holder.prefix()));
            }
            let level = &mut self.levels[depth];
            let ordinal = level.count;
            level.count += 1;
            let own = value.get(self.child.name).and_then(Value::as_str);
            let element_name = level.names.pick(own.map(str::to_owned), ordinal);
            let element = Element {
                value,
                name: &element_name,
                place: (name, number),
                holder: Some(holder),
            };
            if rest.is_empty() {
                let row = self.row(element, ordinal)?;
                self.rows.push(row);
            } else {
                self.go(&element, rest, depth + 1)?;
            }
        }
        Ok(())
    }

    fn row(&self, element: Element<'_>, ordinal: i32) -> Result<Row, Misfit> {
        let fields = self.child.fields;
        let mut row = Row::with_capacity(CHILD_HEAD + fields.len());
        row.push(Cell::Text(self.id.to_owned()));
        row.push(Cell::Text(element.name.to_owned()));
        row.push(Cell::Ordinal(ordinal));
        // Square's name is a text where it has one at all.
        read(element, Kind::Text, self.child.name)?;
        cells(element, fields, self.currency, &mut row)?;
        Ok(row)
    }
}

/// Adds the fields' values to a row.
fn cells(
    element: Element<'_>,
    fields: &[Field],
    of_parent: Option<&str>,
    row: &mut Row,
) -> Result<(), Misfit> {
    let mut named: Option<&str> = None;
    let mut place = None;
    for field in fields {
        if field.kind == Kind::Currency {
            place = Some(row.len());
            row.push(Cell::Null);
            continue;
        }
        let cell = read(element, field.kind, field.path)?;
        row.push(cell);
        if field.kind == Kind::Money {
            let Found::Values(amounts) = find(element, field.path)? else {
                continue;
            };
            for amount in amounts {
                let currency = amount["currency"].as_str().filter(|name| !name.is_empty());
                if let (Some(one), Some(other)) = (named, currency)
                    && one != other
                {
                    let misfit = Misfit::told("amounts in two currencies");
                    return Err(misfit.within(&element.prefix()));
                }
                named = named.or(currency);
            }
        }
    }
    if let Some(currency) = named.or(of_parent)
        && let Some(place) = place
    {
        row[place] = Cell::Text(currency.to_owned());
    }
    Ok(())
}

fn read(element: Element<'_>, kind: Kind, path: &str) -> Result<Cell, Misfit> {
    let values = match find(element, path)? {
        Found::Name(name) => return Ok(Cell::Text(name.to_owned())),
        Found::Values(values) => values,
    };
    let place = |misfit: Misfit| misfit.within(&format!("{}{path}.", element.prefix()));
    match kind {
        Kind::Money => sum(&values).map_err(place),
        Kind::Texts => all_texts(&values).map_err(place),
        _ => match values.first() {
            None => Ok(Cell::Null),
            Some(value) => one(kind, value).map_err(place),
        },
    }
}

fn one(kind: Kind, value: &Value) -> Result<Cell, Misfit> {
    let (cell, wanted) = match kind {
        Kind::Text | Kind::Currency | Kind::Texts => (
            value.as_str().map(|text| Cell::Text(text.to_owned())),
            "a string",
        ),
        Kind::Integer | Kind::Money => (integer(value).map(Cell::Integer), "an integer"),
        Kind::Boolean => (value.as_bool().map(Cell::Boolean), "a boolean"),
        Kind::Decimal => (decimal(value).map(Cell::Decimal), "an exact decimal"),
        Kind::Time => {
            let time = value
                .as_str()
                .and_then(|text| text.parse::<Timestamp>().ok());
            (time.map(Cell::Time), "a time")
        }
        Kind::Json => (Some(Cell::Json(value.clone())), ""),
    };
    cell.ok_or_else(|| Misfit::new("", value, wanted))
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// One that we could only hold rounded is refused.
fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let exact = Decimal::from_str_exact(&text).ok()?;
    Some(exact.normalize())
}

/// The amount of these; nothing if none of them has one.
fn sum(amounts: &[&Value]) -> Result<Cell, Misfit> {
    let mut sum: Option<i64> = None;
    for money in amounts {
        let Value::Object(fields) = money else {
            return Err(Misfit::new("", money, "an amount of money"));
        };
        for (name, wanted) in [("amount", "an integer"), ("currency", "a string")] {
            let value = fields.get(name).filter(|value| !value.is_null());
            let fits = |value: &Value| match name {
                "amount" => value.is_i64(),
                _ => value.is_string(),
            };
            if let Some(value) = value.filter(|value| !fits(value)) {
                return Err(Misfit::new(name, value, wanted));
            }
        }
        let Some(amount) = fields.get("amount").and_then(Value::as_i64) else {
            continue;
        };
        let all = sum.unwrap_or(0).checked_add(amount);
        sum = Some(all.ok_or_else(|| Misfit::told("amounts beyond 64 bits"))?);
    }
    Ok(sum.map_or(Cell::Null, Cell::Integer))
}

/// The texts of a list, or of all the lists' elements that a path leads to.
fn all_texts(values: &[&Value]) -> Result<Cell, Misfit> {
    let mut texts = Vec::new();
    for value in values {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(*one),
        };
        for item in items {
            let text = item.as_str();
            let text = text.ok_or_else(|| Misfit::new("", item, "a string"))?;
            texts.push(text.to_owned());
        }
    }
    Ok(Cell::Texts(texts))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::field::{
        boolean, currency, decimal, integer, json as json_field, money, text, texts, time,
    };
    use super::*;

    const PART: Child = Child {
        table: "parts",
        path: "wholes[].parts[]",
        parent: "order_id",
        name: "uid",
        fields: &[
            text("whole_uid", "^#"),
            text("whole_name", "^name"),
            text("of_order", "^^reference"),
            text("name", "first.name|second.name"),
            integer("version", "version"),
            boolean("flag", "flag"),
            decimal("share", "share"),
            time("at", "at"),
            currency(),
            money("amount", "amount_money"),
            money("fees", "fees[].amount_money"),
            texts("tags", "tags"),
            json_field("rest", "rest"),
        ],
    };

    fn read_parts(wholes: Value) -> Result<Vec<Row>, Misfit> {
        let object = json!({"reference": "R", "wholes": wholes});
        children(&object, "O", &PART, Some("CHF"))
    }

    fn text_cell(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn a_part_becomes_a_row_of_its_own_and_its_holders_values() {
        let money = |amount: i64| json!({"amount": amount, "currency": "USD"});
        let part = json!({
            "uid": "P", "second": {"name": "b"}, "version": "7", "flag": true, "share": "8.50",
            "at": "2026-07-01T10:00:00Z", "amount_money": money(5), "tags": ["x", "y"],
            "fees": [{"amount_money": money(-2)}, {}, {"amount_money": money(3)}], "rest": {"a": 1},
        });
        let rows = read_parts(json!([{"name": "w", "parts": [part]}])).unwrap();
        let expected = vec![
            text_cell("O"),
            text_cell("P"),
            Cell::Ordinal(0),
            text_cell("#0"),
            text_cell("w"),
            text_cell("R"),
            text_cell("b"),
            Cell::Integer(7),
            Cell::Boolean(true),
            Cell::Decimal("8.5".parse().unwrap()),
            Cell::Time("2026-07-01T10:00:00Z".parse().unwrap()),
            text_cell("USD"),
            Cell::Integer(5),
            Cell::Integer(1),
            Cell::Texts(vec!["x".to_owned(), "y".to_owned()]),
            Cell::Json(json!({"a": 1})),
        ];
        assert_eq!(rows, [expected]);
    }

    #[test]
    fn all_elements_are_numbered_and_named_together() {
        let wholes = json!([
            {"uid": "A", "parts": [{"uid": "p"}, {}]},
            {"parts": null},
            {"uid": "A", "parts": [{"uid": "p"}, {"uid": "#1"}]},
        ]);
        let rows = read_parts(wholes).unwrap();
        let names: Vec<_> = rows.iter().map(|row| name(row).unwrap()).collect();
        assert_eq!(names, ["p", "#1", "#2", "#3"]);
        let holders: Vec<_> = rows.iter().map(|row| row[3].text().unwrap()).collect();
        assert_eq!(holders, ["A", "A", "#2", "#2"]);
        assert_eq!(rows[3][2], Cell::Ordinal(3));
    }

    #[test]
    fn what_is_absent_or_null_is_null_and_the_currency_the_parents() {
        for part in [
            json!({}),
            json!({"share": null, "first": null, "amount_money": {}}),
        ] {
            let rows = read_parts(json!([{"parts": [part]}])).unwrap();
            assert_eq!(rows[0][6], Cell::Null);
            assert_eq!(rows[0][9], Cell::Null);
            assert_eq!(rows[0][11], text_cell("CHF"));
            assert_eq!(rows[0][14], Cell::Texts(Vec::new()));
        }
        assert_eq!(read_parts(Value::Null), Ok(Vec::new()));
    }

    #[test]
    fn what_does_not_fit_is_named_by_place_and_types_alone() {
        let money =
            |amount: Value, currency: Value| json!({"amount": amount, "currency": currency});
        for (field, value, expected) in [
            (
                "uid",
                json!(7),
                "uid: invalid type: integer, expected a string",
            ),
            (
                "first",
                json!("Ada"),
                "first: invalid type: string, expected an object",
            ),
            (
                "version",
                json!("Ada"),
                "version: invalid type: string, expected an integer",
            ),
            (
                "version",
                json!(1.5),
                "version: invalid type: floating point, expected an integer",
            ),
            (
                "flag",
                json!("true"),
                "flag: invalid type: string, expected a boolean",
            ),
            (
                "share",
                json!("half"),
                "share: invalid type: string, expected an exact decimal",
            ),
            (
                "share",
                json!("0.12345678901234567890123456789012345"),
                "share: invalid type: string, expected an exact decimal",
            ),
            (
                "at",
                json!("2026-02-30T00:00:00Z"),
                "at: invalid type: string, expected a time",
            ),
            (
                "amount_money",
                json!(5),
                "amount_money: invalid type: integer, expected an amount of money",
            ),
            (
                "amount_money",
                money(json!("5"), json!("USD")),
                "amount_money.amount: invalid type: string, expected an integer",
            ),
            (
                "amount_money",
                money(json!(5), json!(7)),
                "amount_money.currency: invalid type: integer, expected a string",
            ),
            (
                "tags",
                json!([null]),
                "tags: invalid type: null, expected a string",
            ),
        ] {
            let misfit = read_parts(json!([{}, {"parts": [{}, {field: value}]}])).unwrap_err();
            assert_eq!(misfit.to_string(), format!("wholes[1].parts[1].{expected}"));
        }
        let both = json!({"amount_money": money(json!(1), json!("USD")),
            "fees": [{"amount_money": money(json!(1), json!("EUR"))}]});
        let misfit = read_parts(json!([{"parts": [both]}])).unwrap_err();
        assert_eq!(
            misfit.to_string(),
            "wholes[0].parts[0]: amounts in two currencies"
        );
        for (wholes, expected) in [
            (json!(7), "wholes: invalid type: integer, expected a list"),
            (
                json!([null]),
                "wholes[0]: invalid type: null, expected an object",
            ),
            (
                json!([{"parts": {}}]),
                "wholes[0].parts: invalid type: map, expected a list",
            ),
            (
                json!([{"parts": ["Ada"]}]),
                "wholes[0].parts[0]: invalid type: string, expected an object",
            ),
        ] {
            assert_eq!(read_parts(wholes).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn amounts_beyond_what_a_column_holds_are_refused() {
        let much = json!({"amount_money": {"amount": i64::MAX}});
        let fees = json!([much, much]);
        let misfit = read_parts(json!([{"parts": [{"fees": fees}]}])).unwrap_err();
        assert!(
            misfit.to_string().ends_with("amounts beyond 64 bits"),
            "{misfit}"
        );
    }
}
