//! An order of Square as rows: the order itself, its lines, what it takes back,
//! how it was paid, and what else it holds in lists (`children`).
//!
//! Lines are numbered from 0 over the whole order, returned ones over all its
//! returns, and named by their uids (see `fields::names`). Amounts of returned lines stay
//! positive, as Square gives them.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_postgres::types::Json;

use super::net::Net;
use super::{children, currency};
use crate::fields::json::readable;
use crate::fields::misfit::Misfit;
use crate::fields::names::Names;
use crate::square::Broken;
use crate::square::orders::{
    MeasurementUnit, Order, OrderLineItem, OrderQuantityUnit, OrderReturn, OrderWithSource, Tender,
};
use crate::square::wire::Money;

/// All rows of one order.
#[derive(Debug)]
pub struct OrderRows {
    pub order: OrderRow,
    pub lines: Vec<LineRow>,
    pub returned: Vec<ReturnRow>,
    pub tenders: Vec<TenderRow>,
    /// What else it holds in lists.
    pub(crate) children: children::Rows,
}

/// A row of `orders`.
#[derive(Debug)]
pub struct OrderRow {
    pub id: String,
    pub location_id: Option<String>,
    pub state: Option<String>,
    pub source_name: Option<String>,
    pub customer_id: Option<String>,
    pub reference_id: Option<String>,
    pub ticket_name: Option<String>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub version: Option<i64>,
    pub currency: Option<String>,
    pub total_amount: Option<i64>,
    pub total_tax_amount: Option<i64>,
    pub total_discount_amount: Option<i64>,
    pub total_tip_amount: Option<i64>,
    pub total_service_charge_amount: Option<i64>,
    pub net_total_amount: Option<i64>,
    pub net_amount_due_amount: Option<i64>,
    pub net_tax_amount: Option<i64>,
    pub net_tip_amount: Option<i64>,
    pub net_service_charge_amount: Option<i64>,
    pub is_return: bool,
    /// The order as Square gave it; none where it is what the rows came from.
    pub raw: Option<Json<Box<RawValue>>>,
}

/// The columns that sold and returned lines have in common.
#[derive(Debug)]
pub struct LineRow {
    pub order_id: String,
    pub uid: String,
    pub ordinal: i32,
    pub name: Option<String>,
    pub variation_name: Option<String>,
    pub catalog_object_id: Option<String>,
    pub catalog_version: Option<i64>,
    pub item_type: Option<String>,
    pub quantity: Decimal,
    pub unit: Option<String>,
    pub note: Option<String>,
    pub base_price_amount: Option<i64>,
    pub gross_sales_amount: Option<i64>,
    pub total_tax_amount: Option<i64>,
    pub total_discount_amount: Option<i64>,
    pub total_service_charge_amount: Option<i64>,
    pub total_amount: Option<i64>,
    pub currency: Option<String>,
}

/// A row of `order_return_line_items`.
#[derive(Debug)]
pub struct ReturnRow {
    pub line: LineRow,
    pub source_order_id: Option<String>,
    pub source_line_item_uid: Option<String>,
}

/// A row of `order_tenders`.
#[derive(Debug)]
pub struct TenderRow {
    pub order_id: String,
    pub id: String,
    pub tender_type: Option<String>,
    pub amount: Option<i64>,
    pub tip_amount: Option<i64>,
    pub processing_fee_amount: Option<i64>,
    pub currency: Option<String>,
    pub payment_id: Option<String>,
    pub created_at: Option<Timestamp>,
}

impl OrderRows {
    /// The rows of an order that Square gave, and whose location has that currency.
    ///
    /// # Errors
    /// The order itself, with what of its lists does not fit.
    pub fn new(given: OrderWithSource, currency: Option<&str>) -> Result<Self, Broken> {
        match Self::derive(given.order, given.source.get(), currency) {
            Ok(mut rows) => {
                rows.order.raw = Some(Json(given.source));
                Ok(rows)
            }
            Err(misfit) => Err(Broken {
                problem: misfit.to_string(),
                payload: given.source.get().to_owned(),
            }),
        }
    }

    /// The rows without the order's source, which is the JSON that it was read from.
    ///
    /// # Errors
    /// What of its lists does not fit.
    pub(crate) fn derive(
        mut order: Order,
        source: &str,
        currency: Option<&str>,
    ) -> Result<Self, Misfit> {
        let net = Net::of(&order);
        let id = std::mem::take(&mut order.id);
        let line_items = order.line_items.take().unwrap_or_default();
        let returns = order.returns.take().unwrap_or_default();
        let tenders = order.tenders.take().unwrap_or_default();
        let is_return = !returns.is_empty() && line_items.is_empty();
        let mut rows = Self {
            lines: line_rows(&id, line_items),
            returned: return_rows(&id, returns),
            tenders: tender_rows(&id, tenders),
            order: order_row(id, order, net, is_return),
            children: children::Rows::default(),
        };
        let source = readable(source);
        rows.settle_currency(&source, currency);
        let (id, currency) = (&rows.order.id, rows.order.currency.as_deref());
        rows.children = children::rows(&source, id, currency)?;
        Ok(rows)
    }

    /// Gives a currency to those rows whose usual amounts name none.
    fn settle_currency(&mut self, source: &Value, location: Option<&str>) {
        let (lines, returned, tenders) = (&self.lines, &self.returned, &self.tenders);
        let are_named = self.order.currency.is_some()
            && lines.iter().all(|line| line.currency.is_some())
            && returned.iter().all(|back| back.line.currency.is_some())
            && tenders.iter().all(|tender| tender.currency.is_some());
        if are_named {
            return;
        }
        let lines = self.lines.iter_mut().map(|line| &mut line.currency);
        let returned = self.returned.iter_mut().map(|back| &mut back.line.currency);
        let tenders = self.tenders.iter_mut().map(|tender| &mut tender.currency);
        let parts = lines.chain(returned).chain(tenders).collect();
        currency::settle(&mut self.order.currency, parts, source, location);
    }
}

fn line_rows(order_id: &str, lines: Vec<OrderLineItem>) -> Vec<LineRow> {
    let mut names = Names::default();
    (0..)
        .zip(lines)
        .map(|(ordinal, mut line)| {
            let uid = names.pick(line.uid.take(), ordinal);
            line_row(order_id, uid, ordinal, line)
        })
        .collect()
}

fn return_rows(order_id: &str, returns: Vec<OrderReturn>) -> Vec<ReturnRow> {
    let mut names = Names::default();
    let lines = returns.into_iter().flat_map(|back| {
        let source_order_id = back.source_order_id;
        let lines = back.return_line_items.unwrap_or_default().into_iter();
        lines.map(move |line| (source_order_id.clone(), line))
    });
    (0..)
        .zip(lines)
        .map(|(ordinal, (source_order_id, mut line))| {
            let uid = names.pick(line.uid.take(), ordinal);
            ReturnRow {
                source_order_id,
                source_line_item_uid: line.source_line_item_uid.take(),
                line: line_row(order_id, uid, ordinal, line),
            }
        })
        .collect()
}

fn tender_rows(order_id: &str, tenders: Vec<Tender>) -> Vec<TenderRow> {
    let mut names = Names::default();
    (0..)
        .zip(tenders)
        .map(|(ordinal, mut tender)| {
            let id = names.pick(tender.id.take(), ordinal);
            tender_row(order_id, id, tender)
        })
        .collect()
}

fn order_row(id: String, order: Order, net: Net, is_return: bool) -> OrderRow {
    let (total_amount, currency) = money(order.total_money);
    OrderRow {
        id,
        location_id: order.location_id,
        state: order.state,
        source_name: order.source.and_then(|source| source.name),
        customer_id: order.customer_id,
        reference_id: order.reference_id,
        ticket_name: order.ticket_name,
        created_at: order.created_at,
        updated_at: order.updated_at,
        closed_at: order.closed_at,
        version: order.version,
        currency,
        total_amount,
        total_tax_amount: amount(order.total_tax_money),
        total_discount_amount: amount(order.total_discount_money),
        total_tip_amount: amount(order.total_tip_money),
        total_service_charge_amount: amount(order.total_service_charge_money),
        net_total_amount: amount(order.net_amounts.and_then(|net| net.total_money)),
        net_amount_due_amount: amount(order.net_amount_due_money),
        net_tax_amount: net.tax,
        net_tip_amount: net.tip,
        net_service_charge_amount: net.service_charge,
        is_return,
        raw: None,
    }
}

fn line_row(order_id: &str, uid: String, ordinal: i32, line: OrderLineItem) -> LineRow {
    let (total_amount, currency) = money(line.total_money);
    let (base_price_amount, base_currency) = money(line.base_price_money);
    LineRow {
        order_id: order_id.to_owned(),
        uid,
        ordinal,
        name: line.name,
        variation_name: line.variation_name,
        catalog_object_id: line.catalog_object_id,
        catalog_version: line.catalog_version,
        item_type: line.item_type,
        quantity: line.quantity,
        unit: line.quantity_unit.and_then(unit),
        note: line.note,
        base_price_amount,
        gross_sales_amount: amount(line.gross_sales_money.or(line.gross_return_money)),
        total_tax_amount: amount(line.total_tax_money),
        total_discount_amount: amount(line.total_discount_money),
        total_service_charge_amount: amount(line.total_service_charge_money),
        total_amount,
        currency: currency.or(base_currency),
    }
}

fn tender_row(order_id: &str, id: String, tender: Tender) -> TenderRow {
    let (amount_all, currency) = money(tender.amount_money);
    TenderRow {
        order_id: order_id.to_owned(),
        id,
        tender_type: tender.tender_type,
        amount: amount_all,
        tip_amount: amount(tender.tip_money),
        processing_fee_amount: amount(tender.processing_fee_money),
        currency,
        payment_id: tender.payment_id,
        created_at: tender.created_at,
    }
}

fn amount(money: Option<Money>) -> Option<i64> {
    money.and_then(|money| money.amount)
}

fn money(money: Option<Money>) -> (Option<i64>, Option<String>) {
    let money = money.unwrap_or_default();
    let currency = money.currency.filter(|currency| !currency.is_empty());
    (money.amount, currency)
}

/// A unit's name: the merchant's own, else Square's for the standard one.
fn unit(unit: OrderQuantityUnit) -> Option<String> {
    let MeasurementUnit {
        custom_unit,
        area_unit,
        length_unit,
        volume_unit,
        weight_unit,
        generic_unit,
        time_unit,
    } = unit.measurement_unit?;
    custom_unit
        .and_then(|custom| custom.name)
        .or(area_unit)
        .or(length_unit)
        .or(volume_unit)
        .or(weight_unit)
        .or(generic_unit)
        .or(time_unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::square::Broken;

    fn rows(json: Value) -> OrderRows {
        OrderRows::new(read(&json.to_string()).unwrap(), None).unwrap()
    }

    fn read(text: &str) -> Result<OrderWithSource, Broken> {
        OrderWithSource::read(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn an_order_of_two_fields_is_an_order() {
        let rows = rows(json!({"id": "O", "location_id": "L"}));
        assert_eq!(rows.order.location_id.as_deref(), Some("L"));
        assert_eq!(rows.order.net_total_amount, None);
        assert!(!rows.order.is_return);
        assert!(rows.lines.is_empty() && rows.tenders.is_empty());
    }

    #[test]
    fn lines_without_a_name_of_their_own_are_numbered() {
        let line = |uid: Value| json!({"uid": uid, "quantity": "1"});
        let rows = rows(json!({"id": "O", "line_items": [
            line(json!("a")), line(Value::Null), line(json!("a")), {"quantity": "0.10000"},
        ]}));
        let uids: Vec<&str> = rows.lines.iter().map(|line| line.uid.as_str()).collect();
        assert_eq!(uids, ["a", "#1", "#2", "#3"]);
        assert_eq!(rows.lines[3].quantity.to_string(), "0.1");
    }

    #[test]
    fn a_return_is_one_only_without_lines_of_its_own() {
        let back = json!([
            {"source_order_id": "S", "return_line_items": [
                {"uid": "r", "source_line_item_uid": "l", "quantity": "1",
                    "gross_return_money": {"amount": 500, "currency": "USD"}}]},
            {"return_line_items": [{"quantity": "2"}]},
        ]);
        let returned = rows(json!({"id": "O", "returns": back}));
        assert!(returned.order.is_return);
        assert_eq!(returned.returned[0].line.gross_sales_amount, Some(500));
        assert_eq!(returned.returned[0].source_order_id.as_deref(), Some("S"));
        assert_eq!(returned.returned[1].line.uid, "#1");
        assert_eq!(returned.returned[1].source_order_id, None);
        let exchange = rows(json!({"id": "O", "returns": back, "line_items": [{"quantity": "1"}]}));
        assert!(!exchange.order.is_return);
    }

    #[test]
    fn units_are_named_by_whoever_named_them() {
        let unit_of = |unit: Value| {
            let line = json!({"quantity": "1", "quantity_unit": {"measurement_unit": unit}});
            rows(json!({"id": "O", "line_items": [line]})).lines[0]
                .unit
                .clone()
        };
        assert_eq!(
            unit_of(json!({"custom_unit": {"name": "Yarn ball"}})).as_deref(),
            Some("Yarn ball")
        );
        assert_eq!(
            unit_of(json!({"weight_unit": "IMPERIAL_POUND", "type": "TYPE_WEIGHT"})).as_deref(),
            Some("IMPERIAL_POUND")
        );
        assert_eq!(unit_of(json!({})), None);
    }

    #[test]
    fn the_source_is_kept_to_the_letter() {
        let text = r#"{"id":"O","location_id":"L", "new": 1.50}"#;
        let kept = OrderRows::new(read(text).unwrap(), None).unwrap();
        assert_eq!(kept.order.raw.unwrap().0.get(), text);
    }

    #[test]
    fn an_order_with_an_unreadable_quantity_is_no_order() {
        for quantity in [json!("many"), json!(1), Value::Null] {
            let text = json!({"id": "O", "line_items": [{"quantity": quantity}]}).to_string();
            let problem = read(&text).unwrap_err().problem;
            assert!(problem.starts_with("line_items[0].quantity"), "{problem}");
        }
    }
}
