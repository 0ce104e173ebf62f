//! Syncs Square's orders, fresh and historical.

use shared::env::Env;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve("orders", Env::from_environment, shared::orders::handle).await
}
