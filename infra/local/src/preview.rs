//! A preview's sample, a line a row: what would come, change and go.

use serde_json::{Map, Value};

/// One line for each row of the sample.
#[must_use]
pub fn lines(preview: &Value) -> Vec<String> {
    let data_types = preview.as_object().into_iter().flatten();
    data_types
        .flat_map(|(data_type, sample)| {
            let rows = |sort: &str| sample[sort].as_array().cloned().unwrap_or_default();
            let whole = |sign: &str, sort: &str| -> Vec<String> {
                let line = |row: &Value| format!("  {sign} {data_type:<10} {}", name(row));
                rows(sort).iter().map(line).collect()
            };
            let changed: Vec<String> = rows("updated")
                .iter()
                .map(|row| format!("  ~ {data_type:<10} {}", change(row)))
                .collect();
            [whole("+", "created"), changed, whole("-", "deleted")].concat()
        })
        .collect()
}

/// A row by its name and its key, as far as it has them.
fn name(row: &Value) -> String {
    let parts = [
        "name",
        "id",
        "variation_id",
        "location_id",
        "state",
        "quantity",
    ];
    let parts = parts.iter().filter_map(|part| row.get(*part));
    parts
        .filter(|value| !value.is_null())
        .map(text)
        .collect::<Vec<_>>()
        .join("  ")
}

fn change(row: &Value) -> String {
    let key: Vec<String> = fields(&row["key"]).values().map(text).collect();
    let changes: Vec<String> = fields(&row["changes"])
        .iter()
        .map(|(column, change)| {
            format!(
                "{column}: {} → {}",
                text(&change["from"]),
                text(&change["to"])
            )
        })
        .collect();
    format!("{}  {}", key.join(" "), changes.join(", "))
}

fn fields(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_a_line() {
        let preview = json!({"items": {
            "created": [{"id": "A", "name": "Tea", "version": 1}],
            "updated": [{"key": {"id": "B"}, "changes": {"name": {"from": "Old", "to": null}}}],
            "deleted": [{"id": "C", "name": null}],
        }});
        assert_eq!(
            lines(&preview),
            [
                "  + items      Tea  A",
                "  ~ items      B  name: Old → null",
                "  - items      C",
            ]
        );
    }
}
