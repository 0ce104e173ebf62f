//! Square's copies beside our rows, in one transaction that sees them as of one moment.
//! They go into temporary tables, of which nothing is left; the transaction cannot write
//! to any other.

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

use super::asking::Given;
use super::copies::Copies;
use super::findings::{Difference, Findings, Found};
use super::flight::Positions;
use super::sample::Sample;
use super::twin::Twin;
use crate::account;
use crate::catalog::tables::{ITEM_CATEGORIES, ITEMS, OVERRIDES, VARIATIONS};
use crate::error::SyncError;
use crate::inventory::store::INVENTORY;
use crate::locations::store::LOCATIONS;
use crate::orders::store::TABLES as ORDER_TABLES;
use crate::postgres::plan::Access;

/// Every table that is compared, parents first.
fn twins() -> Vec<Twin> {
    let tables = account::all_tables().into_iter().map(Twin::from);
    tables.chain(ORDER_TABLES.map(Twin::from)).collect()
}

/// Makes the temporary tables; from then on no other can be written to.
pub(super) fn preparations() -> Vec<String> {
    let creates = twins().into_iter().map(|twin| twin.create_sql());
    creates
        .chain(["set transaction read only".to_owned()])
        .collect()
}

/// Brings the copies to what a sync would make of them: what hangs on an object in rows
/// of its own, and as deleted what follows another's deletion.
fn settling() -> [String; 5] {
    let [items, variations, counts] = [&ITEMS, &VARIATIONS, &INVENTORY].map(Twin::from);
    let [item_categories, overrides] = [&ITEM_CATEGORIES, &OVERRIDES].map(Twin::from);
    [
        variations.follow_sql("item_id", &items),
        items.spread_sql("categories", &item_categories),
        variations.spread_sql("overrides", &overrides),
        overrides.drop_orphans_sql("location_id", &Twin::from(&LOCATIONS)),
        counts.follow_sql("variation_id", &variations),
    ]
}

/// Compares what Square has given of a sample with what is here.
///
/// # Errors
/// The database's.
pub(super) async fn compare(
    client: &mut Object,
    sample: &Sample,
    given: Given,
) -> Result<Findings, SyncError> {
    let transaction = client.build_transaction();
    let transaction = transaction.isolation_level(IsolationLevel::RepeatableRead);
    let mut transaction = transaction.start().await?;
    Access::LookUps.enter(&transaction).await?;
    let preparations = preparations().join("; ");
    transaction.batch_execute(&preparations).await?;
    let positions = Positions::load(&transaction).await?;
    let mut copies = Copies::of(given, &positions);
    copies.stage(&mut transaction).await?;
    for statement in settling() {
        transaction.execute(&statement, &[]).await?;
    }
    let findings = find(&transaction, sample, &copies).await?;
    transaction.rollback().await?;
    Ok(findings)
}

async fn find(
    transaction: &Transaction<'_>,
    sample: &Sample,
    copies: &Copies,
) -> Result<Findings, SyncError> {
    let mut findings = Findings::default();
    let (asked_at, unreadable) = (&copies.asked_at, &copies.unreadable());
    for twin in twins() {
        let (asked, in_flight) = copies.held_by(sample, twin.name);
        let count: i64 = transaction.query_one(&twin.count_sql(), &[]).await?.get(0);
        findings.compared += usize::try_from(count).unwrap_or_default();
        let parameters: [&(dyn ToSql + Sync); 1] = [asked_at];
        let differing = transaction
            .query(&twin.differing_sql(), &parameters)
            .await?;
        let parameters: [&(dyn ToSql + Sync); 4] = [asked_at, &asked, &in_flight, unreadable];
        let extra = transaction.query(&twin.extra_sql(), &parameters).await?;
        findings.compared += extra.len();
        for row in differing.iter().chain(&extra) {
            add(&mut findings, &twin, row);
        }
    }
    Ok(findings)
}

fn add(findings: &mut Findings, twin: &Twin, row: &Row) {
    let (row_type, id): (&str, String) = (twin.row_type, row.get("id"));
    if !row.get::<_, bool>("differs") {
        return;
    }
    if row.get("in_flight") {
        findings.in_flight.insert((row_type.to_owned(), id));
        return;
    }
    findings.differ.push(Found {
        table: twin.name,
        owner: row.get("owner"),
        difference: Difference {
            row_type: row_type.to_owned(),
            id,
            column: row.get("name"),
            ours: row.get("ours"),
            square: row.get("square"),
        },
    });
}

/// For the test that prepares every statement.
pub(super) fn statements() -> Vec<String> {
    let compare = twins().into_iter().flat_map(|twin| twin.statements());
    settling().into_iter().chain(compare).collect()
}
