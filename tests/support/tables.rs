//! The tables against the account's truth, row for row and column for column.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use shared::staging::table::Table;
use shared::{account, orders};
use tokio_postgres::Client;

use super::account::Account;

/// Which rows of a table the truth has.
pub(crate) fn live(table: &Table) -> String {
    match table.name {
        // Those that it no longer lists are dropped by their ids.
        "locations" => "true".to_owned(),
        "catalog_item_categories" => {
            "item_id in (select id from catalog_items where not is_deleted)".to_owned()
        }
        name => table.lives(name),
    }
}

type Rows = BTreeMap<String, Map<String, Value>>;

/// Fails with the first difference between the tables and the account.
pub(crate) async fn assert_equal_truth(client: &Client, square: &Account) {
    let truth = square.truth().await;
    for table in account::all_tables() {
        let expected = by_key(&truth[table.name], table.key);
        let mut found = read(client, table.name, table.key, &live(table), &expected).await;
        if table.name == "locations" {
            drop_inactive(&mut found, &expected);
        }
        compare(table.name, &found, &expected);
        let deleted = &truth["deleted"][table.data_type];
        if table.is_object && table.can_delete() && !deleted.is_null() {
            compare_deleted(client, table.name, deleted).await;
        }
    }
}

/// The same for the order tables.
pub(crate) async fn assert_orders_equal_truth(client: &Client, account: &Account) {
    let truth = account.truth().await;
    for table in orders::store::TABLES {
        let expected = by_key(&truth[table.name], table.key);
        let found = read(client, table.name, table.key, "true", &expected).await;
        compare(table.name, &found, &expected);
    }
}

fn by_key(rows: &Value, key: &[&str]) -> Rows {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_object().unwrap().clone())
        .map(|row| (key_of(&row, key), row))
        .collect()
}

fn key_of(row: &Map<String, Value>, key: &[&str]) -> String {
    let parts: Vec<&str> = key
        .iter()
        .map(|name| row[*name].as_str().unwrap())
        .collect();
    parts.join(":")
}

/// The live rows, with the columns that the truth has.
async fn read(client: &Client, table: &str, key: &[&str], live: &str, expected: &Rows) -> Rows {
    let columns = client
        .query(
            "select column_name::text, data_type::text from information_schema.columns
             where table_schema = 'public' and table_name = $1
                 and column_name not in ('first_synced_at', 'last_changed_at',
                     'last_changed_by_run', 'is_deleted', 'deleted_at')
             order by column_name",
            &[&table],
        )
        .await
        .unwrap();
    let columns: Vec<(String, String)> =
        columns.iter().map(|row| (row.get(0), row.get(1))).collect();
    if let Some(row) = expected.values().next() {
        let ours: BTreeSet<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let theirs: BTreeSet<&str> = row.keys().map(String::as_str).collect();
        assert_eq!(ours, theirs, "columns of {table}");
    }
    let fields: Vec<String> = columns
        .iter()
        .map(|(name, kind)| format!("'{name}', {}", plain(name, kind)))
        .collect();
    let sql = format!(
        "select jsonb_build_object({}) from {table} where {live}",
        fields.join(", ")
    );
    let rows = client.query(&sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| row.get::<_, Value>(0).as_object().unwrap().clone())
        .map(|row| (key_of(&row, key), row))
        .collect()
}

/// A column as the truth writes it.
pub(crate) fn plain(name: &str, kind: &str) -> String {
    match kind {
        "timestamp with time zone" => {
            format!("to_char({name} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        }
        "numeric" => format!("trim_scale({name})::text"),
        _ => name.to_owned(),
    }
}

/// A location that Square no longer lists stays, inactive.
fn drop_inactive(found: &mut Rows, expected: &Rows) {
    found.retain(|id, row| expected.contains_key(id) || row["status"] != "INACTIVE");
}

fn compare(table: &str, found: &Rows, expected: &Rows) {
    for (key, row) in expected {
        let Some(other) = found.get(key) else {
            panic!("{table}: {key} is missing");
        };
        for (column, value) in row {
            assert_eq!(&other[column], value, "{table}: {key}: {column}");
        }
    }
    for key in found.keys() {
        assert!(expected.contains_key(key), "{table}: {key} is too many");
    }
}

/// What Square deleted, and we had, is marked with Square's time.
async fn compare_deleted(client: &Client, table: &str, deleted: &Value) {
    let sql = format!(
        "select is_deleted, to_char(deleted_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
         from {table} where id = $1"
    );
    for row in deleted.as_array().unwrap() {
        let id = row["id"].as_str().unwrap();
        if let Some(found) = client.query_opt(&sql, &[&id]).await.unwrap() {
            let marked: bool = found.get(0);
            let at: Option<String> = found.get(1);
            assert!(marked, "{table}: {id} is deleted at Square");
            // What vanished without a tombstone has no time at Square.
            if let Some(deleted_at) = row["deleted_at"].as_str() {
                assert_eq!(at.as_deref(), Some(deleted_at), "{table}: {id}");
            }
        }
    }
}

/// Each table as one number, without the columns that say who wrote it.
pub(crate) async fn fingerprint(client: &Client) -> BTreeMap<&'static str, i64> {
    let mut prints = BTreeMap::new();
    for table in account::all_tables() {
        let table = table.name;
        let sql = format!(
            "select coalesce(sum(hashtext((to_jsonb(t) - array['first_synced_at',
                 'last_changed_at', 'last_changed_by_run'])::text)::bigint), 0)::bigint from {table} t"
        );
        let row = client.query_one(&sql, &[]).await.unwrap();
        prints.insert(table, row.get(0));
    }
    prints
}
