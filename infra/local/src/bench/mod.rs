//! `make bench`: what each kind of run costs, on a large account and on one of half
//! its size. Beside it stands the least that the same work can take on this machine
//! (`copying`, `download`), measured in between, so that the ratios say something
//! even where the machine is slow.

mod copying;
mod download;
mod report;
mod runs;
mod sizes;
mod targets;

use std::collections::BTreeMap;
use std::path::Path;

use clap::ValueEnum;

use crate::deploy::STACK;
use crate::error::StackError;
use crate::stack::{Options, Stack};
use runs::{Ran, Runner};
use sizes::Size;

/// A kind of run, in the order in which they are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measured {
    /// A complete sync into an empty database, and the import of all orders.
    FirstLoad,
    /// A sync when nothing has changed.
    Idle,
    /// A sync when one per cent has changed.
    Delta,
    /// A sync that lists everything again, when nothing has changed.
    Reconcile,
    /// A full refresh.
    Refresh,
    /// A dry run of a sync when nothing has changed.
    Preview,
    /// The backup of the refresh, put back.
    Restore,
    /// A migration, which derives all orders anew.
    Rederive,
}

impl Measured {
    /// As it is called in options and tables.
    fn name(self) -> &'static str {
        match self {
            Self::FirstLoad => "first-load",
            Self::Idle => "idle",
            Self::Delta => "delta",
            Self::Reconcile => "reconcile",
            Self::Refresh => "refresh",
            Self::Preview => "preview",
            Self::Restore => "restore",
            Self::Rederive => "rederive",
        }
    }

    /// Whether it cannot be without that one before.
    fn needs(self, other: Self) -> bool {
        match other {
            Self::FirstLoad => self != other,
            Self::Refresh => self == Self::Restore,
            _ => false,
        }
    }
}

/// What to measure, and how.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// On accounts a tenth as large.
    pub quick: bool,
    /// These runs alone; all if it names none.
    pub only: Vec<Measured>,
    /// With the time of each step.
    pub explain: bool,
}

impl Plan {
    fn measures(&self, run: Measured) -> bool {
        self.only.is_empty() || self.only.contains(&run)
    }

    /// Returns the runs in their order: those to be measured and what they need.
    fn runs(&self) -> Vec<Measured> {
        let all = Measured::value_variants().iter().copied();
        let is_needed = |run: Measured| self.only.iter().any(|wanted| wanted.needs(run));
        all.filter(|run| self.measures(*run) || is_needed(*run))
            .collect()
    }
}

/// The least time that a piece of work takes on this machine.
#[derive(Debug, Clone, PartialEq)]
struct Floor {
    seconds: f64,
    /// Rows or requests.
    count: u64,
    bytes: u64,
}

/// The floors that were measured.
#[derive(Debug, Default)]
struct Floors {
    /// Of writing what the first load wrote.
    copy: Option<Floor>,
    /// Of reading what the first load read.
    download: Option<Floor>,
    /// Of writing what the refresh published.
    publish: Option<Floor>,
}

/// All that was measured at one size.
#[derive(Debug)]
struct Outcome {
    size: Size,
    ran: Vec<Ran>,
    floors: Floors,
    /// The most that any process of a function held, in KiB.
    memory: BTreeMap<String, u64>,
}

/// Measures the runs at both sizes and says what came of it.
///
/// # Errors
/// The error that kept a stack from standing or answering, or that a run ended with.
pub async fn bench(stack_dir: &Path, plan: &Plan, say: impl Fn(&str)) -> Result<bool, StackError> {
    let [half, full] = sizes::half_and_full(plan.quick);
    let half = Box::pin(measure(stack_dir, half, plan, &say)).await?;
    say(&report::runs(&half, None).to_string());
    let full = Box::pin(measure(stack_dir, full, plan, &say)).await?;
    say(&report::runs(&full, Some(&half)).to_string());
    let both = [&half, &full];
    say(&report::floors(both).to_string());
    say(&report::memory(both).to_string());
    for verdict in targets::verdicts(&half, &full) {
        say(&verdict.to_string());
    }
    Ok(true)
}

/// Measures the runs on a stack of their own.
async fn measure(
    stack_dir: &Path,
    size: Size,
    plan: &Plan,
    say: &impl Fn(&str),
) -> Result<Outcome, StackError> {
    let say = |what: &str| say(&format!("{}: {what}", size.name));
    say(&format!("starting a stack with {size}"));
    let mut options = Options::quiet(stack_dir.join(format!("bench-{}", size.name)));
    options.sim_args = size.sim_args();
    // The limit is Square's, and this is not about Square.
    options
        .settings
        .set("SQUARE_MAX_REQUESTS_PER_SECOND", "1000");
    let stack = Stack::start(options).await?;
    let mut runner = Runner::new(&stack, size).await?;
    let mut outcome = Outcome {
        size,
        ran: Vec::new(),
        floors: Floors::default(),
        memory: BTreeMap::new(),
    };
    for run in plan.runs() {
        let is_measured = plan.measures(run);
        let unmeasured = if is_measured { "" } else { ", unmeasured" };
        say(&format!("{}{unmeasured}", run.name()));
        let ran = runner.perform(run, is_measured).await?;
        outcome.remember_memory(&stack);
        if !is_measured {
            outcome.ran.push(ran);
            continue;
        }
        if plan.explain {
            say(&report::steps(&ran));
        }
        outcome.ran.push(ran);
        match run {
            Measured::FirstLoad => {
                say("copying the rows of first-load, for its floor");
                outcome.floors.copy = Some(copying::of_first_load(&stack).await?);
                say("downloading the pages of first-load, for its floor");
                outcome.floors.download = Some(download::of_first_load(&stack).await?);
            }
            Measured::Refresh => {
                say("copying the rows of refresh, for its floor");
                outcome.floors.publish = Some(copying::of_refresh(&stack).await?);
            }
            _ => {}
        }
    }
    stack.stop().await;
    Ok(outcome)
}

impl Outcome {
    /// Takes note of the functions' processes, which the next run may replace.
    fn remember_memory(&mut self, stack: &Stack) {
        for process in stack.aws().processes() {
            let name = process.function.trim_start_matches(STACK);
            let most = self.memory.entry(name.trim_matches('-').to_owned());
            let most = most.or_default();
            *most = process.peak_memory_kib.max(*most);
        }
    }

    /// The run, measured or only needed.
    fn ran(&self, run: Measured) -> Option<&Ran> {
        self.ran.iter().find(|ran| ran.run == run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_the_runs_as_tables_do() {
        for run in Measured::value_variants() {
            assert_eq!(Measured::from_str(run.name(), false).as_ref(), Ok(run));
        }
    }

    #[test]
    fn what_a_run_needs_goes_before_it() {
        let runs = |only: &[Measured]| {
            let only = only.to_vec();
            Plan {
                only,
                ..Plan::default()
            }
            .runs()
        };
        assert_eq!(runs(&[]), Measured::value_variants());
        assert_eq!(runs(&[Measured::FirstLoad]), [Measured::FirstLoad]);
        assert_eq!(
            runs(&[Measured::Idle]),
            [Measured::FirstLoad, Measured::Idle]
        );
        assert_eq!(
            runs(&[Measured::Restore, Measured::Delta]),
            [
                Measured::FirstLoad,
                Measured::Delta,
                Measured::Refresh,
                Measured::Restore
            ]
        );
    }

    #[test]
    fn only_what_is_named_is_measured() {
        let mut plan = Plan::default();
        assert!(plan.measures(Measured::Idle));
        plan.only = vec![Measured::Delta];
        assert!(plan.measures(Measured::Delta) && !plan.measures(Measured::FirstLoad));
    }
}
