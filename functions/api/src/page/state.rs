//! The state of the data and of the service around it, in two groups; what needs
//! attention stands first in them.

use jiff::{SignedDuration, Timestamp};
use shared::part::Part;
use shared::run::freshness::Freshness;

use super::moment::Moment;
use super::words::{amount, span};
use crate::runs::amount::Amount;
use crate::schedule::Schedule;

/// Where nothing is scheduled, data of the day before is old.
const OLD: SignedDuration = SignedDuration::from_hours(24);

/// Facts of one sort.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) facts: Vec<Fact>,
}

/// One of them.
#[derive(Default)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The place where there is more of it, or something to do.
    pub(crate) link: Option<&'static str>,
    /// The moment that it tells of, and the word before that.
    pub(crate) moment: Option<(&'static str, Moment)>,
    /// Why somebody should look at it.
    pub(crate) attention: Option<&'static str>,
}

/// The groups of which there is anything to tell; the one that needs attention first.
pub(crate) fn groups(data: Vec<Fact>, service: Vec<Fact>) -> Vec<Group> {
    let mut groups = vec![
        Group {
            title: "Data",
            facts: data,
        },
        Group {
            title: "Service",
            facts: service,
        },
    ];
    groups.retain(|group| !group.facts.is_empty());
    for group in &mut groups {
        group.facts.sort_by_key(|fact| fact.attention.is_none());
    }
    groups.sort_by_key(|group| group.facts.iter().all(|fact| fact.attention.is_none()));
    groups
}

/// How fresh one data type is; `has_synced` if any sync has tried to bring it yet.
pub(crate) fn fresh(
    fresh: &Freshness,
    schedule: &Schedule,
    now: Timestamp,
    has_synced: bool,
) -> Fact {
    let attention = wanting(fresh, schedule, now, has_synced);
    let age = fresh.age_seconds.map(span);
    Fact {
        name: fresh.data_type.clone(),
        value: age.map_or_else(|| "never".to_owned(), |age| format!("{age} ago")),
        moment: fresh.as_of.map(|as_of| ("", Moment::new(as_of))),
        attention,
        ..Fact::default()
    }
}

/// Why somebody should look at its age, if so.
pub(crate) fn wanting(
    fresh: &Freshness,
    schedule: &Schedule,
    now: Timestamp,
    has_synced: bool,
) -> Option<&'static str> {
    let is_staged = Part::named(&fresh.data_type).is_some_and(Part::is_staged);
    match fresh.as_of {
        Some(as_of) if is_late(as_of, schedule, now) => Some("older than it should be"),
        None if is_staged && has_synced => Some("no sync has brought it"),
        _ => None,
    }
}

/// Whether a whole scheduled sync has passed without bringing what was read then.
fn is_late(as_of: Timestamp, schedule: &Schedule, now: Timestamp) -> bool {
    let after = |moment| schedule.next(moment, Some(moment));
    match after(as_of).and_then(after) {
        Some(second) => second < now,
        // What is scheduled has a time of its own, known or not.
        None => !schedule.is_on() && now.duration_since(as_of) > OLD,
    }
}

/// The schema's version against this release's.
pub(crate) fn schema(found: i64, wanted: i64, words: String) -> Fact {
    Fact {
        name: "Schema".to_owned(),
        value: words,
        link: (found > 0 && found < wanted).then_some("/admin/sync/migration"),
        attention: match found {
            0 => None,
            _ if found < wanted => Some("nothing syncs before"),
            _ => (found > wanted).then_some("deploy that release again"),
        },
        ..Fact::default()
    }
}

/// The schedule, and when it starts a run next.
pub(crate) fn schedule(schedule: &Schedule, next: Option<Timestamp>) -> Fact {
    Fact {
        name: "Schedule".to_owned(),
        value: schedule.words(),
        moment: next.map(|next| ("next ", Moment::new(next))),
        ..Fact::default()
    }
}

/// The objects that wait in quarantine.
pub(crate) fn quarantine(waiting: Amount) -> Fact {
    Fact {
        name: "In quarantine".to_owned(),
        value: amount(waiting),
        link: Some("/admin/sync/quarantine"),
        attention: (waiting != Amount::Exactly(0)).then_some("not in the tables"),
        ..Fact::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule_of(expression: &str, state: &str) -> Schedule {
        Schedule::read(|name| match name {
            "SCHEDULE_EXPRESSION" => Some(expression.to_owned()),
            name if name.ends_with("_STATE") => Some(state.to_owned()),
            _ => None,
        })
    }

    fn hourly(state: &str) -> Schedule {
        schedule_of("rate(1 hour)", state)
    }

    #[test]
    fn what_needs_attention_comes_first_in_its_group_and_its_group_first() {
        let shown = |waiting: i64, late: Option<&'static str>| {
            let fact = |name: &str, attention| Fact {
                name: name.to_owned(),
                attention,
                ..Fact::default()
            };
            let data = vec![fact("locations", None), fact("inventory", late)];
            let service = vec![
                schema(3, 3, String::new()),
                schedule(&hourly("ENABLED"), None),
                quarantine(Amount::Exactly(waiting)),
            ];
            let names = groups(data, service).into_iter().map(|group| {
                let names = group.facts.into_iter().map(|fact| fact.name);
                format!("{}: {}", group.title, names.collect::<Vec<_>>().join(", "))
            });
            names.collect::<Vec<_>>().join("; ")
        };
        let (data, service) = ("locations, inventory", "Schema, Schedule, In quarantine");
        assert_eq!(shown(0, None), format!("Data: {data}; Service: {service}"));
        assert_eq!(
            shown(2, None),
            format!("Service: In quarantine, Schema, Schedule; Data: {data}")
        );
        assert_eq!(
            shown(0, Some("late")),
            format!("Data: inventory, locations; Service: {service}")
        );
    }

    #[test]
    fn data_is_late_once_a_scheduled_sync_has_not_brought_it() {
        let now: Timestamp = "2026-11-28T15:41:00Z".parse().unwrap();
        let attention = |data_type: &str, minutes: Option<i64>, state, has_synced| {
            let as_of = minutes.map(|minutes| now - SignedDuration::from_mins(minutes));
            let fact = fresh(
                &Freshness {
                    data_type: data_type.to_owned(),
                    as_of,
                    age_seconds: minutes.map(|minutes| minutes * 60),
                },
                &hourly(state),
                now,
                has_synced,
            );
            fact.attention.is_some()
        };
        for (minutes, late) in [(5, false), (61, false), (119, false), (121, true)] {
            assert_eq!(attention("catalog", Some(minutes), "ENABLED", true), late);
        }
        // By hand only.
        assert!(!attention("catalog", Some(23 * 60), "DISABLED", true));
        assert!(attention("catalog", Some(25 * 60), "DISABLED", true));
        // A sync brings all but orders, which want an import first.
        assert!(!attention("catalog", None, "ENABLED", false));
        assert!(attention("catalog", None, "ENABLED", true));
        assert!(!attention("orders", None, "ENABLED", true));
    }

    #[test]
    fn data_is_not_late_where_nobody_can_tell_when_it_is_due() {
        let now: Timestamp = "2026-11-28T15:41:00Z".parse().unwrap();
        let as_of = now - SignedDuration::from_hours(49);
        // Of a kind that only AWS knows, and one whose years are over.
        for expression in ["cron(0 6 LW * ? *)", "cron(0 6 * * ? 2025)"] {
            assert!(!is_late(as_of, &schedule_of(expression, "ENABLED"), now));
            assert!(is_late(as_of, &schedule_of(expression, "DISABLED"), now));
        }
    }

    #[test]
    fn a_schema_that_does_not_fit_leads_to_what_mends_it() {
        let fact = |found| schema(found, 5, String::new());
        assert!(fact(0).attention.is_none() && fact(5).attention.is_none());
        assert!(fact(4).attention.is_some() && fact(6).attention.is_some());
        assert_eq!(fact(4).link, Some("/admin/sync/migration"));
        assert_eq!(fact(6).link, None);
    }
}
