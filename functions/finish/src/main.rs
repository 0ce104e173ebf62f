//! Closes a run, well or badly.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve(shared::finish::close).await
}
