//! Moments as Square writes them. Square's timestamps carry any number of
//! fraction digits, so the account keeps nanoseconds and this module alone
//! turns them into text: in Square's uneven style for answers, and cut to the
//! six digits a database keeps for the truth.

use jiff::Timestamp;

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub(crate) type Nanos = i64;

/// One second.
pub(crate) const SECOND: Nanos = 1_000_000_000;
/// One minute.
pub(crate) const MINUTE: Nanos = 60 * SECOND;
/// One day.
pub(crate) const DAY: Nanos = 24 * 60 * MINUTE;

/// Reads an RFC 3339 timestamp; `None` if it is none.
pub(crate) fn parse(text: &str) -> Option<Nanos> {
    text.parse::<Timestamp>().ok().and_then(of)
}

/// The nanoseconds of a timestamp, within the years 1678 to 2261.
pub(crate) fn of(timestamp: Timestamp) -> Option<Nanos> {
    i64::try_from(timestamp.as_nanosecond()).ok()
}

/// As in Square's answers: a whole second bare, else two to nine fraction
/// digits, as many as the moment needs.
pub(crate) fn square(at: Nanos) -> String {
    let timestamp = timestamp(at);
    let fraction = at.rem_euclid(SECOND);
    if fraction == 0 {
        return format!("{timestamp:.0}");
    }
    let digits = (2..9_u32).find(|digits| fraction % 10_i64.pow(9 - digits) == 0);
    format!(
        "{timestamp:.*}",
        digits.map_or(9, |digits| usize::try_from(digits).unwrap_or(9))
    )
}

/// As in the truth: always six digits, further ones cut off and not rounded.
pub(crate) fn truth(at: Nanos) -> String {
    let micros = at.div_euclid(1_000) * 1_000;
    format!("{:.6}", timestamp(micros))
}

/// Square's version number of an object changed at that moment: milliseconds.
pub(crate) fn version(at: Nanos) -> i64 {
    at.div_euclid(1_000_000)
}

fn timestamp(at: Nanos) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{parse, square, truth, version};

    #[test]
    fn square_writes_as_many_digits_as_needed() {
        for text in [
            "2024-02-29T12:00:00Z",
            "2016-11-16T22:25:24.53Z",
            "2016-11-16T22:25:24.878Z",
            "2016-11-16T22:25:24.10296Z",
            "2016-11-16T22:25:24.000000001Z",
            "2016-11-16T22:25:24.50Z",
        ] {
            assert_eq!(parse(text).map(square).as_deref(), Some(text));
        }
    }

    #[test]
    fn the_truth_cuts_at_six_digits() {
        let at = parse("2016-11-16T22:25:24.123456999Z").unwrap();
        assert_eq!(truth(at), "2016-11-16T22:25:24.123456Z");
        assert_eq!(
            truth(parse("2024-02-29T12:00:00Z").unwrap()),
            "2024-02-29T12:00:00.000000Z"
        );
    }

    #[test]
    fn versions_are_milliseconds() {
        assert_eq!(
            version(parse("2017-10-26T15:27:31.626Z").unwrap()),
            1_509_031_651_626
        );
    }
}
