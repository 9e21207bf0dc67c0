//! Trust in Target's certificate, and our own certificate: TLS 1.2 and 1.3 by rustls.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use secrecy::ExposeSecret as _;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::{ClientError, Setting};
use crate::device::text_file::without_mark;
use crate::device::{dir, secret};

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
    pub(crate) fn config(&self) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let extra = match &self.ca_file {
            Some(path) => certificates(Setting::CaFile, path)?,
            None => Vec::new(),
        };
        let system = |error| Setting::System.error(format!("the certificates of the system cannot be used: {error}"));
        let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(system)?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.pins.as_slice() {
            [] => Arc::new(verifier),
            pins => Arc::new(Pinned { trusted: verifier, pins: pins.to_vec() }),
        };
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(system)?.dangerous().with_custom_certificate_verifier(verifier);
        let Some((cert, key)) = &self.client_cert else { return Ok(builder.with_no_client_auth()) };
        let (chain, key) = (certificates(Setting::ClientCert, cert)?, private_key(key)?);
        builder.with_client_auth_cert(chain, key).map_err(|error| {
            Setting::ClientKey.error(match error {
                rustls::Error::InconsistentKeys(_) => "it is not the key of client_cert".to_owned(),
                error => format!("it cannot be used with client_cert: {error}"),
            })
        })
    }

    /// The number of certificates in `ca_file`, if it is set.
    ///
    /// # Errors
    /// [`ClientError`], which names the certificate that is wrong.
    pub fn extra_roots(&self) -> Result<Option<usize>, ClientError> {
        self.ca_file.as_ref().map(|path| Ok(certificates(Setting::CaFile, path)?.len())).transpose()
    }

    /// Its files.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let (cert, key) = self.client_cert.as_ref().map(|(cert, key)| (cert, key)).unzip();
        self.ca_file.iter().chain(cert).chain(key)
    }
}

/// The certificates of a PEM file, each of which is one.
fn certificates(setting: Setting, path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let wrong = |words: String| setting.error(format!("the file {}: {words}", path.display()));
    let bytes = dir::open_followed(path)
        .and_then(dir::read_small)
        .map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    let pem = pem(&bytes).map_err(|words| wrong(words.to_owned()))?;
    let mut certificates = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let certificate = certificate.ok().filter(|der| X509Certificate::from_der(der).is_ok());
        let damaged = || wrong(format!("certificate {} in it is damaged; it must be as it was issued", index + 1));
        certificates.push(certificate.ok_or_else(damaged)?);
    }
    if certificates.is_empty() {
        return Err(wrong(
            "it contains no certificate; it must have one that starts with BEGIN CERTIFICATE".to_owned(),
        ));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ClientError> {
    let wrong = |words: String| Setting::ClientKey.error(format!("the file {}: {words}", path.display()));
    let bytes = secret::file_bytes(path).map_err(|words| Setting::ClientKey.error(words))?;
    let pem = pem(bytes.expose_secret()).map_err(|words| wrong(words.to_owned()))?;
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let is_encrypted = [b"ENCRYPTED PRIVATE KEY".as_slice(), b"Proc-Type: 4,ENCRYPTED"];
        let is_encrypted = is_encrypted.iter().any(|words| pem.windows(words.len()).any(|part| part == *words));
        let words = if is_encrypted {
            "it is encrypted, and nobody is there to type its passphrase; it must be a key without one, as `openssl pkey -in … \
             -out …` writes it"
        } else {
            "it contains no private key; it must have one that starts with BEGIN PRIVATE KEY"
        };
        wrong(words.to_owned())
    })
}

/// The text of a PEM file.
fn pem(bytes: &[u8]) -> Result<&[u8], &'static str> {
    match bytes {
        [0x30, length, ..] if *length >= 0x80 => {
            Err("it is DER; it must be PEM, as `openssl … -inform der -in … -out …` writes it")
        }
        bytes => without_mark(bytes),
    }
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
