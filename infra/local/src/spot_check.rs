//! What a spot check has found, a line for each column that differs.

use crate::api::{Difference, SpotCheck};

/// Returns the lines: the figures first.
#[must_use]
pub fn lines(found: &SpotCheck) -> Vec<String> {
    let figures = format!(
        "  {} rows compared, {} in flight, {} differ",
        found.compared, found.in_flight, found.rows_differ
    );
    let differ = found.differ.iter().map(line);
    [figures].into_iter().chain(differ).collect()
}

fn line(one: &Difference) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    format!(
        "  ~ {:<10} {}  {}: {} here, {} at Square",
        one.row_type,
        one.id,
        one.column,
        text(&one.ours),
        text(&one.square)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_has_both_values() {
        let found = SpotCheck {
            compared: 12,
            in_flight: 1,
            rows_differ: 1,
            differ: vec![Difference {
                row_type: "items".into(),
                id: "A".into(),
                column: "name".into(),
                ours: None,
                square: Some("Tea".into()),
            }],
        };
        assert_eq!(
            lines(&found),
            [
                "  12 rows compared, 1 in flight, 1 differ",
                "  ~ items      A  name: none here, Tea at Square",
            ]
        );
    }
}
