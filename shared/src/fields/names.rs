//! Names for the elements of a list, unique within their object.

use std::collections::HashSet;

use crate::square::ID_BYTES_MAX;

/// The names that were given.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// The element's own name; one without, or with one that came before or is too long
    /// for an index, is named `#` and its number.
    pub(crate) fn pick(&mut self, name: Option<String>, ordinal: i32) -> String {
        let given = name.filter(|name| name.len() <= ID_BYTES_MAX);
        // An object may use a name of ours itself.
        let ours = (0..).map(|more| format!("#{ordinal}{}", "'".repeat(more)));
        let mut names = given.into_iter().chain(ours);
        loop {
            let name = names.next().unwrap_or_default();
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}
