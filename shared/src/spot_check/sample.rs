//! The ids that are drawn: all locations, and as many of each other kind of object as
//! were asked for. A table's pages are drawn first and its rows out of those, so that a
//! large table costs no more than a small one.

use std::collections::BTreeSet;

use deadpool_postgres::Object;

use crate::error::SyncError;

/// Pages read for each row that is drawn: neighbours are much alike, and old orders can
/// only be preferred among several.
const PAGES_EACH: f64 = 4.0;

/// The objects that Square is asked for, by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// None of them: locations are not asked for. Square lists them all or none.
    pub(super) locations: BTreeSet<String>,
    pub(super) categories: BTreeSet<String>,
    pub(super) items: BTreeSet<String>,
    pub(super) variations: BTreeSet<String>,
    /// The variations whose counts are asked for.
    pub(super) counted: BTreeSet<String>,
    pub(super) orders: BTreeSet<String>,
}

/// A table to draw from.
struct Urn {
    table: &'static str,
    column: &'static str,
    /// The order in which the drawn rows are taken, in SQL.
    by: &'static str,
}

impl Urn {
    const fn of(table: &'static str, column: &'static str) -> Self {
        let by = "random()";
        Self { table, column, by }
    }

    /// Parameters: the percentage of the table's pages, how many rows.
    fn draw_sql(&self) -> String {
        format!(
            "select {} from {} tablesample system ($1::real) order by {} limit $2",
            self.column, self.table, self.by
        )
    }

    async fn draw(&self, client: &Object, size: u32) -> Result<BTreeSet<String>, SyncError> {
        let pages: i64 = client.query_one(PAGES, &[&self.table]).await?.get(0);
        let percent = percent(pages, size);
        let drawn = self.draw_from(client, percent, size).await?;
        let is_short = drawn.len() < usize::try_from(size).unwrap_or(usize::MAX);
        // Its pages may be all but empty.
        if is_short && percent < 100.0 {
            return self.draw_from(client, 100.0, size).await;
        }
        Ok(drawn)
    }

    async fn draw_from(
        &self,
        client: &Object,
        percent: f32,
        size: u32,
    ) -> Result<BTreeSet<String>, SyncError> {
        let limit = i64::from(size);
        let rows = client.query(&self.draw_sql(), &[&percent, &limit]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// How much of a table of so many pages is read for so many rows.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "about"
)]
fn percent(pages: i64, size: u32) -> f32 {
    let wanted = PAGES_EACH * f64::from(size);
    (100.0 * wanted / (pages.max(1) as f64)).min(100.0) as f32
}

const CATEGORIES: Urn = Urn::of("catalog_categories", "id");
const ITEMS: Urn = Urn::of("catalog_items", "id");
const VARIATIONS: Urn = Urn::of("catalog_variations", "id");
const COUNTS: Urn = Urn::of("catalog_inventory", "variation_id");

/// The older an order, the more likely it is taken: what is new, the look-back reads
/// again every day. The smallest of such numbers are a draw by weight, here by days.
const ORDERS: Urn = Urn {
    table: "orders",
    column: "id",
    by: "-ln(1 - random()) / (1 + greatest(0, \
         coalesce(extract(epoch from now() - created_at)::float8, 0) / 86400))",
};

const LOCATIONS: &str = "select id from locations";

/// Parameter: the table.
const PAGES: &str = "
    select pg_relation_size($1::text::regclass) / current_setting('block_size')::bigint";

impl Sample {
    /// Draws so many of each kind.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn draw(client: &Object, size: u32) -> Result<Self, SyncError> {
        let locations = client.query(LOCATIONS, &[]).await?;
        let counted = COUNTS.draw(client, size).await?;
        let mut variations = VARIATIONS.draw(client, size).await?;
        // What becomes of a count may be the variation's doing.
        variations.extend(counted.iter().cloned());
        Ok(Self {
            locations: locations.iter().map(|row| row.get(0)).collect(),
            categories: CATEGORIES.draw(client, size).await?,
            items: ITEMS.draw(client, size).await?,
            variations,
            counted,
            orders: ORDERS.draw(client, size).await?,
        })
    }

    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The ids of catalog objects, whatever their type.
    pub(super) fn objects(&self) -> Vec<String> {
        let objects = [&self.categories, &self.items, &self.variations];
        objects.into_iter().flatten().cloned().collect()
    }
}

/// For the test that prepares every statement.
pub(super) fn statements() -> Vec<String> {
    let urns = [CATEGORIES, ITEMS, VARIATIONS, COUNTS, ORDERS];
    let mut statements = vec![LOCATIONS.to_owned(), PAGES.to_owned()];
    statements.extend(urns.iter().map(Urn::draw_sql));
    statements
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_small_table_is_read_whole_and_of_a_large_one_a_few_pages() {
        for (pages, size, expected) in [
            (0, 200, 100.0),
            (800, 200, 100.0),
            (8_000, 200, 10.0),
            (1_000_000, 1, 0.0004),
        ] {
            let found = percent(pages, size);
            assert!((found - expected).abs() < 1e-6, "{pages} {size}: {found}");
        }
    }
}
