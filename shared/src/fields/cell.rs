//! A value on its way into a COPY.

use std::error::Error;

use bytes::BytesMut;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;
use tokio_postgres::types::{IsNull, Json, ToSql, Type, to_sql_checked};

use crate::postgres::copy::Values;

/// A column's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Ordinal(i32),
    Integer(i64),
    Boolean(bool),
    Decimal(Decimal),
    Time(Timestamp),
    Texts(Vec<String>),
    Json(Value),
}

impl Cell {
    /// The text, of one that holds any.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A row's values, in the order of the columns.
pub(crate) fn values(row: &[Cell]) -> Values<'_> {
    row.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Cell {
    fn to_sql(
        &self,
        column: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Text(text) => text.to_sql_checked(column, out),
            Self::Ordinal(number) => number.to_sql_checked(column, out),
            Self::Integer(number) => number.to_sql_checked(column, out),
            Self::Boolean(is_so) => is_so.to_sql_checked(column, out),
            Self::Decimal(number) => number.to_sql_checked(column, out),
            Self::Time(time) => time.to_sql_checked(column, out),
            Self::Texts(texts) => texts.to_sql_checked(column, out),
            Self::Json(value) => Json(value).to_sql_checked(column, out),
        }
    }

    /// Each value says for itself.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_fits_its_own_type_of_column_alone() {
        let fits =
            |cell: &Cell, column: &Type| cell.to_sql_checked(column, &mut BytesMut::new()).is_ok();
        let columns = [
            (Cell::Text("a".to_owned()), Type::TEXT),
            (Cell::Ordinal(1), Type::INT4),
            (Cell::Integer(1), Type::INT8),
            (Cell::Boolean(true), Type::BOOL),
            (Cell::Decimal(Decimal::ONE), Type::NUMERIC),
            (Cell::Time(Timestamp::UNIX_EPOCH), Type::TIMESTAMPTZ),
            (Cell::Texts(Vec::new()), Type::TEXT_ARRAY),
            (Cell::Json(Value::Null), Type::JSONB),
        ];
        for (n, (cell, own)) in columns.iter().enumerate() {
            assert!(fits(cell, own) && fits(&Cell::Null, own), "{own}");
            for (m, (_, other)) in columns.iter().enumerate() {
                assert!(n == m || !fits(cell, other), "{cell:?} in {other}");
            }
        }
    }
}
