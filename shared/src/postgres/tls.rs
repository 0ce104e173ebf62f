//! `sslmode` and `sslrootcert` as libpq means them, and one thing more safely: a server
//! beyond this machine proves who it is unless the address says otherwise.
//!
//! The driver knows neither the two strict modes nor `sslrootcert`, so they are taken
//! out of the address before it sees it. `DATABASE_CA_PEM` holds what `sslrootcert`
//! names elsewhere, for a function has no files of its own.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{self, Address, SETTING};
use crate::error::SyncError;

const CA_SETTING: &str = "DATABASE_CA_PEM";
/// RDS has authorities of its own, which the web does not know.
const RDS_ROOTS: &[u8] = include_bytes!("rds-roots.pem");

/// The way to the server that an address asks for.
pub(super) struct Access {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// What the address leaves open to whoever is between, beyond this machine.
    pub(super) weakness: Option<String>,
}

/// Whom a certificate must be signed by.
enum Authorities {
    /// Those of the web and of Amazon RDS.
    BuiltIn,
    /// The same, because the address says `sslrootcert=system`.
    System,
    /// These and nobody else.
    Given(Vec<CertificateDer<'static>>),
}

/// What a server must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Nothing,
    /// That an authority knows it, under whatever name.
    Authority,
    /// That an authority knows it under the name that was asked for.
    Name,
}

/// Returns the driver's configuration and the TLS connector that the address asks for.
/// `ca` is the text of certificates that are trusted in place of those built in.
///
/// # Errors
/// `ConfigInvalid` naming what cannot be had.
pub(super) fn parse(text: &str, ca: Option<&str>) -> Result<Access, SyncError> {
    let mut address = Address::read(text)?;
    let mode = address.take("sslmode");
    let authorities = authorities(address.take("sslrootcert").as_deref(), ca)?;
    let mut config = address.config()?;
    let is_local = address::is_local(&config);
    let (ssl_mode, proof) = decide(mode.as_deref(), &authorities, is_local)?;
    if config.get_ssl_negotiation() == SslNegotiation::Direct && ssl_mode != SslMode::Require {
        return Err(SyncError::config(
            SETTING,
            "asks for sslnegotiation=direct, which wants sslmode=require or a stricter one",
        ));
    }
    // Nobody is between the two ends of a socket, and libpq encrypts none.
    let is_socket = address::is_socket(&config);
    config.ssl_mode(if is_socket {
        SslMode::Disable
    } else {
        ssl_mode
    });
    // Whoever says that there is no TLS need prove nothing.
    let is_weak = proof == Proof::Nothing || ssl_mode != SslMode::Require;
    let weakness = mode.filter(|_| is_weak && !is_local);
    Ok(Access {
        config,
        tls: connector(proof, authorities)?,
        weakness: weakness.map(|mode| weakness_of(&mode)),
    })
}

/// Reads whom to trust. What the address says goes before the setting.
fn authorities(file: Option<&str>, ca: Option<&str>) -> Result<Authorities, SyncError> {
    match (file, ca) {
        (Some("system"), _) => Ok(Authorities::System),
        (Some(file), _) => {
            let unreadable = |problem: String| {
                SyncError::config(SETTING, format!("names sslrootcert {file}: {problem}"))
            };
            let text =
                std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
            given(&text).map(Authorities::Given).map_err(unreadable)
        }
        (None, Some(text)) => given(text)
            .map(Authorities::Given)
            .map_err(|problem| SyncError::config(CA_SETTING, problem)),
        (None, None) => Ok(Authorities::BuiltIn),
    }
}

/// Reads certificates, each with its lines or in one: what a parameter passes through
/// may lose its line breaks, or write them as `\n`.
fn given(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text.replace("\\n", "\n");
    let parts = text.split("-----").map(|part| {
        if part.starts_with("BEGIN ") || part.starts_with("END ") {
            format!("\n-----{part}-----\n")
        } else {
            part.split_whitespace().collect::<Vec<_>>().join("\n")
        }
    });
    let lines: String = parts.collect();
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(lines.as_bytes()).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err("holds no certificate and wants PEM, -----BEGIN CERTIFICATE-----…".to_owned())
        }
        Ok(certificates) => match roots(&certificates) {
            Ok(_) => Ok(certificates),
            Err(error) => Err(format!("holds a certificate that cannot be used ({error})")),
        },
        Err(error) => Err(format!("holds a certificate that cannot be read ({error})")),
    }
}

/// Returns certificates as those who vouch for others.
fn roots(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone())?;
    }
    Ok(roots)
}

/// Decides what the server must do and prove.
fn decide(
    mode: Option<&str>,
    authorities: &Authorities,
    is_local: bool,
) -> Result<(SslMode, Proof), SyncError> {
    let is_given = matches!(authorities, Authorities::Given(_));
    // As libpq has it: who names authorities wants to hear from them.
    let known = if is_given {
        Proof::Authority
    } else {
        Proof::Nothing
    };
    let is_system = matches!(authorities, Authorities::System);
    match mode {
        None if is_system || !is_local => Ok((SslMode::Require, Proof::Name)),
        None => Ok((SslMode::Prefer, known)),
        Some("verify-full") => Ok((SslMode::Require, Proof::Name)),
        Some(mode) if is_system => Err(SyncError::config(
            SETTING,
            format!("asks for sslmode={mode}, but sslrootcert=system wants sslmode=verify-full"),
        )),
        Some("disable") => Ok((SslMode::Disable, Proof::Nothing)),
        Some("prefer") => Ok((SslMode::Prefer, known)),
        Some("require") => Ok((SslMode::Require, known)),
        // The built-in authorities sign for everybody: without the name their word
        // would prove nothing.
        Some("verify-ca") if is_given => Ok((SslMode::Require, Proof::Authority)),
        Some("verify-ca") => Ok((SslMode::Require, Proof::Name)),
        Some(other) => {
            let other = if other
                .chars()
                .all(|it| it.is_ascii_alphabetic() || it == '-')
            {
                other
            } else {
                "something else"
            };
            Err(SyncError::config(
                SETTING,
                format!(
                    "asks for sslmode={other} and wants disable, prefer, require, verify-ca or \
verify-full"
                ),
            ))
        }
    }
}

fn weakness_of(mode: &str) -> String {
    let what = match mode {
        "disable" => "nothing is encrypted",
        "prefer" => "nothing is encrypted if the server says so, or whoever answers for it",
        _ => "whoever answers is taken for the server",
    };
    format!(
        "{SETTING} asks for sslmode={mode}: {what}, and the password can be had on the way. \
Take verify-full; an authority of your own goes into {CA_SETTING}."
    )
}

fn connector(proof: Proof, authorities: Authorities) -> Result<MakeRustlsConnect, SyncError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if proof == Proof::Nothing {
        Arc::new(Unverified(provider.signature_verification_algorithms))
    } else {
        Arc::new(Verified::new(proof, authorities, &provider)?)
    };
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SyncError::Internal(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // A server that speaks TLS from the first byte wants to be told what for.
    tls.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(tls))
}

fn built_in() -> Result<RootCertStore, SyncError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for certificate in CertificateDer::pem_slice_iter(RDS_ROOTS).flatten() {
        roots
            .add(certificate)
            .map_err(|error| SyncError::Internal(error.to_string()))?;
    }
    Ok(roots)
}

/// Encryption with proof of who answers.
#[derive(Debug)]
struct Verified {
    proof: Proof,
    authorities: Arc<WebPkiServerVerifier>,
    /// A server's own certificate may be among the authorities that were given.
    given: Vec<CertificateDer<'static>>,
}

impl Verified {
    fn new(
        proof: Proof,
        authorities: Authorities,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, SyncError> {
        let (roots, given) = match authorities {
            Authorities::BuiltIn | Authorities::System => (built_in()?, Vec::new()),
            Authorities::Given(certificates) => {
                // They were tried when they were read, where their setting is known.
                let roots = roots(&certificates);
                let roots = roots.map_err(|error| SyncError::Internal(error.to_string()))?;
                (roots, certificates)
            }
        };
        let authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(|error| SyncError::Internal(error.to_string()))?;
        Ok(Self {
            proof,
            authorities,
            given,
        })
    }
}

impl ServerCertVerifier for Verified {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let is_given = self.given.iter().any(|given| given == end_entity);
        let proven = self.authorities.verify_server_cert(
            end_entity,
            if is_given { &[] } else { intermediates },
            server_name,
            ocsp_response,
            now,
        );
        let named = match proven {
            // Nobody need vouch for one that was given, but its time may be over.
            Err(TlsError::InvalidCertificate(why)) if is_given && !is_of_time(&why) => {
                let certificate = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, server_name)
                    .map(|()| ServerCertVerified::assertion())
            }
            proven => proven,
        };
        match named {
            // The name is looked at last, when all else is proven.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.proof == Proof::Authority => Ok(ServerCertVerified::assertion()),
            named => named,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Whether a certificate is refused for its time, which is looked at first.
fn is_of_time(why: &CertificateError) -> bool {
    matches!(
        why,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

/// Encryption without proof of who answers: what libpq's `require` promises.
#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
