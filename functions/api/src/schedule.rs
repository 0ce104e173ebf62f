//! The schedule as the template set it, in words: when the next sync starts by
//! itself.

/// What `SCHEDULE_EXPRESSION` and `SCHEDULE_STATE` say.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    expression: Option<String>,
    enabled: bool,
}

impl Schedule {
    /// Reads the variables; without them nothing is scheduled.
    #[must_use]
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            expression: lookup("SCHEDULE_EXPRESSION").filter(|text| !text.trim().is_empty()),
            enabled: lookup("SCHEDULE_STATE").is_none_or(|state| state == "ENABLED"),
        }
    }

    /// `rate(1 hour)` reads as "every hour"; a cron expression stays one.
    #[must_use]
    pub fn words(&self) -> String {
        let Some(expression) = self.expression.as_deref().filter(|_| self.enabled) else {
            return "off".to_owned();
        };
        let rate = expression
            .strip_prefix("rate(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rate| rate.split_once(' '));
        match rate {
            Some(("1", unit)) => format!("every {unit}"),
            Some((count, unit)) => format!("every {count} {unit}"),
            None => expression.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_reads_as_it_works() {
        let words = |expression: &str, state: &str| {
            let lookup = |name: &str| match name {
                "SCHEDULE_EXPRESSION" => Some(expression.to_owned()),
                _ => Some(state.to_owned()),
            };
            Schedule::read(lookup).words()
        };
        assert_eq!(words("rate(1 hour)", "ENABLED"), "every hour");
        assert_eq!(words("rate(15 minutes)", "ENABLED"), "every 15 minutes");
        assert_eq!(words("cron(0 6 * * ? *)", "ENABLED"), "cron(0 6 * * ? *)");
        assert_eq!(words("rate(1 hour)", "DISABLED"), "off");
        assert_eq!(words("", "ENABLED"), "off");
    }
}
