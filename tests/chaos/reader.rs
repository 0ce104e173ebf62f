//! Somebody who reads the tables while runs are at work: whatever a reader sees is what
//! some committed step, or a page of orders, has left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared::account;
use shared::orders::store::TABLES;
use tokio_postgres::Client;

/// Often enough for several looks at each step, and seldom enough not to matter.
const PAUSE: Duration = Duration::from_millis(20);

/// What was seen, by what had been committed when it was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    catalog: BTreeMap<String, String>,
    orders: BTreeMap<String, String>,
    pub(crate) looks: usize,
}

fn prints(tables: impl Iterator<Item = &'static str>) -> String {
    let one = |table| format!("(select sum(hashtext(t::text)::bigint) from {table} t)");
    let all: Vec<String> = tables.map(one).collect();
    format!("concat_ws(' ', {})", all.join(", "))
}

/// One statement, so that it is one moment. Locations that orders or counts need may come
/// without a step of their own, so they are left out.
fn statement() -> String {
    let catalog = account::all_tables().into_iter().map(|table| table.name);
    let catalog = catalog.filter(|name| *name != "locations");
    format!(
        "select (select coalesce(string_agg(run_id || ' ' || step, ',' order by run_id, step), '')
                 from sync_steps where status = 'succeeded'
                     and step in ('catalog', 'inventory', 'locations', 'publish', 'restore')),
             {},
             (select coalesce(string_agg(concat_ws(' ', run_id, step, stats), ','
                     order by run_id, step), '')
                 from sync_steps where step in ('orders', 'rederive') and stats <> '{{}}'),
             {}",
        prints(catalog),
        prints(TABLES.iter().map(|table| table.name))
    )
}

impl Seen {
    /// Looks again and again until `is_over`.
    ///
    /// # Errors
    /// What cannot be: two sights of what should be the same.
    pub(crate) async fn read(
        &mut self,
        client: &Client,
        is_over: &AtomicBool,
    ) -> Result<(), String> {
        let sql = statement();
        while !is_over.load(Ordering::Relaxed) {
            let row = match client.query_one(&sql, &[]).await {
                Ok(row) => row,
                // The server has died, and what the reader knew of it.
                Err(_) if client.is_closed() => return Ok(()),
                Err(error) => return Err(format!("{error:?}")),
            };
            self.looks += 1;
            for (seen, at, what) in [
                (&mut self.catalog, 0, "catalog"),
                (&mut self.orders, 2, "order"),
            ] {
                let (committed, print): (String, String) = (row.get(at), row.get(at + 1));
                let first = seen
                    .entry(committed.clone())
                    .or_insert_with(|| print.clone());
                if *first != print {
                    return Err(format!(
                        "a reader saw the {what} tables change between commits, after {committed}"
                    ));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}
