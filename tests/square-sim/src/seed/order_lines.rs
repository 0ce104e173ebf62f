//! Lines of seeded orders: catalog variations, custom amounts without a catalog
//! id, gift cards, goods by weight, with modifiers (`order_parts`), and lines that lack what one would expect.

use fastrand::Rng;
use serde_json::json;

use super::order_parts;
use super::order_wire::{Line, Money, Taxed};
use super::orders::Plan;
use super::words;
use crate::account::counts::{UNITS_PER_PIECE, decimals_needed, quantity_text, quantity_units};
use crate::random::{self, one_in};

/// A few lines, mostly one to three.
pub(super) fn lines(plan: &Plan, rng: &mut Rng) -> Vec<Line> {
    let count = [1, 1, 1, 2, 2, 3, 4, 9][rng.usize(..8)];
    let mut lines: Vec<Line> = (0..count).map(|_| line(plan, rng)).collect();
    order_parts::modify(&mut lines, rng);
    lines
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
    let list = base * units / UNITS_PER_PIECE;
    order_parts::total(&mut line.modifiers, units);
    order_parts::total(&mut line.return_modifiers, units);
    let modifiers = modifiers(line);
    let discount = if discounted {
        (list + modifiers) / 10
    } else {
        0
    };
    line.base_price_money = Some(Money::of(base));
    line.variation_total_price_money = Some(Money::of(list));
    line.total_discount_money = Some(Money::of(discount));
    charge(line, 0, taxed, Taxed::Additive);
}

/// Prices a line of so much as it was priced, with what was chosen for it.
pub(super) fn price_anew(line: &mut Line, units: i64) {
    let taxed = amount(line.total_tax_money.as_ref()) > 0;
    let discounted = amount(line.total_discount_money.as_ref()) > 0;
    let base = amount(line.base_price_money.as_ref());
    price(line, base, units, taxed, discounted);
}

/// What its modifiers cost.
fn modifiers(line: &Line) -> i64 {
    let all = line.modifiers.iter().chain(&line.return_modifiers);
    all.map(|modifier| modifier.total_price_money.amount).sum()
}

/// What the line costs after its discount and before charges and taxes.
pub(super) fn discounted_price(line: &Line) -> i64 {
    amount(line.variation_total_price_money.as_ref()) + modifiers(line)
        - amount(line.total_discount_money.as_ref())
}

/// Prices a line anew with its share of what is apportioned to the lines.
pub(super) fn charge(line: &mut Line, share: i64, taxed: bool, how: Taxed) {
    let list = amount(line.variation_total_price_money.as_ref()) + modifiers(line);
    let price = discounted_price(line) + share;
    let tax = if taxed { tax(price, how) } else { 0 };
    let (taken_out, on_top) = match how {
        Taxed::Additive => (0, tax),
        Taxed::TakenOut => (tax, 0),
        Taxed::LeftIn => (0, 0),
    };
    line.gross_sales_money = Some(Money::of(list + share - taken_out));
    line.total_tax_money = Some(Money::of(tax));
    line.total_service_charge_money = Some(Money::of(share));
    line.total_money = Some(Money::of(price + on_top));
}

/// The tax on a price, or in it.
pub(super) fn tax(price: i64, how: Taxed) -> i64 {
    match how {
        Taxed::Additive => price * 85 / 1_000,
        Taxed::TakenOut | Taxed::LeftIn => price * 85 / 1_085,
    }
}

pub(super) fn amount(money: Option<&Money>) -> i64 {
    money.map_or(0, |money| money.amount)
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

/// The line as it comes back, in part or as a whole.
pub(super) fn returned(rng: &mut Rng, sold: Line, linked: bool, whole: bool, how: Taxed) -> Line {
    let mut line = sold;
    line.source_line_item_uid = line.uid.take().filter(|_| linked);
    line.uid = (!one_in(rng, 10)).then(|| uid(rng));
    line.return_modifiers = order_parts::returned(std::mem::take(&mut line.modifiers), rng);
    let sold_units = quantity_units(&line.quantity).unwrap_or(UNITS_PER_PIECE);
    if !whole && sold_units > UNITS_PER_PIECE {
        line.quantity = quantity_text(UNITS_PER_PIECE, 0);
        let taxed = amount(line.total_tax_money.as_ref()) > 0;
        let share = amount(line.total_service_charge_money.as_ref());
        price_anew(&mut line, UNITS_PER_PIECE);
        charge(&mut line, share * UNITS_PER_PIECE / sold_units, taxed, how);
    }
    // What was applied is named by the uids of the sale, which the return has not.
    line.applied_taxes = Vec::new();
    line.applied_discounts = Vec::new();
    line.applied_service_charges = Vec::new();
    line.gross_return_money = line.gross_sales_money.take();
    line
}

/// A uid of Square's look.
pub(super) fn uid(rng: &mut Rng) -> String {
    random::id(rng, 22)
}
