//! The one gate for Square's text: what JSON may hold and PostgreSQL may not is
//! taken out of every answer once, before anything reads it.
//!
//! People and programs type what they like, and Square passes it on, U+0000 and
//! halves of emoji included. PostgreSQL has no way to store either, in no field and
//! at no depth, so U+0000 is removed and half a surrogate pair becomes U+FFFD. An
//! answer that is no JSON even so is mended word by word, so that one value in it
//! costs one object and not the page.

/// The replacement of half a surrogate pair, as an escape of the same length.
const REPLACEMENT: &[u8] = br"\ufffd";

/// Takes out of a body what PostgreSQL cannot hold. Returns how many characters
/// that were.
pub(super) fn clean(body: &mut Vec<u8>) -> u64 {
    let mut changed = as_utf8(body);
    let (mut read, mut written) = (0, 0);
    // A backslash stands in strings only, and every escape begins with one.
    while let Some(offset) = memchr::memchr(b'\\', &body[read..]) {
        let at = read + offset;
        let (length, fate) = escape(&body[at..]);
        let kept = if fate == Fate::Keep { length } else { 0 };
        if written != read {
            body.copy_within(read..at + kept, written);
        }
        written += at + kept - read;
        read = at + length;
        if fate == Fate::Replace {
            body[written..written + length].copy_from_slice(REPLACEMENT);
            written += length;
        }
        changed += u64::from(fate != Fate::Keep);
    }
    if written != read {
        body.copy_within(read.., written);
    }
    body.truncate(body.len() - (read - written));
    changed
}

/// Makes a body UTF-8. Returns how many characters that took.
fn as_utf8(body: &mut Vec<u8>) -> u64 {
    if std::str::from_utf8(body).is_ok() {
        return 0;
    }
    let mut changed = 0;
    let mut mended = Vec::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        mended.extend_from_slice(chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            mended.extend_from_slice("\u{fffd}".as_bytes());
            changed += 1;
        }
    }
    *body = mended;
    changed
}

/// The fate of an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Remove,
    Replace,
}

/// The length of the escape that `text` begins with, or of two that belong together,
/// and what becomes of it.
fn escape(text: &[u8]) -> (usize, Fate) {
    let Some(code) = unit(text) else {
        return (text.len().min(2), Fate::Keep);
    };
    match code {
        0 => (6, Fate::Remove),
        0xd800..=0xdbff if unit(&text[6..]).is_some_and(|low| (0xdc00..=0xdfff).contains(&low)) => {
            (12, Fate::Keep)
        }
        0xd800..=0xdfff => (6, Fate::Replace),
        _ => (6, Fate::Keep),
    }
}

/// The UTF-16 code unit that `text` begins with as an escape: `\u` and four digits.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` would take a sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

/// A cleaned body with those words mended that are no JSON: a bare word or number
/// that JSON does not have (`NaN`, `+1`) becomes a text, and so does what stands
/// in a text and has to be escaped there.
pub(super) fn mend(body: &[u8]) -> Vec<u8> {
    let mut mended = Vec::with_capacity(body.len() + 64);
    let mut rest = body;
    while let Some(&byte) = rest.first() {
        let length = match byte {
            b'"' => mend_text(rest, &mut mended),
            b'{' | b'}' | b'[' | b']' | b':' | b',' | b' ' | b'\t' | b'\r' | b'\n' => {
                mended.push(byte);
                1
            }
            _ => mend_word(rest, &mut mended),
        };
        rest = &rest[length..];
    }
    mended
}

/// Copies a text, and returns its length with both quotes.
fn mend_text(text: &[u8], mended: &mut Vec<u8>) -> usize {
    mended.push(b'"');
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => {
                mended.push(byte);
                break;
            }
            b'\\' => {
                let next = text.get(at).copied();
                let is_escape = match next {
                    Some(b'u') => unit(&text[at - 1..]).is_some(),
                    Some(next) => br#""\/bfnrt"#.contains(&next),
                    None => false,
                };
                mended.push(byte);
                // What only looks like an escape is a backslash.
                mended.push(if is_escape { text[at] } else { b'\\' });
                at += usize::from(is_escape);
            }
            0 => {}
            1..=0x1f => mended.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => mended.push(byte),
        }
    }
    at
}

/// Copies a word outside of texts, in quotes if JSON has no such word, and returns
/// its length.
fn mend_word(text: &[u8], mended: &mut Vec<u8>) -> usize {
    let ends = |byte: &u8| br#"{}[]:,""#.contains(byte) || byte.is_ascii_whitespace();
    let length = text.iter().position(ends).unwrap_or(text.len());
    let word = &text[..length];
    if serde_json::from_slice::<&serde_json::value::RawValue>(word).is_ok() {
        mended.extend_from_slice(word);
    } else {
        let word = String::from_utf8_lossy(word).into_owned();
        mended.extend_from_slice(serde_json::Value::String(word).to_string().as_bytes());
    }
    length
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{clean, mend};

    fn cleaned(text: &str) -> (String, u64) {
        let mut body = text.as_bytes().to_vec();
        let changed = clean(&mut body);
        (String::from_utf8(body).unwrap(), changed)
    }

    #[test]
    fn halves_of_pairs_are_replaced_and_nul_is_removed() {
        for (text, expected, changed) in [
            (r#"{"a":"plain"}"#, r#"{"a":"plain"}"#, 0),
            (r#""\ud83c""#, r#""\ufffd""#, 1),
            (r#""\uDF66""#, r#""\ufffd""#, 1),
            (r#""\uDf66\uD83c""#, r#""\ufffd\ufffd""#, 2),
            (r#""\ud83c\udf66""#, r#""\ud83c\udf66""#, 0),
            (r#""\ud83c\ud83c\udf66""#, r#""\ufffd\ud83c\udf66""#, 1),
            (r#""\ud83c\n\udf66""#, r#""\ufffd\n\ufffd""#, 2),
            // Nothing comes together that was apart.
            (r#""\ud83c\u0000\udf66""#, r#""\ufffd\ufffd""#, 3),
            (r#""a\u0000b\u0000""#, r#""ab""#, 2),
            (r#"{"\u0000k\ud800":1}"#, r#"{"k\ufffd":1}"#, 2),
            // An escaped backslash is no escape of what follows.
            (r#""\\ud83c \\u0000""#, r#""\\ud83c \\u0000""#, 0),
            (r#""\\\u0000\\""#, r#""\\\\""#, 1),
            (r#""\ud83c"#, r#""\ufffd"#, 1),
            (r#""\u00"#, r#""\u00"#, 0),
            (r#""\"#, r#""\"#, 0),
        ] {
            assert_eq!(cleaned(text), (expected.to_owned(), changed), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_replaced() {
        let mut body = b"{\"a\":\"x\xed\xa0\x80y\xff\"}".to_vec();
        assert!(clean(&mut body) >= 2);
        let value: Value = serde_json::from_slice(&body).unwrap();
        let text = value["a"].as_str().unwrap();
        assert!(text.starts_with('x') && text.contains('y') && text.ends_with('\u{fffd}'));
    }

    #[test]
    fn whatever_stands_between_two_quotes_can_be_stored_when_it_is_clean() {
        // Every sequence of four pieces, so that each meets each on both sides.
        let pieces = [r"\ud83c", r"\udf66", r"\u0000", r"\\", r"\n", "u", "é"];
        let mut sequences = vec![String::new()];
        for _ in 0..4 {
            let longer = |start: &String| pieces.map(|piece| format!("{start}{piece}"));
            sequences = sequences.iter().flat_map(longer).collect();
        }
        for sequence in sequences {
            let text = cleaned(&format!("\"{sequence}\"")).0;
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(!value.as_str().unwrap().contains('\0'), "{text}");
        }
    }

    #[test]
    fn words_that_json_does_not_have_become_texts() {
        for (text, expected) in [
            (
                r#"{"a":NaN,"b":-Infinity}"#,
                r#"{"a":"NaN","b":"-Infinity"}"#,
            ),
            ("[+1, 01,.5]", r#"["+1", "01",".5"]"#),
            (
                r#"[1e400,-0.5,true,null,"NaN"]"#,
                r#"[1e400,-0.5,true,null,"NaN"]"#,
            ),
            ("\"a\tb\u{0}c\"", r#""a\u0009bc""#),
            (r#""\x \u12 \" \\""#, r#""\\x \\u12 \" \\""#),
            (r#"{"a":"open"#, r#"{"a":"open"#),
        ] {
            assert_eq!(String::from_utf8(mend(text.as_bytes())).unwrap(), expected);
        }
    }
}
