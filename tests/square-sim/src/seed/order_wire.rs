//! Orders as they go over the wire. Fields that are `None` or empty are left
//! out, as Square leaves them out.

use serde::Serialize;
use serde_json::Value;

use super::CURRENCY;

/// An amount in the smallest unit of its currency.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Money {
    pub(crate) amount: i64,
    currency: &'static str,
}

impl Default for Money {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Money {
    pub(crate) fn of(amount: i64) -> Self {
        Self {
            amount,
            currency: CURRENCY,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) location_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) line_items: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) taxes: Vec<Tax>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) discounts: Vec<Discount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) service_charges: Vec<ServiceCharge>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fulfillments: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rewards: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) returns: Vec<Return>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) return_amounts: Option<Amounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) net_amounts: Option<Amounts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tenders: Vec<Tender>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) refunds: Vec<Refund>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Value>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) closed_at: Option<String>,
    pub(crate) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_tax_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_discount_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_tip_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_service_charge_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ticket_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) net_amount_due_money: Option<Money>,
    /// Unknown to Square's published schemas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sustainability: Option<Value>,
    /// How its lines are taxed; not a field of Square's.
    #[serde(skip)]
    pub(crate) taxed: Taxed,
}

/// How a tax and a line's gross amount go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Taxed {
    /// On top of the price.
    #[default]
    Additive,
    /// In the price, and taken out of the gross amount: the United States.
    TakenOut,
    /// In the price, and left in the gross amount: Australia.
    LeftIn,
}

impl Order {
    /// Moves the order, and how it was paid, to another location.
    pub(crate) fn relocate(&mut self, location_id: &str) {
        location_id.clone_into(&mut self.location_id);
        for tender in &mut self.tenders {
            location_id.clone_into(&mut tender.location_id);
        }
        for refund in &mut self.refunds {
            location_id.clone_into(&mut refund.location_id);
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Source {
    pub(crate) name: &'static str,
}

/// A line of a sale, or of a return.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_line_item_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) quantity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quantity_unit: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog_object_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variation_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) modifiers: Vec<Modifier>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) return_modifiers: Vec<Modifier>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) applied_taxes: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) applied_discounts: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) applied_service_charges: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base_price_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variation_total_price_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gross_sales_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gross_return_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_tax_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_discount_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_service_charge_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_money: Option<Money>,
}

/// What was chosen for a line, or comes back with it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Modifier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_modifier_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_modifier_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog_object_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) quantity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base_price_money: Option<Money>,
    pub(crate) total_price_money: Money,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Return {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_order_id: Option<String>,
    pub(crate) return_line_items: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) return_service_charges: Vec<ServiceCharge>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) return_taxes: Vec<Tax>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) return_discounts: Vec<Discount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) return_tips: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) return_amounts: Option<Amounts>,
}

/// A tax of an order, or of a return.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tax {
    pub(crate) uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_tax_uid: Option<String>,
    pub(crate) name: &'static str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) percentage: &'static str,
    pub(crate) applied_money: Money,
    pub(crate) scope: &'static str,
}

/// A discount of an order, or of a return.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Discount {
    pub(crate) uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_discount_uid: Option<String>,
    pub(crate) name: &'static str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) percentage: &'static str,
    pub(crate) applied_money: Money,
    pub(crate) scope: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reward_ids: Vec<Value>,
}

/// A service charge of an order, or of a return.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServiceCharge {
    pub(crate) uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_service_charge_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) percentage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount_money: Option<Money>,
    /// With a tax that is in the price, without one that comes on top.
    pub(crate) applied_money: Money,
    pub(crate) total_money: Money,
    pub(crate) total_tax_money: Money,
    pub(crate) calculation_phase: &'static str,
    pub(crate) taxable: bool,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) treatment_type: &'static str,
    pub(crate) scope: &'static str,
}

impl ServiceCharge {
    /// Whether it is a part of the lines' own amounts.
    pub(crate) fn is_apportioned(&self) -> bool {
        self.treatment_type == APPORTIONED
    }
}

pub(crate) const APPORTIONED: &str = "APPORTIONED_TREATMENT";
pub(crate) const SEPARATE: &str = "LINE_ITEM_TREATMENT";

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Amounts {
    pub(crate) total_money: Money,
    pub(crate) tax_money: Money,
    pub(crate) discount_money: Money,
    pub(crate) tip_money: Money,
    pub(crate) service_charge_money: Money,
}

impl Amounts {
    /// These amounts less the others.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let less = |of: fn(&Self) -> &Money| Money::of(of(self).amount - of(other).amount);
        Self {
            total_money: less(|amounts| &amounts.total_money),
            tax_money: less(|amounts| &amounts.tax_money),
            discount_money: less(|amounts| &amounts.discount_money),
            tip_money: less(|amounts| &amounts.tip_money),
            service_charge_money: less(|amounts| &amounts.service_charge_money),
        }
    }

    /// These amounts and the others.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.minus(&Self::default().minus(other))
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tender {
    pub(crate) id: String,
    pub(crate) location_id: String,
    pub(crate) created_at: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) amount_money: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tip_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processing_fee_money: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) card_details: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payment_id: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) location_id: String,
    pub(crate) tender_id: String,
    pub(crate) created_at: String,
    pub(crate) reason: &'static str,
    pub(crate) amount_money: Money,
    pub(crate) status: &'static str,
}
