//! A column's name beside the place where a row keeps its value: the columns of a
//! table, and what is copied into them, cannot come in two orders.

use tokio_postgres::types::ToSql;

/// A column of the rows `R`.
pub struct Column<R> {
    pub name: &'static str,
    pub value: for<'r> fn(&'r R) -> &'r (dyn ToSql + Sync),
}

/// The column of that name, with its value in a row.
#[must_use]
pub const fn column<R>(
    name: &'static str,
    value: for<'r> fn(&'r R) -> &'r (dyn ToSql + Sync),
) -> Column<R> {
    Column { name, value }
}

/// The columns' names.
#[must_use]
pub const fn names<R, const N: usize>(columns: &[Column<R>; N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = columns[at].name;
        at += 1;
    }
    names
}

/// A row's values, in the order of the columns.
pub fn values<'r, R>(
    columns: &[Column<R>],
    row: &'r R,
) -> impl Iterator<Item = &'r (dyn ToSql + Sync)> {
    columns.iter().map(move |column| (column.value)(row))
}
