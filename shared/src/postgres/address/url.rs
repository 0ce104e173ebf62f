//! What stands after the scheme of a URL. Passwords are written there with characters
//! that end them, and libpq and the driver take different ones for the end. So every at
//! sign is tried as the end, and none: an address that makes sense in one way only is
//! read so, and any other is refused.

use std::num::NonZeroU16;

use percent_encoding::percent_decode_str;

use super::parameter::{Parameters, SETTING, is_known, unknown_parameter, unreadable};
use crate::error::SyncError;

/// One way to read an address.
struct Reading {
    /// Where the credentials end, if there are any.
    end: Option<usize>,
    /// Where the parameters begin.
    query: usize,
    parameters: Parameters,
    flaw: Option<Flaw>,
}

/// What is wrong with an address if it is read so.
enum Flaw {
    Port,
    Parameter(String),
}

/// Reads the address.
///
/// # Errors
/// `ConfigInvalid`, without a word of the address.
pub(super) fn read(rest: &str) -> Result<Parameters, SyncError> {
    let ends = rest.match_indices('@').map(|(at, _)| Some(at));
    let readings = [None].into_iter().chain(ends);
    let readings = readings.filter_map(|end| Reading::of(rest, end));
    let (mut likely, unlikely): (Vec<_>, Vec<_>) = readings.partition(Reading::is_likely);
    if let Some(Reading {
        flaw: None, query, ..
    }) = likely.first()
    {
        // What follows a question mark and names of parameters is no password.
        let query = *query;
        likely.retain(|reading| reading.end.is_none_or(|end| end < query));
    }
    let mut readings = if likely.is_empty() { unlikely } else { likely }.into_iter();
    match (readings.next(), readings.next()) {
        (Some(only), None) => only.parameters(),
        _ => Err(unreadable()),
    }
}

impl Reading {
    /// Reads an address whose credentials end there; nothing if it is none then.
    fn of(rest: &str, end: Option<usize>) -> Option<Self> {
        let mut parameters = Parameters::new();
        let mut add = |name: &str, text: &str| -> Option<()> {
            if !text.is_empty() {
                parameters.push((name.to_owned(), decoded(text)?));
            }
            Some(())
        };
        let mut place = rest;
        if let Some(end) = end {
            let credentials = rest.get(..end)?;
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            add("user", user)?;
            add("password", password)?;
            place = rest.get(end + 1..)?;
        }
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let (hosts, ports) = places(hosts)?;
        add("host", &hosts)?;
        add("port", &ports)?;
        add("dbname", database)?;
        let is_port = |port: &str| port.is_empty() || port.parse::<NonZeroU16>().is_ok();
        let mut flaw = (!ports.split(',').all(is_port)).then_some(Flaw::Port);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let (mut name, mut value) = (decoded(name)?, decoded(value)?);
            if !is_known(&name) {
                flaw = flaw.or_else(|| Some(Flaw::Parameter(name.clone())));
            }
            // JDBC's word, which libpq takes in URLs.
            if name == "ssl" && value == "true" {
                "sslmode".clone_into(&mut name);
                "require".clone_into(&mut value);
            }
            parameters.push((name, value));
        }
        Some(Self {
            end,
            query: rest.len() - query.len(),
            parameters,
            flaw,
        })
    }

    /// Whether somebody may have meant it. A parameter's name that we do not know may
    /// be another's; what is no number was never meant for a port.
    fn is_likely(&self) -> bool {
        match &self.flaw {
            None => true,
            Some(Flaw::Port) => false,
            Some(Flaw::Parameter(name)) => {
                let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter == b'_';
                !name.is_empty() && name.bytes().all(is_plain)
            }
        }
    }

    fn parameters(self) -> Result<Parameters, SyncError> {
        match self.flaw {
            None => Ok(self.parameters),
            Some(Flaw::Parameter(name)) => Err(unknown_parameter(&name)),
            Some(Flaw::Port) => {
                let problem = "has an invalid value for option `port`";
                Err(SyncError::config(SETTING, problem))
            }
        }
    }
}

/// Reads hosts and their ports, of which some or all may be left out; nothing if they
/// cannot be such.
fn places(text: &str) -> Option<(String, String)> {
    let places = text.split(',').map(|place| {
        let (name, port) = match place.strip_prefix('[') {
            Some(place) => {
                let (name, rest) = place.split_once(']')?;
                let port = rest.strip_prefix(':');
                (name, port.or_else(|| rest.is_empty().then_some(""))?)
            }
            None => place.split_once(':').unwrap_or((place, "")),
        };
        let may_be = |text: &str, marks: &str| {
            let mut letters = text.chars();
            letters.all(|letter| letter.is_alphanumeric() || marks.contains(letter))
        };
        let marks = if place.starts_with('[') {
            ".:%"
        } else {
            "-._~%"
        };
        // The list is split again by who reads it.
        let is_one = decoded(name).is_some_and(|name| !name.contains(','));
        (is_one && may_be(name, marks) && may_be(port, "-_.")).then_some((name, port))
    });
    let places: Vec<_> = places.collect::<Option<_>>()?;
    let is_empty = |(name, _): &(&str, &str)| name.is_empty();
    if places.len() > 1 && places.iter().any(is_empty) {
        return None;
    }
    let (names, ports): (Vec<_>, Vec<_>) = places.into_iter().unzip();
    let has_ports = ports.iter().any(|port| !port.is_empty());
    let ports = if has_ports {
        ports.join(",")
    } else {
        String::new()
    };
    Some((names.join(","), ports))
}

/// Returns a text without its escapes. A plus is a plus in libpq's URLs.
fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.contains('\0')).then(|| text.into_owned())
}
