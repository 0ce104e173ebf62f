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

/// The longest wait for anything that is to come: it only ends a test that would hang
/// for ever, and so is longer than anything takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// The default policy with waits in milliseconds instead of seconds, and with
/// time-outs that no answer misses.
fn fast() -> Policy {
    Policy {
        connect_timeout: PATIENCE,
        read_timeout: PATIENCE,
        budget: PATIENCE,
        attempts_max: 4,
        backoff_base: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        retry_after_max: Duration::from_millis(60),
        ..Policy::default()
    }
}

/// For answers that never come, or never come whole. A good one may be late for it
/// too: where one is to follow, use `soon_enough`.
fn impatient() -> Policy {
    impatient_after(Duration::from_millis(200))
}

fn impatient_after(silence: Duration) -> Policy {
    Policy {
        read_timeout: silence,
        ..fast()
    }
}

/// Asks with ever longer read time-outs until a good answer comes within one of them;
/// `ask` gives nothing if it was late.
async fn soon_enough<T>(ask: impl AsyncFn(Duration) -> Option<T>) -> T {
    let mut silence = Duration::from_millis(200);
    loop {
        if let Some(answer) = ask(silence).await {
            return answer;
        }
        silence *= 2;
        assert!(silence < PATIENCE, "no answer comes in time");
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
        catalog_object_ids: vec![],
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
