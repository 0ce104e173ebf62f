//! What happened in a history, line by line, for whoever has to understand it.

use std::sync::{Arc, Mutex};

/// A story that is being told. Copies tell the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    lines: Arc<Mutex<Vec<String>>>,
    /// Whether each line is printed at once.
    is_aloud: bool,
}

impl Story {
    pub(crate) fn new(is_aloud: bool) -> Self {
        Self {
            is_aloud,
            ..Self::default()
        }
    }

    pub(crate) fn tell(&self, line: String) {
        if self.is_aloud {
            println!("{line}");
        }
        self.lines.lock().unwrap().push(line);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}
