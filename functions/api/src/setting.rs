//! Settings, as the function's environment gives them.

use shared::error::SyncError;

/// A variable that the API cannot do without.
pub(crate) fn required(
    lookup: impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<String, SyncError> {
    lookup(name)
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
        .ok_or_else(|| SyncError::config(name, "is not set"))
}
