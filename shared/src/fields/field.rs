//! Columns, the tables of lists, and where Square has their values.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, enums among it.
    Text,
    /// A whole number, which Square at times sends as text.
    Integer,
    Boolean,
    /// An exact number, which Square sends as text: quantities and percentages.
    Decimal,
    Time,
    /// The amount of a `Money`, in the currency's smallest unit; the sum of a list of them.
    Money,
    /// The currency of the row's amounts.
    Currency,
    /// A list of texts; without one, an empty list.
    Texts,
    /// As Square gives it.
    Json,
}

/// A column, and the path to its value (see `path`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) column: &'static str,
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
}

impl Field {
    const fn new(column: &'static str, path: &'static str, kind: Kind) -> Self {
        Self { column, path, kind }
    }
}

pub(crate) const fn text(column: &'static str, path: &'static str) -> Field {
    Field::new(column, path, Kind::Text)
}

pub(crate) const fn integer(column: &'static str, path: &'static str) -> Field {
    Field::new(column, path, Kind::Integer)
}

pub(crate) const fn boolean(column: &'static str, path: &'static str) -> Field {
    Field::new(column, path, Kind::Boolean)
}

pub(crate) const fn decimal(column: &'static str, path: &'static str) -> Field {
    Field::new(column, path, Kind::Decimal)
}

pub(crate) const fn time(column: &'static str, path: &'static str) -> Field {
    Field::new(column, path, Kind::Time)
}

pub(crate) const fn money(column: &'static str, path: &'static str) -> Field {
    Field::new(column, path, Kind::Money)
}

pub(crate) const fn texts(column: &'static str, path: &'static str) -> Field {
    Field::new(column, path, Kind::Texts)
}

pub(crate) const fn json(column: &'static str, path: &'static str) -> Field {
    Field::new(column, path, Kind::Json)
}

/// The column `currency`, of this row's amounts.
pub(crate) const fn currency() -> Field {
    Field::new("currency", "", Kind::Currency)
}

/// A table of what an object holds in a list: its parent's id, a name, a number from 0
/// on, and the fields of each element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Child {
    pub(crate) table: &'static str,
    /// The way to the list, through others: `line_items[].modifiers[]`. All elements
    /// that it leads to are numbered and named together.
    pub(crate) path: &'static str,
    /// The column of the parent's id.
    pub(crate) parent: &'static str,
    /// The column of the element's name, and the field that Square has it in (see `names`).
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

/// How many columns come before a child's fields.
pub(crate) const CHILD_HEAD: usize = 3;

impl Child {
    /// The columns of its table: `N` is `CHILD_HEAD` and how many fields it has.
    pub(crate) const fn columns<const N: usize>(&self) -> [&'static str; N] {
        let mut columns = [""; N];
        columns[0] = self.parent;
        columns[1] = self.name;
        columns[2] = "ordinal";
        let mut at = CHILD_HEAD;
        while at < N {
            columns[at] = self.fields[at - CHILD_HEAD].column;
            at += 1;
        }
        columns
    }
}
