//! Orders: their history, imported once in windows, and what is ordered or
//! changed from then on.
//!
//! - `plan` asks what the import lacks and cuts it into windows (`spans`).
//! - `window` reads one of them by the orders' time of creation; when Square is
//!   away for good, `outage` ends those that are still to come.
//! - `fresh` reads, in every sync, what was updated since the last one, for chunks
//!   of locations (`chunks`).
//! - `rederive` derives the tables anew from what is stored, in a migration.
//!
//! Before it, `waiting` tries what waits in quarantine, and `anew` asks for it.
//!
//! All of them go page by page: `page` sorts one out, `rows` turns its orders into
//! rows (`children` those of its lists), `store` applies them. Each page commits together with the place from
//! which to go on, so that a call may end anywhere and the next one goes on.

mod anew;
pub(crate) mod children;
mod chunks;
pub(crate) mod columns;
mod currency;
mod fresh;
mod late;
mod nameless;
mod net;
pub mod outage;
mod page;
mod place;
mod plan;
mod reading;
mod rederive;
mod round;
pub mod rows;
mod scrub;
pub mod spans;
pub mod store;
pub(crate) mod types;
mod waiting;
mod window;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::env::Env;
use crate::error::SyncError;
use crate::run::step::{Step, StepInput};

pub(crate) use chunks::{OVERLAP, list_of};
pub use plan::Output as PlanOutput;
pub use reading::Output as FreshOutput;
pub use rederive::Rederived;
pub(crate) use rederive::Rederiving;
pub use window::Output as WindowOutput;

/// The input from the state machine.
#[derive(Debug, Deserialize)]
pub struct Input {
    #[serde(flatten)]
    pub step: StepInput,
    #[serde(flatten)]
    pub work: Work,
}

/// The work to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// Cut the import into windows.
    Plan,
    /// Read one window, as far as time allows.
    Window { window_id: i64 },
    /// Read what was updated since the last run, as far as time allows.
    Fresh,
}

/// The answer, of one shape for each kind of work.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Output {
    Plan(PlanOutput),
    Window(WindowOutput),
    Fresh(FreshOutput),
}

/// Does the work that the state machine asks for.
///
/// # Errors
/// Square's, the database's, `LeaseLost`, `Cancelled`.
pub async fn handle(
    env: &Env,
    input: Input,
    lambda_deadline: Instant,
) -> Result<Output, SyncError> {
    let named = |name| Step {
        name,
        timeout: env.settings.orders_sync_timeout,
        timeout_setting: "ORDERS_SYNC_TIMEOUT",
        lambda_deadline,
    };
    match input.work {
        Work::Plan => {
            let output = plan::plan(env, input.step, named("plan")).await?;
            Ok(Output::Plan(output))
        }
        Work::Window { window_id } => {
            let output = window::read(env, input.step, named("orders"), window_id).await?;
            Ok(Output::Window(output))
        }
        Work::Fresh => {
            let output = fresh::sync(env, input.step, named("orders")).await?;
            Ok(Output::Fresh(output))
        }
    }
}

/// For the test that prepares every statement.
#[must_use]
pub fn statements() -> Vec<&'static str> {
    [
        &anew::STATEMENTS[..],
        &chunks::STATEMENTS,
        &late::STATEMENTS,
        &nameless::STATEMENTS,
        &outage::STATEMENTS,
        &plan::STATEMENTS,
        &rederive::STATEMENTS,
        &scrub::STATEMENTS,
        &waiting::STATEMENTS,
        &window::STATEMENTS,
    ]
    .concat()
}
