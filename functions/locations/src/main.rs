//! Syncs Square's locations.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve(shared::locations::sync).await
}
