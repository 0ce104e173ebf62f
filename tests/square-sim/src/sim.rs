//! What the running simulator shares between requests: the account, read by
//! many and changed by few, and the control panel, small and locked briefly.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::account::Account;
use crate::config::Config;
use crate::control::Control;
use crate::control::faults::Fault;
use crate::{control, seed};

/// A running simulator's state.
#[derive(Debug)]
pub(crate) struct Sim {
    /// The configuration at the start; a reset goes back to it.
    pub(crate) started_with: Config,
    account: RwLock<Account>,
    control: Mutex<Control>,
    generation: AtomicU64,
    in_flight: AtomicUsize,
}

impl Sim {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            account: RwLock::new(seed::account(&config)),
            control: Mutex::new(Control::new(&config)),
            started_with: config,
            generation: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
        }
    }

    pub(crate) fn account(&self) -> RwLockReadGuard<'_, Account> {
        self.account.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn account_mut(&self) -> RwLockWriteGuard<'_, Account> {
        self.account.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a fresh account in place; faults, hooks, counters and the token
    /// start anew, and old cursors are worth nothing.
    pub(crate) fn reset(&self, config: &Config) {
        let fresh = seed::account(config);
        let mut account = self.account_mut();
        *account = fresh;
        *self.control() = Control::new(config);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// How many resets there have been.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Notes a Square request, makes the changes that waited for it, and gives
    /// the faults it meets. It counts as in flight until the guard is dropped.
    pub(crate) fn arrival(&self, path: &str, body: &[u8]) -> (InFlight<'_>, Vec<Fault>) {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let guard = InFlight { sim: self };
        let (changes, faults) = {
            let mut control = self.control();
            control.counters.arrival(path, body, now);
            (control.hooks.due(path), control.faults.due(path, body))
        };
        if !changes.is_empty() {
            let mut account = self.account_mut();
            for change in changes {
                let outcome = control::apply(&mut account, change);
                self.control().hooks.done(outcome);
            }
        }
        (guard, faults)
    }

    /// Notes the answer to a Square request.
    pub(crate) fn departure(&self, path: &str, status: u16, bytes: u64) {
        self.control().counters.departure(path, status, bytes);
    }
}

/// A request being answered.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    sim: &'a Sim,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.sim.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
