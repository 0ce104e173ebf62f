//! A table and a temporary one beside it, with Square's copies of some of its rows: the
//! statements that compare them. They know the columns by the table's own list of them.

use crate::postgres::plan::Access;
use crate::staging::page_table::PageTable;
use crate::staging::table::Table;

/// A few rows are looked up in tables of any size.
const ACCESS: Access = Access::LookUps;

/// The most characters of a value that are told.
const VALUE_CHARS_MAX: usize = 200;

/// The temporary tables' own column: that the row's change may still be on its way.
pub(super) const IN_FLIGHT: &str = "in_flight";

/// A table whose rows are compared.
#[derive(Debug, Clone)]
pub(super) struct Twin {
    /// The name in the public schema.
    pub(super) name: &'static str,
    /// The type of its rows, as it is told.
    pub(super) row_type: &'static str,
    /// The first part is the id of the object that Square gives the rows with.
    key: &'static [&'static str],
    columns: &'static [&'static str],
    /// The staging table's columns that hold what hangs on a row.
    lists: &'static [&'static str],
    /// The table that has all these columns.
    model: String,
    /// That a row lives; `@` stands for the row.
    live: &'static str,
    /// The data type under which a row waits in quarantine, and how many parts of its key
    /// are its id there.
    waits_as: (&'static str, usize),
}

impl From<&Table> for Twin {
    fn from(table: &Table) -> Self {
        Self {
            name: table.name,
            row_type: table.data_type,
            key: table.key,
            columns: table.columns,
            lists: table.staging_only,
            model: format!("staging.{}", table.name),
            live: table.live,
            waits_as: (table.data_type, table.key.len()),
        }
    }
}

impl From<&PageTable> for Twin {
    fn from(table: &PageTable) -> Self {
        Self {
            name: table.name,
            row_type: table.name.trim_start_matches("order_"),
            key: table.key,
            columns: table.columns,
            lists: &[],
            model: format!("public.{}", table.name),
            live: "true",
            // An order waits as a whole.
            waits_as: ("orders", 1),
        }
    }
}

impl Twin {
    /// The temporary table's name.
    pub(super) fn copies(&self) -> String {
        format!("spot_{}", self.name)
    }

    /// Makes the temporary table. An order's JSON is left as it comes, for mostly it is
    /// only found equal: compressed or put elsewhere, it would be read back piece by piece.
    pub(super) fn create_sql(&self) -> String {
        let columns = [self.columns, self.lists].concat().join(", ");
        let (copies, model) = (self.copies(), &self.model);
        let plain = if self.columns.contains(&"raw") {
            format!(
                "; alter table {copies} alter column raw set storage external, \
                 set (toast_tuple_target = 8160)"
            )
        } else {
            String::new()
        };
        format!(
            "create temporary table {copies} on commit drop as \
             select {columns}, false as {IN_FLIGHT} from {model} with no data{plain}"
        )
    }

    /// Whether its rows can be marked as deleted.
    pub(super) fn can_delete(&self) -> bool {
        self.columns.contains(&"is_deleted")
    }

    /// A row's key, as it is told.
    fn id(&self, alias: &str, parts: usize) -> String {
        let parts = self.key.iter().take(parts);
        let parts: Vec<String> = parts.map(|part| format!("{alias}.{part}")).collect();
        parts.join(" || ':' || ")
    }

    /// Joins, as `q`, what waits in quarantine in the row's place.
    fn waiting(&self, alias: &str) -> String {
        let (data_type, parts) = self.waits_as;
        let id = self.id(alias, parts);
        let same =
            format!("q.data_type = '{data_type}' and q.object_id = {id} and q.resolved_at is null");
        ACCESS.left_join("sync_quarantine", "q", &same)
    }

    /// Spreads what the rows of this table list over that of their children, whose rows
    /// are on their way if their holder's are.
    pub(super) fn spread_sql(&self, list: &str, child: &Self) -> String {
        let (holder, [id]) = (child.key[0], self.key) else {
            unreachable!("what holds others has one column for a key")
        };
        format!(
            "insert into {copies} ({columns}, {IN_FLIGHT}) \
             select distinct on ({key}) {columns}, {IN_FLIGHT} from ( \
             select r.*, s.{IN_FLIGHT} from {holders} s \
             cross join lateral jsonb_array_elements(s.{list}) listed (value) \
             cross join lateral jsonb_populate_record(null::public.{child}, \
             listed.value || jsonb_build_object('{holder}', s.{id})) r \
             where not s.is_deleted) given order by {columns}",
            copies = child.copies(),
            columns = child.columns.join(", "),
            key = child.key.join(", "),
            holders = self.copies(),
            child = child.name,
        )
    }

    /// Marks copies as deleted whose parent is so here: what Square still gives of it
    /// follows it in a sync, too.
    pub(super) fn follow_sql(&self, reference: &str, parent: &Self) -> String {
        let same = format!("t.{} = s.{reference}", parent.key[0]);
        format!(
            "update {copies} set is_deleted = true where ctid = any (array( \
             select s.ctid from {copies} s {parents} where t.is_deleted))",
            copies = self.copies(),
            parents = ACCESS.join(parent.name, "t", &same),
        )
    }

    /// Takes out copies whose parents are not here: such rows wait in quarantine.
    pub(super) fn drop_orphans_sql(&self, reference: &str, parent: &Self) -> String {
        let same = format!("t.{} = s.{reference}", parent.key[0]);
        format!(
            "delete from {copies} where ctid = any (array( \
             select s.ctid from {copies} s {parents} where t.{id} is null and not s.{IN_FLIGHT}))",
            copies = self.copies(),
            parents = ACCESS.left_join(parent.name, "t", &same),
            id = parent.key[0],
        )
    }

    /// Names each column in which a row here is not as Square's copy, one row a column:
    /// the object's id, the row's, the column, both values, and whether the change may be
    /// on its way. A row that was written while Square was asked may be newer than the
    /// copy. Parameter: when Square was asked.
    pub(super) fn differing_sql(&self) -> String {
        let (first, id) = (self.key[0], self.id("s", self.key.len()));
        let (ours, square): (Vec<String>, Vec<String>) = self
            .told()
            .map(|column| {
                let when = |row| format!("when '{column}' then {row}.{column}::text");
                (when("t"), when("s"))
            })
            .unzip();
        format!(
            "select s.{first} as owner, {id} as id, c.name, \
             left(case c.name {ours} end, {VALUE_CHARS_MAX}) as ours, \
             left(case c.name when 'id' then {id} {square} end, {VALUE_CHARS_MAX}) as square, \
             s.{IN_FLIGHT} or coalesce(t.last_changed_at >= $1, false) as {IN_FLIGHT}, \
             true as differs \
             from {copies} s {current} {waiting} \
             cross join lateral (values {columns}) c (name, differs) \
             where c.differs and q.id is null order by id",
            ours = ours.join(" "),
            square = square.join(" "),
            copies = self.copies(),
            current = ACCESS.left_join(self.name, "t", &ACCESS.same_key(self.key, "s", "t")),
            waiting = self.waiting("s"),
            columns = self.differing().join(", "),
        )
    }

    /// The columns whose values are told. Of a deletion there is the fact at Square, and
    /// when it was seen here.
    fn told(&self) -> impl Iterator<Item = &'static str> {
        let columns = self.columns.iter().copied();
        columns.filter(|column| !self.key.contains(column) && *column != "deleted_at")
    }

    /// Each column with whether it differs; `id` stands for a row that is not here.
    fn differing(&self) -> Vec<String> {
        let both = format!("t.{} is not null", self.key[0]);
        let (gone, alive) = if self.can_delete() {
            (
                " and not s.is_deleted",
                " and not t.is_deleted and not s.is_deleted",
            )
        } else {
            ("", "")
        };
        let missing = format!("('id', t.{} is null{gone})", self.key[0]);
        let columns = self.told().map(|column| {
            let counts = if column == "is_deleted" { "" } else { alive };
            // A copy that does not name its holder does not deny it.
            let named = if column == "item_id" {
                " and s.item_id is not null"
            } else {
                ""
            };
            format!(
                "('{column}', {both}{counts}{named} and t.{column} is distinct from s.{column})"
            )
        });
        [missing].into_iter().chain(columns).collect()
    }

    /// How many copies there are.
    pub(super) fn count_sql(&self) -> String {
        format!("select count(*) from {}", self.copies())
    }

    /// Names the rows of some objects that Square has not given with them, as
    /// [`differing_sql`](Self::differing_sql) does, and whether they live, for else they
    /// are as gone here as there. Parameters: when Square was asked, the objects' ids,
    /// those of them that are on their way, and the ids of what cannot be read.
    pub(super) fn extra_sql(&self) -> String {
        let (first, id) = (self.key[0], self.id("t", self.key.len()));
        let (column, ours, square) = if self.can_delete() {
            ("is_deleted", "'false'".to_owned(), "'true'")
        } else if self.live == "true" {
            ("id", id.clone(), "null")
        } else {
            // Locations are never deleted.
            ("status", "t.status".to_owned(), "null")
        };
        let same: Vec<String> = self
            .key
            .iter()
            .map(|part| format!("s.{part} = t.{part}"))
            .collect();
        // Looked up before they are joined, or each could be joined with all copies.
        format!(
            "with t as materialized (select t.*, asked.id as asked_for \
             from unnest($2::text[]) asked (id) {current}) \
             select t.{first} as owner, {id} as id, '{column}' as name, {ours} as ours, \
             {square}::text as square, \
             t.asked_for = any ($3) or t.last_changed_at >= $1 as {IN_FLIGHT}, {live} as differs \
             from t left join {copies} s on {same} {waiting} \
             where s.{first} is null and {id} <> all ($4) and q.id is null order by id",
            current = ACCESS.join(self.name, "t", &format!("t.{first} = asked.id")),
            copies = self.copies(),
            same = same.join(" and "),
            waiting = self.waiting("t"),
            live = self.live.replace('@', "t"),
        )
    }

    /// For the test that prepares every statement.
    pub(super) fn statements(&self) -> [String; 3] {
        [self.count_sql(), self.differing_sql(), self.extra_sql()]
    }
}
