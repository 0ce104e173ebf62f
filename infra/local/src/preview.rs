//! A preview's samples: for each data type how many rows would come, change and go, and
//! some of them, a line each.

use serde_json::{Map, Value};

use crate::table::place_of;

/// What may become of a row, and the sign of it.
const FATES: [(&str, &str); 4] = [
    ("created", "+"),
    ("updated", "~"),
    ("deleted", "-"),
    ("purged", "x"),
];

/// Returns the lines, the data types in their order.
#[must_use]
pub fn lines(preview: &Value) -> Vec<String> {
    let mut samples = fields(preview);
    samples.sort_by_key(|(data_type, _)| place_of(data_type));
    let lines = samples.into_iter().flat_map(|(data_type, sample)| {
        let rows = FATES.iter().flat_map(|(fate, sign)| {
            let rows = sample[fate].as_array().into_iter().flatten();
            rows.map(move |row| format!("  {sign} {data_type:<10} {}", line(row)))
        });
        let rows: Vec<String> = rows.collect();
        totals(sample)
            .map(|totals| format!("  {data_type}: {totals}"))
            .into_iter()
            .chain(rows)
    });
    lines.collect()
}

/// How many rows there are, whatever the sample has of them. An older API does not say.
fn totals(sample: &Value) -> Option<String> {
    let counts = sample.get("counts")?;
    let totals = FATES.iter().filter_map(|(fate, _)| {
        let count = counts[fate].as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {fate}"))
    });
    Some(totals.collect::<Vec<_>>().join(", "))
}

/// A row by its name and its key, and what would change in it.
fn line(row: &Value) -> String {
    let name = row["label"].as_str().or_else(|| row["name"].as_str());
    let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
    let changes = fields(&row["changes"]).into_iter().map(|(column, change)| {
        format!(
            "{column}: {} → {}",
            text(&change["from"]),
            text(&change["to"])
        )
    });
    let changes = changes.collect::<Vec<_>>().join(", ");
    let parts = name.into_iter().chain(key(row)).chain([changes]);
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("  ")
}

/// What tells the row from others: of one that changes its key, else as much as it has of
/// one.
fn key(row: &Value) -> Vec<String> {
    let key = row["key"].as_object();
    if let Some(key) = key {
        return key.values().map(text).collect();
    }
    let names: &[&str] = if row.get("id").is_some() {
        &["id"]
    } else {
        &[
            "item_id",
            "category_id",
            "variation_id",
            "location_id",
            "state",
            "quantity",
        ]
    };
    let values = names.iter().filter_map(|name| row.get(*name));
    values.filter(|value| !value.is_null()).map(text).collect()
}

fn fields(value: &Value) -> Vec<(&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).collect()
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
    fn a_row_is_a_line_under_its_data_types_figures() {
        let preview = json!({
            "inventory": {"created": [{"variation_id": "V", "location_id": "L",
                "state": "IN_STOCK", "quantity": "2", "label": "Tea · Large · Berlin"}]},
            "item_categories": {"deleted": [
                {"item_id": "I", "category_id": "C", "ordinal": 1, "label": "Tea"}]},
            "variations": {
                "counts": {"created": 1_041, "updated": 1, "deleted": 0, "purged": 1},
                "created": [{"id": "A", "item_id": "I", "name": "Large", "label": "Tea · Large"}],
                "updated": [{"key": {"id": "B"}, "label": "Tea · Small",
                    "changes": {"name": {"from": "Old", "to": null}}}],
                "deleted": [],
                "purged": [{"id": "C", "name": null, "label": ""}],
            },
        });
        assert_eq!(
            lines(&preview),
            [
                "  - item_categories Tea  I  C",
                "  variations: 1041 created, 1 updated, 1 purged",
                "  + variations Tea · Large  A",
                "  ~ variations Tea · Small  B  name: Old → null",
                "  x variations C",
                "  + inventory  Tea · Large · Berlin  V  L  IN_STOCK  2",
            ]
        );
    }

    #[test]
    fn an_older_api_gives_names_alone() {
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
