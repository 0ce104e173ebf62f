//! Seeded orders, each made from its number alone. Most are sales; some are
//! what a strict importer trips over: returns as orders of their own, exchanges,
//! custom amounts, gift cards, orders without lines, abandoned and canceled
//! ones, old ones converted from before there were orders, and edits that came
//! weeks or, from an offline till, days later.

use fastrand::Rng;
use serde_json::json;

use super::order_lines::{self, amount, lines, returned};
use super::order_wire::{
    Amounts, Line, Money, Order, Refund, Return, ServiceCharge, Source, Tender,
};
use super::{CURRENCY, order_charges, order_parts, words};
use crate::moment::{self, DAY, MINUTE, Nanos, SECOND};
use crate::random::{self, Stream, one_in, pick};

/// What all seeded orders share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) count: usize,
    pub(crate) from: Nanos,
    pub(crate) to: Nanos,
    pub(crate) drift: bool,
    pub(crate) locations: Vec<Box<str>>,
    /// The currency of each location.
    pub(crate) currencies: Vec<Box<str>>,
    /// Ids of the variations sold.
    pub(crate) variations: Vec<Box<str>>,
}

/// What kind of order it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sale,
    /// A sale from before orders existed: without version, uids and details.
    Converted,
    Return,
    Exchange,
    /// No lines: an abandoned cart, or a till opened for nothing.
    Empty,
}

/// What is known of an order before it is made.
#[derive(Clone, Debug)]
pub(crate) struct Brief {
    pub(crate) kind: Kind,
    pub(crate) state: &'static str,
    /// The place of its location in the plan.
    pub(crate) location: usize,
    pub(crate) created_at: Nanos,
    pub(crate) updated_at: Nanos,
    /// Set once it is completed or canceled.
    pub(crate) closed_at: Option<Nanos>,
}

/// The id of an order; its number is in it, so that it can be found again.
pub(crate) fn id(plan: &Plan, number: usize) -> String {
    let mut rng = random::stream(plan.seed, Stream::OrderId, number);
    format!("{}{number:08}", random::id(&mut rng, 18))
}

/// The number that an id claims to have.
pub(crate) fn number_in(id: &str) -> Option<usize> {
    id.get(18..).and_then(|digits| digits.parse().ok())
}

/// What an order is, when and where, and the stream that its rest is drawn from.
pub(crate) fn brief(plan: &Plan, number: usize) -> (Brief, Rng) {
    let mut rng = random::stream(plan.seed, Stream::Order, number);
    let kind = match rng.u8(0..100) {
        _ if number * 8 < plan.count => Kind::Converted,
        0..4 => Kind::Return,
        4 => Kind::Exchange,
        5 => Kind::Empty,
        _ => Kind::Sale,
    };
    let state = match rng.u16(0..300) {
        0 if plan.drift => "PARKED",
        0..9 if kind == Kind::Sale => "OPEN",
        9..15 if kind == Kind::Sale => "DRAFT",
        15..24 if kind != Kind::Return => "CANCELED",
        _ if kind == Kind::Empty && one_in(&mut rng, 2) => "OPEN",
        _ => "COMPLETED",
    };
    let location = rng.usize(..plan.locations.len().max(1));
    let created_at = random::moment(&mut rng, slot(plan, number), slot(plan, number + 1));
    let closed_at = matches!(state, "COMPLETED" | "CANCELED")
        .then(|| random::moment(&mut rng, created_at, created_at + 20 * MINUTE).min(plan.to));
    let from = closed_at.unwrap_or(created_at);
    let later = match rng.u8(0..50) {
        0 => 60 * DAY,
        1 => 3 * DAY,
        _ => MINUTE,
    };
    let mut updated_at = random::moment(&mut rng, from, from + later).min(plan.to);
    if number % 400 < 5 {
        // A nightly batch touches a few orders in the same instant.
        updated_at = slot(plan, number - number % 400 + 5)
            .max(from + SECOND)
            .min(plan.to);
    }
    (
        Brief {
            kind,
            state,
            location,
            created_at,
            updated_at,
            closed_at,
        },
        rng,
    )
}

/// When the order of that number can begin: orders come in the order of time.
fn slot(plan: &Plan, number: usize) -> Nanos {
    let count = i64::try_from(plan.count.max(1)).unwrap_or(i64::MAX);
    let number = i64::try_from(number).unwrap_or(i64::MAX).min(count);
    let width = (plan.to - plan.from) / count;
    plan.from + width * number
}

/// The whole order.
pub(crate) fn order(plan: &Plan, number: usize) -> Order {
    let (brief, mut rng) = brief(plan, number);
    let mut order = assembled(plan, &brief, &mut rng, number);
    order.id = id(plan, number);
    order
}

/// Writes the order as Square gives it: in the currency of its location.
pub(crate) fn write(plan: &Plan, number: usize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let (brief, mut rng) = brief(plan, number);
    let mut order = assembled(plan, &brief, &mut rng, number);
    order.id = id(plan, number);
    in_currency(&order, currency(plan, brief.location), out)
}

/// Writes the order with all its amounts in that currency.
pub(crate) fn in_currency(
    order: &Order,
    currency: &str,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let begun = out.len();
    serde_json::to_writer(&mut *out, order)?;
    if currency != CURRENCY {
        // A text that says the same has its quotes escaped.
        let ours = format!("\"currency\":\"{CURRENCY}\"");
        let theirs = format!("\"currency\":\"{currency}\"");
        let written = String::from_utf8_lossy(&out[begun..]).replace(&ours, &theirs);
        out.truncate(begun);
        out.extend_from_slice(written.as_bytes());
    }
    Ok(())
}

/// The currency of the location at that place.
pub(crate) fn currency(plan: &Plan, location: usize) -> &str {
    plan.currencies
        .get(location)
        .map_or(CURRENCY, |currency| currency)
}

/// An order of that kind and moment, drawn from the stream. Returns look for
/// their sale among the orders before `number`.
pub(crate) fn assembled(plan: &Plan, brief: &Brief, rng: &mut Rng, number: usize) -> Order {
    let mut order = Order {
        location_id: plan
            .locations
            .get(brief.location)
            .map(|id| id.to_string())
            .unwrap_or_default(),
        state: brief.state,
        created_at: moment::square(brief.created_at),
        updated_at: moment::square(brief.updated_at),
        closed_at: brief.closed_at.map(moment::square),
        version: Some(rng.i64(1..12)),
        ..Order::default()
    };
    let is_abroad = currency(plan, brief.location) != CURRENCY;
    match brief.kind {
        Kind::Sale => order.line_items = lines(plan, rng),
        Kind::Converted => order.line_items = order_lines::stripped(lines(plan, rng)),
        Kind::Return => order.returns = returns(plan, rng, number),
        Kind::Exchange => {
            order.returns = returns(plan, rng, number);
            order.line_items = lines(plan, rng);
        }
        Kind::Empty => {}
    }
    if matches!(brief.kind, Kind::Sale | Kind::Exchange) {
        order_charges::apply(&mut order, rng, is_abroad);
    }
    total(&mut order, rng, brief.kind);
    settle(&mut order, rng, brief.kind);
    dress(&mut order, rng, brief, plan.drift);
    order
}

/// What comes back: lines of an earlier sale, or now and then unlinked ones;
/// one in eight returns is from two sales, one in three takes back a sale whole.
fn returns(plan: &Plan, rng: &mut Rng, number: usize) -> Vec<Return> {
    let from = if one_in(rng, 8) { 2 } else { 1 };
    let mut returns = Vec::new();
    for _ in 0..from {
        let source = (number.saturating_sub(40)..number).rev().find(|&earlier| {
            let (brief, _) = brief(plan, earlier);
            brief.kind == Kind::Sale && brief.state == "COMPLETED" && rng.u8(0..3) == 0
        });
        let sale = source
            .filter(|_| !one_in(rng, 6))
            .map(|source| order(plan, source));
        let whole = sale.is_some() && one_in(rng, 3);
        let linked = sale.is_some();
        let mut sale = sale.unwrap_or_else(|| Order {
            line_items: lines(plan, rng),
            ..Order::default()
        });
        if !whole {
            sale.line_items.truncate(2);
        }
        returns.push(taken_back(rng, sale, linked, whole));
    }
    returns
}

/// What one return takes back of a sale: its charges and its tip only with all of it,
/// but what was apportioned to a line comes back with that line.
fn taken_back(rng: &mut Rng, sale: Order, linked: bool, whole: bool) -> Return {
    let mut lines: Vec<Line> = Vec::new();
    let mut charges: Vec<ServiceCharge> = Vec::new();
    for line in sale.line_items {
        lines.push(returned(rng, line, linked, whole, sale.taxed));
    }
    let shared = sum(&lines, |line| line.total_service_charge_money.as_ref());
    let mut apportioned = 0;
    for mut charge in sale.service_charges {
        if charge.is_apportioned() {
            apportioned += 1;
        }
        if !whole && (!charge.is_apportioned() || apportioned > 1) {
            continue;
        }
        if !whole {
            charge.applied_money = Money::of(shared);
            charge.total_money = Money::of(shared);
            charge.amount_money = charge.amount_money.map(|_| Money::of(shared));
        }
        charge.source_service_charge_uid = Some(charge.uid);
        charge.uid = order_lines::uid(rng);
        charges.push(charge);
    }
    let tip = if whole {
        amount(sale.total_tip_money.as_ref())
    } else {
        0
    };
    let amounts = amounts(&lines, &charges, tip);
    let (tax, discount) = (amounts.tax_money.amount, amounts.discount_money.amount);
    let mut back = Return {
        uid: Some(order_lines::uid(rng)),
        source_order_id: linked.then_some(sale.id),
        return_line_items: lines,
        return_service_charges: charges,
        ..Return::default()
    };
    if tax > 0 {
        let mut taxes = order_charges::tax_of(order_lines::uid(rng), sale.taxed, tax);
        taxes.source_tax_uid = sale.taxes.into_iter().next().map(|tax| tax.uid);
        order_charges::taxes_applied(&mut back.return_line_items, &taxes.uid);
        back.return_taxes.push(taxes);
    }
    if discount > 0 {
        let mut discounts = order_charges::discount(order_lines::uid(rng), discount);
        discounts.source_discount_uid = sale.discounts.into_iter().next().map(|one| one.uid);
        order_charges::discounts_applied(&mut back.return_line_items, &discounts.uid);
        back.return_discounts.push(discounts);
    }
    if tip > 0 {
        let tender_id = sale.tenders.first().map(|tender| &tender.id);
        back.return_tips.push(json!({"uid": order_lines::uid(rng),
            "applied_money": Money::of(tip), "source_tender_id": tender_id}));
    }
    // Some say only in parts what they take back.
    back.return_amounts = (!one_in(rng, 5)).then_some(amounts);
    back
}

fn sum(lines: &[Line], of: fn(&Line) -> Option<&Money>) -> i64 {
    lines.iter().filter_map(of).map(|money| money.amount).sum()
}

/// Adds up lines, charges and a tip. A charge that is apportioned is in the lines.
fn amounts(lines: &[Line], charges: &[ServiceCharge], tip: i64) -> Amounts {
    let separate = || charges.iter().filter(|charge| !charge.is_apportioned());
    let beside: i64 = separate().map(|charge| charge.total_money.amount).sum();
    let tax: i64 = separate().map(|charge| charge.total_tax_money.amount).sum();
    let charged: i64 = charges
        .iter()
        .map(|charge| charge.applied_money.amount)
        .sum();
    Amounts {
        total_money: Money::of(sum(lines, |line| line.total_money.as_ref()) + beside + tip),
        tax_money: Money::of(sum(lines, |line| line.total_tax_money.as_ref()) + tax),
        discount_money: Money::of(sum(lines, |line| line.total_discount_money.as_ref())),
        tip_money: Money::of(tip),
        service_charge_money: Money::of(charged),
    }
}

fn returned_amounts(back: &Return) -> Amounts {
    let tips = back.return_tips.iter();
    let tip = tips
        .filter_map(|tip| tip["applied_money"]["amount"].as_i64())
        .sum();
    amounts(&back.return_line_items, &back.return_service_charges, tip)
}

/// Adds up the lines. A return's own total is nothing; its net is below zero.
fn total(order: &mut Order, rng: &mut Rng, kind: Kind) {
    let tip = if kind == Kind::Sale && one_in(rng, 8) {
        rng.i64(50..2_000)
    } else {
        0
    };
    let sale = amounts(&order.line_items, &order.service_charges, tip);
    let back = order.returns.iter().map(returned_amounts);
    let back = back.fold(Amounts::default(), |sum, back| sum.plus(&back));
    let net = sale.minus(&back);
    let due = if order.state == "OPEN" {
        net.total_money.amount
    } else {
        0
    };
    order.total_money = Some(sale.total_money.clone());
    if kind == Kind::Converted {
        return;
    }
    order.total_tax_money = Some(sale.tax_money);
    order.total_discount_money = Some(sale.discount_money);
    order.total_tip_money = Some(sale.tip_money);
    order.total_service_charge_money = Some(sale.service_charge_money);
    if !order.returns.is_empty() && !one_in(rng, 6) {
        order.return_amounts = Some(back);
    }
    if !one_in(rng, 10) {
        order.net_amounts = Some(net);
        order.net_amount_due_money = Some(Money::of(due));
    }
}

/// How it was paid, or paid back.
fn settle(order: &mut Order, rng: &mut Rng, kind: Kind) {
    if order.state != "COMPLETED" {
        return;
    }
    let total = amount(order.total_money.as_ref());
    let tip = amount(order.total_tip_money.as_ref());
    if kind != Kind::Return {
        let parts = if total > 1_000 && one_in(rng, 15) {
            vec![total / 3, total - total / 3]
        } else {
            vec![total]
        };
        for (n, part) in parts.into_iter().enumerate() {
            order
                .tenders
                .push(tender(order, rng, part, if n == 0 { tip } else { 0 }, kind));
        }
    }
    for back in order.returns.clone() {
        let amount = returned_amounts(&back).total_money.amount;
        order.refunds.push(Refund {
            id: random::id(rng, 22),
            location_id: order.location_id.clone(),
            tender_id: random::id(rng, 22),
            created_at: order.created_at.clone(),
            reason: "Returned goods",
            amount_money: Money::of(amount),
            status: if one_in(rng, 10) {
                "PENDING"
            } else {
                "APPROVED"
            },
        });
    }
}

fn tender(order: &Order, rng: &mut Rng, amount: i64, tip: i64, kind: Kind) -> Tender {
    let id = random::id(rng, 22);
    let kind_of_tender = if amount == 0 {
        "NO_SALE"
    } else {
        pick(
            rng,
            &[
                "CARD",
                "CARD",
                "CARD",
                "CASH",
                "WALLET",
                "SQUARE_GIFT_CARD",
                "OTHER",
                "BUY_NOW_PAY_LATER",
            ],
        )
    };
    let card = kind_of_tender == "CARD";
    Tender {
        payment_id: (kind != Kind::Converted).then(|| id.clone()),
        id,
        location_id: order.location_id.clone(),
        created_at: order.closed_at.clone().unwrap_or_else(|| order.created_at.clone()),
        kind: kind_of_tender,
        amount_money: Money::of(amount),
        tip_money: (tip > 0).then(|| Money::of(tip)),
        processing_fee_money: card.then(|| Money::of(amount / 40 + 10)),
        card_details: card.then(|| json!({"status": "CAPTURED", "entry_method": "EMV", "card": {"card_brand": "VISA", "last_4": "1111"}})),
    }
}

/// Names, notes and what is newer than the published schemas.
fn dress(order: &mut Order, rng: &mut Rng, brief: &Brief, drift: bool) {
    let (kind, created_at) = (brief.kind, brief.created_at);
    if kind == Kind::Converted {
        order.version = None;
        return;
    }
    if one_in(rng, 12) {
        order.version = None;
    }
    if one_in(rng, 40) {
        // No total, or no more than the net amounts: Square promises none of them.
        order.total_money = None;
        if order.net_amounts.is_some() {
            order.total_tax_money = None;
            order.total_discount_money = None;
            order.total_tip_money = None;
            order.total_service_charge_money = None;
        }
    }
    if !one_in(rng, 10) {
        order.source = Some(Source {
            name: pick(
                rng,
                &["Point of Sale", "Square Online", "Kiosk Ω", "My app"],
            ),
        });
    }
    if one_in(rng, 4) {
        order.customer_id = Some(format!("CUST{:06}", rng.u32(0..5_000)));
    }
    if one_in(rng, 10) {
        order.reference_id = Some(format!("ref-{}", rng.u32(..)));
    }
    if one_in(rng, 10) {
        order.ticket_name = Some(words::item(rng));
    }
    order_parts::dress(order, rng, created_at);
    if one_in(rng, 30) {
        order.metadata = Some(json!({"table": "7", "note": "Straße"}));
    }
    if drift && one_in(rng, 20) {
        order.sustainability = Some(json!({"cups_saved": rng.u8(..), "score": 0.5}));
        if let Some(tender) = order.tenders.first_mut().filter(|_| one_in(rng, 3)) {
            tender.kind = "BARTER";
        }
    }
}
