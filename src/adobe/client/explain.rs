//! Words for a request that got no answer.

use super::resolver::NameError;
use crate::adobe::outcome::Outcome;

/// Explains to a technician why there is no answer, and never with the URL or the body.
pub(in crate::adobe) fn explain(error: &reqwest::Error) -> Outcome {
    if let Some(tls) = cause::<rustls::Error>(error) {
        return Outcome::Unreachable(explain_tls(tls));
    }
    if cause::<NameError>(error).is_some() {
        return Outcome::Unreachable(
            "the name of Target's host is not found (DNS); check the network cable, the Wi-Fi and the DNS server"
                .to_owned(),
        );
    }
    if error.is_connect() && !error.is_timeout() {
        return Outcome::Unreachable(format!("no connection to Target: {}", root_cause(error)));
    }
    if error.is_connect() {
        return Outcome::Unreachable(
            "no connection to Target in time; a firewall may drop it, or the DNS server is slow".to_owned(),
        );
    }
    if error.is_timeout() {
        return Outcome::Lost("Target did not answer in time".to_owned());
    }
    Outcome::Lost("the connection to Target broke off before an answer".to_owned())
}

/// What a failed TLS handshake means for whoever stands beside the device.
fn explain_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let rustls::Error::InvalidCertificate(problem) = error else {
        return format!("no secure connection to Target: {error}");
    };
    match problem {
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            "the certificate was issued by somebody unknown: a proxy on the network opens TLS, or a login page answers; \
             let Target's host pass, or name the proxy's issuer in ca_file"
        }
        Certificate::Expired | Certificate::ExpiredContext { .. } => {
            "the certificate has expired, or this device's clock is ahead; check the clock"
        }
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "the certificate is not valid yet, or this device's clock is behind; check the clock"
        }
        Certificate::ApplicationVerificationFailure => {
            "the server's public key is none of pins in [target.http]: something on the network answers in Target's place, \
             or Target has a new key"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "the certificate is for another host: something on the network answers in Target's place, perhaps a login page"
        }
        _ => return format!("the certificate is not accepted: {problem}"),
    }
    .to_owned()
}

/// The first cause of a type, also within the system's errors.
fn cause<'e, T: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The innermost cause: the system's or the TLS library's own words, which name no URL.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
