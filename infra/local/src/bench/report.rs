//! What was measured, as tables.

use comfy_table::{CellAlignment, Table};

use super::runs::{Cost, Ran};
use super::{Floor, Measured, Outcome};

/// The runs of one size, and how they have grown from another one.
pub(super) fn runs(outcome: &Outcome, smaller: Option<&Outcome>) -> Table {
    let heading = format!("{} size", outcome.size.name);
    let mut table = table(&[
        &heading,
        "seconds",
        "in steps",
        "x floor",
        "x first load",
        "rows/s",
        "requests",
        "WAL",
        "growth",
    ]);
    let first_load = outcome.ran(Measured::FirstLoad).map(|ran| &ran.cost);
    for ran in outcome.ran.iter().filter(|ran| ran.is_measured) {
        let before = smaller.and_then(|smaller| smaller.ran(ran.run));
        let mut row = |name: &str, cost: &Cost, before: Option<&Cost>, floor: Option<&Floor>| {
            let to = |seconds: Option<f64>| seconds.map(|seconds| cost.seconds / seconds);
            table.add_row([
                name.to_owned(),
                format!("{:.2}", cost.seconds),
                format!("{:.2}", cost.in_steps()),
                ratio(to(floor.map(|floor| floor.seconds))),
                ratio(to(first_load.map(|cost| cost.seconds))),
                per_second(cost.rows, cost.seconds),
                cost.requests.to_string(),
                megabytes(cost.wal_bytes),
                ratio(to(before.map(|cost| cost.seconds))),
            ]);
        };
        row(
            ran.run.name(),
            &ran.cost,
            before.map(|ran| &ran.cost),
            floor(outcome, ran.run, None),
        );
        for (part, cost) in &ran.parts {
            row(
                &format!("  {part}"),
                cost,
                before.and_then(|ran| ran.part(part)),
                floor(outcome, ran.run, Some(part)),
            );
        }
    }
    table
}

/// The floor of a run, or of a part of one.
fn floor<'a>(outcome: &'a Outcome, run: Measured, part: Option<&str>) -> Option<&'a Floor> {
    match (run, part) {
        (Measured::FirstLoad, None) => outcome.floors.of_first_load(),
        (Measured::Refresh, Some(_)) => outcome.floors.publish.as_ref(),
        _ => None,
    }
}

/// The floors of both sizes.
pub(super) fn floors(both: [&Outcome; 2]) -> Table {
    let mut table = table(&[
        "floor",
        "size",
        "seconds",
        "rows or requests",
        "a second",
        "sent",
    ]);
    for outcome in both {
        let floors = &outcome.floors;
        for (name, floor) in [
            ("COPY of first-load's rows, 4 at a time", &floors.copy),
            ("download of first-load's pages", &floors.download),
            (
                "COPY of refresh's rows, references checked",
                &floors.publish,
            ),
        ] {
            let Some(floor) = floor else {
                continue;
            };
            table.add_row([
                name.to_owned(),
                outcome.size.name.to_owned(),
                format!("{:.2}", floor.seconds),
                floor.count.to_string(),
                per_second(floor.count, floor.seconds),
                megabytes(floor.bytes),
            ]);
        }
    }
    table
}

/// The most memory that any process of each function held.
pub(super) fn memory(both: [&Outcome; 2]) -> Table {
    let mut table = table(&["memory", both[0].size.name, both[1].size.name]);
    for function in both[1].memory.keys() {
        let held = both.map(|outcome| outcome.memory.get(function).copied());
        let [half, full] = held.map(|held| held.map(mebibytes).unwrap_or_default());
        table.add_row([function.clone(), half, full]);
    }
    table
}

/// The steps of a run with their own seconds, in a line.
pub(super) fn steps(ran: &Ran) -> String {
    let steps = ran.cost.steps.iter();
    let steps: Vec<String> = steps
        .map(|(step, seconds)| format!("{step} {seconds:.2}"))
        .collect();
    format!(
        "{} took {:.2} s; its steps: {}",
        ran.run.name(),
        ran.cost.seconds,
        steps.join(", ")
    )
}

pub(super) fn mebibytes(kib: u64) -> String {
    format!("{} MiB", kib.div_ceil(1_024))
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}

fn per_second(count: u64, seconds: f64) -> String {
    if count == 0 || seconds <= 0.0 {
        return String::new();
    }
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    format!("{:.0}", count / seconds)
}

fn megabytes(bytes: u64) -> String {
    if bytes == 0 {
        return String::new();
    }
    let kilobytes = u32::try_from(bytes / 1_000).unwrap_or(u32::MAX);
    format!("{:.1} MB", f64::from(kilobytes) / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::targets::tests::outcomes;

    /// The table's cells, row by row.
    fn cells(table: &Table) -> Vec<Vec<String>> {
        let rows = table.row_iter().map(|row| row.cell_iter());
        rows.map(|cells| cells.map(|cell| cell.content().trim().to_owned()).collect())
            .collect()
    }

    #[test]
    fn a_run_stands_beside_its_floor_the_first_load_and_its_smaller_self() {
        let [half, full] = outcomes();
        let rows = cells(&runs(&full, Some(&half)));
        assert_eq!(
            rows[0],
            [
                "first-load",
                "30.00",
                "29.00",
                "1.50",
                "1.00",
                "1000",
                "40",
                "2.0 MB",
                "2.00"
            ]
        );
        assert_eq!(rows[1][..5], ["complete sync", "10.00", "9.00", "", "0.33"]);
        let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        let wanted = [
            "first-load",
            "complete sync",
            "history",
            "idle",
            "reconcile",
        ];
        assert_eq!(names[..5], wanted);
        // Without a smaller one nothing has grown.
        assert_eq!(cells(&runs(&half, None))[0][8], "");
    }

    #[test]
    fn what_was_only_needed_is_not_shown() {
        let [_, mut full] = outcomes();
        full.ran[0].is_measured = false;
        assert_eq!(cells(&runs(&full, None))[0][0], "idle");
    }

    #[test]
    fn floors_and_memory_are_told_of_both_sizes() {
        let [half, full] = outcomes();
        let rows = cells(&floors([&half, &full]));
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[0][1..], ["half", "10.00", "5000", "500", "1.0 MB"]);
        let rows = cells(&memory([&half, &full]));
        assert_eq!(
            rows,
            [
                ["catalog", "30 MiB", "40 MiB"],
                ["orders", "30 MiB", "65 MiB"]
            ]
        );
    }

    #[test]
    fn steps_are_told_in_a_line() {
        let [_, full] = outcomes();
        assert_eq!(
            steps(&full.ran[0]),
            "first-load took 30.00 s; its steps: catalog 9.00, orders 20.00"
        );
    }
}
