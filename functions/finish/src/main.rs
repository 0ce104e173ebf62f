//! Closes a run, well or badly.

use shared::env::Env;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve(Env::database_from_environment, shared::finish::close).await
}
