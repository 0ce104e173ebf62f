//! Syncs Square's inventory.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve(shared::inventory::sync).await
}
