//! `DATABASE_URL` taken apart, in both of libpq's forms: a URL, and words such as
//! `host=db.example user=u`. Both become parameters, of which the last of a name holds,
//! and the driver is given nothing but those: it reads no address by itself, lest it
//! find another password or host in it. It does not know all that libpq knows; what is
//! left for it must be named if it is unknown, but never with the address.

mod parameter;
mod url;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::error::SyncError;
pub(super) use parameter::SETTING;
use parameter::{KNOWN, Parameters, unknown_parameter, unreadable};

/// An address: one value a parameter.
pub(super) struct Address(Parameters);

impl Address {
    /// Reads an address of either form.
    ///
    /// # Errors
    /// `ConfigInvalid`, without a word of the address.
    pub(super) fn read(text: &str) -> Result<Self, SyncError> {
        let text = text.trim();
        let mut schemes = ["postgres://", "postgresql://"].iter();
        let given = match schemes.find_map(|scheme| text.strip_prefix(scheme)) {
            Some(rest) => url::read(rest)?,
            None => words(text).ok_or_else(unreadable)?,
        };
        let mut parameters = Parameters::new();
        for (name, value) in given {
            parameters.retain(|(earlier, _)| *earlier != name);
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// Takes a parameter out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(at).1)
    }

    /// Returns the driver's configuration.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the parameter that is unknown or wrong.
    pub(super) fn config(&self) -> Result<Config, SyncError> {
        let mut names = self.0.iter().map(|(name, _)| name.as_str());
        if let Some(unknown) = names.find(|name| !KNOWN.contains(name)) {
            return Err(unknown_parameter(unknown));
        }
        let config: Config = self.words().parse().map_err(|error| why(&error))?;
        let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
        let is_nowhere = hosts.is_empty() && addresses.is_empty();
        if is_nowhere || hosts.contains(&Host::Tcp(String::new())) {
            return Err(SyncError::config(SETTING, "names no host"));
        }
        let count = hosts.len().max(addresses.len());
        let fits = |other: usize, few: usize| other <= few || other == count;
        if !(fits(config.get_ports().len(), 1) && fits(addresses.len(), 0) && fits(hosts.len(), 0))
        {
            let problem = "wants one port and one hostaddr for each host, or the same for all";
            return Err(SyncError::config(SETTING, problem));
        }
        Ok(config)
    }

    /// Writes the address for the driver, which reads this form as we do. As libpq has
    /// it, an empty value is none.
    fn words(&self) -> String {
        let said = self.0.iter().filter(|(_, value)| !value.is_empty());
        let word = |(name, value): &(String, String)| {
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            format!("{name}='{value}'")
        };
        said.map(word).collect::<Vec<_>>().join(" ")
    }
}

/// Whether all that the address leads to is on this machine.
pub(super) fn is_local(config: &Config) -> bool {
    if !config.get_hostaddrs().is_empty() {
        return config.get_hostaddrs().iter().all(|ip| ip.is_loopback());
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        }
    })
}

/// Whether the address leads to sockets of this machine's file system alone.
pub(super) fn is_socket(config: &Config) -> bool {
    let is_socket = |host: &Host| matches!(host, Host::Unix(_));
    config.get_hostaddrs().is_empty() && config.get_hosts().iter().all(is_socket)
}

/// The driver names the option whose value is wrong, and says nothing else of the
/// address then.
fn why(error: &tokio_postgres::Error) -> SyncError {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    match cause.filter(|cause| cause.starts_with("invalid value for option")) {
        Some(cause) => SyncError::config(SETTING, format!("has an {cause}")),
        None => unreadable(),
    }
}

/// Reads `name=value` words: a value may be quoted, and a backslash takes the next
/// character as it is.
fn words(text: &str) -> Option<Vec<(String, String)>> {
    let mut letters = text.chars().peekable();
    let mut words = Vec::new();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        if letters.peek().is_none() {
            return Some(words);
        }
        let mut name = String::new();
        while let Some(letter) = letters.next_if(|it| *it != '=' && !it.is_whitespace()) {
            name.push(letter);
        }
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        letters.next_if_eq(&'=')?;
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        let is_quoted = letters.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match letters.peek() {
                None if is_quoted => return None,
                None => break,
                Some('\'') if is_quoted => {
                    letters.next();
                    break;
                }
                Some(letter) if !is_quoted && letter.is_whitespace() => break,
                Some(_) => {}
            }
            match letters.next() {
                Some('\\') => value.extend(letters.next()),
                letter => value.extend(letter),
            }
        }
        words.push((name, value));
    }
}

#[cfg(test)]
mod tests;
