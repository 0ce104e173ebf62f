//! Square's API, as far as the sync reads it.
//!
//! Everything that is particular to Square ends in this folder. A file a list says
//! where the list is, what is sent and what comes: `token`, `locations`, `catalog`,
//! `inventory`, `orders`. The others serve all of them: the connections (`client`),
//! one request and its faults (`request`, `retry`, `refusal`), the limit (`pace`),
//! paging (`list`), and JSON (`gate`, `answer`, `wire`). The steps see typed pages and
//! typed errors only, and need not know why a page took three attempts.

mod ahead;
mod answer;
mod body;
pub mod catalog;
mod client;
mod counters;
mod endpoint;
mod gate;
pub mod inventory;
mod list;
pub mod locations;
pub mod orders;
mod pace;
pub mod page;
mod problem;
mod refusal;
mod request;
mod retry;
mod token;
pub mod wire;

#[cfg(test)]
mod tests;

pub use ahead::{Ahead, read_ahead};
pub(crate) use catalog::SEARCH_CATALOG_OBJECTS;
pub use catalog::{BatchRetrieveCatalogObjects, CatalogObject, SearchCatalogObjects};
pub use client::Square;
pub use counters::Counters;
pub use endpoint::Endpoint;
pub(crate) use inventory::BATCH_RETRIEVE_INVENTORY_COUNTS;
pub use inventory::{BatchRetrieveInventoryCounts, InventoryCount};
pub(crate) use locations::LIST_LOCATIONS;
pub use locations::Location;
pub(crate) use orders::SEARCH_ORDERS;
pub use orders::{BatchRetrieveOrders, Order, OrderTime, OrderWithSource, SearchOrders};
pub use page::{Broken, Page};
pub use problem::read_object;
pub use retry::BUDGET;
pub use token::TokenStatus;
pub use wire::ID_BYTES_MAX;
