//! The frame of every page for somebody who is signed in: the navigation and the
//! person.

use crate::auth::session::Session;

/// The first page, and what all others lie below.
pub(crate) const HOME: &str = "/admin/sync";

const ENTRIES: [(&str, &str); 6] = [
    (HOME, "Sync"),
    ("/admin/sync/trust", "Trust"),
    ("/admin/sync/runs", "Runs"),
    ("/admin/sync/orders", "Orders history"),
    ("/admin/sync/migration", "Migration"),
    ("/admin/sync/backups", "Backups"),
];

/// The navigation and the person.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) person: String,
    pub(crate) csrf_token: String,
    here: String,
}

/// An entry of the navigation.
pub(crate) struct Entry {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) here: bool,
}

impl Frame {
    pub(crate) fn new(session: &Session, here: &str) -> Self {
        Self {
            person: session.name.clone(),
            csrf_token: session.csrf_token.clone(),
            here: here.to_owned(),
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        ENTRIES
            .iter()
            .map(|(path, name)| Entry {
                path,
                name,
                here: *path == self.here,
            })
            .collect()
    }
}
