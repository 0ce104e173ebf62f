//! The client against a server that misbehaves in every way we know of.

mod limits;
mod lists;
mod refusals;
mod requests;
mod retries;
mod server;

use std::time::Duration;

use futures::TryStreamExt;

use super::retry::Policy;
use super::{BatchRetrieveInventoryCounts, SearchCatalogObjects, Square};
use crate::error::SyncError;
use crate::settings::Settings;
use server::Server;

const TOKEN: &str = "EAAA-very-secret-token";

/// The default policy with waits in milliseconds instead of seconds. Time-outs
/// stay long, so that a busy machine fails no test.
fn fast() -> Policy {
    Policy {
        attempts_max: 4,
        backoff_base: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        retry_after_max: Duration::from_millis(60),
        ..Policy::default()
    }
}

/// For answers that never come or never end.
fn impatient() -> Policy {
    Policy {
        read_timeout: Duration::from_millis(200),
        ..fast()
    }
}

fn settings(url: &str, changes: &[(&str, &str)]) -> Settings {
    let base = [
        ("SQUARE_ACCESS_TOKEN", TOKEN),
        ("SQUARE_BASE_URL", url),
        ("DATABASE_URL", "postgres://h/d"),
        ("SQUARE_MAX_REQUESTS_PER_SECOND", "1000"),
    ];
    Settings::read(|name| {
        changes
            .iter()
            .chain(&base)
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    })
    .unwrap()
}

fn client(server: &Server) -> Square {
    client_with(server, fast())
}

fn client_with(server: &Server, policy: Policy) -> Square {
    Square::with_policy(&settings(&server.url, &[]), policy).unwrap()
}

fn all_counts() -> BatchRetrieveInventoryCounts {
    BatchRetrieveInventoryCounts {
        location_ids: Vec::new(),
        updated_after: None,
        limit: 500,
    }
}

fn all_items() -> SearchCatalogObjects {
    SearchCatalogObjects {
        object_types: vec!["ITEM", "CATEGORY"],
        begin_time: None,
        include_deleted_objects: false,
        limit: 1000,
    }
}

/// The quantities of all pages, one list a page.
async fn quantities(square: &Square) -> Result<Vec<Vec<String>>, SyncError> {
    square
        .batch_retrieve_inventory_counts(all_counts())
        .map_ok(|page| {
            page.objects
                .iter()
                .map(|count| count.quantity.to_string())
                .collect()
        })
        .try_collect()
        .await
}
