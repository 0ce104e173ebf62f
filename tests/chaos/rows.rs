//! The rows of all data tables at one moment, and those that the account's truth has.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use shared::{account, orders};
use tokio::sync::OnceCell;
use tokio_postgres::Client;

use crate::support::database;
use crate::support::tables::{live, plain};

/// A row of a data table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) table: String,
    pub(crate) key: String,
    /// Its data, as the truth writes it.
    pub(crate) data: Map<String, Value>,
    /// Whether it is there, and not only marked as gone.
    pub(crate) lives: bool,
    /// The run that wrote it last, and when.
    pub(crate) run: String,
    pub(crate) at: String,
}

/// Columns that say who wrote a row, or that it is gone.
const NOT_DATA: &str = "'first_synced_at', 'last_changed_at', 'last_changed_by_run',
    'is_deleted', 'deleted_at'";

/// One statement, so that all tables are read at the same moment.
static READ: OnceCell<String> = OnceCell::const_new();

/// A data table.
#[derive(Debug, Clone)]
pub(crate) struct DataTable {
    pub(crate) name: &'static str,
    key: &'static [&'static str],
    /// That a row is not only marked as gone, in SQL.
    live: String,
}

/// All data tables.
pub(crate) fn tables() -> Vec<DataTable> {
    let catalog = account::all_tables().into_iter();
    let catalog = catalog.map(|table| DataTable {
        name: table.name,
        key: table.key,
        live: live(table),
    });
    let orders = orders::store::TABLES.iter().map(|table| DataTable {
        name: table.name,
        key: table.key,
        live: "true".to_owned(),
    });
    catalog.chain(orders).collect()
}

/// The data table of that name.
pub(crate) fn table(name: &str) -> DataTable {
    let found = tables().into_iter().find(|table| table.name == name);
    found.unwrap_or_else(|| panic!("no table {name}"))
}

async fn statement(client: &Client) -> String {
    let mut parts = Vec::new();
    for table in tables() {
        let columns = format!(
            "select column_name::text, data_type::text from information_schema.columns
             where table_schema = 'public' and table_name = $1
                 and column_name not in ({NOT_DATA}) order by column_name"
        );
        let columns = client.query(&columns, &[&table.name]).await.unwrap();
        let fields: Vec<String> = columns
            .iter()
            .map(|row| {
                format!(
                    "'{0}', {1}",
                    row.get::<_, &str>(0),
                    plain(row.get(0), row.get(1))
                )
            })
            .collect();
        parts.push(format!(
            "select '{0}' as of_table, concat_ws(':', {1}) as key,
                 jsonb_build_object({2}) as data, {3} as lives, last_changed_by_run as run,
                 last_changed_at::text as at from {0}",
            table.name,
            table.key.join(", "),
            fields.join(", "),
            table.live
        ));
    }
    parts.join(" union all ")
}

/// Puts empty tables in the place of those that an older schema does not have yet: who
/// reads finds them until a migration makes the true ones.
pub(crate) async fn stand_in(url: &str) {
    let whole = database::connect(&database::migrated().await).await;
    let client = database::connect(url).await;
    let put = "do $$ begin
            execute format('alter database %I set search_path = public, missing', current_database());
        end $$; create schema missing";
    client.batch_execute(put).await.unwrap();
    let columns = "select string_agg(format('%I %s', column_name,
            case data_type when 'ARRAY' then 'text[]' else data_type end), ', ')
        from information_schema.columns where table_schema = 'public' and table_name = $1";
    for table in tables() {
        let known = "select to_regclass('public.' || $1) is not null";
        let known = client.query_one(known, &[&table.name]).await.unwrap();
        if known.get(0) {
            continue;
        }
        let columns = whole.query_one(columns, &[&table.name]).await.unwrap();
        let columns: &str = columns.get(0);
        let create = format!("create table missing.{} ({columns})", table.name);
        client.batch_execute(&create).await.unwrap();
    }
}

/// All rows there are.
pub(crate) async fn read(client: &Client) -> Vec<Row> {
    let sql = READ
        .get_or_init(|| async {
            statement(&database::connect(&database::migrated().await).await).await
        })
        .await;
    let rows = client.query(sql, &[]).await.unwrap();
    let row = |row: &tokio_postgres::Row| Row {
        table: row.get("of_table"),
        key: row.get("key"),
        data: match row.get("data") {
            Value::Object(data) => data,
            other => panic!("{other}"),
        },
        lives: row.get("lives"),
        run: row.get("run"),
        at: row.get("at"),
    };
    rows.iter().map(row).collect()
}

/// The truth's rows of a table, by their keys.
pub(crate) fn of_truth(truth: &Value, table: &DataTable) -> BTreeMap<String, Map<String, Value>> {
    let rows = truth[table.name].as_array().into_iter().flatten();
    rows.filter_map(Value::as_object)
        .map(|row| {
            let key = table.key.iter().map(|name| row[*name].as_str().unwrap());
            (key.collect::<Vec<_>>().join(":"), row.clone())
        })
        .collect()
}
