//! The rows of what an order holds in lists, besides its lines and tenders. What names
//! no currency has the order's; what has no uid is called `#` and its number, counted
//! over the whole order.

use serde_json::Value;

use super::orders::{list, named};
use super::reader::{Reader, Row};

/// How the elements of a list become rows.
pub(super) struct Part {
    pub(super) table: &'static str,
    /// The lists' fields, one within the other.
    lists: &'static [&'static str],
    /// The column with the name of what holds the element.
    holder: Option<&'static str>,
    /// The field with the element's name.
    name: &'static str,
    texts: &'static [&'static str],
    wholes: &'static [&'static str],
    flags: &'static [&'static str],
    decimals: &'static [&'static str],
    times: &'static [&'static str],
    /// Columns of amounts, and their fields.
    amounts: &'static [(&'static str, &'static str)],
    /// What is more.
    more: fn(&mut Reader<'_>),
}

const PLAIN: Part = Part {
    table: "",
    lists: &[],
    holder: None,
    name: "uid",
    texts: &[],
    wholes: &[],
    flags: &[],
    decimals: &[],
    times: &[],
    amounts: &[],
    more: |_| {},
};

const APPLIED: &[(&str, &str)] = &[("applied_amount", "applied_money")];
const FROM_CATALOG: &[&str] = &["catalog_version"];
const CHARGE_TEXTS: &[&str] = &[
    "catalog_object_id",
    "name",
    "type",
    "scope",
    "calculation_phase",
    "treatment_type",
];
const CHARGE_AMOUNTS: &[(&str, &str)] = &[
    ("amount", "amount_money"),
    ("applied_amount", "applied_money"),
    ("total_amount", "total_money"),
    ("total_tax_amount", "total_tax_money"),
];

/// All of them.
pub(super) const PARTS: [Part; 19] = [
    Part {
        table: "order_line_item_modifiers",
        lists: &["line_items", "modifiers"],
        holder: Some("line_item_uid"),
        texts: &["parent_modifier_uid", "catalog_object_id", "name"],
        wholes: FROM_CATALOG,
        decimals: &["quantity"],
        amounts: &[
            ("base_price_amount", "base_price_money"),
            ("total_price_amount", "total_price_money"),
        ],
        ..PLAIN
    },
    Part {
        table: "order_line_item_taxes",
        lists: &["line_items", "applied_taxes"],
        holder: Some("line_item_uid"),
        texts: &["tax_uid"],
        flags: &["auto_applied"],
        amounts: APPLIED,
        ..PLAIN
    },
    Part {
        table: "order_line_item_discounts",
        lists: &["line_items", "applied_discounts"],
        holder: Some("line_item_uid"),
        texts: &["discount_uid"],
        amounts: APPLIED,
        ..PLAIN
    },
    Part {
        table: "order_line_item_service_charges",
        lists: &["line_items", "applied_service_charges"],
        holder: Some("line_item_uid"),
        texts: &["service_charge_uid"],
        amounts: APPLIED,
        ..PLAIN
    },
    Part {
        table: "order_taxes",
        lists: &["taxes"],
        texts: &["catalog_object_id", "name", "type", "scope"],
        wholes: FROM_CATALOG,
        flags: &["auto_applied"],
        decimals: &["percentage"],
        amounts: APPLIED,
        ..PLAIN
    },
    Part {
        table: "order_discounts",
        lists: &["discounts"],
        texts: &[
            "catalog_object_id",
            "name",
            "type",
            "scope",
            "pricing_rule_id",
        ],
        wholes: FROM_CATALOG,
        decimals: &["percentage"],
        amounts: &[
            ("amount", "amount_money"),
            ("applied_amount", "applied_money"),
        ],
        more: |reader| reader.texts("reward_ids", "/reward_ids"),
        ..PLAIN
    },
    Part {
        table: "order_service_charges",
        lists: &["service_charges"],
        texts: CHARGE_TEXTS,
        wholes: FROM_CATALOG,
        flags: &["taxable"],
        decimals: &["percentage"],
        amounts: CHARGE_AMOUNTS,
        ..PLAIN
    },
    Part {
        table: "order_fulfillments",
        lists: &["fulfillments"],
        texts: &["type", "state", "line_item_application"],
        more: fulfillment,
        ..PLAIN
    },
    Part {
        table: "order_rewards",
        lists: &["rewards"],
        name: "id",
        texts: &["reward_tier_id"],
        ..PLAIN
    },
    Part {
        table: "order_refunds",
        lists: &["refunds"],
        name: "id",
        texts: &[
            "location_id",
            "transaction_id",
            "tender_id",
            "status",
            "reason",
        ],
        times: &["created_at"],
        amounts: &[
            ("amount", "amount_money"),
            ("processing_fee_amount", "processing_fee_money"),
        ],
        ..PLAIN
    },
    Part {
        table: "order_returns",
        lists: &["returns"],
        texts: &["source_order_id"],
        amounts: &[
            ("total_amount", "return_amounts/total_money"),
            ("tax_amount", "return_amounts/tax_money"),
            ("discount_amount", "return_amounts/discount_money"),
            ("tip_amount", "return_amounts/tip_money"),
            (
                "service_charge_amount",
                "return_amounts/service_charge_money",
            ),
            ("rounding_amount", "rounding_adjustment/amount_money"),
        ],
        ..PLAIN
    },
    Part {
        table: "order_return_taxes",
        lists: &["returns", "return_taxes"],
        holder: Some("return_uid"),
        texts: &[
            "source_tax_uid",
            "catalog_object_id",
            "name",
            "type",
            "scope",
        ],
        wholes: FROM_CATALOG,
        decimals: &["percentage"],
        amounts: APPLIED,
        ..PLAIN
    },
    Part {
        table: "order_return_discounts",
        lists: &["returns", "return_discounts"],
        holder: Some("return_uid"),
        texts: &[
            "source_discount_uid",
            "catalog_object_id",
            "name",
            "type",
            "scope",
        ],
        wholes: FROM_CATALOG,
        decimals: &["percentage"],
        amounts: &[
            ("amount", "amount_money"),
            ("applied_amount", "applied_money"),
        ],
        ..PLAIN
    },
    Part {
        table: "order_return_service_charges",
        lists: &["returns", "return_service_charges"],
        holder: Some("return_uid"),
        texts: CHARGE_TEXTS,
        wholes: FROM_CATALOG,
        flags: &["taxable"],
        decimals: &["percentage"],
        amounts: CHARGE_AMOUNTS,
        more: |reader| reader.text("source_service_charge_uid", "/source_service_charge_uid"),
        ..PLAIN
    },
    Part {
        table: "order_return_tips",
        lists: &["returns", "return_tips"],
        holder: Some("return_uid"),
        texts: &["source_tender_id", "source_tender_uid"],
        amounts: APPLIED,
        ..PLAIN
    },
    Part {
        table: "order_return_line_item_modifiers",
        lists: &["returns", "return_line_items", "return_modifiers"],
        holder: Some("return_line_item_uid"),
        texts: &["source_modifier_uid", "catalog_object_id", "name"],
        wholes: FROM_CATALOG,
        decimals: &["quantity"],
        amounts: &[
            ("base_price_amount", "base_price_money"),
            ("total_price_amount", "total_price_money"),
        ],
        ..PLAIN
    },
    Part {
        table: "order_return_line_item_taxes",
        lists: &["returns", "return_line_items", "applied_taxes"],
        holder: Some("return_line_item_uid"),
        texts: &["tax_uid"],
        amounts: APPLIED,
        ..PLAIN
    },
    Part {
        table: "order_return_line_item_discounts",
        lists: &["returns", "return_line_items", "applied_discounts"],
        holder: Some("return_line_item_uid"),
        texts: &["discount_uid"],
        amounts: APPLIED,
        ..PLAIN
    },
    Part {
        table: "order_return_line_item_service_charges",
        lists: &["returns", "return_line_items", "applied_service_charges"],
        holder: Some("return_line_item_uid"),
        texts: &["service_charge_uid"],
        amounts: APPLIED,
        ..PLAIN
    },
];

impl Part {
    /// The rows of one order.
    pub(super) fn rows(&self, order: &Value, currency: &Value) -> Result<Vec<Row>, String> {
        // Each element with its own name and its holder's.
        let mut held = vec![(Value::Null, Value::Null, order)];
        for field in self.lists {
            let mut inner = Vec::new();
            for (name, _, holder) in held {
                for json in elements(holder, field)? {
                    inner.push((named(json, self.name, inner.len()), name.clone(), json));
                }
            }
            held = inner;
        }
        let held = held.into_iter().enumerate();
        let rows = held.map(|(number, (name, holder, json))| {
            let mut reader = Reader::new(json);
            reader.set("order_id", order["id"].clone());
            reader.set(self.name, name);
            reader.set("ordinal", number);
            if let Some(column) = self.holder {
                reader.set(column, holder);
            }
            self.fill(&mut reader, json, currency);
            reader.finish()
        });
        rows.collect()
    }

    fn fill(&self, reader: &mut Reader<'_>, json: &Value, currency: &Value) {
        for column in self.texts {
            reader.text(column, &format!("/{column}"));
        }
        for column in self.wholes {
            reader.whole(column, &format!("/{column}"));
        }
        for column in self.flags {
            reader.flag(column, &format!("/{column}"));
        }
        for column in self.decimals {
            reader.decimal(column, &format!("/{column}"));
        }
        for column in self.times {
            reader.time(column, &format!("/{column}"));
        }
        let mut own = Value::Null;
        for (column, field) in self.amounts {
            reader.whole(column, &format!("/{field}/amount"));
            let of_this = json.pointer(&format!("/{field}/currency"));
            if let Some(name) = of_this.filter(|name| own.is_null() && **name != "") {
                own = name.clone();
            }
        }
        if !self.amounts.is_empty() {
            let currency = if own.is_null() { currency.clone() } else { own };
            reader.set("currency", currency);
        }
        (self.more)(reader);
    }
}

/// The elements of a list, which are objects.
fn elements<'a>(holder: &'a Value, field: &str) -> Result<Vec<&'a Value>, String> {
    if !holder[field].is_null() && !holder[field].is_array() {
        return Err(format!("{field} is no list"));
    }
    let elements: Vec<&Value> = list(holder, field).collect();
    if elements.iter().all(|json| json.is_object()) {
        Ok(elements)
    } else {
        Err(format!("{field} holds what is no object"))
    }
}

/// A fulfillment is one of four, and its details stand where that one has them.
fn fulfillment(reader: &mut Reader<'_>) {
    let [pickup, delivery, shipment, in_store] = ["pickup", "delivery", "shipment", "in_store"];
    for (column, ways) in [
        (
            "placed_at",
            &[
                (pickup, "placed_at"),
                (delivery, "placed_at"),
                (shipment, "placed_at"),
                (in_store, "placed_at"),
            ][..],
        ),
        ("accepted_at", &[(pickup, "accepted_at")]),
        (
            "in_progress_at",
            &[
                (delivery, "in_progress_at"),
                (shipment, "in_progress_at"),
                (in_store, "in_progress_at"),
            ],
        ),
        (
            "ready_at",
            &[
                (pickup, "ready_at"),
                (delivery, "ready_at"),
                (shipment, "packaged_at"),
                (in_store, "prepared_at"),
            ],
        ),
        (
            "expected_at",
            &[
                (pickup, "pickup_at"),
                (delivery, "deliver_at"),
                (shipment, "expected_shipped_at"),
            ],
        ),
        ("courier_pickup_at", &[(delivery, "courier_pickup_at")]),
        (
            "fulfilled_at",
            &[
                (pickup, "picked_up_at"),
                (delivery, "delivered_at"),
                (delivery, "completed_at"),
                (shipment, "shipped_at"),
                (in_store, "completed_at"),
            ],
        ),
        (
            "canceled_at",
            &[
                (pickup, "canceled_at"),
                (delivery, "canceled_at"),
                (shipment, "canceled_at"),
                (in_store, "canceled_at"),
            ],
        ),
        (
            "rejected_at",
            &[(pickup, "rejected_at"), (delivery, "rejected_at")],
        ),
        ("expired_at", &[(pickup, "expired_at")]),
        ("failed_at", &[(shipment, "failed_at")]),
    ] {
        let pointer = first_of(reader, ways);
        reader.time(column, &pointer);
    }
    for (column, ways) in [
        (
            "schedule_type",
            &[(pickup, "schedule_type"), (delivery, "schedule_type")][..],
        ),
        (
            "cancel_reason",
            &[
                (pickup, "cancel_reason"),
                (delivery, "cancel_reason"),
                (shipment, "cancel_reason"),
            ],
        ),
        ("failure_reason", &[(shipment, "failure_reason")]),
        (
            "carrier",
            &[(shipment, "carrier"), (delivery, "courier_provider_name")],
        ),
        ("shipping_type", &[(shipment, "shipping_type")]),
        ("tracking_number", &[(shipment, "tracking_number")]),
        ("square_delivery_id", &[(delivery, "square_delivery_id")]),
        (
            "external_delivery_id",
            &[(delivery, "external_delivery_id")],
        ),
        (
            "note",
            &[
                (pickup, "note"),
                (delivery, "note"),
                (shipment, "shipping_note"),
                (in_store, "note"),
            ],
        ),
    ] {
        let pointer = first_of(reader, ways);
        reader.text(column, &pointer);
    }
    for (column, way) in [
        ("is_curbside_pickup", (pickup, "is_curbside_pickup")),
        (
            "is_no_contact_delivery",
            (delivery, "is_no_contact_delivery"),
        ),
        ("managed_delivery", (delivery, "managed_delivery")),
    ] {
        let pointer = first_of(reader, &[way]);
        reader.flag(column, &pointer);
    }
    for field in [
        "customer_id",
        "display_name",
        "email_address",
        "phone_number",
        "address",
    ] {
        let path = format!("recipient/{field}");
        let ways = [pickup, delivery, shipment, in_store].map(|way| (way, path.as_str()));
        let pointer = first_of(reader, &ways);
        let column = format!("recipient_{field}");
        if field == "address" {
            reader.whatever(&column, &pointer);
        } else {
            reader.text(&column, &pointer);
        }
    }
}

/// The pointer to the first of these that is there, else to the first.
fn first_of(reader: &Reader<'_>, ways: &[(&str, &str)]) -> String {
    let pointers = || {
        let ways = ways.iter();
        ways.map(|(way, field)| format!("/{way}_details/{field}"))
    };
    let there = pointers().find(|pointer| reader.has(pointer));
    there.or_else(|| pointers().next()).unwrap_or_default()
}
