//! Lines of seeded orders: catalog variations, custom amounts without a catalog
//! id, gift cards, goods by weight, and lines that lack what one would expect.

use fastrand::Rng;
use serde_json::json;

use super::order_wire::{Line, Money};
use super::orders::Plan;
use super::words;
use crate::account::counts::{UNITS_PER_PIECE, decimals_needed, quantity_text, quantity_units};
use crate::random::{self, one_in};

/// A few lines, mostly one to three.
pub(super) fn lines(plan: &Plan, rng: &mut Rng) -> Vec<Line> {
    let count = [1, 1, 1, 2, 2, 3, 4, 9][rng.usize(..8)];
    (0..count).map(|_| line(plan, rng)).collect()
}

fn line(plan: &Plan, rng: &mut Rng) -> Line {
    let mut line = Line {
        uid: (!one_in(rng, 60)).then(|| uid(rng)),
        ..Line::default()
    };
    let mut units = rng.i64(1..5) * UNITS_PER_PIECE;
    let base = match rng.u16(0..2_000) {
        0 => rng.i64(2_147_483_648..90_000_000_000),
        1..20 => 0,
        _ => rng.i64(50..9_000),
    };
    match rng.u8(0..20) {
        0 => {
            line.item_type = Some("CUSTOM_AMOUNT");
            units = UNITS_PER_PIECE;
            line.name = one_in(rng, 2).then(|| "Custom".to_owned());
        }
        1 => {
            line.item_type = Some("GIFT_CARD");
            units = UNITS_PER_PIECE;
            line.name = Some("Gift Card".to_owned());
        }
        2 => {
            units = rng.i64(1..500_000);
            line.quantity_unit = Some(json!({
                "measurement_unit": {"weight_unit": "IMPERIAL_POUND", "type": "TYPE_WEIGHT"},
                "precision": 5,
            }));
            from_catalog(plan, rng, &mut line);
        }
        3 => {
            line.quantity_unit = Some(
                json!({"measurement_unit": {"custom_unit": {"name": "Yarn ball", "abbreviation": "yb"}}}),
            );
            from_catalog(plan, rng, &mut line);
        }
        _ => from_catalog(plan, rng, &mut line),
    }
    let decimals = if one_in(rng, 10) {
        5
    } else {
        decimals_needed(units)
    };
    line.quantity = quantity_text(units, decimals);
    if one_in(rng, 15) {
        line.note = Some(words::description(rng));
    }
    if plan.drift && one_in(rng, 150) {
        line.item_type = Some("TELEPORT_PASS");
    }
    let taxed = line.item_type != Some("GIFT_CARD") && !one_in(rng, 6);
    let discounted = one_in(rng, 10);
    price(&mut line, base, units, taxed, discounted);
    line
}

fn from_catalog(plan: &Plan, rng: &mut Rng, line: &mut Line) {
    line.item_type = (!one_in(rng, 30)).then_some("ITEM");
    line.name = Some(words::item(rng));
    line.variation_name = (!one_in(rng, 10)).then(|| words::variation(rng).to_owned());
    if !plan.variations.is_empty() {
        let sold = &plan.variations[rng.usize(..plan.variations.len())];
        line.catalog_object_id = Some(sold.to_string());
        line.catalog_version =
            (!one_in(rng, 5)).then(|| rng.i64(1_500_000_000_000..1_780_000_000_000));
    }
}

/// Prices a line: tax is 8.5 %, a discount 10 %, both rounded down.
fn price(line: &mut Line, base: i64, units: i64, taxed: bool, discounted: bool) {
    let gross = base * units / UNITS_PER_PIECE;
    let discount = if discounted { gross / 10 } else { 0 };
    let tax = if taxed {
        (gross - discount) * 85 / 1_000
    } else {
        0
    };
    line.base_price_money = Some(Money::of(base));
    line.variation_total_price_money = Some(Money::of(gross));
    line.gross_sales_money = Some(Money::of(gross));
    line.total_tax_money = Some(Money::of(tax));
    line.total_discount_money = Some(Money::of(discount));
    line.total_service_charge_money = Some(Money::of(0));
    line.total_money = Some(Money::of(gross - discount + tax));
}

/// What converted lines keep.
pub(super) fn stripped(lines: Vec<Line>) -> Vec<Line> {
    let keep = |line: Line| Line {
        name: line.name,
        quantity: line.quantity,
        base_price_money: line.base_price_money,
        total_money: line.total_money,
        ..Line::default()
    };
    lines.into_iter().map(keep).collect()
}

/// The line as it comes back, sometimes only one piece of it.
pub(super) fn returned(rng: &mut Rng, sold: Line, linked: bool) -> Line {
    let mut line = sold;
    line.source_line_item_uid = line.uid.take().filter(|_| linked);
    line.uid = (!one_in(rng, 10)).then(|| uid(rng));
    let units = quantity_units(&line.quantity).unwrap_or(UNITS_PER_PIECE);
    let units = if units > UNITS_PER_PIECE && one_in(rng, 2) {
        UNITS_PER_PIECE
    } else {
        units
    };
    line.quantity = quantity_text(units, decimals_needed(units));
    let amount = |money: &Option<Money>| money.as_ref().map_or(0, |money| money.amount);
    let (taxed, discounted) = (
        amount(&line.total_tax_money) > 0,
        amount(&line.total_discount_money) > 0,
    );
    let base = amount(&line.base_price_money);
    price(&mut line, base, units, taxed, discounted);
    line.gross_return_money = line.gross_sales_money.take();
    line
}

/// A uid of Square's look.
pub(super) fn uid(rng: &mut Rng) -> String {
    random::id(rng, 22)
}
