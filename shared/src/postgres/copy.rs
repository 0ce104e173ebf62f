//! Rows into a COPY, in PostgreSQL's binary format.
//!
//! The driver has a writer for it that sends a few rows at a time; here a whole chunk
//! goes at once, because every sending wakes two tasks and the server.

use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt;
use tokio_postgres::types::{IsNull, ToSql, Type};
use tokio_postgres::{CopyInSink, Statement};

use crate::error::SyncError;

/// A row's values, in the order of the columns.
pub(crate) type Values<'r> = Vec<&'r (dyn ToSql + Sync)>;

/// Bytes that are sent at once.
const CHUNK: usize = 64 * 1_024;

/// What each COPY begins with: the signature, no flags and no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Stands for a value that is null, and ends the rows.
const NONE: i32 = -1;

/// The types of the columns that a query returns.
pub(crate) fn types(described: &Statement) -> Vec<Type> {
    let columns = described.columns().iter();
    columns.map(|column| column.type_().clone()).collect()
}

/// Writes rows into a COPY and ends it. Returns how many there were.
///
/// # Errors
/// The database's; `Internal` for a value that is not of its column's type.
pub(crate) async fn write<'r>(
    sink: CopyInSink<Bytes>,
    types: &[Type],
    rows: impl Iterator<Item = Values<'r>>,
) -> Result<u64, SyncError> {
    let mut sink = pin!(sink);
    let mut chunk = BytesMut::with_capacity(CHUNK + CHUNK / 4);
    chunk.put_slice(HEADER);
    for values in rows {
        encode(&values, types, &mut chunk)?;
        if chunk.len() >= CHUNK {
            sink.send(chunk.split().freeze()).await?;
            chunk.reserve(CHUNK + CHUNK / 4);
        }
    }
    chunk.put_i16(-1);
    sink.send(chunk.freeze()).await?;
    Ok(sink.finish().await?)
}

/// Adds a row: how many values, and each with its length before it.
fn encode(values: &Values<'_>, types: &[Type], chunk: &mut BytesMut) -> Result<(), SyncError> {
    let count = i16::try_from(values.len()).ok();
    let count = count.filter(|_| values.len() == types.len());
    let count = count.ok_or_else(|| {
        let (values, columns) = (values.len(), types.len());
        SyncError::Internal(format!("{values} values for {columns} columns"))
    })?;
    chunk.put_i16(count);
    for (value, of_type) in values.iter().zip(types) {
        let place = chunk.len();
        chunk.put_i32(NONE);
        let wrong = |error| SyncError::Internal(format!("a value for {of_type}: {error}"));
        if let IsNull::No = value.to_sql_checked(of_type, chunk).map_err(wrong)? {
            let length = chunk.len() - place - size_of::<i32>();
            let length = i32::try_from(length).map_err(|error| wrong(error.into()))?;
            chunk[place..place + size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_written_as_postgresql_describes_it() {
        let types = [Type::TEXT, Type::INT4, Type::TEXT];
        let mut chunk = BytesMut::new();
        encode(&vec![&"ab", &7_i32, &None::<String>], &types, &mut chunk).unwrap();
        let expected: &[u8] = &[
            0, 3, 0, 0, 0, 2, b'a', b'b', 0, 0, 0, 4, 0, 0, 0, 7, 255, 255, 255, 255,
        ];
        assert_eq!(&chunk[..], expected);
        assert_eq!(HEADER.len(), 11 + 4 + 4);
    }

    #[test]
    fn values_that_do_not_fit_their_columns_are_refused() {
        let mut chunk = BytesMut::new();
        for (values, types) in [
            (vec![&1_i32 as &(dyn ToSql + Sync)], &[Type::TEXT][..]),
            (vec![&1_i32], &[Type::INT4, Type::INT4]),
        ] {
            let error = encode(&values, types, &mut chunk).unwrap_err();
            assert_eq!(error.name(), "Internal", "{error}");
        }
    }
}
