//! From staging to the table: the statements that every data table shares.
//!
//! A table says its columns once; the statements that copy rows into staging,
//! keep one copy of each, apply what differs and mark what is gone are made from
//! that. Applying compares first and writes only rows that differ, so an idle
//! sync writes no row version at all.

use crate::postgres::plan::Access;
use crate::postgres::sql::{or_change, prefixed, same_key, values};
use crate::times::SOON;

/// A data table and its staging table of the same name.
#[derive(Debug)]
pub struct Table {
    /// The name in the public schema and in `staging`.
    pub name: &'static str,
    /// The name in statistics and in quarantine.
    pub data_type: &'static str,
    /// The primary key.
    pub key: &'static [&'static str],
    /// The data columns of both tables, the key included.
    pub columns: &'static [&'static str],
    /// Columns that only staging has, after the others.
    pub staging_only: &'static [&'static str],
    /// The column that says which of two copies is newer; a copy older than the
    /// table's own row is left alone, unless that row is of a time still to come.
    pub version: &'static str,
    /// The column that says when Square changed an object last; none where deltas do
    /// not go by it.
    pub changed_at: Option<&'static str>,
    /// The expressions that make one staged copy win over another of the same key: the
    /// first that differs decides, and the greatest wins.
    pub rank: &'static [&'static str],
    /// Whether staged rows marked as deleted are tombstones, which carry no data.
    pub has_tombstones: bool,
    /// That a row lives, in SQL; `@` stands for the row.
    pub live: &'static str,
    /// Whether its rows are objects of a data type; else they hang on such rows.
    pub is_object: bool,
    /// The columns that refer to another table's `id`, and that table.
    pub parents: &'static [(&'static str, &'static str)],
    /// The column with the id of the object that holds the rows at Square, and that
    /// object's data type.
    pub held_by: Option<(&'static str, &'static str)>,
    /// The absent rows that are there all the same: a query for their ids, as `id`, by
    /// what else the same listing holds. Parameter: attempt.
    pub vouched: Option<&'static str>,
    /// Where each change of a row is kept.
    pub history: Option<History>,
}

/// A table of the changes of another one's rows.
#[derive(Debug)]
pub struct History {
    pub name: &'static str,
    /// Columns of both tables. Rows without the other table's `version` are not kept.
    pub columns: &'static [&'static str],
}

impl Table {
    /// Stages the rows that wait in quarantine for their parent once more, with
    /// `seq` 0. Parameter: attempt.
    #[must_use]
    pub fn replay_sql(&self) -> String {
        let mut columns = self.columns.to_vec();
        columns.extend(self.staging_only);
        format!(
            "insert into staging.{name} (attempt, seq, {columns}) \
             select $1, 0, {values} from sync_quarantine q \
             cross join lateral jsonb_populate_record(null::staging.{name}, q.payload) r \
             where q.data_type = '{data_type}' and q.replayable and q.resolved_at is null",
            name = self.name,
            data_type = self.data_type,
            columns = columns.join(", "),
            values = prefixed(&columns, "r."),
        )
    }

    /// Up to when `version` is believed, as it counts time: Square's versions are
    /// milliseconds since 1970.
    pub(crate) fn soon(&self) -> String {
        if self.version.ends_with("_at") {
            SOON.to_owned()
        } else {
            format!("(extract(epoch from {SOON}) * 1000)::bigint")
        }
    }

    /// Keeps the winning copy of each staged key. One from a time that is still to come
    /// wins over none that is not: Square gives it again as long as it stands. The values
    /// stay a subquery, which is hashed: few rows of all there are have them. Parameters:
    /// attempt, values of the key's first column; null for all.
    #[must_use]
    pub fn dedupe_sql(&self) -> String {
        let rank: Vec<String> = self
            .rank
            .iter()
            .flat_map(|by| {
                let is_time = !self.version.is_empty() && by.contains(self.version);
                let known = format!("({by} <= {}) desc", self.soon());
                is_time
                    .then_some(known)
                    .into_iter()
                    .chain([format!("{by} desc")])
            })
            .collect();
        format!(
            "delete from staging.{name} where ctid = any (array( \
             select at from (select ctid as at, \
             row_number() over (partition by {key} order by {rank}) as place \
             from staging.{name} where attempt = $1 and ($2::text[] is null \
             or {first} in (select unnest($2::text[])))) ranked where place > 1))",
            name = self.name,
            first = self.key[0],
            key = self.key.join(", "),
            rank = rank.join(", "),
        )
    }

    /// Whether the table has no row at all.
    #[must_use]
    pub fn is_empty_sql(&self) -> String {
        format!("select not exists (select from {})", self.name)
    }

    /// Inserts what is staged into the empty table: there is nothing to compare it with,
    /// and nothing to give way to. Parameters: attempt, run id.
    #[must_use]
    pub fn insert_sql(&self) -> String {
        format!(
            "insert into {name} ({columns}, first_synced_at, last_changed_at, last_changed_by_run) \
             select {columns}, now(), now(), $2 from staging.{name} \
             where attempt = $1{live} order by {key}",
            name = self.name,
            columns = self.columns.join(", "),
            live = self.staged_live(),
            key = self.key.join(", "),
        )
    }

    /// Keeps what [`insert_sql`](Self::insert_sql) has inserted as its rows' first change.
    /// Parameter: attempt.
    #[must_use]
    pub fn first_history_sql(&self) -> Option<String> {
        let rows = format!(
            "(select * from staging.{} where attempt = $1{} order by {}) first",
            self.name,
            self.staged_live(),
            self.key.join(", ")
        );
        Some(self.history.as_ref()?.keep_sql(&rows, self.version))
    }

    /// Inserts new rows and changes those that differ, keeps both in the history, and
    /// returns how many of each. Parameters: attempt, run id.
    ///
    /// Rows go in by the order of their keys: an index that grows at its end takes half
    /// the time of one that grows everywhere.
    #[must_use]
    pub fn upsert_sql(&self, access: Access) -> String {
        let (wanted, further) = match &self.history {
            Some(history) => (
                format!("{}, ", history.columns.join(", ")),
                format!(", kept as ({})", history.keep_sql("written", self.version)),
            ),
            None => (String::new(), String::new()),
        };
        let values = values(self.columns, self.key);
        format!(
            "with changed as (select s.* from {changed} order by {key}), \
             written as (insert into {name} \
             ({columns}, first_synced_at, last_changed_at, last_changed_by_run) \
             select {columns}, now(), now(), $2 from changed \
             {or_change} returning {wanted}(xmax = 0) as is_new){further} \
             select count(*) filter (where is_new) as created, \
             count(*) filter (where not is_new) as updated from written",
            name = self.name,
            changed = self.changed_from(access, ""),
            key = prefixed(self.key, "s."),
            columns = self.columns.join(", "),
            or_change = or_change(self.key, &values),
        )
    }

    /// The staged rows (`s`) that are new or differ from the table's own (`t`), beside
    /// what another join finds of them, as far as the conditions. Parameter: attempt.
    pub(super) fn changed_from(&self, access: Access, join: &str) -> String {
        let live = if self.has_tombstones {
            "not s.is_deleted and "
        } else {
            ""
        };
        let newer = if self.version.is_empty() {
            String::new()
        } else {
            format!(
                "(s.{v} is null or t.{v} is null or s.{v} >= t.{v} or t.{v} > {soon}) and ",
                v = self.version,
                soon = self.soon(),
            )
        };
        let revived = if self.has_tombstones && access == Access::LookUps {
            format!("(not t.is_deleted or {REVIVED}) and ")
        } else {
            String::new()
        };
        format!(
            "staging.{name} s {current}{join} \
             where s.attempt = $1 and {live}(t.{first} is null or \
             {newer}{revived}({theirs}) is distinct from ({ours}))",
            name = self.name,
            current = access.left_join(self.name, "t", &access.same_key(self.key, "s", "t")),
            first = self.key[0],
            theirs = prefixed(self.columns, "t."),
            ours = prefixed(self.columns, "s."),
        )
    }

    /// Counts the live rows that are staged. Parameter: attempt.
    #[must_use]
    pub fn staged_sql(&self) -> String {
        let live = self.staged_live();
        format!(
            "select count(*) from staging.{} where attempt = $1{live}",
            self.name
        )
    }

    /// That a staged row carries data.
    fn staged_live(&self) -> &'static str {
        if self.has_tombstones {
            " and not is_deleted"
        } else {
            ""
        }
    }

    /// Marks rows as deleted: those with a tombstone and, when everything was
    /// listed, those that are absent. Parameters: attempt, run id.
    #[must_use]
    pub fn mark_deleted_sql(&self, access: Access) -> String {
        let (tombstone, time) = if self.has_tombstones {
            ("s.is_deleted", "coalesce(s.updated_at, now())")
        } else {
            ("false", "now()")
        };
        let (candidates, gone) = match access {
            Access::Sets => (
                self.listing(),
                format!(
                    "({tombstone} and q.object_id is null or {}{})",
                    self.absent(),
                    self.vouched.map_or("", |_| " and w.id is null"),
                ),
            ),
            Access::LookUps => {
                let same = access.same_key(self.key, "s", "t");
                let candidates = format!(
                    "staging.{name} s {current} {aside}",
                    name = self.name,
                    current = access.join(self.name, "t", &format!("s.attempt = $1 and {same}")),
                    aside = self.aside(),
                );
                (candidates, format!("{tombstone} and q.object_id is null"))
            }
        };
        self.mark_sql(&format!(
            "(select t.*, {time} as gone_at from {candidates} \
             where not t.is_deleted and {gone})"
        ))
    }

    /// Counts live rows, and of them those a whole listing lacks. Parameter: attempt.
    #[must_use]
    pub fn absent_count_sql(&self) -> String {
        format!(
            "select count(*) as live, count(*) filter (where {absent}) as absent \
             from {listing} where {lives}",
            absent = self.absent(),
            listing = self.listing(),
            lives = self.lives("t"),
        )
    }

    /// A column of the rows that a whole listing lacks. Parameter: attempt.
    #[must_use]
    pub fn absent_sql(&self, column: &str) -> String {
        format!(
            "select distinct t.{column} from {listing} where {lives} and {absent}",
            listing = self.listing(),
            lives = self.lives("t"),
            absent = self.absent(),
        )
    }

    /// The table's rows (`t`) beside what this attempt has staged of them (`s`), set
    /// aside (`q`), and vouched for (`w`).
    fn listing(&self) -> String {
        let vouched = self.vouched.map_or_else(String::new, |ids| {
            format!(" left join ({ids}) w on w.id = t.{}", self.key[0])
        });
        format!(
            "{name} t left join staging.{name} s on s.attempt = $1 and {same} {aside}{vouched}",
            name = self.name,
            same = same_key(self.key, "s", "t"),
            aside = self.aside(),
        )
    }

    fn aside(&self) -> String {
        quarantined_sql(self.data_type, &self.object_id("t"))
    }

    /// That a row of `listing` is absent: neither it nor a trace of it is there, nor an
    /// object that might be it.
    fn absent(&self) -> String {
        format!("s.attempt is null and q.object_id is null and {ALL_NAMED}")
    }

    /// That a row lives.
    #[must_use]
    pub fn lives(&self, alias: &str) -> String {
        self.live.replace('@', alias)
    }

    /// Whether its rows can be marked as deleted.
    #[must_use]
    pub fn can_delete(&self) -> bool {
        self.columns.contains(&"is_deleted")
    }

    /// That a row is there and not marked as deleted: a location that is not active is
    /// listed and counted like any other.
    #[must_use]
    pub fn is_there(&self, alias: &str) -> String {
        if self.can_delete() {
            self.lives(alias)
        } else {
            "true".to_owned()
        }
    }

    /// Marks the rows of `gone` as deleted: all columns of the table and `gone_at`.
    /// They are found by their key, however the planner would join them. Parameter
    /// $2: run id.
    #[must_use]
    pub fn mark_sql(&self, gone: &str) -> String {
        let values: Vec<String> = self
            .columns
            .iter()
            .map(|column| match *column {
                "is_deleted" => "true".to_owned(),
                "deleted_at" => "g.gone_at".to_owned(),
                column => format!("g.{column}"),
            })
            .collect();
        format!(
            "insert into {name} ({columns}, first_synced_at, last_changed_at, last_changed_by_run) \
             select {values}, g.first_synced_at, now(), $2 from {gone} g {or_change}",
            name = self.name,
            columns = self.columns.join(", "),
            values = values.join(", "),
            or_change = or_change(self.key, &["is_deleted", "deleted_at"]),
        )
    }

    /// The object's id in quarantine: its key, joined by colons.
    #[must_use]
    pub fn object_id(&self, alias: &str) -> String {
        let parts: Vec<String> = self
            .key
            .iter()
            .map(|column| format!("{alias}.{column}"))
            .collect();
        parts.join(" || ':' || ")
    }
}

impl History {
    /// Keeps these rows. A change that is kept already came with another copy.
    fn keep_sql(&self, rows: &str, version: &str) -> String {
        let (name, columns) = (self.name, self.columns.join(", "));
        format!(
            "insert into {name} ({columns}) select {columns} from {rows} \
             where {version} is not null on conflict do nothing"
        )
    }
}

/// That a staged copy (`s`) is newer than the deletion of the table's row (`t`): what
/// changes name may be a copy from before it. What is listed alive, lives.
pub(crate) const REVIVED: &str = "(s.version > t.version or s.updated_at > t.deleted_at)";

/// That this attempt has set nothing aside without its id: else no row can be told
/// to be absent.
pub(crate) const ALL_NAMED: &str =
    "not exists (select from staging.quarantine where attempt = $1 and not is_named)";

/// Joins, as `q`, what this attempt has set aside of a data type under that id.
pub(crate) fn quarantined_sql(data_type: &str, object_id: &str) -> String {
    format!(
        "left join (select distinct object_id from staging.quarantine \
         where attempt = $1 and data_type = '{data_type}') q on q.object_id = {object_id}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELVES: Table = Table {
        name: "shelves",
        data_type: "shelves",
        key: &["id"],
        columns: &["id", "label", "version"],
        staging_only: &[],
        version: "version",
        changed_at: Some("updated_at"),
        rank: &["coalesce(version, 0)", "seq"],
        has_tombstones: false,
        live: "not @.is_deleted",
        is_object: true,
        parents: &[],
        held_by: None,
        vouched: None,
        history: None,
    };

    #[test]
    fn an_upsert_reads_as_one_would_write_it() {
        assert_eq!(
            SHELVES.upsert_sql(Access::Sets),
            "with changed as (select s.* from staging.shelves s left join shelves t on s.id = t.id \
             where s.attempt = $1 and (t.id is null or \
             (s.version is null or t.version is null or s.version >= t.version \
             or t.version > (extract(epoch from (now() + interval '5 minutes')) * 1000)::bigint) and \
             (t.id, t.label, t.version) is distinct from (s.id, s.label, s.version)) order by s.id), \
             written as (insert into shelves \
             (id, label, version, first_synced_at, last_changed_at, last_changed_by_run) \
             select id, label, version, now(), now(), $2 from changed \
             on conflict (id) do update set label = excluded.label, version = excluded.version, \
             last_changed_at = excluded.last_changed_at, \
             last_changed_by_run = excluded.last_changed_by_run returning (xmax = 0) as is_new) \
             select count(*) filter (where is_new) as created, \
             count(*) filter (where not is_new) as updated from written"
        );
    }

    #[test]
    fn the_greatest_rank_wins() {
        assert!(SHELVES.dedupe_sql().contains(
            "partition by id order by (coalesce(version, 0) <= \
                     (extract(epoch from (now() + interval '5 minutes')) * 1000)::bigint) desc, \
                     coalesce(version, 0) desc, seq desc"
        ));
    }
}
