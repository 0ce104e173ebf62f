//! Text in a step's messages: that PostgreSQL cannot hold some of it (see
//! `square::gate`, which takes that out of every answer), and Square's own words.

/// The longest foreign text that stands in a message, in characters.
const FOREIGN_MAX: usize = 200;
/// The longest message that a run keeps, in bytes. Step Functions passes on 256 KB
/// between two states.
const MESSAGE_MAX: usize = 4_000;

/// A text of Square's for a message: on one line, and cut.
#[must_use]
pub fn shorten(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let short: String = chars.by_ref().take(FOREIGN_MAX).collect();
    if chars.next().is_some() {
        format!("{short}…")
    } else {
        short
    }
}

/// Messages that a step passes on, none longer than can be passed on.
#[must_use]
pub fn within_limits(mut messages: Vec<String>) -> Vec<String> {
    for message in &mut messages {
        if message.len() > MESSAGE_MAX {
            message.truncate(message.floor_char_boundary(MESSAGE_MAX));
            message.push('…');
        }
    }
    messages
}

/// Returns the note of a step in whose answers so many characters were replaced or
/// removed.
#[must_use]
pub fn note(cleaned: u64) -> Option<String> {
    (cleaned > 0).then(|| {
        format!(
            "{cleaned} character(s) that PostgreSQL cannot hold were removed (U+0000) or became \
U+FFFD (halves of surrogate pairs)."
        )
    })
}
