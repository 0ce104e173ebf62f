//! Syncs Square's catalog.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve(shared::catalog::sync).await
}
