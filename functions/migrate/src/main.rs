//! Applies migrations, and derives the order tables anew.

use shared::env::Env;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve(
        "migrate",
        Env::database_from_environment,
        shared::migrate::handle,
    )
    .await
}
