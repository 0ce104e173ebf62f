//! What the tests share: PostgreSQL, accounts, runs, and the comparison of
//! tables with the account's truth.

pub(crate) mod account;
pub(crate) mod belief;
pub(crate) mod browser;
pub(crate) mod cloud;
pub(crate) mod database;
pub(crate) mod explain;
pub(crate) mod page;
pub(crate) mod patience;
pub(crate) mod run;
pub(crate) mod source;
pub(crate) mod subscriber;
pub(crate) mod tables;

use std::sync::LazyLock;

use tokio::runtime::Runtime;

/// One runtime for all tests: servers that one test starts serve the others too.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    // The tests' own HTTP client wants a crypto library, even for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Runtime::new().unwrap()
});

/// Runs a test on the shared runtime.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}
