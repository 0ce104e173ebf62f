//! Every spelling by itself, and servers that say no to TLS or prove one thing or another.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::postgres::Database;

const AUTHORITY: &str = include_str!("../fixtures/authority.pem");
const SERVER: &str = include_str!("../fixtures/server.pem");
const SELF_SIGNED: &str = include_str!("../fixtures/self-signed.pem");
const KEY: &str = include_str!("../fixtures/server.key");
const AUTHORITY_FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/postgres/fixtures/authority.pem"
);

fn refusal(text: &str, ca: Option<&str>) -> String {
    let Err(error) = parse(text, ca) else {
        panic!("{text} was accepted");
    };
    assert_eq!(error.name(), "ConfigInvalid");
    error.to_string()
}

fn decided(
    mode: Option<&str>,
    authorities: &Authorities,
    is_local: bool,
) -> Option<(SslMode, Proof)> {
    decide(mode, authorities, is_local).ok()
}

#[test]
fn each_mode_proves_what_libpq_has_it_prove() {
    let given = Authorities::Given(Vec::new());
    let (built_in, system) = (Authorities::BuiltIn, Authorities::System);
    let (prefer, require) = (SslMode::Prefer, SslMode::Require);
    let nothing = Some((SslMode::Disable, Proof::Nothing));
    let full = Some((require, Proof::Name));
    let ca = Some((require, Proof::Authority));
    // mode, with the built-in authorities, with others, with sslrootcert=system
    for (mode, of_built_in, of_given, of_system) in [
        (Some("disable"), nothing, nothing, None),
        (
            Some("prefer"),
            Some((prefer, Proof::Nothing)),
            Some((prefer, Proof::Authority)),
            None,
        ),
        (Some("require"), Some((require, Proof::Nothing)), ca, None),
        (Some("verify-ca"), full, ca, None),
        (Some("verify-full"), full, full, full),
        (None, full, full, full),
        // libpq's other mode, its spellings that are wrong, and none at all.
        (Some("allow"), None, None, None),
        (Some("Require"), None, None, None),
        (Some("verify_full"), None, None, None),
        (Some(""), None, None, None),
    ] {
        assert_eq!(decided(mode, &built_in, false), of_built_in, "{mode:?}");
        assert_eq!(decided(mode, &given, false), of_given, "{mode:?}");
        assert_eq!(decided(mode, &system, false), of_system, "{mode:?}");
    }
    assert_eq!(
        decided(None, &built_in, true),
        Some((prefer, Proof::Nothing))
    );
    assert_eq!(decided(None, &system, true), full);
}

#[test]
fn a_weaker_mode_beyond_this_machine_is_warned_of() {
    let weakness = |text: &str, ca| parse(text, ca).ok().unwrap().weakness;
    for mode in ["disable", "prefer", "require"] {
        for (far, near) in [
            (
                format!("postgres://u:secret@db.example/d?sslmode={mode}"),
                format!("postgres://u:secret@localhost/d?sslmode={mode}"),
            ),
            (
                format!("host=db.example password=secret sslmode = '{mode}'"),
                format!("host=127.0.0.1 password=secret sslmode={mode}"),
            ),
        ] {
            let warning = weakness(&far, None).unwrap();
            assert!(warning.contains(&format!("sslmode={mode}")), "{warning}");
            assert!(!warning.contains("secret"), "{warning}");
            assert_eq!(weakness(&near, None), None);
        }
    }
    assert!(weakness("postgres://u@db.example/d?ssl=true", None).is_some());
    // Whoever vouches for the server is not asked if there is no TLS.
    let by_file = format!("sslrootcert={AUTHORITY_FILE}");
    for (text, ca) in [
        ("sslmode=prefer", Some(AUTHORITY)),
        ("sslmode=disable", Some(AUTHORITY)),
        (&*format!("sslmode=prefer {by_file}"), None),
    ] {
        let warning = weakness(&format!("host=db.example {text}"), ca).unwrap();
        assert!(warning.contains("nothing is encrypted"), "{warning}");
        assert_eq!(weakness(&format!("host=localhost {text}"), ca), None);
    }
    let strict = format!("host=db.example sslmode=require {by_file}");
    assert_eq!(weakness(&strict, None), None);
    for (text, ca) in [
        ("postgres://u@db.example/d", None),
        ("postgres://u@db.example/d?sslmode=verify-ca", None),
        ("postgres://u@db.example/d?sslrootcert=system", None),
        ("postgres://u@db.example/d?sslmode=require", Some(AUTHORITY)),
    ] {
        assert_eq!(weakness(text, ca), None, "{text}");
    }
}

#[test]
fn the_last_spelling_holds_and_system_is_no_file() {
    let access = |text: &str| parse(text, None).ok().unwrap().config.get_ssl_mode();
    assert_eq!(
        access("postgres://u@h/d?sslmode=disable&sslmode=verify-full&sslrootcert=system"),
        SslMode::Require
    );
    assert_eq!(
        access("host=h sslrootcert=system sslmode=verify-full"),
        SslMode::Require
    );
    assert_eq!(access("host=/run sslmode=verify-full"), SslMode::Disable);
    let weak = refusal("postgres://u@h/d?sslrootcert=system&sslmode=require", None);
    assert!(weak.contains("sslrootcert=system"), "{weak}");
    let direct = refusal(
        "postgres://u@h/d?sslnegotiation=direct&sslmode=prefer",
        None,
    );
    assert!(direct.contains("sslnegotiation=direct"), "{direct}");
    assert!(refusal("postgres://u@h/d?sslmode=allow", None).contains("sslmode=allow"));
    assert!(refusal("host=h sslmode=allow", None).contains("sslmode=allow"));
}

#[test]
fn authorities_are_read_however_they_came() {
    let in_one_line = AUTHORITY.trim().replace('\n', " ");
    let escaped = AUTHORITY.replace('\n', "\\n");
    let two = format!("# ours\n{AUTHORITY}{SELF_SIGNED}");
    for (text, count) in [
        (AUTHORITY, 1),
        (in_one_line.as_str(), 1),
        (escaped.as_str(), 1),
        (two.as_str(), 2),
    ] {
        assert_eq!(given(text).unwrap().len(), count, "{text}");
    }
    for (text, ca, says) in [
        ("postgres://u@h/d", Some("no PEM"), "DATABASE_CA_PEM holds"),
        (
            "postgres://u@h/d",
            Some("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----"),
            "DATABASE_CA_PEM holds",
        ),
        (
            "postgres://u@h/d?sslrootcert=/nowhere.pem",
            None,
            "/nowhere.pem",
        ),
        ("host=h sslrootcert=/nowhere.pem", None, "/nowhere.pem"),
    ] {
        let refusal = refusal(text, ca);
        assert!(refusal.contains(says), "{refusal}");
    }
}

#[test]
fn a_certificate_that_is_none_is_said_to_be_where_it_is() {
    const NONE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let file = std::env::temp_dir().join(format!("none-{}.pem", std::process::id()));
    std::fs::write(&file, NONE).unwrap();
    let by_file = refusal(&format!("host=h sslrootcert={}", file.display()), None);
    std::fs::remove_file(&file).unwrap();
    let says = format!("DATABASE_URL names sslrootcert {}", file.display());
    assert!(by_file.starts_with(&says), "{by_file}");
    let by_setting = refusal("host=h", Some(NONE));
    assert!(
        by_setting.starts_with("DATABASE_CA_PEM holds"),
        "{by_setting}"
    );
    for text in [by_file, by_setting] {
        assert!(text.contains("cannot be used"), "{text}");
    }
}

/// A given certificate of the server's own is as good as any, and no longer than any.
#[test]
fn a_certificate_that_was_given_ends_in_its_time() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let year = |year: u64| {
        let days = (year - 1970) * 365;
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(days * 24 * 60 * 60))
    };
    for (certificate, name) in [(SELF_SIGNED, "localhost"), (SERVER, "db.example")] {
        let certificates = given(certificate).unwrap();
        let own = certificates[0].clone();
        let given = Authorities::Given(certificates);
        let verified = Verified::new(Proof::Name, given, &provider).unwrap();
        let judge = |name: &'static str, now| {
            let name = ServerName::try_from(name).unwrap();
            let judged = verified.verify_server_cert(&own, &[], &name, &[], now);
            judged.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(judge(name, year(2040)), Ok(()));
        let early = judge(name, year(2020)).unwrap_err();
        assert!(early.contains("not valid yet"), "{early}");
        let late = judge(name, year(2150)).unwrap_err();
        assert!(late.contains("expired"), "{late}");
        assert!(
            judge("other.example", year(2040))
                .unwrap_err()
                .contains("name")
        );
    }
}

#[test]
fn every_authority_of_rds_is_trusted() {
    let ours = built_in().unwrap().len();
    let written = RDS_ROOTS
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"-----BEGIN"))
        .count();
    assert_eq!(ours, webpki_roots::TLS_SERVER_ROOTS.len() + written);
    assert!(written > 60, "{written}");
}

/// The answer to the client's question whether there may be TLS.
fn asked_for_tls(stream: &mut TcpStream, answer: u8) {
    let mut request = [0; 8];
    stream.read_exact(&mut request).unwrap();
    stream.write_all(&[answer]).unwrap();
}

/// Starts a server that shows this certificate, or takes no TLS, and returns its port.
/// Whoever is content with it is told that the database is starting up.
fn server(certificate: Option<&'static str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let Some(certificate) = certificate else {
            return asked_for_tls(&mut stream, b'N');
        };
        asked_for_tls(&mut stream, b'S');
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                given(certificate).unwrap(),
                PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap(),
            )
            .unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let mut startup = [0; 8];
        if stream.read_exact(&mut startup).is_ok() {
            let fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
            let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            let _ = stream.write_all(&[b"E", &length[..], &fields[..]].concat());
            let _ = stream.flush();
        }
    });
    port
}

/// Connects to `host`, which is this machine, and returns how that ended.
async fn outcome(
    certificate: Option<&'static str>,
    host: &str,
    parameters: &str,
    ca: Option<&str>,
) -> SyncError {
    let port = server(certificate);
    let text = format!("host={host} hostaddr=127.0.0.1 port={port} user=u {parameters}");
    let database = Database::trusting(&text.into(), ca).unwrap();
    database.client().await.err().unwrap()
}

#[tokio::test]
async fn a_server_is_taken_only_for_what_it_proves() {
    let by_file = format!("sslmode=require sslrootcert={AUTHORITY_FILE}");
    let ours = Some(AUTHORITY);
    let full = "sslmode=verify-full";
    for (certificate, host, parameters, ca) in [
        (SERVER, "db.example", full, ours),
        (SERVER, "other.example", "sslmode=verify-ca", ours),
        (SERVER, "other.example", "sslmode=require", ours),
        (SERVER, "other.example", by_file.as_str(), None),
        (SERVER, "other.example", "sslmode=require", None),
        (SELF_SIGNED, "localhost", full, Some(SELF_SIGNED)),
    ] {
        let error = outcome(Some(certificate), host, parameters, ca).await;
        assert_eq!(error.name(), "DatabaseUnavailable", "{host} {parameters}");
        assert!(error.to_string().contains("starting up"), "{error}");
    }
    for (certificate, host, parameters, ca) in [
        (SERVER, "other.example", full, ours),
        (SERVER, "db.example", full, None),
        (SERVER, "db.example", full, Some(SELF_SIGNED)),
        (SERVER, "db.example", "sslmode=verify-ca", None),
        (SELF_SIGNED, "localhost", full, ours),
        (SELF_SIGNED, "localhost", "sslmode=require", ours),
        (SELF_SIGNED, "other.example", full, Some(SELF_SIGNED)),
        (SELF_SIGNED, "localhost", "sslrootcert=system", None),
    ] {
        let error = outcome(Some(certificate), host, parameters, ca).await;
        assert_eq!(
            error.name(),
            "ConfigInvalid",
            "{host} {parameters}: {error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("certificate") && text.contains(CA_SETTING),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_is_said_to_have_none() {
    for parameters in [
        "sslmode=require",
        "sslmode=verify-full",
        "sslrootcert=system",
    ] {
        let error = outcome(None, "db.example", parameters, None).await;
        assert_eq!(error.name(), "ConfigInvalid", "{parameters}: {error}");
        assert!(error.to_string().contains("no TLS"), "{error}");
    }
}
