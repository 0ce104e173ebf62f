//! JSON that is read for what it holds, whatever else stands in it.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// The greatest depth at which a value that we read stands in an object.
const DEPTH_MAX: u32 = 16;

/// An object's JSON, without what no value of ours can hold: a number beyond a float,
/// or what is nested too deep.
pub(crate) fn readable(source: &str) -> Value {
    readable_within(source, DEPTH_MAX)
}

/// `left` is how many levels further it is read.
fn readable_within(source: &str, left: u32) -> Value {
    if let Ok(value) = serde_json::from_str(source) {
        return value;
    }
    let Some(left) = left.checked_sub(1) else {
        return Value::Null;
    };
    if let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(source) {
        let fields = fields.into_iter();
        return fields
            .map(|(name, value)| (name, readable_within(value.get(), left)))
            .collect();
    }
    let items = serde_json::from_str::<Vec<&RawValue>>(source).unwrap_or_default();
    items
        .into_iter()
        .map(|item| readable_within(item.get(), left))
        .collect()
}
