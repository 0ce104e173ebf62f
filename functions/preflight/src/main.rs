//! Opens a run and checks that it can succeed.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve(shared::preflight::open).await
}
