//! What a change means when it does not say: picks from what is there, drawn
//! from the account's own stream of chance, and the merging of JSON.

use serde_json::{Map, Value};

use crate::account::Account;
use crate::account::catalog::Life;
use crate::random;

/// Why a change cannot be made.
pub(super) type Refused = String;

/// The live object with the id, or as many different ones of the type as asked
/// for. With an id, the same one again and again.
pub(super) fn objects(
    account: &mut Account,
    kind: &str,
    id: Option<&str>,
    count: Option<usize>,
) -> Result<Vec<usize>, Refused> {
    let count = count.unwrap_or(1);
    if let Some(id) = id {
        return live(account, kind, id).map(|place| vec![place; count]);
    }
    let mut places = account.catalog.live(kind);
    if places.len() < count {
        return Err(format!(
            "{count} live objects of type {kind} are wanted, there are {}",
            places.len()
        ));
    }
    account.rng.shuffle(&mut places);
    places.truncate(count);
    Ok(places)
}

/// The live object of that type and id.
pub(super) fn live(account: &Account, kind: &str, id: &str) -> Result<usize, Refused> {
    account
        .catalog
        .place(id)
        .filter(|&place| {
            account.catalog.get(place).life == Life::Live
                && &*account.catalog.get(place).kind == kind
        })
        .ok_or_else(|| format!("there is no live {kind} with the id {id}"))
}

/// The location with the id, or any.
pub(super) fn location(account: &mut Account, id: Option<&str>) -> Result<String, Refused> {
    if let Some(id) = id {
        let listed = account.locations.ids().contains(&id);
        return listed
            .then(|| id.to_owned())
            .ok_or_else(|| format!("there is no location with the id {id}"));
    }
    let ids = account.locations.ids();
    let draw = account.rng.usize(..ids.len().max(1));
    ids.get(draw)
        .map(|&id| id.to_owned())
        .ok_or_else(|| "there is no location".to_owned())
}

/// An id for something new: the one given, if it is free and plain.
pub(super) fn new_id(account: &mut Account, id: Option<&str>) -> Result<String, Refused> {
    let Some(id) = id else {
        return Ok(random::id(&mut account.rng, 24));
    };
    plain(id)?;
    if account.catalog.place(id).is_some() || account.locations.get(id).is_some() {
        return Err(format!("the id {id} is taken; ids are never used again"));
    }
    Ok(id.to_owned())
}

/// Refuses ids and states that would need escaping in JSON.
pub(super) fn plain(name: &str) -> Result<(), Refused> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(format!("{name:?} may only have letters, digits, _ and -"));
    }
    Ok(())
}

/// Merges a patch into an object as RFC 7396 says: `null` removes a field.
pub(super) fn merge(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else {
        return;
    };
    for (name, value) in patch {
        match value {
            Value::Null => {
                fields.remove(name);
            }
            Value::Object(inner) => merge(fields.entry(name.clone()).or_insert(Value::Null), inner),
            other => {
                fields.insert(name.clone(), other.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge;

    #[test]
    fn merging_follows_rfc_7396() {
        let mut target = json!({"a": "b", "c": {"d": "e", "f": "g"}, "l": [1]});
        let patch = json!({"a": "z", "c": {"f": null}, "l": [2, 3], "n": {"o": null, "p": 1}});
        merge(&mut target, patch.as_object().unwrap());
        assert_eq!(
            target,
            json!({"a": "z", "c": {"d": "e"}, "l": [2, 3], "n": {"p": 1}})
        );
    }
}
