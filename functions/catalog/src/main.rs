//! Syncs Square's catalog.

use shared::env::Env;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve("catalog", Env::from_environment, shared::catalog::sync).await
}
