//! What a spot check has found, as a table.

use super::words::{number, spaced};
use crate::runs::store::{DifferenceView, SpotCheckView};

/// What was compared, and what of it differs.
pub(crate) struct SpotCheck {
    pub(crate) compared: String,
    pub(crate) in_flight: String,
    pub(crate) rows_differ: String,
    /// How many columns are shown.
    pub(crate) caption: String,
    pub(crate) differ: Vec<DifferenceView>,
}

impl SpotCheck {
    pub(crate) fn of(found: &SpotCheckView) -> Self {
        let differ = found.differ.iter().map(|one| DifferenceView {
            row_type: spaced(&one.row_type),
            column: spaced(&one.column),
            ..one.clone()
        });
        let shown = i64::try_from(found.differ.len()).unwrap_or(i64::MAX);
        Self {
            compared: number(found.compared),
            in_flight: number(found.in_flight),
            rows_differ: number(found.rows_differ),
            caption: format!("Columns that differ, {} shown", number(shown)),
            differ: differ.collect(),
        }
    }

    pub(crate) fn differs(&self) -> bool {
        !self.differ.is_empty()
    }
}
