//! Inventory counts: how much of a variation is at a location in a state. There
//! can be half a million of them, so ids are kept once and a count is a handful
//! of numbers; an index by time serves them newest first, as Square does.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::moment::{self, Nanos};

/// Quantities are kept in units of 10⁻⁵, Square's precision.
pub(crate) const UNITS_PER_PIECE: i64 = 100_000;

/// The short form of an id or state.
pub(crate) type Symbol = usize;

/// One count.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) object: Symbol,
    pub(crate) location: Symbol,
    pub(crate) state: Symbol,
    /// In units of 10⁻⁵ pieces; below zero when oversold.
    pub(crate) units: i64,
    /// Digits written after the point, at least as many as needed.
    pub(crate) decimals: u8,
    pub(crate) calculated_at: Nanos,
    /// Raw JSON given through the control interface, served as it is.
    pub(crate) raw: Option<Box<Value>>,
}

/// All counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    names: Vec<Box<str>>,
    symbols: HashMap<Box<str>, Symbol>,
    all: Vec<Option<Count>>,
    by_object: HashMap<Symbol, Vec<usize>>,
    by_time: BTreeSet<(Nanos, usize)>,
}

impl Counts {
    /// The symbol of an id or state, made if new.
    pub(crate) fn symbol(&mut self, name: &str) -> Symbol {
        if let Some(&symbol) = self.symbols.get(name) {
            return symbol;
        }
        let symbol = self.names.len();
        self.names.push(name.into());
        self.symbols.insert(name.into(), symbol);
        symbol
    }

    /// The symbol of an id or state that some count has.
    pub(crate) fn known(&self, name: &str) -> Option<Symbol> {
        self.symbols.get(name).copied()
    }

    pub(crate) fn name(&self, symbol: Symbol) -> &str {
        &self.names[symbol]
    }

    /// Adds a count, or replaces the one with its variation, location and state;
    /// one that lacks any of them replaces none.
    pub(crate) fn put(&mut self, count: Count) {
        let at = count.calculated_at;
        let place = match self.place(count.object, count.location, count.state) {
            Some(place) => {
                self.forget_time(place);
                place
            }
            None => {
                self.by_object
                    .entry(count.object)
                    .or_default()
                    .push(self.all.len());
                self.all.push(None);
                self.all.len() - 1
            }
        };
        self.all[place] = Some(count);
        self.by_time.insert((at, place));
    }

    fn forget_time(&mut self, place: usize) {
        if let Some(Some(old)) = self.all.get(place) {
            self.by_time.remove(&(old.calculated_at, place));
        }
    }

    fn place(&self, object: Symbol, location: Symbol, state: Symbol) -> Option<usize> {
        if [object, location, state]
            .map(|symbol| self.name(symbol))
            .contains(&"")
        {
            return None;
        }
        let same = |place: &usize| {
            self.get(*place)
                .is_some_and(|count| count.location == location && count.state == state)
        };
        self.by_object.get(&object)?.iter().copied().find(same)
    }

    /// The count of a variation, location and state.
    pub(crate) fn find(&self, object: &str, location: &str, state: &str) -> Option<&Count> {
        let place = self.place(
            self.known(object)?,
            self.known(location)?,
            self.known(state)?,
        )?;
        self.get(place)
    }

    /// Takes one count away without a trace; true if it was there.
    pub(crate) fn remove(&mut self, object: &str, location: &str, state: &str) -> bool {
        let symbols = (self.known(object), self.known(location), self.known(state));
        let (Some(object), Some(location), Some(state)) = symbols else {
            return false;
        };
        let Some(place) = self.place(object, location, state) else {
            return false;
        };
        self.drop_place(place);
        if let Some(places) = self.by_object.get_mut(&object) {
            places.retain(|&other| other != place);
        }
        true
    }

    /// Takes away all counts of a variation, as when it is deleted.
    pub(crate) fn remove_object(&mut self, object: &str) {
        let Some(symbol) = self.known(object) else {
            return;
        };
        for place in self.by_object.remove(&symbol).unwrap_or_default() {
            self.drop_place(place);
        }
    }

    /// Takes away all counts at a location.
    pub(crate) fn remove_location(&mut self, location: &str) {
        let Some(symbol) = self.known(location) else {
            return;
        };
        let at =
            |count: &Option<Count>| count.as_ref().is_some_and(|count| count.location == symbol);
        let places: Vec<usize> = (0..self.all.len())
            .filter(|&place| at(&self.all[place]))
            .collect();
        for &place in &places {
            self.drop_place(place);
        }
        let gone: BTreeSet<usize> = places.into_iter().collect();
        for places in self.by_object.values_mut() {
            places.retain(|place| !gone.contains(place));
        }
    }

    fn drop_place(&mut self, place: usize) {
        self.forget_time(place);
        self.all[place] = None;
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Count> {
        self.all.get(place).and_then(Option::as_ref)
    }

    /// Counts newest first, from just before the given position.
    pub(crate) fn newest_first(
        &self,
        before: Option<(Nanos, usize)>,
    ) -> impl Iterator<Item = ((Nanos, usize), &Count)> {
        let end = before.unwrap_or((Nanos::MAX, usize::MAX));
        let range = self.by_time.range(..end).rev();
        range.filter_map(|&position| self.get(position.1).map(|count| (position, count)))
    }

    /// The places of all counts of one variation.
    pub(crate) fn places_of(&self, object: Symbol) -> &[usize] {
        self.by_object
            .get(&object)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The `calculated_at` of the newest count.
    pub(crate) fn newest(&self) -> Nanos {
        self.by_time.last().map_or(Nanos::MIN, |&(at, _)| at)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// The first fitting count from some place on, for picking one at random.
    pub(crate) fn sample(&self, draw: usize, fits: impl Fn(&Count) -> bool) -> Option<&Count> {
        let all = self.all.len().max(1);
        (0..all).find_map(|step| {
            self.get((draw % all + step) % all)
                .filter(|count| fits(count))
        })
    }

    /// A location where the variation has a count in that state.
    pub(crate) fn location_of(&self, object: &str, state: &str) -> Option<&str> {
        let (object, state) = (self.known(object)?, self.known(state)?);
        let mut counts = self
            .places_of(object)
            .iter()
            .filter_map(|&place| self.get(place));
        counts
            .find(|count| count.state == state)
            .map(|count| self.name(count.location))
    }
}

/// A quantity as Square writes it, such as `-1.50000`.
pub(crate) fn quantity_text(units: i64, decimals: u8) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let (pieces, rest) = (
        units.unsigned_abs() / 100_000,
        units.unsigned_abs() % 100_000,
    );
    if decimals == 0 {
        return format!("{sign}{pieces}");
    }
    let digits = format!("{rest:05}");
    format!("{sign}{pieces}.{}", &digits[..usize::from(decimals).min(5)])
}

/// The fewest decimals that write the quantity exactly.
pub(crate) fn decimals_needed(units: i64) -> u8 {
    let mut decimals = 5;
    let mut rest = units.unsigned_abs() % 100_000;
    while decimals > 0 && rest.is_multiple_of(10) {
        rest /= 10;
        decimals -= 1;
    }
    decimals
}

/// Reads a quantity of up to five decimals; `None` if it is none.
pub(crate) fn quantity_units(text: &str) -> Option<i64> {
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or((1, text), |digits| (-1, digits));
    let (pieces, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(pieces) || !plain(rest) || rest.len() > 5 {
        return None;
    }
    let rest: i64 = format!("{rest:0<5}").parse().ok()?;
    let units = pieces
        .parse::<i64>()
        .ok()?
        .checked_mul(UNITS_PER_PIECE)?
        .checked_add(rest)?;
    Some(sign * units)
}

/// The count's position in time for raw JSON: its own, or the moment given.
pub(crate) fn raw_moment(json: &Value, at: Nanos) -> Nanos {
    json.get("calculated_at")
        .and_then(Value::as_str)
        .and_then(moment::parse)
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::{decimals_needed, quantity_text, quantity_units};

    #[test]
    fn quantities_are_exact() {
        for (text, units, decimals) in [
            ("12", 1_200_000, 0),
            ("-1.50000", -150_000, 5),
            ("0.00001", 1, 5),
            ("-0.5", -50_000, 1),
        ] {
            assert_eq!(quantity_units(text), Some(units));
            assert_eq!(quantity_text(units, decimals), text);
        }
        assert_eq!(quantity_units("-0"), Some(0));
        assert_eq!(decimals_needed(150_000), 1);
        assert_eq!(decimals_needed(-300_000), 0);
        for text in ["", "-", ".5", "1.", "1e3", "1.234567", "one"] {
            assert_eq!(quantity_units(text), None, "{text}");
        }
    }
}
