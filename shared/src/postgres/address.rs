//! `DATABASE_URL` taken apart, in both of libpq's forms: a URL, and words such as
//! `host=db.example user=u`. The driver does not know all that libpq knows; what is
//! left for it must be named if it is unknown, but never with the address.

use tokio_postgres::Config;
use tokio_postgres::config::Host;
use url::form_urlencoded::{byte_serialize, parse};

use crate::error::SyncError;

pub(super) const SETTING: &str = "DATABASE_URL";

/// The parameters that the driver takes.
const KNOWN: [&str; 19] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslmode",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// An address and its parameters.
pub(super) struct Address {
    /// All that stands before a URL's parameters; none in the other form.
    url: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Address {
    /// Reads an address of either form.
    ///
    /// # Errors
    /// `ConfigInvalid`, without a word of the address.
    pub(super) fn read(text: &str) -> Result<Self, SyncError> {
        let text = text.trim();
        let is_url = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        if !is_url {
            let parameters = words(text).ok_or_else(unreadable)?;
            return Ok(Self {
                url: None,
                parameters,
            });
        }
        // A password may hold a question mark.
        let host = text.rfind('@').unwrap_or_default();
        let end = text
            .get(host..)
            .and_then(|rest| rest.find('?'))
            .map_or(text.len(), |at| host + at);
        let (url, query) = text.split_at(end);
        let mut parameters = query_pairs(query.trim_start_matches('?'));
        for (name, value) in &mut parameters {
            // JDBC's word, which libpq takes in URLs.
            if name == "ssl" && value == "true" {
                "sslmode".clone_into(name);
                "require".clone_into(value);
            }
        }
        Ok(Self {
            url: Some(url.to_owned()),
            parameters,
        })
    }

    /// Takes a parameter out; the last of several holds.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let found = self.get(name).map(str::to_owned);
        self.parameters.retain(|(key, _)| key != name);
        found
    }

    /// Returns a parameter's value; the last of several holds.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().rev();
        found
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the driver's configuration.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the parameter that is unknown or wrong.
    pub(super) fn config(&self) -> Result<Config, SyncError> {
        let mut names = self.parameters.iter().map(|(name, _)| name.as_str());
        if let Some(unknown) = names.find(|name| !KNOWN.contains(name)) {
            return Err(unknown_parameter(unknown));
        }
        let config: Config = self.text().parse().map_err(|error| why(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(SyncError::config(SETTING, "names no host"));
        }
        Ok(config)
    }

    /// Writes the address for the driver.
    fn text(&self) -> String {
        let pairs = self.parameters.iter();
        let Some(url) = &self.url else {
            let word = |(name, value): &(String, String)| {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                format!("{name}='{value}'")
            };
            return pairs.map(word).collect::<Vec<_>>().join(" ");
        };
        let escaped = |text: &str| -> String {
            let escaped: String = byte_serialize(text.as_bytes()).collect();
            // A plus is a plus in libpq's URLs.
            escaped.replace('+', "%20")
        };
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        if pairs.is_empty() {
            url.clone()
        } else {
            format!("{url}?{}", pairs.join("&"))
        }
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

fn unreadable() -> SyncError {
    SyncError::config(
        SETTING,
        "cannot be read and wants postgresql://user:password@host:port/database?sslmode=…",
    )
}

/// Named only if it looks like a name: in an address that was mistyped it may be a part
/// of the password.
fn unknown_parameter(name: &str) -> SyncError {
    let is_name = (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let name = if is_name { name } else { "of another name" };
    SyncError::config(
        SETTING,
        format!("has a parameter {name}, which is unknown here: leave it out"),
    )
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

fn query_pairs(query: &str) -> Vec<(String, String)> {
    // A plus is a plus in libpq's URLs.
    let query = query.replace('+', "%2B");
    parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
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
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        for text in [
            "postgresql://u:p%40s%27%20s@db.example:6432/shop?sslmode=require&options=-c%20a%3Db+c",
            r"host=db.example port=6432 user = u dbname=shop password='p@s\' s' sslmode=require options=-c\ a=b+c",
        ] {
            let mut address = Address::read(text).unwrap();
            assert_eq!(address.take("sslmode").as_deref(), Some("require"));
            let config = address.config().unwrap();
            assert_eq!(config.get_hosts(), [Host::Tcp("db.example".to_owned())]);
            assert_eq!(config.get_ports(), [6432]);
            assert_eq!(config.get_user(), Some("u"));
            assert_eq!(config.get_dbname(), Some("shop"));
            assert_eq!(config.get_password(), Some("p@s' s".as_bytes()));
            assert_eq!(config.get_options(), Some("-c a=b+c"));
        }
    }

    #[test]
    fn what_is_unknown_or_wrong_is_named_and_nothing_else() {
        for (text, says) in [
            (
                "postgresql://u:secret@h/d?pgbouncer=true",
                "parameter pgbouncer,",
            ),
            (
                "postgresql://u:secret@h/d?schema=public",
                "parameter schema,",
            ),
            ("postgresql://u:secret@h/d?ssl=false", "parameter ssl,"),
            ("host=h password=secret sslcert=x", "parameter sslcert,"),
            ("host=h password=my Secret=1", "parameter of another name,"),
            ("postgresql://u:secret@h:many/d", "`port`"),
            ("host=h password=secret port=many", "`port`"),
            (
                "postgresql://u:se?secret=1@h/d?pgbouncer=true",
                "parameter pgbouncer,",
            ),
            ("host=h password='secret", "cannot be read"),
            ("mysql:secret@host", "cannot be read"),
            ("user=u password=secret", "names no host"),
        ] {
            let read = Address::read(text).and_then(|address| address.config());
            let error = read.err().unwrap();
            assert_eq!(error.name(), "ConfigInvalid");
            let text = error.to_string();
            assert!(
                text.starts_with("DATABASE_URL") && text.contains(says),
                "{text}"
            );
            assert!(!text.to_lowercase().contains("secret"), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_local() {
        let local = |text| is_local(&Address::read(text).unwrap().config().unwrap());
        for text in [
            "postgres://u@localhost/d",
            "postgres://u@127.0.0.1:1/d",
            "postgres://u@[::1]/d",
            "postgres://u@%2Fvar%2Frun/d",
            "host=/var/run user=u",
            "host=db.example hostaddr=127.0.0.1",
        ] {
            assert!(local(text), "{text}");
        }
        for text in [
            "postgres://u@db.example/d",
            "postgres://u@localhost.example/d",
            "postgres://u@localhost,db.example/d",
            "host=localhost hostaddr=10.0.0.1",
        ] {
            assert!(!local(text), "{text}");
        }
    }
}
