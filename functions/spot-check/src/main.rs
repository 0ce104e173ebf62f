//! Compares a sample of the tables' rows with Square's copies.

use shared::env::Env;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve(
        "spot_check",
        Env::from_environment,
        shared::spot_check::check,
    )
    .await
}
