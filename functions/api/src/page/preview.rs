//! A preview's samples as tables: which rows would come and go, by name, and which
//! would change, column by column.

use serde_json::Value;
use shared::account;
use shared::part::Part;
use shared::staging::table;

use super::words::{capital, number, spaced};
use crate::runs::view::{CountsView, RunView};

/// Longer values are cut.
const VALUE_CHARS_MAX: usize = 120;

/// What would change, or that nothing would.
pub(crate) struct Preview {
    /// Of each data type of which anything would change.
    pub(crate) tables: Vec<Table>,
    /// A refresh writes every row again, whether it differs or not.
    pub(crate) rewrites: bool,
}

/// The rows of a data type.
pub(crate) struct Table {
    pub(crate) name: String,
    /// How many there are, and how many are shown.
    pub(crate) summary: String,
    pub(crate) rows: Vec<Row>,
    /// Whether any of them would change rather than come or go.
    pub(crate) compares: bool,
}

/// A row that would come, change or go.
pub(crate) struct Row {
    /// `created`, `changed` or `deleted`.
    pub(crate) fate: &'static str,
    /// The name; the key where there is none.
    pub(crate) name: String,
    /// The key, where it is not the name.
    pub(crate) key: Option<String>,
    /// Of a row that would change.
    pub(crate) columns: Vec<Column>,
}

/// A column that would change.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Preview {
    /// Reads what a run's preview has shown; none if it was no preview, or has not come
    /// that far.
    pub(crate) fn of(run: &RunView) -> Option<Self> {
        let mut samples: Vec<(&String, &Value)> =
            run.preview.as_ref()?.as_object()?.iter().collect();
        samples.sort_by_key(|(data_type, _)| Part::place_of(data_type));
        let tables = samples.into_iter().map(|(data_type, sample)| {
            let figures = run.steps.iter().flat_map(|step| &step.stats);
            let figures = figures.filter(|(name, _)| name == data_type);
            let of = |count: fn(&CountsView) -> i64| {
                figures.clone().map(|(_, counts)| count(counts)).sum()
            };
            let totals = [
                of(|all| all.created),
                of(|all| all.updated),
                of(|all| all.deleted),
            ];
            Table::new(data_type, sample, totals)
        });
        Some(Self {
            tables: tables.filter(|table| !table.rows.is_empty()).collect(),
            rewrites: run.mode == "full_refresh",
        })
    }
}

impl Table {
    /// `totals` are those of the rows that would be created, changed and deleted.
    fn new(data_type: &str, sample: &Value, totals: [i64; 3]) -> Self {
        let objects = account::objects();
        let table = objects.iter().find(|table| table.data_type == data_type);
        let key = table.map_or(&["id"][..], |table| table.key);
        let whole = |fate| -> Vec<Row> {
            let rows = list(&sample[fate]).iter();
            rows.map(|row| Row::new(fate, row, row, key)).collect()
        };
        let changed = list(&sample["updated"]).iter();
        let changed = changed.map(|row| Row::changed(row, key, table.copied()));
        let sorts = [whole("created"), changed.collect(), whole("deleted")];
        let words = sorts.iter().zip(totals).filter_map(|(rows, total)| {
            let shown = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            let fate = rows.first()?.fate;
            Some(if total > shown {
                format!("{} {fate}, {shown} of them shown", number(total))
            } else {
                format!("{shown} {fate}")
            })
        });
        Self {
            name: capital(&spaced(data_type)),
            summary: words.collect::<Vec<_>>().join("; "),
            compares: !sorts[1].is_empty(),
            rows: sorts.into_iter().flatten().collect(),
        }
    }
}

impl Row {
    fn new(fate: &'static str, row: &Value, fields: &Value, key: &[&str]) -> Self {
        let key: Vec<String> = key.iter().map(|name| text(&fields[*name])).collect();
        let key = key.join(" ");
        let label = row["label"].as_str().filter(|label| !label.is_empty());
        Self {
            fate,
            name: label.map_or_else(|| key.clone(), str::to_owned),
            key: label.map(|_| key),
            columns: Vec::new(),
        }
    }

    /// The columns stand in the table's order.
    fn changed(row: &Value, key: &[&str], table: Option<&table::Table>) -> Self {
        let place = |name: &str| {
            let mut columns = table.map_or(&[][..], |table| table.columns).iter();
            columns.position(|column| *column == name)
        };
        let changes = row["changes"].as_object();
        let mut changes: Vec<(&String, &Value)> = changes.into_iter().flatten().collect();
        changes.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
        let columns = changes.into_iter().map(|(name, change)| Column {
            name: spaced(name),
            from: text(&change["from"]),
            to: text(&change["to"]),
        });
        Self {
            columns: columns.collect(),
            ..Self::new("changed", row, &row["key"], key)
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value as people read it, cut to a line.
fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(row: &Row) -> String {
        let columns = row.columns.iter().map(|column| {
            let Column { name, from, to } = column;
            format!(" {name}: {from} → {to}")
        });
        let key = row.key.as_deref().unwrap_or("-");
        let start = format!("{} {} ({key})", row.fate, row.name);
        start + &columns.collect::<Vec<_>>().join(",")
    }

    fn table(data_type: &str, sample: &Value, totals: [i64; 3]) -> (Table, Vec<String>) {
        let table = Table::new(data_type, sample, totals);
        let rows = table.rows.iter().map(shown).collect();
        (table, rows)
    }

    #[test]
    fn rows_come_and_go_by_name_and_change_column_by_column() {
        let sample = json!({
            "created": [{"id": "A", "label": "Tea · Large", "sku": "1"}],
            "updated": [{"label": "Tea · Small", "key": {"id": "B"}, "changes": {
                "version": {"from": 1, "to": 2},
                "price_amount": {"from": null, "to": 350},
                "name": {"from": "", "to": "Small"}}}],
            // Square gave it no name.
            "deleted": [{"id": "C", "label": ""}],
        });
        let (table, rows) = table("variations", &sample, [1, 41, 1]);
        assert_eq!(
            rows,
            [
                "created Tea · Large (A)",
                "changed Tea · Small (B) name: empty → Small, price amount: none → 350, \
                 version: 1 → 2",
                "deleted C (-)",
            ]
        );
        assert!(table.compares);
        assert_eq!(table.name, "Variations");
        let words = "1 created; 41 changed, 1 of them shown; 1 deleted";
        assert_eq!(table.summary, words);
    }

    #[test]
    fn a_count_is_known_by_its_whole_key() {
        let key = json!({"state": "IN_STOCK", "location_id": "L", "variation_id": "V"});
        let mut row = key.clone();
        row["label"] = "Tea · Large · Berlin".into();
        let changes = json!({"quantity": {"from": "3", "to": "2"}});
        let sample = json!({"created": [row], "deleted": [], "updated":
            [{"key": key, "label": "", "changes": changes}]});
        let (_, rows) = table("inventory", &sample, [1, 1, 0]);
        assert_eq!(
            rows,
            [
                "created Tea · Large · Berlin (V L IN_STOCK)",
                "changed V L IN_STOCK (-) quantity: 3 → 2",
            ]
        );
    }

    #[test]
    fn a_long_value_is_cut_and_what_only_comes_is_not_compared() {
        let long = json!({"updated": [{"key": {"id": "A"}, "label": "", "changes":
            {"description": {"from": "ä".repeat(500), "to": ["L1"]}}}]});
        let (cut, _) = table("items", &long, [0, 1, 0]);
        let column = &cut.rows[0].columns[0];
        assert_eq!(column.from, format!("{}…", "ä".repeat(VALUE_CHARS_MAX)));
        assert_eq!(column.to, "[\"L1\"]");
        let (only_new, _) = table("items", &json!({"created": [{"id": "A"}]}), [1, 0, 0]);
        assert!(!only_new.compares);
    }
}
