//! The decisions of `make run`'s environment: which Square, which database,
//! and every setting of the functions. Settings travel as the template's
//! parameters, the same way they do on AWS; the functions inherit nothing.

use std::collections::BTreeMap;

const TEMPLATE: &str = include_str!("../../template.yaml");

/// The token that the simulated account accepts unless told otherwise.
const SIMULATED_TOKEN: &str = "sim-token";
const PRODUCTION: &str = "https://connect.squareup.com";
const SANDBOX: &str = "https://connect.squareupsandbox.com";

/// The variables of the environment; absent and empty ones are the same.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    variables: BTreeMap<String, String>,
}

/// The Square account that the stack copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SquareAccount {
    /// A simulated one, started by the stack. `ignored_token` tells that the
    /// environment's token is no token of Square's, so that Square itself is
    /// left alone; the simulator will judge it.
    Simulated { token: String, ignored_token: bool },
    /// Another one, at this address.
    At { url: String, token: String },
}

impl Settings {
    /// The settings of this process's environment.
    #[must_use]
    pub fn from_environment() -> Self {
        std::env::vars().collect()
    }

    /// Sets one variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.variables.insert(name.into(), value.into());
    }

    /// A variable's value, unless it is empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// Returns the Square account to copy. Square itself is asked only with what
    /// looks like a token of Square's, or with `SQUARE_ENVIRONMENT` set.
    #[must_use]
    pub fn square_account(&self) -> SquareAccount {
        let token = self.get("SQUARE_ACCESS_TOKEN").map(str::to_owned);
        let environment = self.get("SQUARE_ENVIRONMENT");
        if let Some(url) = self.get("SQUARE_BASE_URL") {
            return SquareAccount::At {
                url: url.to_owned(),
                token: token.unwrap_or_else(|| SIMULATED_TOKEN.to_owned()),
            };
        }
        match token {
            Some(token) if environment.is_some() || looks_like_squares(&token) => {
                let sandbox = environment == Some("sandbox");
                let url = if sandbox { SANDBOX } else { PRODUCTION };
                SquareAccount::At {
                    url: url.to_owned(),
                    token,
                }
            }
            Some(token) => SquareAccount::Simulated {
                ignored_token: token != SIMULATED_TOKEN,
                token,
            },
            None => SquareAccount::Simulated {
                token: SIMULATED_TOKEN.to_owned(),
                ignored_token: false,
            },
        }
    }

    /// The template's parameters for the settings that are set.
    #[must_use]
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        let set = |name: &str| Some((name.to_owned(), self.get(&variable(name))?.to_owned()));
        settings(TEMPLATE).filter_map(set).collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let mut settings = Self::default();
        for (name, value) in variables {
            settings.set(name, value);
        }
        settings
    }
}

/// Personal and sandbox tokens begin with `EAAA`, those of older applications
/// with `sq0atp-`.
fn looks_like_squares(token: &str) -> bool {
    token.starts_with("EAAA") || token.starts_with("sq0atp-")
}

/// The template's parameters that become variables of every function.
fn settings(template: &str) -> impl Iterator<Item = &str> {
    let globals = template.split("\nResources:").next().unwrap_or_default();
    let values = globals.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once(": !Ref ")?;
        let is_variable = name
            .chars()
            .all(|letter| letter.is_ascii_uppercase() || letter == '_');
        is_variable.then_some(value)
    });
    values.filter(|name| {
        let declared = |kind| globals.contains(&format!("\n  {name}:\n    Type: {kind}\n"));
        declared("String") || declared("Number")
    })
}

/// `LocationSyncTimeout` is set by `LOCATION_SYNC_TIMEOUT`.
fn variable(parameter: &str) -> String {
    let mut variable = String::new();
    for letter in parameter.chars() {
        if letter.is_ascii_uppercase() && !variable.is_empty() {
            variable.push('_');
        }
        variable.push(letter.to_ascii_uppercase());
    }
    variable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(variables: &[(&str, &str)]) -> SquareAccount {
        let settings: Settings = variables.iter().copied().collect();
        settings.square_account()
    }

    fn at(url: &str, token: &str) -> SquareAccount {
        SquareAccount::At {
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    fn simulated(token: &str, ignored_token: bool) -> SquareAccount {
        SquareAccount::Simulated {
            token: token.to_owned(),
            ignored_token,
        }
    }

    #[test]
    fn without_a_token_the_account_is_simulated() {
        assert_eq!(account(&[]), simulated("sim-token", false));
        assert_eq!(
            account(&[("SQUARE_ACCESS_TOKEN", " ")]),
            simulated("sim-token", false)
        );
        assert_eq!(
            account(&[("SQUARE_ENVIRONMENT", "production")]),
            simulated("sim-token", false)
        );
    }

    #[test]
    fn a_token_of_squares_goes_to_square() {
        for token in ["EAAAabc", "sq0atp-abc"] {
            let variables = [("SQUARE_ACCESS_TOKEN", token)];
            assert_eq!(account(&variables), at(PRODUCTION, token));
        }
    }

    #[test]
    fn any_token_goes_to_square_where_the_environment_is_named() {
        for (environment, url) in [("production", PRODUCTION), ("sandbox", SANDBOX)] {
            let variables = [
                ("SQUARE_ACCESS_TOKEN", "abc"),
                ("SQUARE_ENVIRONMENT", environment),
            ];
            assert_eq!(account(&variables), at(url, "abc"));
        }
    }

    #[test]
    fn another_token_is_judged_by_the_simulator() {
        let variables = [("SQUARE_ACCESS_TOKEN", "wrong")];
        assert_eq!(account(&variables), simulated("wrong", true));
    }

    #[test]
    fn a_base_url_goes_before_all_else() {
        let variables = [
            ("SQUARE_ACCESS_TOKEN", "EAAAabc"),
            ("SQUARE_BASE_URL", "http://127.0.0.1:9"),
        ];
        assert_eq!(account(&variables), at("http://127.0.0.1:9", "EAAAabc"));
    }

    #[test]
    fn the_settings_are_those_parameters_that_every_function_is_given() {
        let names: Vec<&str> = settings(TEMPLATE).collect();
        for (name, set_by) in [
            ("LogLevel", "LOG_LEVEL"),
            ("CatalogBatchSize", "CATALOG_BATCH_SIZE"),
            (
                "SquareMaxRequestsPerSecond",
                "SQUARE_MAX_REQUESTS_PER_SECOND",
            ),
        ] {
            assert!(names.contains(&name), "{names:?}");
            assert_eq!(variable(name), set_by);
        }
        for name in [
            "DatabaseUrl",
            "DatabaseUrlSecret",
            "AWS::StackName",
            "ScheduleState",
        ] {
            assert!(!names.contains(&name), "{name}");
        }
    }

    #[test]
    fn unset_settings_are_left_to_the_template() {
        let variables = [("CATALOG_BATCH_SIZE", "7"), ("BACKUPS_KEPT", "")];
        let settings: Settings = variables.into_iter().collect();
        let parameters = settings.parameters();
        assert_eq!(parameters.len(), 1);
        assert_eq!(parameters["CatalogBatchSize"], "7");
    }
}
