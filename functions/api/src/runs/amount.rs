//! How many rows there are, where counting them all would take too long.

/// The most that is counted row by row.
pub(crate) const COUNTED_MAX: i64 = 1_000;

/// The number of some rows, as far as it costs little to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    Exactly(i64),
    About(i64),
    MoreThan(i64),
}

impl Amount {
    /// Of what was counted, up to one more than is counted, and what statistics say.
    pub(crate) fn new(counted: i64, estimated: i64) -> Self {
        if counted <= COUNTED_MAX {
            Self::Exactly(counted)
        } else if estimated > COUNTED_MAX {
            Self::About(estimated)
        } else {
            Self::MoreThan(COUNTED_MAX)
        }
    }
}

/// Returns a statement for the number of rows of each table, by the name that is given with
/// it: a few are counted, of many the statistics tell, because an open page asks again and
/// again. Parameter: how many are counted at most.
pub(crate) fn counting(tables: &[(&str, &str)]) -> String {
    let of_one = |(place, (name, table)): (usize, &(&str, &str))| {
        format!(
            "select {place} as place, '{name}' as name,
                (select count(*) from (select from {table} limit $1::bigint) few) as counted,
                (select reltuples::bigint from pg_class where oid = '{table}'::regclass)
                    as estimated"
        )
    };
    let counts: Vec<String> = tables.iter().enumerate().map(of_one).collect();
    format!(
        "select name, counted, estimated from ({}) counts order by place",
        counts.join(" union all ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_counted_and_of_many_the_statistics_tell() {
        for (counted, estimated, amount) in [
            (0, -1, Amount::Exactly(0)),
            // Statistics of another time.
            (7, 90_000, Amount::Exactly(7)),
            (1_000, 2_000, Amount::Exactly(1_000)),
            (1_001, 123_456, Amount::About(123_456)),
            (1_001, 900, Amount::MoreThan(1_000)),
            (1_001, -1, Amount::MoreThan(1_000)),
        ] {
            assert_eq!(
                Amount::new(counted, estimated),
                amount,
                "{counted} {estimated}"
            );
        }
    }
}
