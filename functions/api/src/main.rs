//! The Lambda behind the HTTP API. Everything is in the library, where tests reach it.

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::start_logging();
    api::serve(api::App::from_environment()).await
}
