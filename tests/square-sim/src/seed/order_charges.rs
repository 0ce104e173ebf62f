//! What seeded orders cost beyond the prices of their lines: taxes on top of them
//! or in them, and service charges of every phase and treatment, as percentages
//! and as amounts.

use fastrand::Rng;
use serde_json::{Value, json};

use super::order_lines::{amount, charge, discounted_price, tax, uid};
use super::order_wire::{
    APPORTIONED, Discount, Line, Money, Order, SEPARATE, ServiceCharge, Tax, Taxed,
};
use crate::random::one_in;

/// How a service charge is worked out.
#[derive(Clone, Copy)]
enum Rule {
    Percentage(&'static str, i64),
    Amount(i64),
}

/// Gives a sale's order its taxes, discounts and service charges. Abroad, taxes are
/// in the prices and stay in the gross amounts.
pub(super) fn apply(order: &mut Order, rng: &mut Rng, is_abroad: bool) {
    order.taxed = match (is_abroad, one_in(rng, 6)) {
        (true, _) => Taxed::LeftIn,
        (false, true) => Taxed::TakenOut,
        (false, false) => Taxed::Additive,
    };
    let (percentage, fixed) = (Rule::Percentage("10", 10), Rule::Amount(300));
    let choice = rng.u8(0..16);
    for (choices, rule) in [([0, 1], percentage), ([1, 2], fixed)] {
        if choices.contains(&choice) {
            apportion(order, rng, rule);
        }
    }
    for line in &mut order.line_items {
        let share = amount(line.total_service_charge_money.as_ref());
        let taxed = amount(line.total_tax_money.as_ref()) > 0;
        charge(line, share, taxed, order.taxed);
    }
    let (eighteen, fixed) = (Rule::Percentage("18", 18), Rule::Amount(250));
    for (choices, phase, rule, taxable) in [
        ([1, 3], "SUBTOTAL_PHASE", eighteen, true),
        ([3, 4], "SUBTOTAL_PHASE", fixed, false),
        ([3, 5], "TOTAL_PHASE", Rule::Percentage("3", 3), false),
        ([6, 6], "TOTAL_PHASE", Rule::Amount(99), false),
    ] {
        if choices.contains(&choice) {
            separate(order, rng, phase, rule, taxable);
        }
    }
    reductions(order, rng);
    taxes(order, rng);
}

fn service_charge(rng: &mut Rng, rule: Rule, applied: i64, phase: &'static str) -> ServiceCharge {
    ServiceCharge {
        uid: uid(rng),
        source_service_charge_uid: None,
        name: (!one_in(rng, 8)).then_some("Service"),
        percentage: match rule {
            Rule::Percentage(text, _) => Some(text),
            Rule::Amount(_) => None,
        },
        amount_money: match rule {
            Rule::Percentage(..) => None,
            Rule::Amount(amount) => Some(Money::of(amount)),
        },
        applied_money: Money::of(applied),
        total_money: Money::of(applied),
        total_tax_money: Money::of(0),
        calculation_phase: phase,
        taxable: false,
        kind: "CUSTOM",
        treatment_type: SEPARATE,
        scope: "ORDER",
    }
}

/// A charge that becomes a part of each line's amounts.
fn apportion(order: &mut Order, rng: &mut Rng, rule: Rule) {
    let prices: Vec<i64> = order.line_items.iter().map(discounted_price).collect();
    let all: i64 = prices.iter().sum();
    if all == 0 {
        return;
    }
    let mut shares: Vec<i64> = prices
        .iter()
        .map(|price| match rule {
            Rule::Percentage(_, percent) => price * percent / 100,
            Rule::Amount(amount) => price * amount / all,
        })
        .collect();
    let sum: i64 = shares.iter().sum();
    if let (Rule::Amount(amount), Some(last)) = (rule, shares.last_mut()) {
        // What rounding has left over.
        *last += amount - sum;
    }
    let phase = match rule {
        Rule::Percentage(..) => "APPORTIONED_PERCENTAGE_PHASE",
        Rule::Amount(_) => "APPORTIONED_AMOUNT_PHASE",
    };
    let charge = ServiceCharge {
        taxable: true,
        treatment_type: APPORTIONED,
        ..service_charge(rng, rule, shares.iter().sum(), phase)
    };
    for (line, share) in order.line_items.iter_mut().zip(shares) {
        let before = amount(line.total_service_charge_money.as_ref());
        line.total_service_charge_money = Some(Money::of(before + share));
        let applied = json!({"uid": uid(rng), "service_charge_uid": charge.uid, "applied_money": Money::of(share)});
        line.applied_service_charges.push(applied);
    }
    order.service_charges.push(charge);
}

/// A charge beside the lines.
fn separate(order: &mut Order, rng: &mut Rng, phase: &'static str, rule: Rule, taxable: bool) {
    let total = |line: &Line| amount(line.total_money.as_ref());
    let tax_on_top = |line: &Line| match order.taxed {
        Taxed::Additive => amount(line.total_tax_money.as_ref()),
        Taxed::TakenOut | Taxed::LeftIn => 0,
    };
    let lines = order.line_items.iter();
    let base: i64 = if phase == "TOTAL_PHASE" {
        lines.map(total).sum()
    } else {
        lines.map(|line| total(line) - tax_on_top(line)).sum()
    };
    let applied = match rule {
        Rule::Percentage(_, percent) => base * percent / 100,
        Rule::Amount(amount) => amount,
    };
    let tax = if taxable {
        tax(applied, order.taxed)
    } else {
        0
    };
    let on_top = if order.taxed == Taxed::Additive {
        tax
    } else {
        0
    };
    let is_gratuity = one_in(rng, 4);
    let mut charge = ServiceCharge {
        total_money: Money::of(applied + on_top),
        total_tax_money: Money::of(tax),
        taxable,
        ..service_charge(rng, rule, applied, phase)
    };
    if is_gratuity {
        charge.kind = "AUTO_GRATUITY";
        charge.name = None;
    }
    order.service_charges.push(charge);
}

fn reductions(order: &mut Order, rng: &mut Rng) {
    let uid = uid(rng);
    let applied = discounts_applied(&mut order.line_items, &uid);
    if applied > 0 {
        order.discounts.push(discount(uid, applied));
    }
}

fn taxes(order: &mut Order, rng: &mut Rng) {
    let uid = uid(rng);
    let on_lines = taxes_applied(&mut order.line_items, &uid);
    let on_charges = order.service_charges.iter();
    let on_charges: i64 = on_charges.map(|charge| charge.total_tax_money.amount).sum();
    if on_lines + on_charges > 0 {
        order
            .taxes
            .push(tax_of(uid, order.taxed, on_lines + on_charges));
    }
}

/// Notes on each line its share in a discount; returns the sum.
pub(super) fn discounts_applied(lines: &mut [Line], uid: &str) -> i64 {
    applied(
        lines,
        uid,
        |line| &line.total_discount_money,
        |line| &mut line.applied_discounts,
        |own, applied| json!({"uid": own, "discount_uid": uid, "applied_money": Money::of(applied)}),
    )
}

/// Notes on each line its share in a tax; returns the sum.
pub(super) fn taxes_applied(lines: &mut [Line], uid: &str) -> i64 {
    applied(
        lines,
        uid,
        |line| &line.total_tax_money,
        |line| &mut line.applied_taxes,
        |own, applied| json!({"uid": own, "tax_uid": uid, "applied_money": Money::of(applied)}),
    )
}

/// Notes on each line what was applied to it, under a uid of its own; returns the sum.
fn applied(
    lines: &mut [Line],
    uid: &str,
    of: fn(&Line) -> &Option<Money>,
    list: fn(&mut Line) -> &mut Vec<Value>,
    note: impl Fn(String, i64) -> Value,
) -> i64 {
    let mut sum = 0;
    for (number, line) in lines.iter_mut().enumerate() {
        let applied = amount(of(line).as_ref());
        if applied > 0 {
            list(line).push(note(format!("{uid}-{number}"), applied));
        }
        sum += applied;
    }
    sum
}

pub(super) fn discount(uid: String, applied: i64) -> Discount {
    Discount {
        uid,
        source_discount_uid: None,
        name: "Ten off",
        kind: "FIXED_PERCENTAGE",
        percentage: "10",
        applied_money: Money::of(applied),
        scope: "LINE_ITEM",
        reward_ids: Vec::new(),
    }
}

pub(super) fn tax_of(uid: String, taxed: Taxed, applied: i64) -> Tax {
    Tax {
        uid,
        source_tax_uid: None,
        name: "Sales tax",
        kind: if taxed == Taxed::Additive {
            "ADDITIVE"
        } else {
            "INCLUSIVE"
        },
        percentage: "8.5",
        applied_money: Money::of(applied),
        scope: "LINE_ITEM",
    }
}
