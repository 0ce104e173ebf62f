//! What a step says of text that PostgreSQL cannot hold: see `square::gate`, which
//! takes it out of every answer.

/// What a step should warn of in whose answers so many characters were replaced or
/// removed.
#[must_use]
pub fn warning(cleaned: u64) -> Option<String> {
    (cleaned > 0).then(|| {
        format!(
            "{cleaned} character(s) that PostgreSQL cannot hold were removed (U+0000) or became \
U+FFFD (halves of surrogate pairs)."
        )
    })
}
