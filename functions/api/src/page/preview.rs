//! A preview's samples as tables: which rows would come and go, by name, and which
//! would change, column by column.

mod cell;

use cell::Cell;
use serde_json::Value;
use shared::account;
use shared::staging::table;

use super::words::{capital, number, spaced};
use crate::runs::view::{CountsView, RunView};

/// What would change, or that nothing would.
pub(crate) struct Preview {
    /// Of each sort of row of which any would change.
    pub(crate) tables: Vec<Table>,
    /// A refresh writes every row again, whether it differs or not.
    pub(crate) rewrites: bool,
    /// Whether any row would be purged.
    pub(crate) purges: bool,
}

/// The rows of a data type, or of what hangs on one.
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
    /// `created`, `changed`, `deleted` or `purged`.
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
    pub(crate) from: Option<Cell>,
    pub(crate) to: Option<Cell>,
}

/// How many rows would be created, changed, deleted and purged, where that is known.
type Totals = [Option<i64>; 4];

impl Preview {
    /// Reads what a run's preview has shown; none if it was no preview, or has not come
    /// that far.
    pub(crate) fn of(run: &RunView) -> Option<Self> {
        let mut samples: Vec<(&String, &Value)> =
            run.preview.as_ref()?.as_object()?.iter().collect();
        let tables = account::all_tables();
        let place = |name: &str| tables.iter().position(|table| table.data_type == name);
        samples.sort_by_key(|(data_type, _)| place(data_type).unwrap_or(usize::MAX));
        let tables = samples.into_iter().map(|(data_type, sample)| {
            let totals = totals(sample).unwrap_or_else(|| figures(run, data_type));
            Table::new(data_type, sample, totals)
        });
        let tables: Vec<Table> = tables.filter(|table| !table.rows.is_empty()).collect();
        let mut rows = tables.iter().flat_map(|table| &table.rows);
        Some(Self {
            rewrites: run.rewrites(),
            purges: rows.any(|row| row.fate == "purged"),
            tables,
        })
    }
}

/// As the preview has counted them.
fn totals(sample: &Value) -> Option<Totals> {
    let counts = sample.get("counts")?;
    let fates = ["created", "updated", "deleted", "purged"];
    Some(fates.map(|fate| counts[fate].as_i64()))
}

/// As the run's own figures have them, for a preview of an earlier release. A refresh's
/// count every row, because it writes all of them.
fn figures(run: &RunView, data_type: &str) -> Totals {
    if run.rewrites() {
        return [None; 4];
    }
    let stats = run.steps.iter().flat_map(|step| &step.stats);
    let stats: Vec<&CountsView> = stats
        .filter(|(name, _)| name == data_type)
        .map(|(_, counts)| counts)
        .collect();
    let sum = |count: fn(&CountsView) -> i64| Some(stats.iter().map(|stats| count(stats)).sum());
    [
        sum(|all| all.created),
        sum(|all| all.updated),
        sum(|all| all.deleted),
        None,
    ]
}

impl Table {
    fn new(data_type: &str, sample: &Value, totals: Totals) -> Self {
        let tables = account::all_tables();
        let table = tables.iter().find(|table| table.data_type == data_type);
        let key = table.map_or(&["id"][..], |table| table.key);
        let whole = |fate| -> Vec<Row> {
            let rows = list(&sample[fate]).iter();
            rows.map(|row| Row::new(fate, row, row, key)).collect()
        };
        let changed = list(&sample["updated"]).iter();
        let changed = changed.map(|row| Row::changed(row, key, table.copied()));
        let sorts = [
            whole("created"),
            changed.collect(),
            whole("deleted"),
            whole("purged"),
        ];
        let words = sorts.iter().zip(totals).filter_map(|(rows, total)| {
            let shown = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            let fate = rows.first()?.fate;
            Some(match total {
                Some(total) if total > shown => {
                    format!("{} {fate}, {shown} of them shown", number(total))
                }
                Some(_) => format!("{shown} {fate}"),
                None => format!("{shown} {fate} shown"),
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
        let key = key.iter().filter_map(|name| cell::text(&fields[*name]));
        let key = key.collect::<Vec<_>>().join(" ");
        // An earlier release has stored no labels.
        let label = row["label"].as_str().or_else(|| row["name"].as_str());
        let label = label.filter(|label| !label.is_empty());
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
        let columns = changes.into_iter().map(|(name, change)| {
            let (from, to) = cell::pair(name, &change["from"], &change["to"]);
            let name = spaced(name);
            Column { name, from, to }
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

#[cfg(test)]
mod tests;
