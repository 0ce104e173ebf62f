//! Waiting, and cutting work off, so that how fast the machine is decides nothing.

use std::task::Poll;
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

/// Works until it is done or has had to wait so many times, and then drops what is
/// left, as the end of a function's process does; none if it was cut off. Counted in
/// waits and not in milliseconds, it cuts a fast machine's work and a slow one's at
/// the same places.
pub(crate) fn cut_off_after<T>(
    waits: usize,
    work: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    let mut work = Box::pin(work);
    let mut left = waits;
    std::future::poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left <= 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
}

/// Waits until some session of this database waits for a lock; its process.
pub(crate) async fn waits_for_a_lock(client: &Client) -> i32 {
    let waiting = "select pid from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    let waiting = patiently(async || {
        // Within a transaction the first answer would stand.
        let anew = "select pg_stat_clear_snapshot()";
        client.batch_execute(anew).await.unwrap();
        let rows = client.query(waiting, &[]).await.unwrap();
        rows.first().map(|row| row.get(0))
    });
    let Some(process) = waiting.await else {
        panic!("nobody waits for a lock");
    };
    process
}
