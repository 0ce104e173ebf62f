//! What an order holds in lists, besides its lines and tenders: each list's table, and
//! where its columns stand in the order's JSON. Amounts of what comes back are positive,
//! as Square gives them. A charge, discount or tax of the whole order stands once in its
//! own table and with its share in that of every line it applies to: only one of the two
//! may be added up.

use serde_json::Value;

use crate::fields::extract::{self, Row};
use crate::fields::field::{
    CHILD_HEAD, Child, Field, boolean, currency, decimal, integer, json, money, text, texts, time,
};
use crate::fields::misfit::Misfit;
use crate::staging::page_table::PageTable;

/// A list of an order's, and its table.
pub(super) struct Part {
    pub(super) child: Child,
    pub(super) table: PageTable,
}

/// Who it is for, whichever way it goes there.
macro_rules! recipient {
    ($field:literal) => {
        concat!(
            "pickup_details.recipient.",
            $field,
            "|delivery_details.recipient.",
            $field,
            "|shipment_details.recipient.",
            $field,
            "|in_store_details.recipient.",
            $field
        )
    };
}

/// How many lists there are.
pub(super) const COUNT: usize = 19;

/// The rows of each, in the order of [`PARTS`].
pub(crate) type Rows = [Vec<Row>; COUNT];

macro_rules! parts {
    ($($child:ident),* $(,)?) => {
        [$(Part {
            child: $child,
            table: PageTable {
                name: $child.table,
                key: &[$child.parent, $child.name],
                columns: &$child.columns::<{ CHILD_HEAD + $child.fields.len() }>(),
                children: &[],
            },
        }),*]
    };
}

/// All of them.
pub(super) static PARTS: [Part; COUNT] = parts![
    MODIFIERS,
    LINE_TAXES,
    LINE_DISCOUNTS,
    LINE_SERVICE_CHARGES,
    TAXES,
    DISCOUNTS,
    SERVICE_CHARGES,
    FULFILLMENTS,
    REWARDS,
    REFUNDS,
    RETURNS,
    RETURN_TAXES,
    RETURN_DISCOUNTS,
    RETURN_SERVICE_CHARGES,
    RETURN_TIPS,
    RETURN_MODIFIERS,
    RETURN_LINE_TAXES,
    RETURN_LINE_DISCOUNTS,
    RETURN_LINE_SERVICE_CHARGES,
];

/// The rows of an order in all those tables.
pub(super) fn rows(order: &Value, id: &str, currency: Option<&str>) -> Result<Rows, Misfit> {
    let mut rows = Rows::default();
    for (part, rows) in PARTS.iter().zip(&mut rows) {
        *rows = extract::children(order, id, &part.child, currency)?;
    }
    Ok(rows)
}

const fn child(table: &'static str, path: &'static str, fields: &'static [Field]) -> Child {
    Child {
        table,
        path,
        parent: "order_id",
        name: "uid",
        fields,
    }
}

const fn named_by_id(child: Child) -> Child {
    Child {
        name: "id",
        ..child
    }
}

const MODIFIERS: Child = child(
    "order_line_item_modifiers",
    "line_items[].modifiers[]",
    &[
        text("line_item_uid", "^#"),
        text("parent_modifier_uid", "parent_modifier_uid"),
        text("catalog_object_id", "catalog_object_id"),
        integer("catalog_version", "catalog_version"),
        text("name", "name"),
        decimal("quantity", "quantity"),
        currency(),
        money("base_price_amount", "base_price_money"),
        money("total_price_amount", "total_price_money"),
    ],
);

const LINE_TAXES: Child = child(
    "order_line_item_taxes",
    "line_items[].applied_taxes[]",
    &[
        text("line_item_uid", "^#"),
        text("tax_uid", "tax_uid"),
        currency(),
        money("applied_amount", "applied_money"),
        boolean("auto_applied", "auto_applied"),
    ],
);

const LINE_DISCOUNTS: Child = child(
    "order_line_item_discounts",
    "line_items[].applied_discounts[]",
    &[
        text("line_item_uid", "^#"),
        text("discount_uid", "discount_uid"),
        currency(),
        money("applied_amount", "applied_money"),
    ],
);

const LINE_SERVICE_CHARGES: Child = child(
    "order_line_item_service_charges",
    "line_items[].applied_service_charges[]",
    &[
        text("line_item_uid", "^#"),
        text("service_charge_uid", "service_charge_uid"),
        currency(),
        money("applied_amount", "applied_money"),
    ],
);

const TAXES: Child = child(
    "order_taxes",
    "taxes[]",
    &[
        text("catalog_object_id", "catalog_object_id"),
        integer("catalog_version", "catalog_version"),
        text("name", "name"),
        text("type", "type"),
        decimal("percentage", "percentage"),
        text("scope", "scope"),
        currency(),
        money("applied_amount", "applied_money"),
        boolean("auto_applied", "auto_applied"),
    ],
);

const DISCOUNTS: Child = child(
    "order_discounts",
    "discounts[]",
    &[
        text("catalog_object_id", "catalog_object_id"),
        integer("catalog_version", "catalog_version"),
        text("name", "name"),
        text("type", "type"),
        decimal("percentage", "percentage"),
        text("scope", "scope"),
        currency(),
        money("amount", "amount_money"),
        money("applied_amount", "applied_money"),
        texts("reward_ids", "reward_ids"),
        text("pricing_rule_id", "pricing_rule_id"),
    ],
);

const SERVICE_CHARGES: Child = child(
    "order_service_charges",
    "service_charges[]",
    &[
        text("catalog_object_id", "catalog_object_id"),
        integer("catalog_version", "catalog_version"),
        text("name", "name"),
        text("type", "type"),
        decimal("percentage", "percentage"),
        text("scope", "scope"),
        text("calculation_phase", "calculation_phase"),
        text("treatment_type", "treatment_type"),
        boolean("taxable", "taxable"),
        currency(),
        money("amount", "amount_money"),
        money("applied_amount", "applied_money"),
        money("total_amount", "total_money"),
        money("total_tax_amount", "total_tax_money"),
    ],
);

const FULFILLMENTS: Child = child(
    "order_fulfillments",
    "fulfillments[]",
    &[
        text("type", "type"),
        text("state", "state"),
        text("line_item_application", "line_item_application"),
        text(
            "schedule_type",
            "pickup_details.schedule_type|delivery_details.schedule_type",
        ),
        time(
            "placed_at",
            "pickup_details.placed_at|delivery_details.placed_at|shipment_details.placed_at\
             |in_store_details.placed_at",
        ),
        time("accepted_at", "pickup_details.accepted_at"),
        time(
            "in_progress_at",
            "delivery_details.in_progress_at|shipment_details.in_progress_at\
             |in_store_details.in_progress_at",
        ),
        time(
            "ready_at",
            "pickup_details.ready_at|delivery_details.ready_at|shipment_details.packaged_at\
             |in_store_details.prepared_at",
        ),
        time(
            "expected_at",
            "pickup_details.pickup_at|delivery_details.deliver_at\
             |shipment_details.expected_shipped_at",
        ),
        time("courier_pickup_at", "delivery_details.courier_pickup_at"),
        time(
            "fulfilled_at",
            "pickup_details.picked_up_at|delivery_details.delivered_at\
             |delivery_details.completed_at|shipment_details.shipped_at\
             |in_store_details.completed_at",
        ),
        time(
            "canceled_at",
            "pickup_details.canceled_at|delivery_details.canceled_at\
             |shipment_details.canceled_at|in_store_details.canceled_at",
        ),
        text(
            "cancel_reason",
            "pickup_details.cancel_reason|delivery_details.cancel_reason\
             |shipment_details.cancel_reason",
        ),
        time(
            "rejected_at",
            "pickup_details.rejected_at|delivery_details.rejected_at",
        ),
        time("expired_at", "pickup_details.expired_at"),
        time("failed_at", "shipment_details.failed_at"),
        text("failure_reason", "shipment_details.failure_reason"),
        boolean("is_curbside_pickup", "pickup_details.is_curbside_pickup"),
        boolean(
            "is_no_contact_delivery",
            "delivery_details.is_no_contact_delivery",
        ),
        boolean("managed_delivery", "delivery_details.managed_delivery"),
        text(
            "carrier",
            "shipment_details.carrier|delivery_details.courier_provider_name",
        ),
        text("shipping_type", "shipment_details.shipping_type"),
        text("tracking_number", "shipment_details.tracking_number"),
        text("square_delivery_id", "delivery_details.square_delivery_id"),
        text(
            "external_delivery_id",
            "delivery_details.external_delivery_id",
        ),
        text("recipient_customer_id", recipient!("customer_id")),
        text("recipient_display_name", recipient!("display_name")),
        text("recipient_email_address", recipient!("email_address")),
        text("recipient_phone_number", recipient!("phone_number")),
        json("recipient_address", recipient!("address")),
        text(
            "note",
            "pickup_details.note|delivery_details.note|shipment_details.shipping_note\
             |in_store_details.note",
        ),
    ],
);

const REWARDS: Child = named_by_id(child(
    "order_rewards",
    "rewards[]",
    &[text("reward_tier_id", "reward_tier_id")],
));

const REFUNDS: Child = named_by_id(child(
    "order_refunds",
    "refunds[]",
    &[
        text("location_id", "location_id"),
        text("transaction_id", "transaction_id"),
        text("tender_id", "tender_id"),
        text("status", "status"),
        text("reason", "reason"),
        currency(),
        money("amount", "amount_money"),
        money("processing_fee_amount", "processing_fee_money"),
        time("created_at", "created_at"),
    ],
));

const RETURNS: Child = child(
    "order_returns",
    "returns[]",
    &[
        text("source_order_id", "source_order_id"),
        currency(),
        money("total_amount", "return_amounts.total_money"),
        money("tax_amount", "return_amounts.tax_money"),
        money("discount_amount", "return_amounts.discount_money"),
        money("tip_amount", "return_amounts.tip_money"),
        money(
            "service_charge_amount",
            "return_amounts.service_charge_money",
        ),
        money("rounding_amount", "rounding_adjustment.amount_money"),
    ],
);

const RETURN_TAXES: Child = child(
    "order_return_taxes",
    "returns[].return_taxes[]",
    &[
        text("return_uid", "^#"),
        text("source_tax_uid", "source_tax_uid"),
        text("catalog_object_id", "catalog_object_id"),
        integer("catalog_version", "catalog_version"),
        text("name", "name"),
        text("type", "type"),
        decimal("percentage", "percentage"),
        text("scope", "scope"),
        currency(),
        money("applied_amount", "applied_money"),
    ],
);

const RETURN_DISCOUNTS: Child = child(
    "order_return_discounts",
    "returns[].return_discounts[]",
    &[
        text("return_uid", "^#"),
        text("source_discount_uid", "source_discount_uid"),
        text("catalog_object_id", "catalog_object_id"),
        integer("catalog_version", "catalog_version"),
        text("name", "name"),
        text("type", "type"),
        decimal("percentage", "percentage"),
        text("scope", "scope"),
        currency(),
        money("amount", "amount_money"),
        money("applied_amount", "applied_money"),
    ],
);

const RETURN_SERVICE_CHARGES: Child = child(
    "order_return_service_charges",
    "returns[].return_service_charges[]",
    &[
        text("return_uid", "^#"),
        text("source_service_charge_uid", "source_service_charge_uid"),
        text("catalog_object_id", "catalog_object_id"),
        integer("catalog_version", "catalog_version"),
        text("name", "name"),
        text("type", "type"),
        decimal("percentage", "percentage"),
        text("scope", "scope"),
        text("calculation_phase", "calculation_phase"),
        text("treatment_type", "treatment_type"),
        boolean("taxable", "taxable"),
        currency(),
        money("amount", "amount_money"),
        money("applied_amount", "applied_money"),
        money("total_amount", "total_money"),
        money("total_tax_amount", "total_tax_money"),
    ],
);

const RETURN_TIPS: Child = child(
    "order_return_tips",
    "returns[].return_tips[]",
    &[
        text("return_uid", "^#"),
        text("source_tender_id", "source_tender_id"),
        text("source_tender_uid", "source_tender_uid"),
        currency(),
        money("applied_amount", "applied_money"),
    ],
);

const RETURN_MODIFIERS: Child = child(
    "order_return_line_item_modifiers",
    "returns[].return_line_items[].return_modifiers[]",
    &[
        text("return_line_item_uid", "^#"),
        text("source_modifier_uid", "source_modifier_uid"),
        text("catalog_object_id", "catalog_object_id"),
        integer("catalog_version", "catalog_version"),
        text("name", "name"),
        decimal("quantity", "quantity"),
        currency(),
        money("base_price_amount", "base_price_money"),
        money("total_price_amount", "total_price_money"),
    ],
);

const RETURN_LINE_TAXES: Child = child(
    "order_return_line_item_taxes",
    "returns[].return_line_items[].applied_taxes[]",
    &[
        text("return_line_item_uid", "^#"),
        text("tax_uid", "tax_uid"),
        currency(),
        money("applied_amount", "applied_money"),
    ],
);

const RETURN_LINE_DISCOUNTS: Child = child(
    "order_return_line_item_discounts",
    "returns[].return_line_items[].applied_discounts[]",
    &[
        text("return_line_item_uid", "^#"),
        text("discount_uid", "discount_uid"),
        currency(),
        money("applied_amount", "applied_money"),
    ],
);

const RETURN_LINE_SERVICE_CHARGES: Child = child(
    "order_return_line_item_service_charges",
    "returns[].return_line_items[].applied_service_charges[]",
    &[
        text("return_line_item_uid", "^#"),
        text("service_charge_uid", "service_charge_uid"),
        currency(),
        money("applied_amount", "applied_money"),
    ],
);
