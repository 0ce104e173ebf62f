//! The statements that stand in the product's sources, so that a test can say
//! which of them it has never seen.

use std::path::Path;

use local::Checkout;
use proc_macro2::{TokenStream, TokenTree};

const VERBS: [&str; 5] = ["select ", "insert ", "update ", "delete ", "with "];

/// A statement as it is written, cut where values are put into it.
pub(crate) struct Written {
    pub(crate) file: String,
    pieces: Vec<String>,
}

impl Written {
    /// Whether that text can have come of it.
    pub(crate) fn makes(&self, statement: &str) -> bool {
        let mut rest = statement;
        self.pieces.iter().all(|piece| {
            let found = rest.find(piece.as_str());
            rest = found.map_or(rest, |at| &rest[at + piece.len()..]);
            found.is_some()
        })
    }

    /// Enough to find it by.
    pub(crate) fn begins(&self) -> String {
        self.pieces.join(" … ").chars().take(100).collect()
    }
}

/// Every statement below those folders of the checkout, but for the unit tests'.
pub(crate) fn statements(folders: &[&str]) -> Vec<Written> {
    let checkout = Checkout::find().unwrap();
    let mut found = Vec::new();
    for folder in folders {
        read_folder(checkout.root(), &checkout.root().join(folder), &mut found);
    }
    found
}

fn read_folder(root: &Path, folder: &Path, found: &mut Vec<Written>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            read_folder(root, &path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !is_test {
            let tokens: TokenStream = std::fs::read_to_string(&path).unwrap().parse().unwrap();
            let mut texts = Vec::new();
            literals(tokens, &mut texts);
            let file = path.strip_prefix(root).unwrap().display().to_string();
            found.extend(texts.iter().flat_map(|text| written(&file, text)));
        }
    }
}

/// The texts in quotes, but for documentation and a module of tests, which ends its
/// file.
fn literals(tokens: TokenStream, texts: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let attribute = group.to_string().replace(' ', "");
                if attribute == "[cfg(test)]" {
                    return;
                }
                if !attribute.starts_with("[doc=") {
                    literals(group.stream(), texts);
                }
            }
            TokenTree::Literal(literal) => texts.push(literal.to_string()),
            _ => {}
        }
    }
}

/// The statements of a literal, which may be a script.
fn written(file: &str, literal: &str) -> Vec<Written> {
    let text = literal
        .trim_matches('"')
        .replace("\\\n", " ")
        .replace("\\n", " ")
        .replace("\\\"", "\"");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split("; ")
        .filter(|statement| VERBS.iter().any(|verb| statement.starts_with(verb)))
        .map(|statement| Written {
            file: file.to_owned(),
            pieces: pieces(statement),
        })
        .collect()
}

/// `{name}` is where a value goes, `{{` a brace.
fn pieces(statement: &str) -> Vec<String> {
    let plain = statement.replace("{{", "\u{1}").replace("}}", "\u{2}");
    plain
        .split('{')
        .enumerate()
        .map(|(index, piece)| match piece.split_once('}') {
            Some((_, after)) if index > 0 => after,
            _ => piece,
        })
        .map(|piece| piece.replace('\u{1}', "{").replace('\u{2}', "}"))
        .map(|piece| piece.trim().to_owned())
        .filter(|piece| !piece.is_empty())
        .collect()
}
