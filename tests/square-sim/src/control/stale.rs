//! Stale answers: what a replica of Square's that lags behind would give.

use serde_json::Value;

use super::apply::report;
use super::change::ServeStale;
use super::picks::Refused;
use crate::account::Account;

/// Begins or ends it for one catalog object, dead or alive.
pub(super) fn serve(account: &mut Account, change: &ServeStale) -> Result<Value, Refused> {
    let place = account
        .catalog
        .place(&change.id)
        .ok_or_else(|| format!("there is no object {}", change.id))?;
    if !account.catalog.set_stale(place, change.stale) {
        return Err(format!("{} has not changed since it came", change.id));
    }
    Ok(report(account, "serve_stale", &[place]))
}
