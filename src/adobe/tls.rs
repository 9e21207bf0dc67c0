//! Whom we trust when we speak with Target, and who we are to it: TLS 1.2 and 1.3 by rustls.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::{ClientError, open_secret};

/// Files and keys by which both sides know each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Certificates to trust beside the system's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and key, in PEM.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// The public keys that Target's certificate may have; empty for any that is trusted.
    pub pins: Vec<Pin>,
}

/// Characters of 32 bytes in base64, without padding.
const PIN_CHARS: usize = 43;

/// The SHA-256 of a public key, as DER of its `SubjectPublicKeyInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// A pin such as `sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=`, as curl and browsers write it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.strip_prefix("sha256/")?.trim_end_matches('=');
        // curl writes two slashes; a hash may begin with one of its own.
        let text = if text.len() > PIN_CHARS { text.strip_prefix('/')? } else { text };
        BASE64_STANDARD_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The pin of a certificate.
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(Self(Sha256::digest(certificate.public_key().raw).into()))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", BASE64_STANDARD.encode(self.0))
    }
}

/// The pin of a certificate in DER, for people who want to pin it.
pub(super) fn pin(certificate: &[u8]) -> Option<String> {
    Pin::of(&CertificateDer::from(certificate)).map(|pin| pin.to_string())
}

impl TlsOptions {
    /// Sets TLS up.
    ///
    /// # Errors
    /// [`ClientError`], which names the file.
    pub(super) fn config(&self) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let extra = match &self.ca_file {
            Some(path) => certificates(path)?,
            None => Vec::new(),
        };
        let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(ClientError::Tls)?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.pins.as_slice() {
            [] => Arc::new(verifier),
            pins => Arc::new(Pinned { trusted: verifier, pins: pins.to_vec() }),
        };
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(ClientError::Tls)?.dangerous().with_custom_certificate_verifier(verifier);
        match &self.client_cert {
            None => Ok(builder.with_no_client_auth()),
            Some((cert, key)) => {
                let mut pem = Vec::new();
                let read = open_secret(key)?.read_to_end(&mut pem);
                read.map_err(|source| ClientError::File { path: key.clone(), source })?;
                let private =
                    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| ClientError::Pem { path: key.clone() })?;
                builder.with_client_auth_cert(certificates(cert)?, private).map_err(ClientError::Tls)
            }
        }
    }

    /// What tells whether one of its files has changed. They are small, and times of files are not to be relied on.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let (cert, key) = self.client_cert.as_ref().map(|(cert, key)| (cert, key)).unzip();
        let mut hasher = Sha256::new();
        for path in self.ca_file.iter().chain(cert).chain(key) {
            hasher.update(std::fs::read(path).unwrap_or_default());
        }
        hasher.finalize().into()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path).map_err(|source| ClientError::File { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let pem = read(path)?;
    let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let pem = || ClientError::Pem { path: path.to_owned() };
    all.ok().filter(|all| !all.is_empty()).ok_or_else(pem)
}

/// Trusts who is trusted anyway, if the key is one that we know.
///
/// The key is that of the server's own certificate: what else a server sends along need not be on the way to a root.
#[derive(Debug)]
struct Pinned {
    trusted: Verifier,
    pins: Vec<Pin>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.trusted.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let is_known = Pin::of(end_entity).is_some_and(|pin| self.pins.contains(&pin));
        if is_known { Ok(verified) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trusted.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.trusted.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trusted.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_as_they_are_written() {
        let text = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let pin = Pin::new(text).expect("a pin");
        assert_eq!(
            (pin.to_string().as_str(), Pin::new("sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU")),
            (text, Some(pin))
        );
        let slash = "sha256//9DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let pin = Pin::new(slash).expect("a pin whose hash begins with a slash");
        assert_eq!((pin.to_string().as_str(), Pin::new(&slash.replace("//", "///"))), (slash, Some(pin)));
        assert_eq!(Pin::new("sha256/abcd"), None);
        assert_eq!(Pin::new("sha1/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), None);
    }
}
