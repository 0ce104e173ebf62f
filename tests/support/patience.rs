//! Waiting, so that how fast the machine is decides nothing.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

/// How long anything is waited for. It only ends a test that would hang for ever,
/// so it is longer than anything takes on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20 * 60);

const PAUSE: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer; none when patience is at its end.
pub(crate) async fn patiently<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if began.elapsed() > PATIENCE {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until some session of this server waits for a lock; its process.
pub(crate) async fn waits_for_a_lock(client: &Client) -> i32 {
    let waiting = "select pid from pg_stat_activity where wait_event_type = 'Lock'";
    let waiting = patiently(async || {
        let rows = client.query(waiting, &[]).await.unwrap();
        rows.first().map(|row| row.get(0))
    });
    let Some(process) = waiting.await else {
        panic!("nobody waits for a lock");
    };
    process
}
