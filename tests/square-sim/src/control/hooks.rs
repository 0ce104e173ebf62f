//! Changes that wait for a request: the account moves while a client is paging.

use serde::Deserialize;
use serde_json::Value;

use super::change::Change;
use super::faults::matches;

/// Changes to make when the n-th request from now arrives at an endpoint, before
/// it is answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hook {
    pub(crate) when: When,
    pub(crate) changes: Vec<Change>,
}

/// The request that sets a hook off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct When {
    /// A path, or `*`.
    pub(crate) endpoint: String,
    /// Counted from 1.
    #[serde(default = "first")]
    pub(crate) request: u64,
}

fn first() -> u64 {
    1
}

/// Hooks that wait, and what came of those that did their work.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    waiting: Vec<(Hook, u64)>,
    outcomes: Vec<Value>,
}

impl Hooks {
    pub(crate) fn add(&mut self, hook: Hook) {
        self.waiting.push((hook, 0));
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The changes that a request to this path sets off, in order.
    pub(crate) fn due(&mut self, path: &str) -> Vec<Change> {
        let mut due = Vec::new();
        self.waiting.retain_mut(|(hook, seen)| {
            if !matches(&hook.when.endpoint, path) {
                return true;
            }
            *seen += 1;
            let waits = *seen < hook.when.request;
            if !waits {
                due.append(&mut hook.changes);
            }
            waits
        });
        due
    }

    /// Notes what a change did, or why it failed.
    pub(crate) fn done(&mut self, outcome: Result<Value, String>) {
        self.outcomes
            .push(outcome.unwrap_or_else(|error| serde_json::json!({"error": error})));
    }

    /// What waiting changes have done so far, and how many still wait.
    pub(crate) fn report(&self) -> Value {
        serde_json::json!({"waiting": self.waiting.len(), "done": self.outcomes})
    }
}
