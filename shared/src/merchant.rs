//! Whose data the database holds: two merchants in one set of tables would add up,
//! and nothing could tell them apart again.

use deadpool_postgres::GenericClient;

use crate::error::SyncError;
use crate::square::Square;
use crate::text::shorten;

/// The merchant of the last run that found the database empty or its own, unless
/// nothing is stored, and the merchants of the locations.
const STORED: &str = "
    select (
            select merchant_id from sync_merchant
            where exists (select from locations) or exists (select from catalog_categories)
                or exists (select from catalog_items) or exists (select from catalog_inventory_history)
                or exists (select from orders) or exists (select from sync_quarantine)
                or exists (select from sync_watermarks)) as known,
        array (
            select distinct merchant_id from locations
            where merchant_id is not null order by merchant_id) as listed";

const REMEMBER: &str = "
    insert into sync_merchant as m (merchant_id) values ($1)
    on conflict (only_row) do update set merchant_id = excluded.merchant_id
        where m.merchant_id <> excluded.merchant_id";

/// For the test that prepares every statement.
pub const STATEMENTS: [&str; 2] = [STORED, REMEMBER];

/// Sees to it that the access token is of the merchant whose data is stored, and
/// remembers the merchant. A token that does not name its merchant passes.
///
/// # Errors
/// `ConfigInvalid` naming both merchants; the database's.
pub(crate) async fn ensure(
    client: &impl GenericClient,
    of_token: Option<&str>,
) -> Result<(), SyncError> {
    let Some(of_token) = of_token.filter(|id| !id.is_empty()) else {
        return Ok(());
    };
    let row = client.query_one(STORED, &[]).await?;
    let known: Option<String> = row.get("known");
    if let Some(other) = other(of_token, known, row.get("listed")) {
        return Err(refusal(of_token, &other));
    }
    client.execute(REMEMBER, &[&of_token]).await?;
    Ok(())
}

/// The same by what the locations name that Square lists: a token may be replaced
/// while a run goes on. One of them is enough, for any may name what it likes; if none
/// of them names the merchant that is stored, the token is asked for its own.
///
/// # Errors
/// As `ensure`; Square's.
pub(crate) async fn ensure_of_locations(
    square: &Square,
    client: &impl GenericClient,
    given: &[&str],
) -> Result<(), SyncError> {
    let Some(first) = given.iter().find(|id| !id.is_empty()) else {
        return Ok(());
    };
    let row = client.query_one(STORED, &[]).await?;
    let known: Option<String> = row.get("known");
    let stored = known.map_or_else(|| row.get("listed"), |known| vec![known]);
    if stored.is_empty() || stored.iter().any(|id| given.contains(&id.as_str())) {
        return Ok(());
    }
    match square.retrieve_token_status().await?.merchant_id {
        Some(of_token) if !of_token.is_empty() => ensure(client, Some(&of_token)).await,
        _ => Err(refusal(first, &stored.join(" and "))),
    }
}

fn refusal(of_token: &str, other: &str) -> SyncError {
    let of_token = shorten(of_token);
    SyncError::ConfigInvalid {
        setting: "SQUARE_ACCESS_TOKEN".to_owned(),
        problem: format!(
            "is of merchant {of_token}, but the database holds the data of merchant {other}, and two \
merchants would add up. Use a token of {other}, or an empty database (DATABASE_URL) for {of_token}"
        ),
    }
}

/// The merchant whose data is stored, if it is not the token's.
fn other(of_token: &str, known: Option<String>, listed: Vec<String>) -> Option<String> {
    // Locations may name what they like; what was remembered, a token has named.
    if let Some(known) = known {
        return Some(known).filter(|id| id != of_token);
    }
    // Where an earlier release has let a second merchant in, one of them it must be.
    let is_listed = listed.is_empty() || listed.iter().any(|id| id == of_token);
    (!is_listed).then(|| listed.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::other;

    #[test]
    fn a_token_must_be_of_the_merchant_that_is_stored() {
        let other = |known: Option<&str>, listed: &[&str]| {
            let listed = listed.iter().map(|id| (*id).to_owned()).collect();
            other("A", known.map(str::to_owned), listed)
        };
        for (known, listed) in [
            (None, &[][..]),
            (Some("A"), &[]),
            (None, &["A"]),
            (None, &["A", "B"]),
            (Some("A"), &["A"]),
            (Some("A"), &["B"]),
        ] {
            assert_eq!(other(known, listed), None, "{known:?} {listed:?}");
        }
        for (known, listed) in [
            (Some("B"), &[][..]),
            (None, &["B"]),
            (Some("B"), &["A", "B"]),
        ] {
            assert_eq!(
                other(known, listed).as_deref(),
                Some("B"),
                "{known:?} {listed:?}"
            );
        }
    }
}
