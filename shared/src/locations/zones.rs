//! Time zones that PostgreSQL does not know. They are kept as Square gave them,
//! and reports take them for UTC, which somebody should know.

use deadpool_postgres::GenericClient;

use super::rows::LocationRow;
use crate::error::SyncError;
use crate::text::shorten;

/// Locations that the warning names at most.
const NAMED: usize = 20;

/// Positions of zones that reports take for UTC. Parameter: the zones, null for none.
pub const UNKNOWN: &str = "
    select position from unnest($1::text[]) with ordinality as given (zone, position)
    where zone is null or lower(zone) not in (select name from known_time_zones)
    order by position";

/// Returns the step's warning of locations whose days are not those of their clock.
pub(super) async fn warning(
    client: &impl GenericClient,
    rows: &[LocationRow],
) -> Result<Option<String>, SyncError> {
    let zones: Vec<Option<&str>> = rows.iter().map(|row| row.timezone.as_deref()).collect();
    let unknown = client.query(UNKNOWN, &[&zones]).await?;
    let unknown = unknown.iter().filter_map(|row| {
        let position = usize::try_from(row.get::<_, i64>(0)).ok()?;
        rows.get(position.checked_sub(1)?)
    });
    Ok(text(unknown))
}

fn text<'a>(locations: impl Iterator<Item = &'a LocationRow>) -> Option<String> {
    let mut named: Vec<String> = locations
        .map(|row| {
            let name = shorten(row.name.as_deref().unwrap_or("without a name"));
            let zone = shorten(row.timezone.as_deref().unwrap_or_default());
            format!("{name} ({}, {zone:?})", row.id)
        })
        .collect();
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    if more > 0 {
        named.push(format!("{more} more"));
    }
    (!named.is_empty()).then(|| {
        format!(
            "PostgreSQL does not know the time zone of {}: reports count their days by UTC.",
            named.join(", ")
        )
    })
}
