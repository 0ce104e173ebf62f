//! Closes a run, well or badly, and tells people of its end.

use shared::finish::{Closing, handle};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve("finish", Closing::from_environment, handle).await
}
