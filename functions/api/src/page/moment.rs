//! Moments: in UTC as they are written, in the reader's own zone where the page's
//! script runs. The zone stands once at the page's head.

use std::fmt::{self, Display, Formatter};

use askama::filters::HtmlSafe;
use jiff::Timestamp;

/// A moment to the minute, as HTML. Pointed at, it tells itself in UTC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moment {
    at: Timestamp,
    in_words: bool,
}

impl Moment {
    pub(crate) fn new(at: Timestamp) -> Self {
        Self {
            at,
            in_words: false,
        }
    }

    /// With the month by its name and without the year, for a heading.
    pub(crate) fn in_words(at: Timestamp) -> Self {
        Self { at, in_words: true }
    }

    /// Returns plain text, for where there is no HTML.
    pub(crate) fn utc(&self) -> String {
        format!("{} UTC", self.at.strftime(self.shape()))
    }

    fn shape(self) -> &'static str {
        if self.in_words {
            "%-d %B %H:%M"
        } else {
            "%Y-%m-%d %H:%M"
        }
    }
}

impl Display for Moment {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let at = self.at;
        write!(
            out,
            "<time datetime=\"{}\" title=\"{} UTC\"{}>{}</time>",
            at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            at.strftime("%Y-%m-%d %H:%M"),
            if self.in_words { " data-words" } else { "" },
            at.strftime(self.shape()),
        )
    }
}

/// It is made of digits and names of months.
impl HtmlSafe for Moment {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_in_utc_and_says_so_when_it_is_pointed_at() {
        let at = "2026-11-08T15:41:07.123456Z".parse().unwrap();
        assert_eq!(
            Moment::new(at).to_string(),
            "<time datetime=\"2026-11-08T15:41:07Z\" title=\"2026-11-08 15:41 UTC\">\
             2026-11-08 15:41</time>"
        );
        assert_eq!(
            Moment::in_words(at).to_string(),
            "<time datetime=\"2026-11-08T15:41:07Z\" title=\"2026-11-08 15:41 UTC\" data-words>\
             8 November 15:41</time>"
        );
        assert_eq!(Moment::in_words(at).utc(), "8 November 15:41 UTC");
    }
}
