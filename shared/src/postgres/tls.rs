//! `sslmode` as libpq means it.
//!
//! `require` encrypts without looking at the certificate, `verify-ca` and
//! `verify-full` check it against the web's authorities, those of Amazon RDS, and
//! those in `sslrootcert`. The driver knows neither
//! the two strict modes nor `sslrootcert`, so they are taken out of the address
//! before it sees it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use crate::error::SyncError;

const SETTING: &str = "DATABASE_URL";
/// RDS has authorities of its own, which the web does not know.
const RDS_ROOTS: &[u8] = include_bytes!("rds-roots.pem");

/// The driver's configuration and the TLS connector that the address asks for.
pub(super) fn parse(address: &str) -> Result<(Config, MakeRustlsConnect), SyncError> {
    let (address, verification) = split(address);
    let config: Config = address.parse().map_err(|_| {
        SyncError::config(
            SETTING,
            "cannot be read and wants postgresql://user:password@host:port/database?sslmode=…",
        )
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SyncError::Internal(error.to_string()))?;
    let tls = if verification.verify {
        builder
            .with_root_certificates(roots(verification.root_file.as_deref())?)
            .with_no_client_auth()
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unverified(algorithms)))
            .with_no_client_auth()
    };
    Ok((config, MakeRustlsConnect::new(tls)))
}

#[derive(Debug, PartialEq, Eq)]
struct Verification {
    verify: bool,
    root_file: Option<String>,
}

/// Takes the parts of the address out that only libpq understands.
fn split(address: &str) -> (String, Verification) {
    let mut verification = Verification {
        verify: false,
        root_file: None,
    };
    let Ok(mut url) = Url::parse(address) else {
        return (address.to_owned(), verification);
    };
    let mut kept = Vec::new();
    for (name, value) in url.query_pairs() {
        match (name.as_ref(), value.as_ref()) {
            ("sslmode", "verify-ca" | "verify-full") => {
                verification.verify = true;
                kept.push((name.into_owned(), "require".to_owned()));
            }
            ("sslrootcert", file) => verification.root_file = Some(file.to_owned()),
            _ => kept.push((name.into_owned(), value.into_owned())),
        }
    }
    if kept.is_empty() {
        url.set_query(None);
    } else {
        url.query_pairs_mut().clear().extend_pairs(kept);
    }
    (url.into(), verification)
}

fn roots(file: Option<&str>) -> Result<RootCertStore, SyncError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for certificate in CertificateDer::pem_slice_iter(RDS_ROOTS).flatten() {
        roots
            .add(certificate)
            .map_err(|error| SyncError::Internal(error.to_string()))?;
    }
    let Some(file) = file else {
        return Ok(roots);
    };
    let unreadable = |problem: String| {
        SyncError::config(SETTING, format!("names sslrootcert {file}: {problem}"))
    };
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unreadable(error.to_string()))?;
    }
    Ok(roots)
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
mod tests {
    use super::*;

    #[test]
    fn strict_modes_reach_the_driver_as_require() {
        let (address, verification) = split(
            "postgresql://u:p%40ss@db.example:5432/shop?sslmode=verify-full&sslrootcert=/etc/rds.pem&application_name=x",
        );
        assert_eq!(
            address,
            "postgresql://u:p%40ss@db.example:5432/shop?sslmode=require&application_name=x"
        );
        assert_eq!(
            verification,
            Verification {
                verify: true,
                root_file: Some("/etc/rds.pem".to_owned())
            }
        );
    }

    #[test]
    fn every_authority_of_rds_is_trusted() {
        let ours = roots(None).unwrap().len();
        let written = RDS_ROOTS
            .split(|byte| *byte == b'\n')
            .filter(|line| line.starts_with(b"-----BEGIN"))
            .count();
        assert_eq!(ours, webpki_roots::TLS_SERVER_ROOTS.len() + written);
        assert!(written > 60, "{written}");
    }

    #[test]
    fn other_modes_pass_as_they_are() {
        for mode in ["disable", "prefer", "require"] {
            let address = format!("postgresql://u@h/d?sslmode={mode}");
            let (split, verification) = split(&address);
            assert_eq!(split, address);
            assert!(!verification.verify);
        }
    }

    #[test]
    fn an_address_that_is_none_names_the_setting_and_not_the_password() {
        let Err(error) = parse("mysql:secret@host") else {
            panic!("accepted");
        };
        assert!(error.to_string().starts_with("DATABASE_URL"));
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn a_missing_root_file_is_a_clear_error() {
        let Err(error) = parse("postgresql://u@h/d?sslmode=verify-full&sslrootcert=/nowhere.pem")
        else {
            panic!("accepted");
        };
        assert!(error.to_string().contains("/nowhere.pem"), "{error}");
    }
}
