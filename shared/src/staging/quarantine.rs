//! Rows that cannot be stored yet: they are kept whole, named, and tried again.
//!
//! An object that cannot be read, or whose parent Square never gave, must
//! neither fail the step nor vanish. It waits in `sync_quarantine` until it
//! fits, or until Square no longer has it.

use deadpool_postgres::{GenericClient, Transaction};
use serde::Serialize;

use super::load::Refused;
use super::table::{ALL_NAMED, Table, quarantined_sql};
use crate::error::SyncError;
use crate::postgres::plan::Access;
use crate::run::ledger::Ledger;
use crate::square::{Broken, ID_BYTES_MAX};
use crate::times::SOON;

/// An object's id, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Known(String),
    /// Longer than any id that the tables hold.
    Foreign,
    /// It may be that of any row.
    Unknown,
}

impl Name {
    /// The name made of an object's key.
    fn of(broken: &Broken, key_fields: &[&str]) -> Self {
        let parts: Option<Vec<String>> = key_fields
            .iter()
            .map(|field| broken.text(field).filter(|part| !part.is_empty()))
            .collect();
        match parts {
            None => Self::Unknown,
            Some(parts) if parts.iter().any(|part| part.len() > ID_BYTES_MAX) => Self::Foreign,
            Some(parts) => Self::Known(parts.join(":")),
        }
    }

    /// The object's id; without one it is known by its content.
    fn object_id(self) -> Option<String> {
        match self {
            Self::Known(id) => Some(id),
            Self::Foreign | Self::Unknown => None,
        }
    }
}

/// Stages objects that could not be read, under the ids in `key_fields`. Of one
/// without a data type nothing is known, not even that.
///
/// # Errors
/// The database's.
pub async fn stage_broken(
    client: &impl GenericClient,
    attempt: i64,
    key_fields: &[&str],
    broken: Vec<(Option<&'static str>, Broken)>,
    default_type: &'static str,
    ledger: &mut Ledger,
) -> Result<(), SyncError> {
    for (data_type, broken) in broken {
        let name = Name::of(&broken, key_fields);
        let is_named = data_type.is_some() && name != Name::Unknown;
        let aside = Aside {
            data_type: data_type.unwrap_or(default_type),
            object_id: name.object_id(),
            reason: unreadable(&broken.problem),
            payload: broken.payload,
            replayable: false,
        };
        aside.stage(client, attempt, is_named, ledger).await?;
    }
    Ok(())
}

/// Stages rows that PostgreSQL refused one by one.
///
/// # Errors
/// The database's.
pub async fn stage_refused<R: Serialize>(
    client: &impl GenericClient,
    attempt: i64,
    refused: Vec<Refused<'_, R>>,
    ledger: &mut Ledger,
) -> Result<(), SyncError> {
    for Refused {
        table,
        row,
        sqlstate,
    } in refused
    {
        let aside = Aside::refused(table, row, &sqlstate)?;
        aside.stage(client, attempt, true, ledger).await?;
    }
    Ok(())
}

fn unreadable(problem: &str) -> String {
    format!("Cannot be read: {problem}.")
}

/// Why an object waits that PostgreSQL refused.
pub(crate) fn unstorable(sqlstate: &str) -> String {
    format!("Cannot be stored: PostgreSQL refused it (SQLSTATE {sqlstate}).")
}

/// An object without its place among the tables.
#[derive(Debug)]
pub struct Aside {
    pub data_type: &'static str,
    /// None where the object does not say; then it is known by its content.
    pub object_id: Option<String>,
    pub reason: String,
    /// JSON.
    pub payload: String,
    /// Whether it only waits for its parent.
    pub replayable: bool,
}

impl Aside {
    /// An object that could not be read.
    #[must_use]
    pub fn broken(data_type: &'static str, key_fields: &[&str], broken: Broken) -> Self {
        Self {
            data_type,
            object_id: Name::of(&broken, key_fields).object_id(),
            reason: unreadable(&broken.problem),
            payload: broken.payload,
            replayable: false,
        }
    }

    /// A row that PostgreSQL refused.
    ///
    /// # Errors
    /// `Internal` if it cannot be written as JSON.
    pub(crate) fn refused(
        table: &Table,
        row: &impl Serialize,
        sqlstate: &str,
    ) -> Result<Self, SyncError> {
        let row = serde_json::to_value(row);
        let row = row.map_err(|error| SyncError::Internal(error.to_string()))?;
        let key: Vec<&str> = table
            .key
            .iter()
            .filter_map(|key| row[key].as_str())
            .collect();
        Ok(Self {
            data_type: table.data_type,
            object_id: Some(key.join(":")),
            reason: unstorable(sqlstate),
            payload: row.to_string(),
            replayable: false,
        })
    }

    async fn stage(
        &self,
        client: &impl GenericClient,
        attempt: i64,
        is_named: bool,
        ledger: &mut Ledger,
    ) -> Result<(), SyncError> {
        client
            .execute(
                STAGE,
                &[
                    &attempt,
                    &self.data_type,
                    &self.object_id,
                    &self.reason,
                    &self.payload,
                    &self.replayable,
                    &is_named,
                ],
            )
            .await?;
        ledger.set_aside();
        Ok(())
    }

    /// Puts it into `sync_quarantine`, where an object waits once.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep(&self, client: &impl GenericClient, run_id: &str) -> Result<(), SyncError> {
        client
            .execute(
                KEEP,
                &[
                    &self.data_type,
                    &self.object_id,
                    &self.reason,
                    &self.payload,
                    &self.replayable,
                    &run_id,
                ],
            )
            .await?;
        Ok(())
    }
}

/// Parameters: attempt, data type, object id, reason, payload, whether it is
/// replayable, whether it is named.
const STAGE: &str = "
    insert into staging.quarantine
        (attempt, seq, data_type, object_id, reason, payload, replayable, is_named)
    values ($1, 1, $2, coalesce($3, md5($5::text)), $4, staging.payload($5), $6, $7)";

/// Parameters: data type, object id, reason, payload, whether it is replayable, run id.
const KEEP: &str = "
    insert into sync_quarantine as q
        (data_type, object_id, reason, payload, replayable, run_id)
    values ($1, coalesce($2, md5($4::text)), $3, staging.payload($4), $5, $6)
    on conflict (data_type, object_id) where resolved_at is null
    do update set reason = excluded.reason, payload = excluded.payload,
        replayable = excluded.replayable, run_id = excluded.run_id, last_seen_at = now()";

/// The number of objects that are tried again at a time.
const BATCH: i64 = 1_000;

/// Objects of these data types that could not be read when they came, in the order
/// in which they came: after the one of that number, a batch at most. A later
/// release may read more than the one that set them aside.
///
/// # Errors
/// The database's.
pub async fn unreadable_after(
    client: &impl GenericClient,
    data_types: &[&str],
    number: i64,
) -> Result<Vec<(i64, String)>, SyncError> {
    let rows = client
        .query(UNREADABLE, &[&data_types, &number, &BATCH])
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Parameters: data types, the number to go on from, how many.
const UNREADABLE: &str = "
    select id, coalesce(payload #>> '{}', 'null') from sync_quarantine
    where data_type = any ($1) and not replayable and resolved_at is null and id > $2
    order by id limit $3";

/// Closes what has found its place.
///
/// # Errors
/// The database's.
pub async fn resolve(
    client: &impl GenericClient,
    data_type: &str,
    object_ids: &[&str],
) -> Result<(), SyncError> {
    client
        .execute(
            "update sync_quarantine set resolved_at = now()
             where data_type = $1 and resolved_at is null and object_id = any ($2)",
            &[&data_type, &object_ids],
        )
        .await?;
    Ok(())
}

/// Counts the distinct objects of this run's pages that went to quarantine.
///
/// # Errors
/// The database's.
pub async fn count(
    transaction: &Transaction<'_>,
    attempt: i64,
    data_type: &str,
) -> Result<i64, SyncError> {
    let row = transaction
        .query_one(
            "select count(distinct object_id) from staging.quarantine
             where attempt = $1 and data_type = $2 and seq > 0",
            &[&attempt, &data_type],
        )
        .await?;
    Ok(row.get(0))
}

/// Returns the warning of a whole listing that holds objects without an id.
///
/// # Errors
/// The database's.
pub async fn unnamed_warning(
    client: &impl GenericClient,
    attempt: i64,
) -> Result<Option<String>, SyncError> {
    let unnamed: i64 = client.query_one(UNNAMED, &[&attempt]).await?.get(0);
    Ok((unnamed > 0).then(|| {
        format!(
            "Square gave {unnamed} object(s) without an id that can be told, so nothing that the \
list lacks was taken for deleted."
        )
    }))
}

/// Parameter: attempt.
const UNNAMED: &str = "select count(*) from staging.quarantine where attempt = $1 and not is_named";

/// Moves what this attempt could not place to `sync_quarantine`, and closes what
/// has found its place, or what a whole listing no longer showed.
///
/// # Errors
/// The database's.
pub async fn settle(
    transaction: &Transaction<'_>,
    table: &Table,
    attempt: i64,
    run_id: &str,
    access: Access,
) -> Result<(), SyncError> {
    transaction
        .execute(&keep_sql(access), &[&attempt, &table.data_type, &run_id])
        .await?;
    transaction
        .execute(&settle_sql(table, access), &[&attempt, &table.data_type])
        .await?;
    Ok(())
}

/// Keeps what was set aside, an object once. What waited before and was only tried
/// again is there already, unless everything was listed. Parameters: attempt, data
/// type, run id.
fn keep_sql(access: Access) -> String {
    let tried = match access {
        Access::Sets => "",
        Access::LookUps => " and seq > 0",
    };
    format!(
        "insert into sync_quarantine as q
             (data_type, object_id, reason, payload, replayable, run_id)
         select distinct on (object_id) data_type, object_id, reason, payload, replayable, $3
         from staging.quarantine
         where attempt = $1 and data_type = $2{tried}
         order by object_id, seq desc
         on conflict (data_type, object_id) where resolved_at is null
         do update set reason = excluded.reason, payload = excluded.payload,
             replayable = excluded.replayable, run_id = excluded.run_id, last_seen_at = now()"
    )
}

/// Closes what waits no longer: not given to quarantine again by this attempt,
/// and placed by it, deleted at Square, or absent from a whole listing.
/// Parameters: attempt, data type.
fn settle_sql(table: &Table, access: Access) -> String {
    let waiting = "w.data_type = $2 and w.resolved_at is null";
    // One that came without its id may be any of those that wait.
    let told = match access {
        Access::Sets => format!(" and {ALL_NAMED}"),
        Access::LookUps => String::new(),
    };
    // An older copy does not stand for a later one that waits, unless that is of a time
    // still to come.
    let (version, is_later) = if table.version == "version" {
        let waits = "case when jsonb_typeof(w.payload -> 'version') = 'number' \
                     then (w.payload ->> 'version')::numeric end";
        let later = format!("{waits} > s.version and {waits} <= {}", table.soon());
        ("max(s.version)", later)
    } else if table.version == "calculated_at" {
        // As text, because what waits may name a time that is none. Both are in UTC.
        let text =
            |time: &str, pattern: &str| format!("rtrim({}, '0')", pattern.replace('@', time));
        let waits = "w.payload ->> 'calculated_at'";
        let known = "'^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?(Z|\\+00:00)$'";
        let utc = "to_char(@ at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')";
        let cut = "regexp_replace(@, '(Z|\\+00:00)$', '')";
        let with_point = "case when @ like '%.%' then @ else @ || '.' end";
        let waits_text = text(&cut.replace('@', waits), with_point);
        let later = format!(
            "{waits} ~ {known} and {waits_text} collate \"C\" > {} and {waits_text} <= {}",
            text("s.version", utc),
            text(SOON, utc),
        );
        ("max(s.calculated_at)", later)
    } else {
        ("null", "false".to_owned())
    };
    let staged = format!(
        "(select {id} as object_id, {version} as version from staging.{name} s
            where s.attempt = $1 group by 1) s",
        id = table.object_id("s"),
        name = table.name,
    );
    let candidates = match access {
        Access::Sets => {
            format!("sync_quarantine w left join {staged} on s.object_id = w.object_id")
        }
        Access::LookUps => format!(
            "{staged}
             {placed}",
            placed = access.join(
                "sync_quarantine",
                "w",
                &format!("{waiting} and w.object_id = s.object_id")
            ),
        ),
    };
    format!(
        "update sync_quarantine set resolved_at = now() where ctid = any (array(
             select w.ctid from {candidates}
             {aside}
             where {waiting} and q.object_id is null{told} and ({is_later}) is not true))",
        aside = quarantined_sql(table.data_type, "w.object_id"),
    )
}

/// For the test that prepares every statement.
#[must_use]
pub fn statements(table: &Table) -> Vec<String> {
    let by_access = |access| [keep_sql(access), settle_sql(table, access)];
    let mut statements = [STAGE, KEEP, UNREADABLE, UNNAMED]
        .map(str::to_owned)
        .to_vec();
    statements.extend([Access::Sets, Access::LookUps].map(by_access).concat());
    statements
}
