//! The changes that the control interface can make, as they come in JSON: each
//! names its `op`, and whatever else it leaves out is picked by the seed. A
//! misspelt field is an error, so that no test passes by changing nothing.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// One change, or the same one many times.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Change {
    AddItem(AddItem),
    EditItem(EditItem),
    DeleteItem(Delete),
    /// Gives the item another category.
    MoveItem(MoveItem),
    AddVariation(AddVariation),
    EditVariation(EditVariation),
    DeleteVariation(Delete),
    AddCategory(AddCategory),
    EditCategory(EditCategory),
    DeleteCategory(Delete),
    AddLocation(AddLocation),
    EditLocation(EditLocation),
    DeactivateLocation(One),
    ActivateLocation(One),
    /// The location vanishes from the list.
    RemoveLocation(RemoveLocation),
    /// Takes from what is in stock, 1 if `quantity` is left out.
    Sell(Stock),
    /// Sets what is in stock.
    Recount(Stock),
    /// Adds to what is in stock, 10 if `quantity` is left out.
    Restock(Stock),
    AddOrder(AddOrder),
    EditOrder(EditOrder),
    /// An object or a count vanishes without a trace.
    DeleteSilently(Vanish),
    /// Any JSON, sound or broken, served as it is.
    PutRaw(PutRaw),
    /// An object is given to clients as it was before its last change.
    ServeStale(ServeStale),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AddItem {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) category_id: Option<String>,
    /// How many variations it has; 1 if left out.
    pub(crate) variations: Option<usize>,
    pub(crate) price_amount: Option<i64>,
    /// If given, so much of each variation is in stock, at `location_id` or else everywhere.
    pub(crate) quantity: Option<String>,
    pub(crate) location_id: Option<String>,
    /// Merged into the item's JSON (RFC 7396).
    pub(crate) set: Map<String, Value>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EditItem {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) is_archived: Option<bool>,
    pub(crate) set: Map<String, Value>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MoveItem {
    pub(crate) id: Option<String>,
    pub(crate) category_id: Option<String>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AddVariation {
    pub(crate) id: Option<String>,
    pub(crate) item_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) price_amount: Option<i64>,
    pub(crate) quantity: Option<String>,
    pub(crate) location_id: Option<String>,
    pub(crate) set: Map<String, Value>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EditVariation {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) price_amount: Option<i64>,
    pub(crate) sku: Option<String>,
    /// Whether its item gets a new version too; Square leaves this open.
    pub(crate) bump_item: bool,
    pub(crate) set: Map<String, Value>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AddCategory {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) parent_id: Option<String>,
    pub(crate) set: Map<String, Value>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EditCategory {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) set: Map<String, Value>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Delete {
    pub(crate) id: Option<String>,
    /// Of an item: whether its variations leave tombstones too; yes if left out.
    pub(crate) cascade_tombstones: Option<bool>,
    /// Of a variation: whether its item gets a new version; yes if left out.
    pub(crate) bump_item: Option<bool>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AddLocation {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) set: Map<String, Value>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EditLocation {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) set: Map<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct One {
    pub(crate) id: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RemoveLocation {
    pub(crate) id: Option<String>,
    /// Whether its counts vanish too.
    pub(crate) drop_counts: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Stock {
    #[serde(alias = "id")]
    pub(crate) variation_id: Option<String>,
    pub(crate) location_id: Option<String>,
    /// `IN_STOCK` if left out.
    pub(crate) state: Option<String>,
    pub(crate) quantity: Option<String>,
    #[serde(alias = "count")]
    pub(crate) times: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AddOrder {
    /// `sale`, `return`, `exchange` or `empty`; a sale if left out.
    pub(crate) kind: Option<String>,
    /// `COMPLETED` if left out.
    pub(crate) state: Option<String>,
    pub(crate) location_id: Option<String>,
    pub(crate) set: Map<String, Value>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EditOrder {
    pub(crate) id: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) set: Map<String, Value>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Vanish {
    /// An object's id, or with `location_id` the variation of a count.
    pub(crate) id: Option<String>,
    /// The type to pick from without an id; `ITEM` if left out.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) location_id: Option<String>,
    /// The state of the count; `IN_STOCK` if left out.
    pub(crate) state: Option<String>,
    #[serde(alias = "times")]
    pub(crate) count: Option<usize>,
}

/// Exactly one of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PutRaw {
    /// A catalog object.
    pub(crate) object: Option<Value>,
    /// An inventory count; `null` is one too.
    #[serde(alias = "count", deserialize_with = "given")]
    pub(crate) inventory_count: Option<Value>,
    pub(crate) location: Option<Value>,
    pub(crate) order: Option<Value>,
}

fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(field).map(Some)
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServeStale {
    pub(crate) id: String,
    /// Whether it begins or ends.
    #[serde(default = "yes")]
    pub(crate) stale: bool,
}

fn yes() -> bool {
    true
}
