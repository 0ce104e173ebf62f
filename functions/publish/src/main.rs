//! Applies at once what a run's steps have staged, and puts backups back.

use shared::env::Env;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve("publish", Env::from_environment, shared::publish::handle).await
}
