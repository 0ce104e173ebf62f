//! Square's API, as far as the sync reads it.
//!
//! Everything that is particular to Square ends in this folder: its transport
//! and its faults (`client`, `request`, `retry`, `refusal`), its limit (`pace`), its
//! paging (`list`), and its JSON (`gate`, `answer`, `wire`). The steps see typed pages and
//! typed errors only, and need not know why a page took three attempts.

mod ahead;
mod answer;
mod body;
mod client;
mod counters;
mod endpoint;
mod gate;
mod list;
mod pace;
pub mod page;
mod problem;
mod refusal;
mod request;
mod retry;
pub mod wire;

#[cfg(test)]
mod tests;

pub use ahead::{Ahead, read_ahead};
pub use client::Square;
pub use counters::Counters;
pub(crate) use endpoint::{
    BATCH_RETRIEVE_INVENTORY_COUNTS, LIST_LOCATIONS, SEARCH_CATALOG_OBJECTS, SEARCH_ORDERS,
};
pub use endpoint::{
    BatchRetrieveCatalogObjects, BatchRetrieveInventoryCounts, Endpoint, OrderTime,
    SearchCatalogObjects, SearchOrders,
};
pub use page::{Broken, Page};
pub use problem::read_object;
pub use retry::BUDGET;
pub use wire::{
    CatalogObject, ID_BYTES_MAX, InventoryCount, Location, Order, OrderWithSource, TokenStatus,
};
