//! The columns of the orders' tables, and where their rows keep the values.

use super::rows::{LineRow, OrderRow, ReturnRow, TenderRow};
use crate::staging::column::{Column, column};

/// The columns of `orders`.
pub(crate) const ORDERS: [Column<OrderRow>; 24] = [
    column("id", |row| &row.id),
    column("location_id", |row| &row.location_id),
    column("state", |row| &row.state),
    column("source_name", |row| &row.source_name),
    column("customer_id", |row| &row.customer_id),
    column("reference_id", |row| &row.reference_id),
    column("ticket_name", |row| &row.ticket_name),
    column("created_at", |row| &row.created_at),
    column("updated_at", |row| &row.updated_at),
    column("closed_at", |row| &row.closed_at),
    column("version", |row| &row.version),
    column("currency", |row| &row.currency),
    column("total_amount", |row| &row.total_amount),
    column("total_tax_amount", |row| &row.total_tax_amount),
    column("total_discount_amount", |row| &row.total_discount_amount),
    column("total_tip_amount", |row| &row.total_tip_amount),
    column("total_service_charge_amount", |row| {
        &row.total_service_charge_amount
    }),
    column("net_total_amount", |row| &row.net_total_amount),
    column("net_amount_due_amount", |row| &row.net_amount_due_amount),
    column("net_tax_amount", |row| &row.net_tax_amount),
    column("net_tip_amount", |row| &row.net_tip_amount),
    column("net_service_charge_amount", |row| {
        &row.net_service_charge_amount
    }),
    column("is_return", |row| &row.is_return),
    column("raw", |row| &row.raw),
];

/// The columns of a line, in the row itself or in a field of it, and those that only some
/// lines have.
macro_rules! line_columns {
    ($($line:ident)?; $($more:expr),*) => {
        [
            column("order_id", |row| &row$(.$line)?.order_id),
            column("uid", |row| &row$(.$line)?.uid),
            column("ordinal", |row| &row$(.$line)?.ordinal),
            column("name", |row| &row$(.$line)?.name),
            column("variation_name", |row| &row$(.$line)?.variation_name),
            column("catalog_object_id", |row| &row$(.$line)?.catalog_object_id),
            column("catalog_version", |row| &row$(.$line)?.catalog_version),
            column("item_type", |row| &row$(.$line)?.item_type),
            column("quantity", |row| &row$(.$line)?.quantity),
            column("unit", |row| &row$(.$line)?.unit),
            column("note", |row| &row$(.$line)?.note),
            column("base_price_amount", |row| &row$(.$line)?.base_price_amount),
            column("gross_sales_amount", |row| &row$(.$line)?.gross_sales_amount),
            column("total_tax_amount", |row| &row$(.$line)?.total_tax_amount),
            column("total_discount_amount", |row| &row$(.$line)?.total_discount_amount),
            column("total_service_charge_amount", |row| &row$(.$line)?.total_service_charge_amount),
            column("total_amount", |row| &row$(.$line)?.total_amount),
            column("currency", |row| &row$(.$line)?.currency),
            $($more),*
        ]
    };
}

/// The columns of `order_line_items`.
pub(crate) const LINES: [Column<LineRow>; 18] = line_columns!(;);

/// The columns of `order_return_line_items`.
pub(crate) const RETURNED: [Column<ReturnRow>; 20] = line_columns!(
    line;
    column("source_order_id", |row| &row.source_order_id),
    column("source_line_item_uid", |row| &row.source_line_item_uid)
);

/// The columns of `order_tenders`.
pub(crate) const TENDERS: [Column<TenderRow>; 9] = [
    column("order_id", |row| &row.order_id),
    column("id", |row| &row.id),
    column("type", |row| &row.tender_type),
    column("amount", |row| &row.amount),
    column("tip_amount", |row| &row.tip_amount),
    column("processing_fee_amount", |row| &row.processing_fee_amount),
    column("currency", |row| &row.currency),
    column("payment_id", |row| &row.payment_id),
    column("created_at", |row| &row.created_at),
];
