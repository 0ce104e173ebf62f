//! What seeded orders hold besides lines and payments: what was chosen for a line, how
//! the order reaches its buyer, and what a loyalty program gave for it. All of it is
//! drawn aside, so that the rest of an order stays as it is.

use fastrand::Rng;
use serde_json::{Value, json};

use super::order_lines::{self, uid};
use super::order_wire::{Line, Modifier, Money, Order};
use super::words;
use crate::account::counts::{UNITS_PER_PIECE, quantity_units};
use crate::moment::{self, MINUTE, Nanos};
use crate::random::{id, one_in, pick};

/// A stream of its own, which takes nothing from that one.
fn aside(rng: &Rng, salt: u64) -> Rng {
    Rng::with_seed(rng.clone().u64(..) ^ salt)
}

/// Chooses modifiers for some of the lines, and prices those anew.
pub(super) fn modify(lines: &mut [Line], rng: &Rng) {
    let mut rng = aside(rng, 0x4d4f_4446);
    for line in lines {
        if line.catalog_object_id.is_none() || !one_in(&mut rng, 4) {
            continue;
        }
        for _ in 0..rng.usize(1..3) {
            let price = [0, 50, 125, 300][rng.usize(..4)];
            line.modifiers.push(Modifier {
                uid: (!one_in(&mut rng, 40)).then(|| uid(&mut rng)),
                source_modifier_uid: None,
                parent_modifier_uid: None,
                catalog_object_id: (!one_in(&mut rng, 5)).then(|| id(&mut rng, 24)),
                catalog_version: Some(rng.i64(1_500_000_000_000..1_780_000_000_000)),
                name: (!one_in(&mut rng, 20)).then(|| words::variation(&mut rng).to_owned()),
                quantity: "1",
                base_price_money: Some(Money::of(price)),
                total_price_money: Money::of(0),
            });
        }
        if let [first, second] = &mut line.modifiers[..] {
            second.parent_modifier_uid = first.uid.clone().filter(|_| one_in(&mut rng, 6));
        }
        let units = quantity_units(&line.quantity).unwrap_or(UNITS_PER_PIECE);
        order_lines::price_anew(line, units);
    }
}

/// What each modifier adds to so much of its line.
pub(super) fn total(modifiers: &mut [Modifier], units: i64) {
    for modifier in modifiers {
        let price = order_lines::amount(modifier.base_price_money.as_ref());
        modifier.total_price_money = Money::of(price * units / UNITS_PER_PIECE);
    }
}

/// The modifiers of a line that comes back.
pub(super) fn returned(modifiers: Vec<Modifier>, rng: &Rng) -> Vec<Modifier> {
    let mut rng = aside(rng, 0x5245_5455);
    let back = modifiers.into_iter().map(|modifier| Modifier {
        source_modifier_uid: modifier.uid,
        uid: (!one_in(&mut rng, 20)).then(|| uid(&mut rng)),
        parent_modifier_uid: None,
        ..modifier
    });
    back.collect()
}

/// Gives some orders a way to their buyers, and some a reward.
pub(super) fn dress(order: &mut Order, rng: &Rng, created_at: Nanos) {
    let mut rng = aside(rng, 0x4655_4c46);
    if one_in(&mut rng, 12) {
        order.fulfillments = Some(json!([fulfillment(&mut rng, created_at)]));
    }
    if one_in(&mut rng, 25) {
        let reward = json!({"id": uid(&mut rng), "reward_tier_id": uid(&mut rng)});
        if let Some(discount) = order.discounts.first_mut() {
            discount.reward_ids = vec![reward["id"].clone()];
        }
        order.rewards = vec![reward];
    }
}

fn fulfillment(rng: &mut Rng, created_at: Nanos) -> Value {
    let at = |minutes: i64| moment::square(created_at + minutes * MINUTE);
    let done = !one_in(rng, 5);
    let recipient = json!({
        "customer_id": format!("CUST{:06}", rng.u32(0..5_000)),
        "display_name": "Ada Lovelace",
        "email_address": "ada@example.com",
        "phone_number": "+1 555 0100",
        "address": {"address_line_1": "12 St James's Square", "locality": "London", "country": "GB"},
    });
    let mut details = json!({"recipient": recipient, "placed_at": at(0), "note": "Ring twice"});
    let (kind, field, more) = match rng.u8(0..4) {
        0 => (
            "PICKUP",
            "pickup_details",
            json!({"schedule_type": "ASAP", "accepted_at": at(1), "ready_at": at(9), "pickup_at": at(10),
                "is_curbside_pickup": one_in(rng, 2)}),
        ),
        1 => (
            "DELIVERY",
            "delivery_details",
            json!({"schedule_type": "SCHEDULED", "in_progress_at": at(2), "ready_at": at(12), "deliver_at": at(40),
                "courier_pickup_at": at(15), "courier_provider_name": "Courier", "is_no_contact_delivery": true,
                "square_delivery_id": uid(rng), "managed_delivery": false}),
        ),
        2 => (
            "SHIPMENT",
            "shipment_details",
            json!({"in_progress_at": at(3), "packaged_at": at(60), "expected_shipped_at": at(90),
                "carrier": pick(rng, &["UPS", "USPS"]), "shipping_type": "First class", "tracking_number": id(rng, 12),
                "shipping_note": "Fragile"}),
        ),
        _ => (
            "IN_STORE",
            "in_store_details",
            json!({"in_progress_at": at(1), "prepared_at": at(4)}),
        ),
    };
    if let (Some(details), Some(more)) = (details.as_object_mut(), more.as_object()) {
        details.extend(more.clone());
        if field == "shipment_details" {
            details.remove("note");
        }
        let end = match (done, field) {
            (true, "pickup_details") => Some("picked_up_at"),
            (true, "delivery_details") => Some("delivered_at"),
            (true, "shipment_details") => Some("shipped_at"),
            (true, _) => Some("completed_at"),
            (false, "in_store_details") => None,
            (false, _) => Some("canceled_at"),
        };
        if let Some(end) = end {
            details.insert(end.to_owned(), at(100).into());
        }
        if !done && field != "in_store_details" {
            details.insert("cancel_reason".to_owned(), "Not at home".into());
        }
    }
    json!({"uid": uid(rng), "type": kind, "state": if done { "COMPLETED" } else { "CANCELED" }, field: details})
}
