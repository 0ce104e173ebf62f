//! Syncs Square's locations.

use shared::env::Env;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve("locations", Env::from_environment, shared::locations::sync).await
}
