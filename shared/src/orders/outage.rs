//! The import's breaker: when Square is away for good, or for all windows alike,
//! the windows that are still to come end at once instead of each going through
//! all its tries.
//!
//! A window whose calls failed as often as the state machine calls it, while no
//! window of the run came on, is a sign. With one sign, whatever fails is over
//! without further tries; with two, or one that concerns every window for sure,
//! nothing is asked any more. A page that is stored, of whichever window, takes all
//! earlier signs away: a window that fails alone does not end the others.

use deadpool_postgres::{GenericClient, Object};
use serde::Serialize;

use crate::env::Env;
use crate::error::SyncError;
use crate::kept;
use crate::run::step::StepInput;

/// The number of times that the state machine calls a window whose error may pass.
pub const TRIES: i32 = 3;

/// Errors that pass by themselves, and that the database is there to note.
const PASSING: [&str; 2] = ["SquareRateLimited", "SquareUnavailable"];

/// Errors that no window can escape, and that no further try cures.
const CERTAIN: [&str; 4] = [
    "ConfigInvalid",
    "DatabaseSchemaOutdated",
    "SquareForbidden",
    "SquareUnauthorized",
];

/// The error that an import was cut off by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CutOff {
    pub error: String,
    pub message: String,
}

/// The signs of an outage that the run's other windows show.
struct Signs {
    first: CutOff,
    is_certain: bool,
}

/// The error that has cut off the import, if one has.
pub(super) async fn cut_off(
    client: &Object,
    input: &StepInput,
    window_id: i64,
) -> Result<Option<CutOff>, SyncError> {
    let signs = signs(client, input, window_id).await?;
    Ok(signs
        .filter(|signs| signs.is_certain)
        .map(|signs| signs.first))
}

/// Notes that a call for a window failed. If the import is cut off, the error is
/// its last, and is to be told in a form that the state machine does not retry.
pub(super) async fn failed(
    env: &Env,
    input: &StepInput,
    window_id: i64,
    error: SyncError,
) -> Result<CutOff, SyncError> {
    if kept::is_tried_anew(&error) {
        return Err(error);
    }
    let passes = PASSING.contains(&error.name());
    let noted = async {
        let client = env.database.client().await?;
        let is_over = passes && signs(&client, input, window_id).await?.is_some();
        let tries = match error.name() {
            name if is_over || CERTAIN.contains(&name) => TRIES,
            _ => i32::from(passes),
        };
        let (name, message) = (error.name(), error.to_string());
        let redrives = input.redrive_count;
        client
            .execute(FAILED, &[&window_id, &name, &message, &tries, &redrives])
            .await?;
        Ok::<_, SyncError>(is_over)
    };
    match noted.await {
        Ok(true) => Ok(CutOff {
            error: error.name().to_owned(),
            message: error.to_string(),
        }),
        Ok(false) => Err(error),
        Err(second) => {
            let name = second.name();
            tracing::warn!(window_id, name, error = %second, "failure not noted");
            Err(error)
        }
    }
}

async fn signs(
    client: &impl GenericClient,
    input: &StepInput,
    window_id: i64,
) -> Result<Option<Signs>, SyncError> {
    let (run_id, redrives) = (&input.run_id, &input.redrive_count);
    let certain = &CERTAIN[..];
    let rows = client
        .query(SIGNS, &[run_id, &window_id, &TRIES, redrives, &certain])
        .await?;
    Ok(rows.first().map(|row| Signs {
        first: CutOff {
            error: row.get("error_name"),
            message: row.get("error_message"),
        },
        is_certain: row.get("is_certain") || rows.len() > 1,
    }))
}

/// Other windows of the run that have used up their tries since any of its windows
/// came on. Parameters: run id, window, tries, redrives, names that are certain.
const SIGNS: &str = "
    with moved as (
        select max(moved_at) as at from sync_order_windows where run_id = $1)
    select error_name, error_message, error_name = any ($5) as is_certain
    from sync_order_windows, moved
    where run_id = $1 and window_id <> $2 and done_at is null
        and failures >= $3 and failing_redrive = $4
        and (moved.at is null or failing_since > moved.at)
    order by is_certain desc, failing_since limit 2";

/// Parameters: window, error's name and message, tries that it costs, redrives.
const FAILED: &str = "
    update sync_order_windows set error_name = $2, error_message = $3,
        failures = $4 + case when failing_redrive = $5 then failures else 0 end,
        failing_since = case
            when failing_redrive = $5 and failing_since is not null then failing_since
            when $4 > 0 then clock_timestamp() end,
        failing_redrive = $5
    where window_id = $1 and done_at is null";

/// For the test that prepares every statement.
pub(super) const STATEMENTS: [&str; 2] = [SIGNS, FAILED];
