//! Small charts: bars side by side, of which the highest fills the room.

/// Of a bar, in the chart's units, which are 60 high and 10 wide for each bar.
const HEIGHT: f64 = 58.0;

/// A bar, as it is drawn.
pub(crate) struct Bar {
    pub(crate) class: &'static str,
    pub(crate) x: usize,
    pub(crate) y: String,
    pub(crate) height: String,
    pub(crate) title: String,
}

/// A figure that becomes a bar.
pub(crate) struct Given {
    pub(crate) class: &'static str,
    pub(crate) figure: i64,
    /// The words for whoever points at it.
    pub(crate) title: String,
}

/// Returns the bars from the left to the right.
pub(crate) fn bars(given: Vec<Given>) -> Vec<Bar> {
    let most = given.iter().map(|one| one.figure).max().unwrap_or(0).max(1);
    let bar = |(place, one): (usize, Given)| {
        // Nothing still shows where its bar would be.
        let height = (ratio(one.figure, most) * HEIGHT).max(1.0);
        Bar {
            class: one.class,
            x: place * 10,
            y: format!("{:.1}", HEIGHT + 2.0 - height),
            height: format!("{height:.1}"),
            title: one.title,
        }
    };
    given.into_iter().enumerate().map(bar).collect()
}

/// A part of a whole, for drawing: to the thousandth.
fn ratio(part: i64, whole: i64) -> f64 {
    let thousandths = i128::from(part) * 1_000 / i128::from(whole.max(1));
    f64::from(i32::try_from(thousandths).unwrap_or(0)) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_fills_the_room_and_nothing_is_still_seen() {
        let given = [0, 5, 10].map(|figure| Given {
            class: "",
            figure,
            title: figure.to_string(),
        });
        let bars = bars(given.into());
        let drawn: Vec<(usize, &str, &str)> = bars
            .iter()
            .map(|bar| (bar.x, bar.y.as_str(), bar.height.as_str()))
            .collect();
        let wanted = [
            (0, "59.0", "1.0"),
            (10, "31.0", "29.0"),
            (20, "2.0", "58.0"),
        ];
        assert_eq!(drawn, wanted);
    }
}
