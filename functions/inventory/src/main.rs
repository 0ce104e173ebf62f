//! Syncs Square's inventory.

use shared::env::Env;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve("inventory", Env::from_environment, shared::inventory::sync).await
}
