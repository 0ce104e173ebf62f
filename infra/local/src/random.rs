//! Names and passwords that nobody can guess.

use crate::error::StackError;

/// 32 random hexadecimal digits.
pub(crate) fn hex() -> Result<String, StackError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| StackError::Io {
        doing: "while asking the system for random bytes".to_owned(),
        source: std::io::Error::other(error),
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
