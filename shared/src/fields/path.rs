//! Paths into Square's JSON: `a.b`; through a list `a[].b`; the first that is there of
//! `a|b`; `.` for the element itself; `^a` for what stands in the element that holds it.
//! `^#` is its holder's name (see `names`), `^^#` that of the holder's holder.

use serde_json::Value;

use super::misfit::Misfit;

/// An object, or an element of one of its lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) value: &'a Value,
    pub(super) name: &'a str,
    /// Where it stands in what holds it, such as `taxes[2]`.
    pub(super) place: (&'a str, usize),
    pub(super) holder: Option<&'a Element<'a>>,
}

impl Element<'_> {
    /// Where it stands in the object, such as `line_items[0].modifiers[1].`; nothing for
    /// the object itself.
    pub(super) fn prefix(&self) -> String {
        self.holder.map_or_else(String::new, |holder| {
            let (list, number) = self.place;
            format!("{}{list}[{number}].", holder.prefix())
        })
    }
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Name(&'a str),
    /// All values that are there; none of them is null.
    Values(Vec<&'a Value>),
}

/// Follows a path from an element.
pub(super) fn find<'a>(element: Element<'a>, path: &str) -> Result<Found<'a>, Misfit> {
    let mut found = Vec::new();
    for way in path.split('|') {
        let (mut from, mut way) = (element, way);
        while let Some(above) = way.strip_prefix('^') {
            way = above;
            match from.holder {
                Some(holder) => from = *holder,
                None => return Ok(Found::Values(found)),
            }
        }
        if way == "#" {
            return Ok(Found::Name(from.name));
        }
        collect(from.value, way, &mut found).map_err(|misfit| misfit.within(&from.prefix()))?;
        if !found.is_empty() {
            break;
        }
    }
    Ok(Found::Values(found))
}

fn collect<'a>(value: &'a Value, way: &str, found: &mut Vec<&'a Value>) -> Result<(), Misfit> {
    if value.is_null() {
        return Ok(());
    }
    if way.is_empty() || way == "." {
        found.push(value);
        return Ok(());
    }
    let (step, rest) = way.split_once('.').unwrap_or((way, ""));
    let (name, is_list) = match step.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (step, false),
    };
    let Value::Object(fields) = value else {
        return Err(Misfit::new("", value, "an object"));
    };
    let Some(next) = fields.get(name).filter(|next| !next.is_null()) else {
        return Ok(());
    };
    if !is_list {
        return collect(next, rest, found).map_err(|misfit| misfit.within(&format!("{name}.")));
    }
    for (number, item) in list(name, next)?.iter().enumerate() {
        let within = |misfit: Misfit| misfit.within(&format!("{name}[{number}]."));
        collect(item, rest, found).map_err(within)?;
    }
    Ok(())
}

/// A field's value as a list.
pub(super) fn list<'a>(name: &str, value: &'a Value) -> Result<&'a [Value], Misfit> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(Misfit::new(name, value, "a list")),
    }
}
