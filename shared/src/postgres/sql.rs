//! Pieces of SQL made of columns' names.

/// The columns, each with the prefix.
pub(crate) fn prefixed(columns: &[&str], prefix: &str) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| format!("{prefix}{column}"))
        .collect();
    columns.join(", ")
}

/// Returns the clause for a row whose key is there already: these columns change.
pub(crate) fn or_change(key: &[&str], columns: &[&str]) -> String {
    let assignments: Vec<String> = columns
        .iter()
        .chain(&["last_changed_at", "last_changed_by_run"])
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    format!(
        "on conflict ({}) do update set {}",
        key.join(", "),
        assignments.join(", ")
    )
}

/// The columns that are not of the key.
pub(crate) fn values<'c>(columns: &[&'c str], key: &[&str]) -> Vec<&'c str> {
    let columns = columns.iter().copied();
    columns.filter(|column| !key.contains(column)).collect()
}

/// `a.key = b.key` for all parts of the key.
pub(crate) fn same_key(key: &[&str], a: &str, b: &str) -> String {
    let parts: Vec<String> = key
        .iter()
        .map(|column| format!("{a}.{column} = {b}.{column}"))
        .collect();
    parts.join(" and ")
}
