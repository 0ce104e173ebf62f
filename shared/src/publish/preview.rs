//! A preview's samples: of each data type some rows that would be created,
//! changed, column by column, and deleted.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::Value;

use crate::account;
use crate::error::SyncError;
use crate::postgres::sql::{prefixed, same_key};
use crate::staging::table::Table;

/// JSON of a row, as a sample shows it.
type JsonRow = serde_json::Map<String, Value>;

/// Between the names of which a row's is made.
const BETWEEN: &str = " · ";

/// Rows of each sort.
const ROWS_MAX: i64 = 20;

/// Some of a data type's rows that would change.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Sample {
    created: Vec<Value>,
    updated: Vec<Change>,
    deleted: Vec<Value>,
}

/// A row that would change.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    /// The row's name, after those of what it hangs on.
    label: String,
    /// The row's key.
    key: JsonRow,
    /// The changes, by column.
    changes: BTreeMap<String, FromTo>,
}

/// A column's value now, and as it would be.
#[derive(Debug, PartialEq, Serialize)]
struct FromTo {
    from: Value,
    to: Value,
}

/// Compares the tables as this transaction has left them with their copy.
pub(super) async fn samples(
    transaction: &Transaction<'_>,
    copy: &str,
) -> Result<BTreeMap<&'static str, Sample>, SyncError> {
    let mut samples = BTreeMap::new();
    for table in account::objects() {
        let sample = Sample {
            created: rows(transaction, &created_sql(table, copy)).await?,
            updated: changes(transaction, table, copy).await?,
            deleted: rows(transaction, &deleted_sql(table, copy)).await?,
        };
        if sample != Sample::default() {
            samples.insert(table.data_type, sample);
        }
    }
    Ok(samples)
}

async fn rows(transaction: &Transaction<'_>, sql: &str) -> Result<Vec<Value>, SyncError> {
    let rows = transaction.query(sql, &[&ROWS_MAX]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn changes(
    transaction: &Transaction<'_>,
    table: &Table,
    copy: &str,
) -> Result<Vec<Change>, SyncError> {
    let rows = transaction
        .query(&updated_sql(table, copy), &[&ROWS_MAX])
        .await?;
    let changes = rows.iter().filter_map(|row| {
        let (from, to, label): (Value, Value, String) = (row.get(0), row.get(1), row.get(2));
        Some(change(label, table.key, from.as_object()?, to.as_object()?))
    });
    Ok(changes.collect())
}

fn change(label: String, key: &[&str], from: &JsonRow, to: &JsonRow) -> Change {
    let value = |row: &JsonRow, name: &str| row.get(name).cloned().unwrap_or_default();
    let key = key
        .iter()
        .map(|name| ((*name).to_owned(), value(to, name)))
        .collect();
    let changes = to
        .iter()
        .filter(|(name, to)| from.get(*name) != Some(to))
        .map(|(name, to)| {
            let from_to = FromTo {
                from: value(from, name),
                to: to.clone(),
            };
            (name.clone(), from_to)
        })
        .collect();
    Change {
        label,
        key,
        changes,
    }
}

/// A row as JSON, without the bookkeeping.
fn json(alias: &str) -> String {
    format!(
        "to_jsonb({alias}) - array['first_synced_at', 'last_changed_at', 'last_changed_by_run']"
    )
}

/// The same with its name.
fn labelled(table: &Table, schema: &str, alias: &str) -> String {
    format!(
        "({json}) || jsonb_build_object('label', {label})",
        json = json(alias),
        label = label(table, schema, alias),
    )
}

/// A row's name after those of the rows of `schema` that it hangs on: what people know
/// it by. Empty where none of them has any.
fn label(table: &Table, schema: &str, alias: &str) -> String {
    let objects = account::objects();
    let parents = table.parents.iter().filter_map(|(column, parent)| {
        let parent = objects.iter().find(|object| object.name == *parent)?;
        let inner = format!("{alias}_{column}");
        Some(format!(
            "(select nullif({label}, '') from {schema}.{name} {inner} \
             where {inner}.id = {alias}.{column})",
            label = label(parent, schema, &inner),
            name = parent.name,
        ))
    });
    let own = table.columns.contains(&"name");
    let own = own.then(|| format!("nullif({alias}.name, '')"));
    let names: Vec<String> = parents.chain(own).collect();
    match names.as_slice() {
        [] => "''".to_owned(),
        names => format!("concat_ws('{BETWEEN}', {})", names.join(", ")),
    }
}

fn created_sql(table: &Table, copy: &str) -> String {
    format!(
        "select {json} from {name} n left join {copy}.{name} c on {same} \
         where c.{first} is null order by {key} limit $1",
        json = labelled(table, "public", "n"),
        name = table.name,
        same = same_key(table.key, "n", "c"),
        first = table.key[0],
        key = prefixed(table.key, "n."),
    )
}

/// Rows that differ and live on.
fn updated_sql(table: &Table, copy: &str) -> String {
    format!(
        "select {from}, {to}, {label} from {name} n join {copy}.{name} c on {same} \
         where ({ours}) is distinct from ({theirs}) and ({lives} or not ({lived})) \
         order by {key} limit $1",
        from = json("c"),
        to = json("n"),
        label = label(table, "public", "n"),
        name = table.name,
        same = same_key(table.key, "n", "c"),
        ours = prefixed(table.columns, "n."),
        theirs = prefixed(table.columns, "c."),
        lives = table.lives("n"),
        lived = table.lives("c"),
        key = prefixed(table.key, "n."),
    )
}

/// Rows that lived, and would be marked or gone.
fn deleted_sql(table: &Table, copy: &str) -> String {
    format!(
        "select {json} from {copy}.{name} c left join {name} n on {same} \
         where {lived} and (n.{first} is null or not ({lives})) order by {key} limit $1",
        json = labelled(table, copy, "c"),
        name = table.name,
        same = same_key(table.key, "n", "c"),
        first = table.key[0],
        lived = table.lives("c"),
        lives = table.lives("n"),
        key = prefixed(table.key, "c."),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_names_the_row_and_only_what_differs() {
        let row = |name: &str| json!({"id": "I", "name": name, "version": 1});
        let (from, to) = (row("old"), row("new"));
        let (from, to) = (from.as_object().unwrap(), to.as_object().unwrap());
        let change = change("new".to_owned(), &["id"], from, to);
        let wanted = json!({"label": "new", "key": {"id": "I"},
            "changes": {"name": {"from": "old", "to": "new"}}});
        assert_eq!(serde_json::to_value(change).unwrap(), wanted);
    }

    #[test]
    fn a_row_is_called_after_what_it_hangs_on() {
        let of = |data_type: &str| {
            let objects = account::objects();
            let table = objects.iter().find(|one| one.data_type == data_type);
            label(table.unwrap(), "public", "n")
        };
        assert_eq!(of("items"), "concat_ws(' · ', nullif(n.name, ''))");
        let item = "(select nullif(concat_ws(' · ', nullif(n_item_id.name, '')), '') \
                    from public.catalog_items n_item_id where n_item_id.id = n.item_id)";
        let variation = format!("concat_ws(' · ', {item}, nullif(n.name, ''))");
        assert_eq!(of("variations"), variation);
        // A count has no name of its own.
        let count = of("inventory");
        for table in ["catalog_items", "catalog_variations", "locations"] {
            assert!(count.contains(&format!("from public.{table} ")), "{count}");
        }
        assert!(!count.contains("n.name"), "{count}");
    }
}
