//! Square's orders.

use futures::{Stream, TryStreamExt};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::client::Square;
use super::endpoint::{Endpoint, Method};
use super::list;
use super::page::{Broken, Page};
use super::problem::read_object;
use super::wire::{Money, exact_decimal, id, optional_id};
use crate::error::SyncError;

pub(crate) const SEARCH_ORDERS: Endpoint = Endpoint {
    method: Method::Post,
    path: "/v2/orders/search",
    permission: "ORDERS_READ",
    array: "orders",
};

pub(crate) const BATCH_RETRIEVE_ORDERS: Endpoint = Endpoint {
    method: Method::Post,
    path: "/v2/orders/batch-retrieve",
    permission: "ORDERS_READ",
    array: "orders",
};

/// The time that orders are searched and sorted by: Square wants both the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderTime {
    CreatedAt,
    UpdatedAt,
}

impl OrderTime {
    fn field(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }

    fn sort_field(self) -> &'static str {
        match self {
            Self::CreatedAt => "CREATED_AT",
            Self::UpdatedAt => "UPDATED_AT",
        }
    }
}

/// `SearchOrdersRequest`, written by `SearchOrders::new`.
#[derive(Debug, Clone, Serialize)]
pub struct SearchOrders {
    location_ids: Vec<String>,
    query: serde_json::Value,
    limit: u32,
}

impl SearchOrders {
    /// The most locations that one search may name.
    pub const LOCATIONS_MAX: usize = 10;

    /// Orders of one to ten locations from a time on, oldest first. Square takes
    /// both ends of the range as part of it; without an end, it ends with the
    /// moment of the first page.
    #[must_use]
    pub fn ascending(
        location_ids: Vec<String>,
        by: OrderTime,
        start_at: Option<Timestamp>,
        end_at: Option<Timestamp>,
        limit: u32,
    ) -> Self {
        let mut range = serde_json::Map::new();
        for (name, time) in [("start_at", start_at), ("end_at", end_at)] {
            if let Some(time) = time {
                range.insert(name.to_owned(), time.to_string().into());
            }
        }
        let mut query = sorted(by, "ASC");
        if !range.is_empty() {
            query["filter"] = json!({"date_time_filter": {by.field(): range}});
        }
        Self {
            location_ids,
            query,
            limit,
        }
    }

    /// The newest order of one to ten locations, or the newest up to that time.
    #[must_use]
    pub fn newest(location_ids: Vec<String>, by: OrderTime, end_at: Option<Timestamp>) -> Self {
        let mut query = sorted(by, "DESC");
        if let Some(end_at) = end_at {
            let range = json!({"end_at": end_at.to_string()});
            query["filter"] = json!({"date_time_filter": {by.field(): range}});
        }
        Self {
            location_ids,
            query,
            limit: 1,
        }
    }
}

/// `BatchRetrieveOrdersRequest`.
#[derive(Debug, Clone, Serialize)]
pub struct BatchRetrieveOrders {
    /// One to a hundred ids.
    pub order_ids: Vec<String>,
}

impl BatchRetrieveOrders {
    /// The most ids that one request may name.
    pub const IDS_MAX: usize = 100;
}

fn sorted(by: OrderTime, sort_order: &str) -> serde_json::Value {
    json!({"sort": {"sort_field": by.sort_field(), "sort_order": sort_order}})
}

/// An order, and the JSON that it was read from.
#[derive(Debug, Clone)]
pub struct OrderWithSource {
    pub order: Order,
    pub source: Box<RawValue>,
}

impl OrderWithSource {
    /// Reads an order out of its JSON.
    ///
    /// # Errors
    /// The order itself, with what does not fit.
    pub fn read(source: Box<RawValue>) -> Result<Self, Broken> {
        let order = read_object(source.get())?;
        Ok(Self { order, source })
    }

    /// Reads the orders of a page, each alone.
    pub(super) fn read_page(page: Page<Box<RawValue>>) -> Page<Self> {
        let mut read = Page {
            objects: Vec::with_capacity(page.objects.len()),
            broken: page.broken,
            latest_time: page.latest_time,
        };
        for source in page.objects {
            match Self::read(source) {
                Ok(order) => read.objects.push(order),
                Err(broken) => read.broken.push(broken),
            }
        }
        read
    }
}

/// `Order`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Order {
    #[serde(deserialize_with = "id")]
    pub id: String,
    #[serde(default, deserialize_with = "optional_id")]
    pub location_id: Option<String>,
    pub state: Option<String>,
    pub source: Option<OrderSource>,
    pub customer_id: Option<String>,
    pub reference_id: Option<String>,
    pub ticket_name: Option<String>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    /// Only orders made or changed through the API have one.
    pub version: Option<i64>,
    pub total_money: Option<Money>,
    pub total_tax_money: Option<Money>,
    pub total_discount_money: Option<Money>,
    pub total_tip_money: Option<Money>,
    pub total_service_charge_money: Option<Money>,
    pub net_amounts: Option<OrderMoneyAmounts>,
    pub return_amounts: Option<OrderMoneyAmounts>,
    pub net_amount_due_money: Option<Money>,
    pub line_items: Option<Vec<OrderLineItem>>,
    pub returns: Option<Vec<OrderReturn>>,
    pub tenders: Option<Vec<Tender>>,
}

/// `OrderSource`: the application that made the order.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderSource {
    pub name: Option<String>,
}

/// `OrderMoneyAmounts`: what was returned, or what was sold less what was returned.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderMoneyAmounts {
    pub total_money: Option<Money>,
    pub tax_money: Option<Money>,
    pub tip_money: Option<Money>,
    pub service_charge_money: Option<Money>,
}

/// `OrderLineItem`, and `OrderReturnLineItem`, which has the same fields but for
/// the name of its gross amount and the line that it takes back.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderLineItem {
    /// Unique within its order; old orders have none.
    pub uid: Option<String>,
    pub source_line_item_uid: Option<String>,
    pub name: Option<String>,
    pub variation_name: Option<String>,
    #[serde(default, deserialize_with = "optional_id")]
    pub catalog_object_id: Option<String>,
    pub catalog_version: Option<i64>,
    pub item_type: Option<String>,
    /// Exact to five places.
    #[serde(deserialize_with = "exact_decimal")]
    pub quantity: Decimal,
    pub quantity_unit: Option<OrderQuantityUnit>,
    pub note: Option<String>,
    pub base_price_money: Option<Money>,
    pub gross_sales_money: Option<Money>,
    pub gross_return_money: Option<Money>,
    pub total_tax_money: Option<Money>,
    pub total_discount_money: Option<Money>,
    pub total_service_charge_money: Option<Money>,
    pub total_money: Option<Money>,
}

/// `OrderQuantityUnit`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderQuantityUnit {
    pub measurement_unit: Option<MeasurementUnit>,
}

/// `MeasurementUnit`: one of these is set.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MeasurementUnit {
    pub custom_unit: Option<MeasurementUnitCustom>,
    pub area_unit: Option<String>,
    pub length_unit: Option<String>,
    pub volume_unit: Option<String>,
    pub weight_unit: Option<String>,
    pub generic_unit: Option<String>,
    pub time_unit: Option<String>,
}

/// `MeasurementUnitCustom`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MeasurementUnitCustom {
    pub name: Option<String>,
}

/// `OrderReturn`: what one order takes back of one sale.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderReturn {
    /// None for goods that came back without their receipt.
    #[serde(default, deserialize_with = "optional_id")]
    pub source_order_id: Option<String>,
    pub return_line_items: Option<Vec<OrderLineItem>>,
    pub return_taxes: Option<Vec<OrderReturnPart>>,
    pub return_tips: Option<Vec<OrderReturnPart>>,
    pub return_service_charges: Option<Vec<OrderReturnPart>>,
    pub return_amounts: Option<OrderMoneyAmounts>,
}

/// `OrderReturnTax`, `OrderReturnTip` or `OrderReturnServiceCharge`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OrderReturnPart {
    pub applied_money: Option<Money>,
}

/// `Tender`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Tender {
    pub id: Option<String>,
    #[serde(rename = "type")]
    pub tender_type: Option<String>,
    /// Tip included.
    pub amount_money: Option<Money>,
    pub tip_money: Option<Money>,
    pub processing_fee_money: Option<Money>,
    pub payment_id: Option<String>,
    pub created_at: Option<Timestamp>,
}

impl Square {
    /// `SearchOrders`, page by page, in the order that was asked for. A list whose
    /// cursor expires starts over, so that an order may come more than once.
    ///
    /// # Errors
    /// An item of the stream, and then its last one: one of the `Square…` errors.
    pub fn search_orders(
        &self,
        request: SearchOrders,
    ) -> impl Stream<Item = Result<Page<OrderWithSource>, SyncError>> + Send + Unpin + 'static + use<>
    {
        list::pages(self.clone(), &SEARCH_ORDERS, request).map_ok(OrderWithSource::read_page)
    }

    /// `BatchRetrieveOrders`: those of these that Square knows.
    ///
    /// # Errors
    /// One of the `Square…` errors; see `request`.
    pub async fn batch_retrieve_orders(
        &self,
        request: &BatchRetrieveOrders,
    ) -> Result<Page<OrderWithSource>, SyncError> {
        let page = self.only_page(&BATCH_RETRIEVE_ORDERS, request).await?;
        Ok(OrderWithSource::read_page(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_sorts_by_the_time_that_it_filters_by() {
        let request = SearchOrders::ascending(
            vec!["L".to_owned()],
            OrderTime::UpdatedAt,
            "2026-01-01T00:00:00.5Z".parse().ok(),
            None,
            500,
        );
        assert_eq!(
            serde_json::to_value(request).unwrap(),
            json!({
                "location_ids": ["L"],
                "query": {
                    "filter": {"date_time_filter": {"updated_at": {"start_at": "2026-01-01T00:00:00.5Z"}}},
                    "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
                },
                "limit": 500,
            })
        );
    }
}
