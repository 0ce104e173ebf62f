//! A preview's samples: how many rows of each table would be created, changed, deleted
//! and purged, and some of them, those that would change column by column.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::Value;

use super::watch;
use crate::account;
use crate::error::SyncError;
use crate::postgres::sql::prefixed;
use crate::staging::table::Table;

/// JSON of a row, as a sample shows it.
type JsonRow = serde_json::Map<String, Value>;

/// Between the names of which a row's is made.
const BETWEEN: &str = " · ";

/// Rows of each sort.
const ROWS_MAX: i64 = 20;

/// Some of a table's rows that would differ, and how many there are. Those are no run's
/// figures: a refresh writes every row, and most of them as they are.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    counts: Counts,
    created: Vec<Value>,
    updated: Vec<Change>,
    deleted: Vec<Value>,
    purged: Vec<Value>,
}

/// The numbers of rows that would differ.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Counts {
    created: i64,
    updated: i64,
    deleted: i64,
    /// Marked as deleted before, and then gone.
    purged: i64,
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

/// Compares the tables as this transaction has left them with what it found, which
/// `watch` has kept in `copy`.
pub(super) async fn samples(
    transaction: &Transaction<'_>,
    copy: &str,
) -> Result<BTreeMap<&'static str, Sample>, SyncError> {
    let mut samples = BTreeMap::new();
    for table in account::all_tables() {
        let any = transaction
            .query_one(&watch::any_sql(table, copy), &[])
            .await?;
        if !any.get::<_, bool>(0) {
            continue;
        }
        let compared = Compared::new(table, copy);
        let counts = counts(transaction, &compared).await?;
        if counts == Counts::default() {
            continue;
        }
        let sample = Sample {
            created: rows(transaction, &compared.created_sql()).await?,
            updated: changes(transaction, &compared).await?,
            deleted: rows(transaction, &compared.gone_sql(&compared.deleted)).await?,
            purged: rows(transaction, &compared.gone_sql(&compared.purged)).await?,
            counts,
        };
        samples.insert(table.data_type, sample);
    }
    Ok(samples)
}

async fn counts(
    transaction: &Transaction<'_>,
    compared: &Compared<'_>,
) -> Result<Counts, SyncError> {
    let row = transaction.query_one(&compared.counts_sql(), &[]).await?;
    Ok(Counts {
        created: row.get("created"),
        updated: row.get("updated"),
        deleted: row.get("deleted"),
        purged: row.get("purged"),
    })
}

async fn rows(transaction: &Transaction<'_>, sql: &str) -> Result<Vec<Value>, SyncError> {
    let rows = transaction.query(sql, &[&ROWS_MAX]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn changes(
    transaction: &Transaction<'_>,
    compared: &Compared<'_>,
) -> Result<Vec<Change>, SyncError> {
    let rows = transaction
        .query(&compared.updated_sql(), &[&ROWS_MAX])
        .await?;
    let key = compared.table.key;
    let changes = rows.iter().filter_map(|row| {
        let (from, to, label): (Value, Value, String) = (row.get(0), row.get(1), row.get(2));
        Some(change(label, key, from.as_object()?, to.as_object()?))
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

/// A table's changed rows (`n`) beside what they were (`c`), where one of the two may
/// be missing, and what becomes of a row as a condition on both.
struct Compared<'a> {
    table: &'a Table,
    copy: &'a str,
    created: String,
    /// Differs and lives on.
    updated: String,
    /// Lived, and is marked or gone.
    deleted: String,
    purged: String,
}

impl<'a> Compared<'a> {
    fn new(table: &'a Table, copy: &'a str) -> Self {
        let first = table.key[0];
        let (lives, lived) = (table.is_there("n"), table.is_there("c"));
        let (ours, theirs) = (prefixed(table.columns, "n."), prefixed(table.columns, "c."));
        Self {
            table,
            copy,
            created: format!("n.{first} is not null and c.{first} is null"),
            updated: format!(
                "n.{first} is not null and c.{first} is not null \
                 and ({lives} or not ({lived})) and ({ours}) is distinct from ({theirs})"
            ),
            deleted: format!(
                "c.{first} is not null and {lived} and (n.{first} is null or not ({lives}))"
            ),
            purged: format!("n.{first} is null and not ({lived})"),
        }
    }

    fn both(&self) -> String {
        watch::changed_sql(self.table, self.copy)
    }

    fn counts_sql(&self) -> String {
        format!(
            "select count(*) filter (where {created}) as created, \
             count(*) filter (where {updated}) as updated, \
             count(*) filter (where {deleted}) as deleted, \
             count(*) filter (where {purged}) as purged from {both}",
            created = self.created,
            updated = self.updated,
            deleted = self.deleted,
            purged = self.purged,
            both = self.both(),
        )
    }

    fn created_sql(&self) -> String {
        format!(
            "select {json} from {both} where {created} order by {key} limit $1",
            json = labelled(self.table, "public", "n"),
            both = self.both(),
            created = self.created,
            key = prefixed(self.table.key, "n."),
        )
    }

    fn updated_sql(&self) -> String {
        format!(
            "select {from}, {to}, {label} from {both} where {updated} order by {key} limit $1",
            from = json("c"),
            to = json("n"),
            label = label(self.table, "public", "n"),
            both = self.both(),
            updated = self.updated,
            key = prefixed(self.table.key, "n."),
        )
    }

    /// As they were.
    fn gone_sql(&self, which: &str) -> String {
        format!(
            "select {json} from {both} where {which} order by {key} limit $1",
            json = labelled(self.table, self.copy, "c"),
            both = self.both(),
            key = prefixed(self.table.key, "c."),
        )
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

/// A row's name after those of the rows that it hangs on, as they were where `schema` is
/// the one that keeps that: what people know it by. Empty where none of them has any.
fn label(table: &Table, schema: &str, alias: &str) -> String {
    let tables = account::all_tables();
    let parents = table.parents.iter().filter_map(|(column, parent)| {
        let parent = tables.iter().find(|table| table.name == *parent)?;
        let inner = format!("{alias}_{column}");
        let named = |schema| {
            format!(
                "(select nullif({label}, '') from {schema}.{name} {inner} \
                 where {inner}.id = {alias}.{column})",
                label = label(parent, schema, &inner),
                name = parent.name,
            )
        };
        // What has not changed is where it was.
        Some(match schema {
            "public" => named(schema),
            _ => format!("coalesce({}, {})", named(schema), named("public")),
        })
    });
    let own = table.columns.contains(&"name");
    let own = own.then(|| format!("nullif({alias}.name, '')"));
    let names: Vec<String> = parents.chain(own).collect();
    match names.as_slice() {
        [] => "''".to_owned(),
        names => format!("concat_ws('{BETWEEN}', {})", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(data_type: &str) -> &'static Table {
        let tables = account::all_tables();
        let mut tables = tables.into_iter();
        tables.find(|table| table.data_type == data_type).unwrap()
    }

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
        let of = |data_type: &str| label(named(data_type), "public", "n");
        assert_eq!(of("items"), "concat_ws(' · ', nullif(n.name, ''))");
        let item = "(select nullif(concat_ws(' · ', nullif(n_item_id.name, '')), '') \
                    from public.catalog_items n_item_id where n_item_id.id = n.item_id)";
        let variation = format!("concat_ws(' · ', {item}, nullif(n.name, ''))");
        assert_eq!(of("variations"), variation);
        // What only hangs on others has no name of its own.
        for data_type in ["inventory", "variation_overrides"] {
            let row = of(data_type);
            for table in ["catalog_items", "catalog_variations", "locations"] {
                assert!(row.contains(&format!("from public.{table} ")), "{row}");
            }
            assert!(!row.contains("n.name"), "{row}");
        }
        assert_eq!(of("item_categories"), format!("concat_ws(' · ', {item})"));
    }

    #[test]
    fn only_what_can_be_marked_is_deleted_by_a_change() {
        let deleted = |data_type: &str| Compared::new(named(data_type), "b").deleted;
        let marked = "c.id is not null and not c.is_deleted \
                      and (n.id is null or not (not n.is_deleted))";
        assert_eq!(deleted("items"), marked);
        // Its status is a column like any other.
        let gone = "c.id is not null and true and (n.id is null or not (true))";
        assert_eq!(deleted("locations"), gone);
    }
}
