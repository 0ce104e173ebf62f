//! The catalog: every object as the text that Square would give, in two parts,
//! so that a page is mostly copying and an item's variations are spliced in
//! where they belong. Objects stay in the place they were put (a search gives
//! them in that order, which means nothing, as with Square); a deleted one
//! leaves a tombstone there.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::moment::{self, Nanos};

/// Type of a sellable item.
pub(crate) const ITEM: &str = "ITEM";
/// Type of a variation of an item.
pub(crate) const VARIATION: &str = "ITEM_VARIATION";
/// Type of a category.
pub(crate) const CATEGORY: &str = "CATEGORY";

/// Whether an object is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Live,
    /// Deleted; searches can give its tombstone. The flag tells whether it was
    /// deleted after the account was seeded.
    Tombstone {
        lately: bool,
    },
    /// Vanished without a tombstone, which Square does not document but a
    /// reconciling sync must survive. The moment is known if it went with its
    /// item, whose tombstone tells.
    Vanished {
        deleted_at: Option<Nanos>,
    },
}

/// One catalog object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Empty for raw JSON without an id.
    pub(crate) id: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) updated_at: Nanos,
    pub(crate) life: Life,
    /// Of a variation: the place of its item, if that is known.
    pub(crate) item: Option<usize>,
    /// Of an item: the places of its variations, in order.
    pub(crate) variations: Vec<usize>,
    /// All fields but the data object, without the closing brace.
    head: Box<str>,
    /// `"item_data":{…` and the like, without the closing brace.
    data: Option<Box<str>>,
    /// The change that it was last part of; seeding counts as none.
    changed_in: u64,
    /// What it was before that change, unless that brought it.
    before: Option<Box<Self>>,
    /// Whether clients are given what it was before.
    stale: bool,
}

/// All catalog objects.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    objects: Vec<Object>,
    by_id: HashMap<Box<str>, usize>,
    latest: Nanos,
    /// The changes begun so far.
    changes: u64,
}

impl Catalog {
    /// Begins a change, however many objects it touches and however often: each
    /// is kept as it was before.
    pub(crate) fn begin_change(&mut self) {
        self.changes += 1;
    }

    /// Keeps an object that is about to change as it is.
    fn keep(&mut self, place: usize) {
        let object = &mut self.objects[place];
        if object.changed_in != self.changes {
            object.changed_in = self.changes;
            object.before = None;
            object.before = Some(Box::new(object.clone()));
        }
    }

    /// Gives clients an object as it was before its last change, or as it is;
    /// false if it has not changed since it came.
    pub(crate) fn set_stale(&mut self, place: usize, stale: bool) -> bool {
        let object = &mut self.objects[place];
        let able = !stale || object.before.is_some();
        object.stale = stale && able;
        able
    }

    /// Adds an object, or replaces the live or dead one with its id. Variations
    /// inside an item are put as objects of their own. `at` is the moment of
    /// the change; the JSON is given to clients as it is.
    pub(crate) fn put(&mut self, mut json: Value, at: Nanos) -> usize {
        let nested = take_variations(&mut json);
        let item_id = (text(&json, "type") == VARIATION)
            .then(|| item_id_of(&json))
            .flatten();
        let place = self.put_alone(json, at);
        if let Some(item) = item_id.and_then(|id| self.place(&id)) {
            self.adopt(item, place);
        }
        if let Some(nested) = nested {
            let places = nested
                .into_iter()
                .map(|json| self.put_nested(json, at))
                .collect::<Vec<_>>();
            self.set_variations(place, &places);
        }
        place
    }

    /// Adds or replaces an object without looking at what it refers to.
    pub(crate) fn put_alone(&mut self, json: Value, at: Nanos) -> usize {
        let id: Box<str> = text(&json, "id").into();
        let kind: Box<str> = text(&json, "type").into();
        let (head, data) = split(json, &kind);
        self.latest = self.latest.max(at);
        self.settle(Object {
            id,
            kind,
            updated_at: at,
            life: Life::Live,
            item: None,
            variations: Vec::new(),
            head,
            data,
            changed_in: self.changes,
            before: None,
            stale: false,
        })
    }

    fn put_nested(&mut self, json: Value, at: Nanos) -> usize {
        let at = json
            .get("updated_at")
            .and_then(Value::as_str)
            .and_then(moment::parse)
            .unwrap_or(at);
        self.put(json, at)
    }

    /// Stores the object in its old place if its id is known, keeping what ties
    /// it to others.
    fn settle(&mut self, mut object: Object) -> usize {
        let known = self
            .by_id
            .get(&object.id)
            .copied()
            .filter(|_| !object.id.is_empty());
        if let Some(place) = known {
            self.keep(place);
            let old = &mut self.objects[place];
            object.item = old.item;
            object.variations = std::mem::take(&mut old.variations);
            object.before = old.before.take();
            object.stale = old.stale;
            self.objects[place] = object;
            return place;
        }
        let place = self.objects.len();
        self.by_id.insert(object.id.clone(), place);
        self.objects.push(object);
        place
    }

    /// Makes the variation one of the item's.
    pub(crate) fn adopt(&mut self, item: usize, variation: usize) {
        let old = self.objects[variation].item.replace(item);
        if old == Some(item) {
            return;
        }
        self.keep(item);
        if let Some(old) = old {
            self.keep(old);
            self.objects[old]
                .variations
                .retain(|&place| place != variation);
        }
        self.objects[item].variations.push(variation);
    }

    /// Makes these the item's only variations; others lose their item.
    fn set_variations(&mut self, item: usize, variations: &[usize]) {
        for orphan in std::mem::take(&mut self.objects[item].variations) {
            self.objects[orphan].item = None;
        }
        for &variation in variations {
            self.adopt(item, variation);
        }
    }

    /// Makes every variation that names this item, but hangs nowhere, its own.
    pub(crate) fn adopt_orphans(&mut self, item: usize) {
        let id = self.objects[item].id.clone();
        let orphans: Vec<usize> = (0..self.objects.len())
            .filter(|&place| {
                let object = &self.objects[place];
                object.item.is_none()
                    && &*object.kind == VARIATION
                    && object.life == Life::Live
                    && item_id_of(&object.json()).as_deref() == Some(&*id)
            })
            .collect();
        for orphan in orphans {
            self.adopt(item, orphan);
        }
    }

    /// Changes an object's JSON (without nested variations) at that moment.
    pub(crate) fn edit(&mut self, place: usize, at: Nanos, change: impl FnOnce(&mut Value)) {
        let mut json = self.objects[place].json();
        change(&mut json);
        stamp(&mut json, at);
        self.keep(place);
        let object = &mut self.objects[place];
        (object.head, object.data) = split(json, &object.kind);
        object.updated_at = at;
        self.latest = self.latest.max(at);
    }

    /// Deletes an object, leaving the tombstone given.
    pub(crate) fn bury(&mut self, place: usize, tombstone: Value, at: Nanos, lately: bool) {
        self.leave_item(place);
        self.keep(place);
        let object = &mut self.objects[place];
        (object.head, object.data) = split(tombstone, &object.kind);
        object.life = Life::Tombstone { lately };
        object.updated_at = at;
        self.latest = self.latest.max(at);
    }

    /// Makes an object vanish without a tombstone; nothing tells of it.
    pub(crate) fn vanish(&mut self, place: usize, deleted_at: Option<Nanos>) {
        self.leave_item(place);
        self.keep(place);
        self.objects[place].life = Life::Vanished { deleted_at };
    }

    fn leave_item(&mut self, variation: usize) {
        if let Some(item) = self.objects[variation].item {
            self.keep(item);
            self.objects[item]
                .variations
                .retain(|&place| place != variation);
        }
    }

    pub(crate) fn place(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn get(&self, place: usize) -> &Object {
        &self.objects[place]
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Object> {
        self.place(id).map(|place| self.get(place))
    }

    /// Every object ever put, in its place.
    pub(crate) fn all(&self) -> &[Object] {
        &self.objects
    }

    /// Places of the live objects of one type.
    pub(crate) fn live(&self, kind: &str) -> Vec<usize> {
        let live = |object: &Object| {
            object.life == Life::Live && &*object.kind == kind && !object.id.is_empty()
        };
        (0..self.objects.len())
            .filter(|&place| live(&self.objects[place]))
            .collect()
    }

    /// When the catalog last changed.
    pub(crate) fn latest(&self) -> Nanos {
        self.latest
    }

    /// Writes an object as Square gives it, an item with its variations.
    pub(crate) fn write(&self, place: usize, out: &mut Vec<u8>) {
        self.write_object(self.objects[place].shown(), out);
    }

    fn write_object(&self, object: &Object, out: &mut Vec<u8>) {
        out.extend_from_slice(object.head.as_bytes());
        if let Some(data) = &object.data {
            out.push(b',');
            out.extend_from_slice(data.as_bytes());
            if object.life == Life::Live && !object.variations.is_empty() {
                let comma = if data.ends_with('{') { "" } else { "," };
                out.extend_from_slice(comma.as_bytes());
                out.extend_from_slice(b"\"variations\":[");
                for (n, &variation) in object.variations.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    self.write_object(self.objects[variation].shown_within(), out);
                }
                out.push(b']');
            }
            out.push(b'}');
        }
        out.push(b'}');
    }
}

impl Object {
    /// The object as clients are given it.
    pub(crate) fn shown(&self) -> &Self {
        match &self.before {
            Some(before) if self.stale => before,
            _ => self,
        }
    }

    /// The variation within an item, which may be shown as it was when it still
    /// had this one.
    fn shown_within(&self) -> &Self {
        let shown = self.shown();
        match &shown.before {
            Some(before) if shown.life != Life::Live => before,
            _ => shown,
        }
    }

    /// The object's JSON without nested variations.
    pub(crate) fn json(&self) -> Value {
        let data = self
            .data
            .as_ref()
            .map(|data| format!(",{data}}}"))
            .unwrap_or_default();
        serde_json::from_str(&format!("{}{data}}}", self.head)).unwrap_or(Value::Null)
    }
}

/// Sets `updated_at` and `version` to that moment.
pub(crate) fn stamp(json: &mut Value, at: Nanos) {
    if let Value::Object(fields) = json {
        fields.insert("updated_at".to_owned(), moment::square(at).into());
        fields.insert("version".to_owned(), moment::version(at).into());
    }
}

/// The name of the data object of a type: `item_data` for `ITEM`.
pub(crate) fn data_key(kind: &str) -> String {
    format!("{}_data", kind.to_ascii_lowercase())
}

fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn item_id_of(json: &Value) -> Option<String> {
    json.pointer("/item_variation_data/item_id")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

/// Takes the variations out of an item, if all of them are objects with ids;
/// anything else stays where it is and is given to clients as it came.
fn take_variations(json: &mut Value) -> Option<Vec<Value>> {
    if text(json, "type") != ITEM {
        return None;
    }
    let data = json.get_mut("item_data")?.as_object_mut()?;
    let sound = |variation: &Value| {
        !text(variation, "id").is_empty() && text(variation, "type") == VARIATION
    };
    if !data.get("variations")?.as_array()?.iter().all(sound) {
        return None;
    }
    match data.remove("variations") {
        Some(Value::Array(variations)) => Some(variations),
        _ => None,
    }
}

fn split(json: Value, kind: &str) -> (Box<str>, Option<Box<str>>) {
    let mut fields = match json {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let key = data_key(kind);
    let data = match fields.remove(&key) {
        Some(Value::Object(data)) => Some(format!("\"{key}\":{}", opened(&Value::Object(data)))),
        Some(other) => {
            fields.insert(key, other);
            None
        }
        None => None,
    };
    (opened(&Value::Object(fields)).into(), data.map(Into::into))
}

/// An object's text without its closing brace.
fn opened(object: &Value) -> String {
    let mut text = object.to_string();
    text.pop();
    text
}
