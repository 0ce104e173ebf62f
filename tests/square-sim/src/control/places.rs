//! Changes of locations. Square keeps no version and no moment of change for
//! them, so there is none here.

use serde_json::{Value, json};

use super::change::{AddLocation, EditLocation, One, RemoveLocation};
use super::picks::{self, Refused};
use crate::account::Account;
use crate::{moment, seed};

fn report(account: &Account, op: &str, ids: &[String]) -> Value {
    json!({"op": op, "ids": ids, "at": moment::truth(account.now)})
}

pub(super) fn add(account: &mut Account, change: &AddLocation) -> Result<Value, Refused> {
    let mut ids = Vec::new();
    for _ in 0..change.count.unwrap_or(1) {
        let merchant_id = account.merchant["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut location = seed::location(&account.config, account.locations.len(), &merchant_id);
        if let Some(id) = &change.id {
            location["id"] = json!(picks::new_id(account, Some(id))?);
        }
        location["status"] = json!(change.status.as_deref().unwrap_or("ACTIVE"));
        if let Some(name) = &change.name {
            location["name"] = json!(name);
        }
        picks::merge(&mut location, &change.set);
        ids.push(location["id"].as_str().unwrap_or_default().to_owned());
        account.tick();
        account.locations.put(location);
    }
    Ok(report(account, "add_location", &ids))
}

pub(super) fn edit(account: &mut Account, change: &EditLocation) -> Result<Value, Refused> {
    let id = picks::location(account, change.id.as_deref())?;
    let at = account.tick();
    let name = change.name.clone();
    let name = name.or_else(|| {
        change
            .set
            .is_empty()
            .then(|| format!("Renamed № {}", moment::version(at)))
    });
    replace(account, &id, |location| {
        if let Some(name) = name {
            location["name"] = json!(name);
        }
        picks::merge(location, &change.set);
    });
    Ok(report(account, "edit_location", &[id]))
}

pub(super) fn set_status(
    account: &mut Account,
    change: &One,
    status: &str,
) -> Result<Value, Refused> {
    let id = match &change.id {
        Some(id) => picks::location(account, Some(id))?,
        None => other_status(account, status)?,
    };
    account.tick();
    replace(account, &id, |location| location["status"] = json!(status));
    let op = if status == "ACTIVE" {
        "activate_location"
    } else {
        "deactivate_location"
    };
    Ok(report(account, op, &[id]))
}

/// The first location that does not have the status yet.
fn other_status(account: &Account, status: &str) -> Result<String, Refused> {
    let listed = account.locations.listed();
    let other = listed
        .iter()
        .find(|location| location.json["status"] != status && !location.id.is_empty());
    other
        .map(|location| location.id.clone())
        .ok_or_else(|| format!("every location is {status} already"))
}

pub(super) fn remove(account: &mut Account, change: &RemoveLocation) -> Result<Value, Refused> {
    let id = picks::location(account, change.id.as_deref())?;
    account.tick();
    account.locations.remove(&id);
    if change.drop_counts {
        account.counts.remove_location(&id);
    }
    Ok(report(account, "remove_location", &[id]))
}

fn replace(account: &mut Account, id: &str, change: impl FnOnce(&mut Value)) {
    if let Some(location) = account.locations.get(id) {
        let mut json = location.json.clone();
        change(&mut json);
        account.locations.put(json);
    }
}
