//! What the runs are to keep to, and whether they did.

use std::fmt;

use super::report::mebibytes;
use super::runs::{Cost, PUBLISH};
use super::{Floor, Floors, Measured, Outcome};

/// Times the larger floor that a first load may take.
const FIRST_LOAD: f64 = 1.8;
/// Times as long that a run may take on an account of twice the size.
const GROWTH: f64 = 2.15;
/// The part of a first load that a reconcile may take.
const RECONCILE: f64 = 0.5;
/// Times its floor that publishing a refresh may take.
const PUBLISHING: f64 = 3.0;
/// Seconds that a preview may take.
const PREVIEW: f64 = 2.0;
/// Seconds and requests that an idle sync may take.
const IDLE: (f64, u64) = (0.3, 4);
/// Memory that any function may hold, in KiB.
const MEMORY: u64 = 64 * 1_024;

/// Whether a target was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    is_met: bool,
    target: String,
    figure: String,
}

impl Verdict {
    fn new(is_met: bool, target: impl Into<String>, figure: impl Into<String>) -> Self {
        Self {
            is_met,
            target: target.into(),
            figure: figure.into(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = if self.is_met { "met    " } else { "NOT MET" };
        write!(f, "{met}  {}: {}", self.target, self.figure)
    }
}

impl Floors {
    /// The larger one of what a first load cannot go below.
    pub(super) fn of_first_load(&self) -> Option<&Floor> {
        let both = [&self.copy, &self.download].into_iter().flatten();
        both.max_by(|one, other| one.seconds.total_cmp(&other.seconds))
    }
}

/// Judges the larger account by itself and beside the smaller one, as far as it was
/// measured.
pub(super) fn verdicts(half: &Outcome, full: &Outcome) -> Vec<Verdict> {
    let first_load = full.ran(Measured::FirstLoad);
    let measured = |run: Measured| full.ran(run).filter(|ran| ran.is_measured);
    let mut verdicts = Vec::new();
    if let Some(ran) = measured(Measured::FirstLoad) {
        let target = format!("first-load takes at most {FIRST_LOAD} times its larger floor");
        let floor = full.floors.of_first_load();
        verdicts.extend(at_most(FIRST_LOAD, target, &ran.cost, seconds_of(floor)));
    }
    verdicts.extend(growth(half, full));
    if let (Some(ran), Some(whole)) = (measured(Measured::Reconcile), first_load) {
        let target = format!("reconcile takes at most {RECONCILE} times first-load");
        let seconds = Some(whole.cost.seconds);
        verdicts.extend(at_most(RECONCILE, target, &ran.cost, seconds));
    }
    if let Some(publish) = measured(Measured::Refresh).and_then(|ran| ran.part(PUBLISH)) {
        let target = format!("publish of refresh takes at most {PUBLISHING} times its floor");
        let floor = full.floors.publish.as_ref();
        verdicts.extend(at_most(PUBLISHING, target, publish, seconds_of(floor)));
    }
    if let Some(ran) = measured(Measured::Preview) {
        let seconds = ran.cost.seconds;
        let target = format!("preview takes at most {PREVIEW} s");
        let figure = format!("{seconds:.2} s");
        verdicts.push(Verdict::new(seconds <= PREVIEW, target, figure));
    }
    if let Some(ran) = measured(Measured::Idle) {
        let (seconds, requests) = (ran.cost.in_steps(), ran.cost.requests);
        verdicts.push(Verdict::new(
            seconds <= IDLE.0 && requests <= IDLE.1,
            format!(
                "idle takes at most {} s in its steps and {} requests",
                IDLE.0, IDLE.1
            ),
            format!("{seconds:.2} s, {requests} requests"),
        ));
    }
    verdicts.extend(memory(half, full));
    verdicts
}

fn seconds_of(floor: Option<&Floor>) -> Option<f64> {
    floor.map(|floor| floor.seconds)
}

/// Judges a cost by how many times those seconds it takes.
fn at_most(limit: f64, target: String, cost: &Cost, seconds: Option<f64>) -> Option<Verdict> {
    let times = cost.seconds / seconds?;
    Some(Verdict::new(
        times <= limit,
        target,
        format!("{times:.2} times"),
    ))
}

/// Judges the run that has grown the most.
fn growth(half: &Outcome, full: &Outcome) -> Option<Verdict> {
    let measured = full.ran.iter().filter(|ran| ran.is_measured);
    let grown = measured.filter_map(|ran| {
        let before = half.ran(ran.run)?;
        Some((ran.run.name(), ran.cost.seconds / before.cost.seconds))
    });
    let (name, times) = grown.max_by(|one, other| one.1.total_cmp(&other.1))?;
    Some(Verdict::new(
        times <= GROWTH,
        format!("twice the size takes each run at most {GROWTH} times as long"),
        format!("{times:.2} times, the most of all, in {name}"),
    ))
}

/// Judges the function that held the most.
fn memory(half: &Outcome, full: &Outcome) -> Option<Verdict> {
    let all = half.memory.iter().chain(&full.memory);
    let (function, held) = all.max_by_key(|(_, held)| **held)?;
    Some(Verdict::new(
        *held <= MEMORY,
        format!("every function holds at most {}", mebibytes(MEMORY)),
        format!("{}, the most of all, in {function}", mebibytes(*held)),
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bench::runs::Ran;
    use crate::bench::sizes;

    fn cost(seconds: f64) -> Cost {
        Cost {
            seconds,
            steps: vec![("catalog".to_owned(), seconds - 1.0)],
            rows: 10_000,
            requests: 20,
            wal_bytes: 1_000_000,
        }
    }

    fn ran(run: Measured, cost: Cost, parts: Vec<(&'static str, Cost)>) -> Ran {
        let is_measured = true;
        Ran {
            run,
            is_measured,
            cost,
            parts,
        }
    }

    fn floor(seconds: f64) -> Option<Floor> {
        Some(Floor {
            seconds,
            count: 5_000,
            bytes: 1_000_000,
        })
    }

    /// Outcomes of both sizes, of which the larger took exactly twice as long.
    pub(in crate::bench) fn outcomes() -> [Outcome; 2] {
        let [half, full] = sizes::half_and_full(false);
        [(half, 0.5), (full, 1.0)].map(|(size, by)| {
            let history = Cost {
                steps: vec![("orders".to_owned(), 20.0 * by)],
                ..cost(20.0 * by)
            };
            let whole = Cost {
                seconds: 30.0 * by,
                steps: vec![
                    ("catalog".to_owned(), 9.0 * by),
                    ("orders".to_owned(), 20.0 * by),
                ],
                rows: 30_000,
                requests: 40,
                wal_bytes: 2_000_000,
            };
            let idle = Cost {
                seconds: 0.6,
                steps: vec![("catalog".to_owned(), 0.2)],
                requests: 4,
                ..Cost::default()
            };
            let first_load = vec![("complete sync", cost(10.0 * by)), ("history", history)];
            let publish = vec![("publish", cost(12.0 * by))];
            Outcome {
                size,
                ran: vec![
                    ran(Measured::FirstLoad, whole, first_load),
                    ran(Measured::Idle, idle, Vec::new()),
                    ran(Measured::Reconcile, cost(6.0 * by), Vec::new()),
                    ran(Measured::Refresh, cost(15.0 * by), publish),
                    ran(Measured::Preview, cost(2.0 * by), Vec::new()),
                ],
                floors: Floors {
                    copy: floor(20.0 * by),
                    download: floor(8.0 * by),
                    publish: floor(5.0 * by),
                },
                memory: BTreeMap::from([
                    ("catalog".to_owned(), if by < 1.0 { 30_000 } else { 40_000 }),
                    ("orders".to_owned(), if by < 1.0 { 30_000 } else { 65_537 }),
                ]),
            }
        })
    }

    #[test]
    fn each_target_is_judged_by_its_figure() {
        let [half, full] = outcomes();
        let told: Vec<String> = verdicts(&half, &full)
            .iter()
            .map(Verdict::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "met      first-load takes at most 1.8 times its larger floor: 1.50 times",
                "met      twice the size takes each run at most 2.15 times as long: \
                 2.00 times, the most of all, in preview",
                "met      reconcile takes at most 0.5 times first-load: 0.20 times",
                "met      publish of refresh takes at most 3 times its floor: 2.40 times",
                "met      preview takes at most 2 s: 2.00 s",
                "met      idle takes at most 0.3 s in its steps and 4 requests: 0.20 s, 4 requests",
                "NOT MET  every function holds at most 64 MiB: \
                 65 MiB, the most of all, in orders",
            ]
        );
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let [mut half, mut full] = outcomes();
        for outcome in [&mut half, &mut full] {
            for ran in &mut outcome.ran {
                ran.is_measured = ran.run == Measured::Reconcile;
            }
            outcome.floors = Floors::default();
        }
        let targets: Vec<String> = verdicts(&half, &full)
            .into_iter()
            .map(|verdict| verdict.target)
            .collect();
        assert_eq!(targets.len(), 3, "{targets:?}");
        assert!(targets[0].starts_with("twice the size"), "{targets:?}");
        assert!(targets[1].starts_with("reconcile"), "{targets:?}");
    }

    #[test]
    fn the_larger_floor_counts() {
        let mut floors = Floors::default();
        assert_eq!(floors.of_first_load(), None);
        floors.copy = floor(2.0);
        assert_eq!(floors.of_first_load(), floor(2.0).as_ref());
        floors.download = floor(3.0);
        assert_eq!(floors.of_first_load(), floor(3.0).as_ref());
    }
}
