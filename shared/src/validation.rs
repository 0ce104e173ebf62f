//! After a good run: do the tables hold what Square gave, and is it like what it
//! gave before? What does not fit is a warning for the operator, never an error:
//! the data is committed and consistent in itself.

use deadpool_postgres::Object;

use crate::account;
use crate::error::SyncError;
use crate::part::Part;
use crate::run::store::Run;

/// Live rows against what a whole listing gave, per data type. A delta gives no
/// such figure, and nothing is counted then. Where nothing is ever deleted, as of
/// locations, the table may hold more. Parameter: run id.
fn counts() -> String {
    let (mut types, mut live) = (Vec::new(), Vec::new());
    for part in Part::ALL {
        let tables = account::tables(part).into_iter();
        for table in tables.filter(|table| table.is_object && table.can_delete()) {
            let (data_type, step) = (table.data_type, part.name());
            types.push(format!("('{data_type}', '{step}')"));
            live.push(format!(
                "select '{data_type}' as data_type, count(*) as rows from {name} t
                 where {lives} and exists (select from given where data_type = '{data_type}')",
                name = table.name,
                lives = table.lives("t"),
            ));
        }
    }
    format!(
        "
    with given as (
        select s.key as data_type,
            (s.value ->> 'created')::bigint + (s.value ->> 'updated')::bigint
                + (s.value ->> 'unchanged')::bigint as rows
        from sync_steps st cross join lateral jsonb_each(st.stats) s
        where st.run_id = $1 and st.status = 'succeeded' and st.result ->> 'scope' = 'reconcile'
            and (s.key, st.step) in ({types})),
    live as ({live})
    select data_type, given.rows as given, live.rows as live
    from given join live using (data_type) where given.rows < live.rows",
        types = types.join(", "),
        live = live.join(" union all "),
    )
}

/// Rows that no constraint forbids and that still make no sense together.
const ORPHANS: &str = "
    select 'live variation(s) of deleted items' as what, count(*) as rows
    from catalog_variations v join catalog_items i on i.id = v.item_id
    where not v.is_deleted and i.is_deleted
    union all
    select 'live count(s) of deleted variations', count(*)
    from catalog_variations v join catalog_inventory c on c.variation_id = v.id
    where v.is_deleted and not c.is_deleted";

/// This run's changes per data type against the ten good runs before it.
const SUDDEN: &str = "
    with figures as (
        select r.run_id, s.key as data_type,
            sum((s.value ->> 'updated')::bigint + (s.value ->> 'deleted')::bigint) as changes
        from sync_runs r join sync_steps st using (run_id)
        cross join lateral jsonb_each(st.stats) s
        where r.mode = 'incremental' and not r.request ? 'dry_run' and (r.run_id = $1 or r.run_id in (
            select run_id from sync_runs
            where status = 'succeeded' and kind = 'complete_sync' and mode = 'incremental'
                and not request ? 'dry_run' and run_id <> $1
            order by queued_at desc limit 10))
        group by 1, 2)
    select now.data_type, now.changes::bigint, max(before.changes)::bigint as most
    from figures now join figures before using (data_type)
    where now.run_id = $1 and before.run_id <> $1
    group by now.data_type, now.changes
    having count(*) >= 5 and now.changes > 100 and now.changes > 10 * max(before.changes)";

/// Returns what an operator should know of this run.
pub(crate) async fn warnings(client: &Object, run: &Run) -> Result<Vec<String>, SyncError> {
    let mut warnings = Vec::new();
    for row in client.query(&counts(), &[&run.run_id]).await? {
        warnings.push(format!(
            "{}: {} live rows, but Square gave only {}.",
            row.get::<_, String>("data_type"),
            row.get::<_, i64>("live"),
            row.get::<_, i64>("given"),
        ));
    }
    for row in client.query(ORPHANS, &[]).await? {
        let rows: i64 = row.get("rows");
        if rows > 0 {
            warnings.push(format!("{rows} {}.", row.get::<_, String>("what")));
        }
    }
    for row in client.query(SUDDEN, &[&run.run_id]).await? {
        warnings.push(format!(
            "{}: {} rows changed or deleted; the last ten runs had at most {}.",
            row.get::<_, String>("data_type"),
            row.get::<_, i64>("changes"),
            row.get::<_, i64>("most"),
        ));
    }
    let waiting: i64 = client
        .query_one(
            "select count(*) from sync_quarantine where resolved_at is null",
            &[],
        )
        .await?
        .get(0);
    if waiting > 0 {
        warnings.push(format!(
            "{waiting} object(s) wait in sync_quarantine: see its column reason."
        ));
    }
    Ok(warnings)
}

/// For the test that prepares every statement.
#[must_use]
pub fn statements() -> Vec<String> {
    vec![counts(), ORPHANS.to_owned(), SUDDEN.to_owned()]
}
