//! A run's statistics as a table: one line a data type, with its step's time and
//! requests beside the first.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use crate::api::{Counts, Run, Step};
use crate::show::duration;

/// The order in which data types, and what hangs on them, depend on each other; others
/// follow by their names.
const ORDER: [&str; 9] = [
    "locations",
    "categories",
    "items",
    "item_categories",
    "variations",
    "variation_overrides",
    "inventory",
    "orders",
    "line_items",
];

/// A line under the heading and nothing else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The statistics of all steps, and their sum; none if no step came that far.
#[must_use]
pub fn statistics(run: &Run) -> Option<String> {
    if run.steps.iter().all(|step| sorted(step).is_empty()) {
        return None;
    }
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header([
        "",
        "created",
        "updated",
        "deleted",
        "unchanged",
        "quarantined",
        "time",
        "requests",
    ]);
    for step in &run.steps {
        for (index, (name, counts)) in sorted(step).into_iter().enumerate() {
            let (time, requests) = if index == 0 { effort(step) } else { blank() };
            table.add_row(row(&name, counts, time, requests));
        }
    }
    if let Some(totals) = run.totals {
        let requests: u64 = run
            .steps
            .iter()
            .filter_map(|step| step.square)
            .map(|square| square.requests)
            .sum();
        let time = run.duration_ms.map(duration).unwrap_or_default();
        table.add_row(row("total", totals, time, requests.to_string()));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Some(table.to_string())
}

/// Returns the place of a data type in that order.
pub(crate) fn place_of(data_type: &str) -> usize {
    let place = ORDER.iter().position(|known| *known == data_type);
    place.unwrap_or(ORDER.len())
}

fn sorted(step: &Step) -> Vec<(String, Counts)> {
    let mut stats: Vec<(String, Counts)> =
        step.stats.clone().unwrap_or_default().into_iter().collect();
    stats.sort_by_key(|(name, _)| place_of(name));
    stats
}

fn effort(step: &Step) -> (String, String) {
    (
        step.duration_ms.map(duration).unwrap_or_default(),
        step.square.unwrap_or_default().requests.to_string(),
    )
}

fn blank() -> (String, String) {
    (String::new(), String::new())
}

fn row(name: &str, counts: Counts, time: String, requests: String) -> [String; 8] {
    [
        name.to_owned(),
        counts.created.to_string(),
        counts.updated.to_string(),
        counts.deleted.to_string(),
        counts.unchanged.to_string(),
        counts.quarantined.to_string(),
        time,
        requests,
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_types_stand_in_their_order_with_their_steps_effort() {
        let run: Run = serde_json::from_value(json!({
            "duration_ms": 9_000,
            "totals": {"created": 7},
            "steps": [
                {"step": "preflight", "duration_ms": 100},
                {"step": "catalog", "duration_ms": 1_500,
                 "square": {"requests": 4},
                 "stats": {"variations": {"created": 4}, "categories": {"created": 1}, "items": {"created": 2}}},
            ],
        }))
        .unwrap();
        let text = statistics(&run).unwrap();
        let words: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            words[2],
            ["categories", "1", "0", "0", "0", "0", "1.5", "s", "4"]
        );
        assert_eq!(words[3], ["items", "2", "0", "0", "0", "0"]);
        assert_eq!(words[4], ["variations", "4", "0", "0", "0", "0"]);
        assert_eq!(
            words[5],
            ["total", "7", "0", "0", "0", "0", "9.0", "s", "4"]
        );
        assert!(statistics(&Run::default()).is_none());
    }
}
