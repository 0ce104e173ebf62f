//! What the facts mean, in one plain sentence. Pure.

use super::super::words::{count, number};
use crate::runs::amount::COUNTED_MAX;
use crate::runs::trust::{DAYS, Facts};

/// Whether the numbers can be trusted, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) answer: Answer,
    pub(crate) sentence: String,
}

/// The answer in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// They can.
    Yes,
    /// They can, except for what is said.
    Except,
    /// Something is to be looked at before.
    No,
    /// There are none yet.
    NotYet,
}

/// The last spot check that has compared its sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    pub(crate) compared: i64,
    pub(crate) rows_differ: i64,
}

/// Judges the facts. `late` are parts of the account that are older than they should be,
/// or that no sync has brought.
pub(crate) fn verdict(
    facts: &Facts,
    late: &[&str],
    checked: Option<Checked>,
    has_synced: bool,
) -> Verdict {
    if !has_synced {
        return Verdict {
            answer: Answer::NotYet,
            sentence: "There are no numbers to trust yet: nothing has been synced.".to_owned(),
        };
    }
    let wrong = wrong(late, checked);
    if !wrong.is_empty() {
        return Verdict {
            answer: Answer::No,
            sentence: format!(
                "Look at this before you rely on the numbers: {}.",
                and(&wrong)
            ),
        };
    }
    let except = except(facts);
    if !except.is_empty() {
        return Verdict {
            answer: Answer::Except,
            sentence: format!("The numbers can be trusted, except that {}.", and(&except)),
        };
    }
    Verdict {
        answer: Answer::Yes,
        sentence: format!(
            "The numbers can be trusted: {}.",
            and(&right(facts, checked))
        ),
    }
}

/// Why they cannot.
fn wrong(late: &[&str], checked: Option<Checked>) -> Vec<String> {
    let mut reasons = Vec::new();
    if !late.is_empty() {
        let late: Vec<String> = late.iter().map(|part| (*part).to_owned()).collect();
        reasons.push(format!("the last syncs did not bring {}", and(&late)));
    }
    if let Some(checked) = checked.filter(|checked| checked.rows_differ > 0) {
        let differ = count(checked.rows_differ, "row");
        reasons.push(format!(
            "the last spot check found {differ} that Square has otherwise"
        ));
    }
    reasons
}

/// What they leave out, or where they were wrong for a while.
fn except(facts: &Facts) -> Vec<String> {
    let mut reasons = Vec::new();
    if facts.waiting > 0 {
        let verb = if facts.waiting == 1 { "waits" } else { "wait" };
        let waiting = at_least(facts.waiting, "object");
        reasons.push(format!(
            "{waiting} of Square's {verb} in quarantine and in no table"
        ));
    }
    if facts.without_history > 0 {
        let locations = at_least(facts.without_history, "location");
        reasons.push(format!(
            "the past orders of {locations} were never imported"
        ));
    }
    if let Some(history) = facts.history {
        if facts.scrub_days == 0 {
            reasons.push(
                "the orders' history is read once and never again (SCRUB_DAYS is 0)".to_owned(),
            );
        } else if history.percent < 100 {
            reasons.push(format!(
                "only {} % of the orders' history was read within the last {}",
                history.percent,
                count(facts.scrub_days.into(), "day")
            ));
        }
    }
    if let (rows, Some(days_ago)) = facts.drift() {
        let when = match days_ago {
            0 => "today".to_owned(),
            1 => "yesterday".to_owned(),
            days => format!("{days} days ago"),
        };
        let rows = count(rows, "row");
        reasons.push(format!(
            "{rows} had drifted, last found and put right {when}"
        ));
    }
    reasons
}

/// Why they can.
fn right(facts: &Facts, checked: Option<Checked>) -> Vec<String> {
    let mut reasons = vec!["every data type is as fresh as it should be".to_owned()];
    if facts.types.iter().any(|one| one.drift.is_some()) {
        reasons.push(format!("no row has drifted in {DAYS} days"));
    }
    if facts.history.is_some() {
        reasons.push(format!(
            "all of the orders' history was read within {}",
            count(facts.scrub_days.into(), "day")
        ));
    }
    reasons.push("nothing waits in quarantine".to_owned());
    if let Some(checked) = checked {
        reasons.push(format!(
            "the last spot check found all of {} as at Square",
            count(checked.compared, "row")
        ));
    }
    reasons
}

/// So many, or more than are counted.
fn at_least(amount: i64, unit: &str) -> String {
    if amount > COUNTED_MAX {
        format!("more than {} {unit}s", number(COUNTED_MAX))
    } else {
        count(amount, unit)
    }
}

/// A list in a sentence.
fn and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::runs::amount::Amount;
    use crate::runs::trust::{DataType, History};

    fn facts() -> Facts {
        Facts {
            types: vec![DataType {
                name: "orders",
                rows: Amount::Exactly(1),
                listed_at: None,
                drift: Some([0; DAYS]),
                waiting: 0,
            }],
            history: Some(History {
                percent: 100,
                oldest: Timestamp::UNIX_EPOCH,
            }),
            scrub_days: 90,
            ..Facts::default()
        }
    }

    fn checked(rows_differ: i64) -> Option<Checked> {
        Some(Checked {
            compared: 1_017,
            rows_differ,
        })
    }

    fn of(facts: &Facts) -> (Answer, String) {
        let verdict = verdict(facts, &[], checked(0), true);
        (verdict.answer, verdict.sentence)
    }

    #[test]
    fn numbers_without_any_doubt_can_be_trusted_for_what_is_known() {
        let sentence = "The numbers can be trusted: every data type is as fresh as it should be, \
            no row has drifted in 30 days, all of the orders' history was read within 90 days, \
            nothing waits in quarantine and the last spot check found all of 1,017 rows as at \
            Square.";
        assert_eq!(of(&facts()), (Answer::Yes, sentence.to_owned()));
        // What is not known is not said.
        let first = Facts {
            types: vec![],
            history: None,
            ..facts()
        };
        let sentence = "The numbers can be trusted: every data type is as fresh as it should be \
            and nothing waits in quarantine.";
        let verdict = verdict(&first, &[], None, true);
        assert_eq!(
            (verdict.answer, &*verdict.sentence),
            (Answer::Yes, sentence)
        );
    }

    #[test]
    fn before_the_first_sync_there_is_nothing_to_trust() {
        let verdict = verdict(&Facts::default(), &["catalog"], None, false);
        assert_eq!(verdict.answer, Answer::NotYet);
    }

    #[test]
    fn what_is_wrong_now_comes_before_what_is_left_out() {
        let waiting = Facts {
            waiting: 3,
            ..facts()
        };
        let verdict = verdict(&waiting, &["catalog", "orders"], checked(1), true);
        let sentence = "Look at this before you rely on the numbers: the last syncs did not \
            bring catalog and orders and the last spot check found 1 row that Square has \
            otherwise.";
        assert_eq!((verdict.answer, &*verdict.sentence), (Answer::No, sentence));
    }

    #[test]
    fn each_exception_is_named() {
        let drifted = |days_ago: usize, rows: i64| {
            let mut facts = facts();
            let mut days = [0; DAYS];
            days[DAYS - 1 - days_ago] = rows;
            facts.types[0].drift = Some(days);
            facts
        };
        let read = |percent, scrub_days| Facts {
            history: facts()
                .history
                .map(|history| History { percent, ..history }),
            scrub_days,
            ..facts()
        };
        let waiting = |waiting| Facts { waiting, ..facts() };
        let without_history = |without_history| Facts {
            without_history,
            ..facts()
        };
        for (facts, reason) in [
            (
                drifted(0, 1),
                "1 row had drifted, last found and put right today",
            ),
            (
                drifted(1, 7),
                "7 rows had drifted, last found and put right yesterday",
            ),
            (
                drifted(29, 7),
                "7 rows had drifted, last found and put right 29 days ago",
            ),
            (
                waiting(1),
                "1 object of Square's waits in quarantine and in no table",
            ),
            (
                waiting(1_001),
                "more than 1,000 objects of Square's wait in quarantine and in no table",
            ),
            (
                without_history(2),
                "the past orders of 2 locations were never imported",
            ),
            (
                read(99, 90),
                "only 99 % of the orders' history was read within the last 90 days",
            ),
            (
                read(0, 1),
                "only 0 % of the orders' history was read within the last 1 day",
            ),
            (
                read(50, 0),
                "the orders' history is read once and never again (SCRUB_DAYS is 0)",
            ),
        ] {
            let sentence = format!("The numbers can be trusted, except that {reason}.");
            assert_eq!(of(&facts), (Answer::Except, sentence));
        }
        let both = Facts {
            waiting: 2,
            ..drifted(3, 5)
        };
        assert!(of(&both).1.contains("in no table and 5 rows had drifted"));
    }
}
