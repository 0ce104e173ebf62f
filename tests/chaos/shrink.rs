//! A failing history is made shorter by leaving events out, as long as it still fails.
//! Sessions of PostgreSQL interleave differently each time, so each shorter one is tried
//! more than once before it counts as sound.

use crate::attempt::{Failure, attempt};
use crate::history::History;

/// So often is each shorter history tried.
const TRIES: usize = 2;

/// The shortest history found that fails, and how.
pub(crate) async fn shrink(history: History, failure: Failure) -> (History, Failure) {
    let (mut shortest, mut failure) = (history, failure);
    let mut length = (shortest.events.len() / 2).max(1);
    loop {
        let mut from = 0;
        while from < shortest.events.len() {
            let mut shorter = shortest.clone();
            let to = (from + length).min(shorter.events.len());
            shorter.events.drain(from..to);
            match fails(&shorter).await {
                Some(other) => (shortest, failure) = (shorter, other),
                None => from += length,
            }
        }
        if length == 1 {
            return (shortest, failure);
        }
        length /= 2;
    }
}

async fn fails(history: &History) -> Option<Failure> {
    for _ in 0..TRIES {
        if let Err(failure) = attempt(history.clone(), false).await {
            return Some(failure);
        }
    }
    None
}
