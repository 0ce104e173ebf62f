//! How many rows there are, where counting them all would take too long.

/// The most that is counted row by row.
pub(super) const COUNTED_MAX: i64 = 1_000;

/// The number of some rows, as far as it costs little to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    Exactly(i64),
    About(i64),
    MoreThan(i64),
}

impl Amount {
    /// Of what was counted, up to one more than is counted, and what statistics say.
    pub(super) fn new(counted: i64, estimated: i64) -> Self {
        if counted <= COUNTED_MAX {
            Self::Exactly(counted)
        } else if estimated > COUNTED_MAX {
            Self::About(estimated)
        } else {
            Self::MoreThan(COUNTED_MAX)
        }
    }
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
