//! One page of orders into PostgreSQL, in one transaction.
//!
//! Orders that the tables do not have are copied straight into them. The others are
//! copied into temporary tables of the connection's own, because pages of several
//! windows are written side by side and none of them outlives its transaction. Newer
//! orders win, rows that are equal are not touched, and lines that an order no longer
//! has are deleted.

use std::collections::{BTreeMap, HashMap, HashSet};

use deadpool_postgres::{Object, Transaction};
use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::rows::{OrderRow, OrderRows};
use super::{children, columns};
use crate::error::SyncError;
use crate::fields::{self, extract};
use crate::postgres::copy::Values;
use crate::postgres::plan::{self, Access};
use crate::postgres::sql::prefixed;
use crate::run::stats::{self, Counts};
use crate::staging::column::{names, values};
use crate::staging::page_table::{self, PageTable};

/// `orders`.
pub const ORDERS: PageTable = PageTable {
    name: "orders",
    key: &["id"],
    columns: &names(&columns::ORDERS),
    children: &PARTS,
};

/// `order_line_items`.
pub const LINES: PageTable = PageTable {
    name: "order_line_items",
    key: &["order_id", "uid"],
    columns: &names(&columns::LINES),
    children: &[],
};

/// `order_return_line_items`.
pub const RETURNED: PageTable = PageTable {
    name: "order_return_line_items",
    key: &["order_id", "uid"],
    columns: &names(&columns::RETURNED),
    children: &[],
};

/// `order_tenders`.
pub const TENDERS: PageTable = PageTable {
    name: "order_tenders",
    key: &["order_id", "id"],
    columns: &names(&columns::TENDERS),
    children: &[],
};

/// The way in which pages reach the tables.
pub const ACCESS: Access = page_table::ACCESS;

/// How many tables stand before those of `children`.
const HEAD: usize = 3;

/// The tables below `orders`.
pub(crate) const PARTS: [&PageTable; HEAD + children::COUNT] = {
    let mut parts = [&LINES; HEAD + children::COUNT];
    parts[1] = &RETURNED;
    parts[2] = &TENDERS;
    let mut at = 0;
    while at < children::COUNT {
        parts[HEAD + at] = &children::PARTS[at].table;
        at += 1;
    }
    parts
};

/// All of them, parents first.
pub const TABLES: [&PageTable; 1 + PARTS.len()] = {
    let mut tables = [&ORDERS; 1 + PARTS.len()];
    let mut at = 0;
    while at < PARTS.len() {
        tables[1 + at] = PARTS[at];
        at += 1;
    }
    tables
};

/// Derived columns of orders that are there already; `raw` is what they come from.
/// Parameter: run id.
fn rederive_sql() -> String {
    let derived: Vec<&str> = ORDERS
        .columns
        .iter()
        .copied()
        .filter(|column| !matches!(*column, "id" | "raw"))
        .collect();
    let differs = format!(
        "({}) is distinct from ({})",
        prefixed(&derived, "t."),
        prefixed(&derived, "s.")
    );
    let current = ACCESS.join("orders", "t", "t.id = s.id");
    let values = prefixed(ORDERS.columns, "s.").replace("s.raw", "t.raw");
    ORDERS.write_sql(&values, &current, &differs, &derived)
}

/// The locations that orders may refer to, with their currencies.
///
/// # Errors
/// The database's.
pub async fn locations(client: &Object) -> Result<HashMap<String, Option<String>>, SyncError> {
    let rows = client.query(LOCATIONS, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

const LOCATIONS: &str = "select id, currency from locations";

/// The outcome of writing one order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fate {
    pub order: Counts,
    pub lines: Counts,
    /// The table has a newer copy.
    pub is_outdated: bool,
    /// What of it was otherwise before, if that was asked for.
    pub differences: Vec<Difference>,
}

/// A row that is not as Square has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub order_id: String,
    /// The table that it is in.
    pub table: &'static str,
    /// Its key, joined by colons.
    pub id: String,
    /// Square has it, and we have not.
    pub is_missing: bool,
    /// The columns that differ; [`EXTRA`] where Square has no such row.
    pub what: String,
}

/// The origin of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Square gave the orders just now.
    Square,
    /// They are derived anew from `orders.raw`.
    Raw,
}

/// Leaves `raw` as it comes: what is compressed here goes on to `orders` that way,
/// whatever that table's own settings are, and mostly it is only found equal.
const STAGE_PLAIN: &str = "alter table staged_orders
    alter column raw set storage external, set (toast_tuple_target = 8160)";

/// Makes the temporary tables that pages are copied into, before a connection's first
/// page: most calls of an idle account have none.
async fn prepare(transaction: &Transaction<'_>) -> Result<(), SyncError> {
    let made = run(transaction, ARE_PREPARED, &[]).await?;
    if made.first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    let mut statements: Vec<String> = TABLES.iter().map(|table| table.create_sql()).collect();
    statements.push(STAGE_PLAIN.to_owned());
    transaction.batch_execute(&statements.join("; ")).await?;
    Ok(())
}

const ARE_PREPARED: &str = "select to_regclass('pg_temp.staged_orders') is not null";

/// What the tables know of a page.
#[derive(Debug)]
pub struct Known {
    /// Those of its orders that are there.
    pub ids: HashSet<String>,
    /// The time of this transaction, as rows keep it.
    at: Timestamp,
}

/// Looks a page's orders up. The rest of the transaction looks up, too.
///
/// # Errors
/// The database's.
pub async fn known(transaction: &Transaction<'_>, page: &[OrderRows]) -> Result<Known, SyncError> {
    ACCESS.enter(transaction).await?;
    let ids: Vec<&str> = page.iter().map(|rows| rows.order.id.as_str()).collect();
    let statement = transaction.prepare_cached(&ORDERS.known_sql()).await?;
    let row = transaction.query_one(&statement, &[&ids]).await?;
    let known: Vec<String> = row.get("known");
    Ok(Known {
        ids: known.into_iter().collect(),
        at: row.get("at"),
    })
}

/// Inserts orders that the tables did not have a moment ago, in the order of their ids.
///
/// # Errors
/// The database's; a unique violation if somebody else has brought one meanwhile.
pub async fn insert(
    transaction: &Transaction<'_>,
    known: &Known,
    page: &[&OrderRows],
    run_id: &str,
) -> Result<BTreeMap<String, Fate>, SyncError> {
    let (at, run_id) = (&known.at, &run_id);
    let orders = page.iter();
    let orders = orders.map(|rows| values(&columns::ORDERS, &rows.order).collect());
    ORDERS.insert(transaction, orders, at, run_id).await?;
    for (n, table) in PARTS.iter().enumerate() {
        let rows = page.iter().flat_map(|rows| part(rows, n));
        table.insert(transaction, rows, at, run_id).await?;
    }
    let fates = page.iter().map(|rows| {
        let mut fate = Fate::default();
        fate.order.created = 1;
        fate.lines.created = stats::count(rows.lines.len());
        (rows.order.id.clone(), fate)
    });
    Ok(fates.collect())
}

/// Applies one page and tells of each of its orders; of those in `late`, what differed. No
/// order may be in it twice, and each one's location must be known. The rest of the
/// transaction looks up, too.
///
/// # Errors
/// The database's.
pub async fn apply(
    transaction: &Transaction<'_>,
    origin: Origin,
    page: &[&OrderRows],
    run_id: &str,
    late: &HashSet<&str>,
) -> Result<BTreeMap<String, Fate>, SyncError> {
    ACCESS.enter(transaction).await?;
    let mut fates: BTreeMap<String, Fate> = page
        .iter()
        .map(|rows| (rows.order.id.clone(), Fate::default()))
        .collect();
    if page.is_empty() {
        return Ok(fates);
    }
    prepare(transaction).await?;
    stage(transaction, page).await?;
    let upsert = match origin {
        Origin::Square => {
            for id in drop_outdated(transaction).await? {
                fates.entry(id).or_default().is_outdated = true;
            }
            ORDERS.upsert_sql()
        }
        Origin::Raw => rederive_sql(),
    };
    for one in differences(transaction, late).await? {
        let fate = fates.entry(one.order_id.clone()).or_default();
        fate.differences.push(one);
    }
    for (id, is_new) in changed(transaction, &upsert, run_id).await? {
        let fate = fates.entry(id).or_default();
        count_change(&mut fate.order, is_new);
    }
    for table in PARTS {
        let is_lines = table.name == LINES.name;
        for id in deleted(transaction, &ORDERS.delete_missing_sql(table)).await? {
            if is_lines {
                fates.entry(id).or_default().lines.deleted += 1;
            }
        }
        for (id, is_new) in changed(transaction, &table.upsert_sql(), run_id).await? {
            if is_lines {
                count_change(&mut fates.entry(id).or_default().lines, is_new);
            }
        }
    }
    let given: HashMap<&str, usize> = page
        .iter()
        .map(|rows| (rows.order.id.as_str(), rows.lines.len()))
        .collect();
    for (id, fate) in &mut fates {
        let lines = given.get(id.as_str()).copied().unwrap_or(0);
        let lines = stats::count(lines);
        fate.order.unchanged = 1 - fate.order.created - fate.order.updated;
        fate.lines.unchanged = lines - fate.lines.created - fate.lines.updated;
    }
    Ok(fates)
}

async fn stage(transaction: &Transaction<'_>, page: &[&OrderRows]) -> Result<(), SyncError> {
    let orders: Vec<StagedOrder<'_>> = page.iter().map(|rows| StagedOrder::of(rows)).collect();
    let orders = orders.iter().map(StagedOrder::values);
    ORDERS.stage(transaction, orders).await?;
    for (n, table) in PARTS.iter().enumerate() {
        let rows = page.iter().flat_map(|rows| part(rows, n));
        table.stage(transaction, rows).await?;
    }
    Ok(())
}

/// An order's rows in the n-th of [`PARTS`].
pub(crate) fn part(rows: &OrderRows, n: usize) -> Box<dyn Iterator<Item = Values<'_>> + '_> {
    match n {
        0 => Box::new(
            rows.lines
                .iter()
                .map(|row| values(&columns::LINES, row).collect()),
        ),
        1 => Box::new(
            rows.returned
                .iter()
                .map(|row| values(&columns::RETURNED, row).collect()),
        ),
        2 => Box::new(
            rows.tenders
                .iter()
                .map(|row| values(&columns::TENDERS, row).collect()),
        ),
        _ => Box::new(
            rows.children[n - HEAD]
                .iter()
                .map(|row| fields::values(row)),
        ),
    }
}

/// The names of an order's rows in the n-th of [`PARTS`].
fn names_in(rows: &OrderRows, n: usize) -> Vec<&str> {
    match n {
        0 => rows.lines.iter().map(|line| line.uid.as_str()).collect(),
        1 => rows
            .returned
            .iter()
            .map(|back| back.line.uid.as_str())
            .collect(),
        2 => rows
            .tenders
            .iter()
            .map(|tender| tender.id.as_str())
            .collect(),
        _ => rows.children[n - HEAD]
            .iter()
            .filter_map(extract::name)
            .collect(),
    }
}

/// An order on its way into staging.
struct StagedOrder<'a> {
    row: &'a OrderRow,
    /// The names of its rows in each of [`PARTS`].
    kept: Vec<Vec<&'a str>>,
}

impl<'a> StagedOrder<'a> {
    fn of(rows: &'a OrderRows) -> Self {
        Self {
            row: &rows.order,
            kept: (0..PARTS.len()).map(|n| names_in(rows, n)).collect(),
        }
    }

    fn values(&self) -> Values<'_> {
        let kept = self.kept.iter().map(|names| names as &(dyn ToSql + Sync));
        values(&columns::ORDERS, self.row).chain(kept).collect()
    }
}

/// Leaves out of staging what the tables have a newer copy of; returns the ids.
async fn drop_outdated(transaction: &Transaction<'_>) -> Result<Vec<String>, SyncError> {
    let rows = run(transaction, &ORDERS.drop_outdated_sql(), &[]).await?;
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    for table in PARTS {
        run(transaction, &ORDERS.drop_children_sql(table), &[&ids]).await?;
    }
    Ok(ids)
}

/// What of these orders is not in the tables as it is staged.
async fn differences(
    transaction: &Transaction<'_>,
    late: &HashSet<&str>,
) -> Result<Vec<Difference>, SyncError> {
    let mut differences = Vec::new();
    if late.is_empty() {
        return Ok(differences);
    }
    let ids: Vec<&str> = late.iter().copied().collect();
    for table in TABLES {
        for row in run(transaction, &table.differing_sql(), &[&ids]).await? {
            differences.push(Difference {
                order_id: row.get(0),
                table: table.name,
                id: row.get(1),
                is_missing: row.get(2),
                what: row.get(3),
            });
        }
    }
    for table in PARTS {
        for row in run(transaction, &ORDERS.extra_sql(table), &[&ids]).await? {
            differences.push(Difference {
                order_id: row.get(0),
                table: table.name,
                id: row.get(1),
                is_missing: false,
                what: EXTRA.to_owned(),
            });
        }
    }
    Ok(differences)
}

/// What is said of a row that Square does not have.
pub(super) const EXTRA: &str = "extra";

fn count_change(counts: &mut Counts, is_new: bool) {
    if is_new {
        counts.created += 1;
    } else {
        counts.updated += 1;
    }
}

async fn run(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<tokio_postgres::Row>, SyncError> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query(&statement, parameters).await?)
}

/// The orders' ids of rows that were inserted (`true`) or changed.
async fn changed(
    transaction: &Transaction<'_>,
    sql: &str,
    run_id: &str,
) -> Result<Vec<(String, bool)>, SyncError> {
    let rows = run(transaction, sql, &[&run_id]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn deleted(transaction: &Transaction<'_>, sql: &str) -> Result<Vec<String>, SyncError> {
    let rows = run(transaction, sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Tells the planner of the order tables, of which so many rows were written.
///
/// # Errors
/// The database's.
pub async fn analyze(transaction: &Transaction<'_>, written: i64) -> Result<(), SyncError> {
    plan::analyze(transaction, &TABLES.map(|table| table.name), written).await
}

/// The same after much was written and committed: half of it over another connection, so
/// that it takes half as long.
///
/// # Errors
/// The database's.
pub async fn analyze_beside(
    transaction: &Transaction<'_>,
    beside: &Object,
    written: i64,
) -> Result<(), SyncError> {
    let rest = children::PARTS.iter().map(|part| part.table.name);
    let (here, rest): (Vec<_>, Vec<_>) = rest.enumerate().partition(|(at, _)| at % 2 == 0);
    let names = |rest: Vec<(usize, &'static str)>| rest.into_iter().map(|(_, name)| name);
    let here: Vec<&str> = [ORDERS.name].into_iter().chain(names(here)).collect();
    let there = [LINES.name, TENDERS.name, RETURNED.name];
    let there: Vec<&str> = there.into_iter().chain(names(rest)).collect();
    tokio::try_join!(
        plan::analyze(transaction, &here, written),
        plan::analyze(beside, &there, written),
    )?;
    Ok(())
}

/// For the test that prepares every statement: first those that make the
/// temporary tables, then those that use them.
#[must_use]
pub fn statements() -> (Vec<String>, Vec<String>) {
    let mut uses = vec![
        ARE_PREPARED.to_owned(),
        LOCATIONS.to_owned(),
        ORDERS.known_sql(),
        ORDERS.drop_outdated_sql(),
        rederive_sql(),
    ];
    uses.extend(TABLES.iter().map(|table| table.upsert_sql()));
    uses.extend(PARTS.iter().map(|table| ORDERS.delete_missing_sql(table)));
    uses.extend(TABLES.iter().map(|table| table.differing_sql()));
    uses.extend(PARTS.iter().map(|table| ORDERS.extra_sql(table)));
    uses.extend(PARTS.iter().map(|table| ORDERS.drop_children_sql(table)));
    let creates = TABLES.iter().map(|table| table.create_sql()).collect();
    (creates, uses)
}
