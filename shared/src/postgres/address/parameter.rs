//! The parameters of an address, and what is said of one that cannot be used.

use crate::error::SyncError;

pub(in crate::postgres) const SETTING: &str = "DATABASE_URL";

/// The parameters that the driver takes.
pub(super) const KNOWN: [&str; 19] = [
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

/// What else an address may say: to libpq, or to the drivers and poolers for which
/// hosters write theirs.
const ELSEWHERE: [&str; 53] = [
    "binary_parameters",
    "charset",
    "client_encoding",
    "connection_limit",
    "currentSchema",
    "encoding",
    "endpoint",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "lock_timeout",
    "max_protocol_version",
    "min_protocol_version",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "passfile",
    "pgbouncer",
    "pool_max_conns",
    "pool_mode",
    "pool_size",
    "pool_timeout",
    "prepareThreshold",
    "prepared_statements",
    "reference",
    "replication",
    "require_auth",
    "requirepeer",
    "schema",
    "scram_client_key",
    "scram_server_key",
    "search_path",
    "service",
    "servicefile",
    "socket_timeout",
    "ssl",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslaccept",
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "statement_cache_size",
    "statement_timeout",
];

/// Names and values.
pub(super) type Parameters = Vec<(String, String)>;

/// Says how an address is written, and nothing of the one that was given.
pub(super) fn unreadable() -> SyncError {
    SyncError::config(
        SETTING,
        "cannot be read, or not for certain, and wants \
postgresql://user:password@host:port/database?sslmode=…, where the @, /, ? and # of a password are \
%40, %2F, %3F and %23",
    )
}

/// Whether a parameter of this name is known to anybody.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || ELSEWHERE.contains(&name)
}

/// Named only if it is known elsewhere: in an address that was mistyped anything else
/// may be a part of the password.
pub(super) fn unknown_parameter(name: &str) -> SyncError {
    let name = if is_known(name) {
        name
    } else {
        "of another name"
    };
    SyncError::config(
        SETTING,
        format!("has a parameter {name}, which is unknown here: leave it out"),
    )
}
