//! The events of a history, as plain data. Each has a seed of its own for what can
//! only be chosen when it happens (which item, which backup), so that leaving one
//! event out leaves all others as they are.

use std::fmt;

use serde_json::Value;

/// One event of a history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// The account changes, so many times.
    Change { times: usize },
    /// The account will change when so many requests have come to that endpoint.
    ChangeLater {
        endpoint: &'static str,
        request: u64,
    },
    /// A fault waits for its request.
    Fault(Value),
    /// What was changed up to a minute and a half ago shows up only now.
    ShowsUpLate,
    /// Square gives an object as it was before its last change, until the end.
    Stale,
    /// An object slips between two pages of each list, until the next event.
    Slip,
    /// An object gets a field that no sound one has.
    Hostile { value: usize },
    /// A run, and what befalls it.
    Run { ask: Ask, mishap: Mishap },
    /// All leases run out.
    LeasesRunOut,
    /// The executions that ended without a word are reported, and their runs closed.
    Reported,
    /// An open run is stopped.
    Stop,
    /// A step of some earlier run is called late.
    LateCall,
    /// A run that failed is redriven.
    Redrive,
    /// The database's server fails a sync.
    Server(Outage),
}

/// What happens to the database's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    /// Each session ends at once, as when the server is killed.
    AllSessionsEnd,
    /// A table has no room to grow.
    DiskFull,
    /// A process of the server is killed, for which the server starts anew; only where
    /// the history has a server of its own.
    Killed,
    /// A fail-over leaves the functions at the old server, which takes no writes.
    ReadOnly,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// A complete sync with this request.
    Sync(Value),
    /// An import of the days from the first order on, of some locations or all.
    Import {
        days: Option<(i64, i64)>,
        limited: bool,
    },
    Migration,
    /// One of the backups there are.
    Restore,
    /// Of so many of each kind.
    SpotCheck {
        sample: u32,
    },
}

/// What befalls a run, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mishap {
    pub(crate) what: What,
    /// Which of its calls, counted from 0.
    pub(crate) call: usize,
    /// After the call has had to wait so many times.
    pub(crate) waits: usize,
}

/// What befalls a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Nothing,
    /// The function's process ends; the state machine calls again.
    CutOff,
    /// So does the execution.
    Aborted,
    /// Lambda calls twice at once.
    TwiceAtOnce,
    /// Lambda calls again when the call is done.
    TwiceInARow,
    /// Somebody stops the run.
    Stopped,
    /// The database ends a session.
    SessionEnds,
    /// Its leases run out, and nobody wants them.
    LeaseRunsOut,
    /// Its leases run out, and another run takes them.
    TakenOver,
    /// Another run is to start.
    SecondStart,
    /// The same request comes again, as a second execution and as a second call.
    Redelivered,
    /// The account changes.
    AccountChanges,
    /// The database's server dies and comes back.
    ServerDies,
    /// The access token is revoked until the run has ended.
    TokenRevoked,
}

impl What {
    /// What may befall any run.
    pub(crate) const ALL: [Self; 12] = [
        Self::CutOff,
        Self::Aborted,
        Self::TwiceAtOnce,
        Self::TwiceInARow,
        Self::Stopped,
        Self::SessionEnds,
        Self::LeaseRunsOut,
        Self::TakenOver,
        Self::SecondStart,
        Self::Redelivered,
        Self::AccountChanges,
        Self::TokenRevoked,
    ];
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Change { times } => write!(f, "the account changes {times} times"),
            Kind::ChangeLater { endpoint, request } => {
                write!(
                    f,
                    "the account is to change at request {request} to {endpoint}"
                )
            }
            Kind::Fault(fault) => write!(f, "a fault waits: {fault}"),
            Kind::ShowsUpLate => write!(f, "something shows up late"),
            Kind::Stale => write!(f, "Square begins to give an object as it was"),
            Kind::Slip => write!(f, "an object slips between two pages"),
            Kind::Hostile { value } => write!(f, "an object becomes hostile ({value})"),
            Kind::Run { ask, mishap } => {
                match ask {
                    Ask::Sync(request) => write!(f, "a sync {request}")?,
                    Ask::Import { days, limited } => {
                        let of = if *limited { "some" } else { "all" };
                        write!(f, "an import of days {days:?} of {of} locations")?;
                    }
                    Ask::Migration => write!(f, "a migration")?,
                    Ask::Restore => write!(f, "a restore")?,
                    Ask::SpotCheck { sample } => write!(f, "a spot check of {sample}")?,
                }
                if mishap.what == What::Nothing {
                    return Ok(());
                }
                write!(
                    f,
                    ", {:?} at call {} after {} waits",
                    mishap.what, mishap.call, mishap.waits
                )
            }
            Kind::LeasesRunOut => write!(f, "all leases run out"),
            Kind::Reported => write!(f, "executions that ended are reported"),
            Kind::Stop => write!(f, "an open run is stopped"),
            Kind::LateCall => write!(f, "a step is called late"),
            Kind::Redrive => write!(f, "a failed run is redriven"),
            Kind::Server(outage) => write!(f, "the database server: {outage:?}"),
        }
    }
}
