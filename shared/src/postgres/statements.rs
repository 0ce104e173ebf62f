//! The statement at which a migration failed. PostgreSQL does not name it for a script
//! that is sent as a whole, so after a failure the script is tried once more, statement
//! by statement, in a transaction that is rolled back.

use tokio_postgres::Client;

/// Enough to know a statement by.
const SHOWN_CHARS: usize = 120;

/// The statement at which the script fails now; none if it no longer does.
pub(super) async fn failing(client: &mut Client, script: &str) -> Option<String> {
    let transaction = client.transaction().await.ok()?;
    for statement in split(script) {
        if transaction.batch_execute(statement).await.is_err() {
            return Some(shown(statement));
        }
    }
    None
}

/// The first line of a statement that says something.
fn shown(statement: &str) -> String {
    let words = statement
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ");
    words.chars().take(SHOWN_CHARS).collect()
}

/// The statements of a script: cut at semicolons outside of quotes, comments and
/// dollar quotes.
fn split(script: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < script.len() {
        let rest = &script[at..];
        if let Some(length) = quoted(rest) {
            at += length;
            continue;
        }
        let length = rest.chars().next().map_or(1, char::len_utf8);
        if rest.starts_with(';') {
            statements.push(&script[start..at]);
            start = at + 1;
        }
        at += length;
    }
    statements.push(&script[start..]);
    statements.retain(|statement| !shown(statement).is_empty());
    statements
}

/// The length of the quote or comment that the text begins with, if it does.
fn quoted(text: &str) -> Option<usize> {
    let closed_by = |open: usize, close: &str| {
        let end = text.get(open..)?.find(close);
        Some(end.map_or(text.len(), |end| open + end + close.len()))
    };
    if text.starts_with("--") {
        return closed_by(2, "\n");
    }
    if text.starts_with("/*") {
        return closed_by(2, "*/");
    }
    for quote in ["'", "\""] {
        if text.starts_with(quote) {
            return closed_by(1, quote);
        }
    }
    let tag = text.strip_prefix('$')?;
    let end = tag.find(|c: char| c != '_' && !c.is_alphanumeric())?;
    if !tag[end..].starts_with('$') || tag.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let quote = &text[..end + 2];
    closed_by(quote.len(), quote)
}

#[cfg(test)]
mod tests {
    use super::{shown, split};

    #[test]
    fn a_script_is_cut_between_its_statements_only() {
        let script = "-- one; two\ncreate table a (b text default ';');\n\
            create function f() returns text as $body$ begin; end; $body$ /* ; */ language x;\n\
            comment on table \"a;b\" is 'it''s; so';\n select $1;\n-- the end;\n";
        let found: Vec<String> = split(script).into_iter().map(shown).collect();
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0], "create table a (b text default ';')");
        assert!(found[1].ends_with("language x"));
        assert!(found[2].ends_with("'it''s; so'"));
        assert_eq!(found[3], "select $1");
    }
}
