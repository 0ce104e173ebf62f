//! Opens a run and checks that it can succeed.

use shared::env::Env;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve("preflight", Env::from_environment, shared::preflight::open).await
}
