//! EventBridge Scheduler's cron expressions: `minute hour day-of-month month
//! day-of-week year`, with days of the week from 1 for Sunday, and `?` for
//! whichever of the two days is left open. They are told to a library that knows
//! the usual five fields. What it does not know has no next moment here, only
//! its words.

use cronexpr::{MakeTimestamp, parse_crontab};
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;

/// The first moment after `now` that the expression means in this zone.
pub(super) fn next(expression: &str, zone: &str, now: Timestamp) -> Option<Timestamp> {
    let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
    let [minutes, hours, days, months, weekdays, years] = fields[..] else {
        return None;
    };
    let (days, weekdays) = match (days, weekdays) {
        ("?", "?") => return None,
        (days, "?") => (days, "*".to_owned()),
        ("?", weekdays) => ("*", usual_weekdays(weekdays)?),
        _ => return None,
    };
    let usual = format!("{minutes} {hours} {days} {months} {weekdays} {zone}");
    let crontab = parse_crontab(&usual).ok()?;
    let years: Vec<i16> = YEARS.filter(|year| is_among(years, *year)).collect();
    let zone = TimeZone::get(zone).ok()?;
    let mut after = now;
    loop {
        let found = crontab.find_next(MakeTimestamp(after)).ok()?;
        let year = *years.iter().find(|year| **year >= found.year())?;
        if year == found.year() {
            return Some(found.timestamp());
        }
        let new_year = date(year, 1, 1).to_zoned(zone.clone()).ok()?.timestamp();
        after = new_year
            .checked_sub(jiff::SignedDuration::from_secs(1))
            .ok()?;
    }
}

/// The days of the week with the usual numbers, from 0 for Sunday.
fn usual_weekdays(field: &str) -> Option<String> {
    let terms: Option<Vec<String>> = field.split(',').map(usual_weekday).collect();
    Some(terms?.join(","))
}

fn usual_weekday(term: &str) -> Option<String> {
    if term == "*" {
        return Some(term.to_owned());
    }
    // Alone it is the last day of the week, not of the month.
    if term == "L" {
        return Some("6".to_owned());
    }
    if let Some(day) = term.strip_suffix('L') {
        return Some(format!("{}L", weekday(day)?));
    }
    if let Some((day, place)) = term.split_once('#') {
        return Some(format!("{}#{place}", weekday(day)?));
    }
    let (range, step) = match term.split_once('/') {
        Some((range, step)) => (range, Some(step.parse().ok().filter(|step| *step > 0)?)),
        None => (term, None),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (weekday(first)?, weekday(last)?),
        None if range == "*" => (0, 6),
        None if step.is_some() => (weekday(range)?, 6),
        None => (weekday(range)?, weekday(range)?),
    };
    // Written out: to the library the week ends with a Sunday that it has twice.
    let days: Vec<String> = (first..=last)
        .step_by(step.unwrap_or(1))
        .map(|day| day.to_string())
        .collect();
    (!days.is_empty()).then(|| days.join(","))
}

/// `1` to `7` or `SUN` to `SAT`, as the usual number.
fn weekday(text: &str) -> Option<usize> {
    let named = DAYS.iter().position(|day| day.eq_ignore_ascii_case(text));
    named.or_else(|| {
        let number: usize = text.parse().ok()?;
        (1..=7).contains(&number).then(|| number - 1)
    })
}

/// Whether a field means this number.
fn is_among(field: &str, number: i16) -> bool {
    field.split(',').any(|term| {
        let (range, step) = term.split_once('/').unwrap_or((term, ""));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (first.parse().ok(), last.parse().ok()),
            None if range == "*" => (Some(*YEARS.start()), Some(*YEARS.end())),
            None if step.is_empty() => (range.parse().ok(), range.parse().ok()),
            None => (range.parse().ok(), Some(*YEARS.end())),
        };
        let step = if step.is_empty() {
            Some(1)
        } else {
            step.parse().ok()
        };
        match (first, last, step) {
            (Some(first), Some(last), Some(step @ 1_i16..)) => {
                (first..=last).contains(&number) && (number - first) % step == 0
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Thursday.
    const NOW: &str = "2026-11-26T10:20:00Z";

    fn next_in(zone: &str, expression: &str) -> Option<String> {
        let next = next(expression, zone, NOW.parse().unwrap());
        next.map(|next| next.to_string())
    }

    #[test]
    fn every_kind_of_field_means_what_it_means_to_aws() {
        for (expression, wanted) in [
            ("0 6 * * ? *", "2026-11-27T06:00:00Z"),
            ("0/15 * * * ? *", "2026-11-26T10:30:00Z"),
            ("5,35 8-18/2 ? * MON-FRI *", "2026-11-26T10:35:00Z"),
            ("20 10 * * ? *", "2026-11-27T10:20:00Z"),
            // The first day of the week is Sunday, and the last Saturday.
            ("0 12 ? * 1 *", "2026-11-29T12:00:00Z"),
            ("0 12 ? * 7 *", "2026-11-28T12:00:00Z"),
            ("0 12 ? * L *", "2026-11-28T12:00:00Z"),
            ("0 9 ? * 2-6 *", "2026-11-27T09:00:00Z"),
            ("0 9 ? * SUN,TUE *", "2026-11-29T09:00:00Z"),
            ("0 9 ? * 1/3 *", "2026-11-28T09:00:00Z"),
            ("0 9 ? * 2/2 *", "2026-11-27T09:00:00Z"),
            ("0 9 ? * * *", "2026-11-27T09:00:00Z"),
            // The last Friday, the first Monday.
            ("0 9 ? * 6L *", "2026-11-27T09:00:00Z"),
            ("0 9 ? * FRIL *", "2026-11-27T09:00:00Z"),
            ("0 9 ? * 2#1 *", "2026-12-07T09:00:00Z"),
            ("0 9 ? * MON#1 *", "2026-12-07T09:00:00Z"),
            // The last day, and the weekday next to the fifteenth, a Friday.
            ("0 9 L * ? *", "2026-11-30T09:00:00Z"),
            ("0 9 15W 1 ? *", "2027-01-15T09:00:00Z"),
            ("0 9 1 JAN,JUN ? *", "2027-01-01T09:00:00Z"),
            ("0 9 1/10 * ? *", "2026-12-01T09:00:00Z"),
            ("0 9 1 6 ? 2030", "2030-06-01T09:00:00Z"),
            ("0 9 1 6 ? 2020-2026,2029/2", "2029-06-01T09:00:00Z"),
            ("0 0 1 1 ? 2030-2040", "2030-01-01T00:00:00Z"),
            ("0 0 29 2 ? 2030-2040", "2032-02-29T00:00:00Z"),
        ] {
            assert_eq!(
                next_in("UTC", expression).as_deref(),
                Some(wanted),
                "{expression}"
            );
        }
    }

    #[test]
    fn hours_are_those_of_the_zone() {
        let zone = "America/New_York";
        assert_eq!(
            next_in(zone, "0 6 * * ? *").unwrap(),
            "2026-11-26T11:00:00Z"
        );
        // In summer an hour earlier by UTC.
        assert_eq!(
            next_in(zone, "0 6 1 7 ? *").unwrap(),
            "2027-07-01T10:00:00Z"
        );
        assert_eq!(
            next_in(zone, "0 0 1 1 ? 2028").unwrap(),
            "2028-01-01T05:00:00Z"
        );
        assert_eq!(next_in("Middle/Earth", "0 6 * * ? *"), None);
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        for expression in [
            "",
            "0 6 * * ?",
            "0 6 * * ? * *",
            "0 6 * * * *",
            "0 6 ? * ? *",
            "0 6 1 * MON *",
            "60 6 * * ? *",
            "0 6 ? * 0 *",
            "0 6 ? * 8 *",
            "0 6 ? * FRI-MON *",
            "0 6 ? * MON/0 *",
            "0 6 LW * ? *",
            "0 6 * * ? 2025",
            "0 6 * * ? soon",
            "0 6 30 2 ? *",
        ] {
            assert_eq!(next_in("UTC", expression), None, "{expression}");
        }
    }
}
