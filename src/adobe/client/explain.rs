//! Words for a request that got no answer: who did not answer or refused, and what to do. Never with the URL or the body.

use std::io::ErrorKind;

use reqwest::Url;

use super::options::ClientOptions;
use super::resolver::NameError;
use super::tunnel;
use crate::adobe::hub::of_hub;
use crate::adobe::outcome::{Outcome, intermediary};
use crate::adobe::proxy::ProxyOptions;
use crate::core::forwarding::why::{Cause, Why};

/// The host asked and the proxy on the way, so that messages name the right one.
#[derive(Debug)]
pub(in crate::adobe) struct Way {
    endpoint: Option<Url>,
    proxy: Option<ProxyOptions>,
    /// True if a hub is asked in Target's place.
    is_of_hub: bool,
}

impl Way {
    pub(in crate::adobe) fn new(options: &ClientOptions) -> Self {
        let ClientOptions { destination, http, .. } = options;
        let endpoint = Url::parse(destination.endpoint()).ok();
        Self { endpoint, proxy: http.proxy.clone(), is_of_hub: destination.is_hub() }
    }

    /// Explains to a technician why there is no answer.
    pub(in crate::adobe) async fn explain(&self, error: &reqwest::Error) -> Outcome {
        let outcome = self.explain_of_target(error).await;
        if self.is_of_hub { of_hub(outcome) } else { outcome }
    }

    async fn explain_of_target(&self, error: &reqwest::Error) -> Outcome {
        if let Some(tls) = cause::<rustls::Error>(error) {
            return unreachable(Cause::Tls, explain_tls(tls));
        }
        if let Some(NameError { name, .. }) = cause(error) {
            let whose = if self.is_target(name) { "Target's host" } else { "the proxy of [target.http]" };
            return unreachable(
                Cause::Dns,
                format!(
                    "the name of {whose} is not found (DNS); check the network cable, the Wi-Fi and the DNS server"
                ),
            );
        }
        if root_cause(error).starts_with(TUNNEL) {
            return self.refused_by_proxy().await;
        }
        let whom = if self.is_through_proxy() { "the proxy of [target.http]" } else { "Target" };
        if error.is_connect() && !error.is_timeout() {
            return unreachable(Cause::Connection, format!("no connection to {whom}: {}", explain_connection(error)));
        }
        if error.is_connect() {
            return unreachable(
                Cause::Connection,
                format!("no connection to {whom} in time; a firewall may drop it, or the DNS server is slow"),
            );
        }
        if error.is_timeout() {
            return Outcome::Lost("Target did not answer in time".to_owned());
        }
        Outcome::Lost("the connection to Target broke off before an answer".to_owned())
    }

    fn is_through_proxy(&self) -> bool {
        let is_excepted = |proxy: &ProxyOptions| self.endpoint.as_ref().is_some_and(|url| proxy.excepts(url));
        self.proxy.as_ref().is_some_and(|proxy| !is_excepted(proxy))
    }

    fn is_target(&self, name: &str) -> bool {
        self.endpoint.as_ref().and_then(Url::host_str).is_some_and(|host| host.eq_ignore_ascii_case(name))
    }

    /// Asks the proxy for a tunnel to Target once more, and returns its refusal.
    async fn refused_by_proxy(&self) -> Outcome {
        let status = match (&self.endpoint, &self.proxy) {
            (Some(endpoint), Some(proxy)) => tunnel::status(endpoint, proxy).await,
            _ => None,
        };
        let words = match status {
            Some(status @ 407) => intermediary(status).to_owned(),
            Some(403) => {
                "the proxy refuses to let Target's host pass (403); have it let Target's host through".to_owned()
            }
            Some(status @ 502..=504) => format!(
                "the proxy does not reach Target's host ({status}); have it let Target's host through, and check its own network"
            ),
            Some(status) => {
                format!("the proxy does not let Target's host pass (it answers {status}); ask whoever runs it")
            }
            None => "the proxy does not let Target's host pass; ask whoever runs it".to_owned(),
        };
        Outcome::Foreign(Why::new(Cause::Proxy, words))
    }
}

fn unreachable(cause: Cause, words: String) -> Outcome {
    Outcome::Unreachable(Why::new(cause, words))
}

/// Beginning of the errors of a proxy that does not open a tunnel; the library does not expose their type.
const TUNNEL: &str = "tunnel error";

/// Explains a failed TLS handshake to someone at the device.
fn explain_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let problem = match error {
        rustls::Error::InvalidCertificate(problem) => problem,
        rustls::Error::AlertReceived(alert) => return explain_alert(*alert).to_owned(),
        rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => {
            return "what answers does not speak TLS: a proxy or a login page may answer in Target's place, or endpoint in \
                    [target] has the wrong port"
                .to_owned();
        }
        rustls::Error::PeerIncompatible(_) => {
            return "the server speaks neither TLS 1.2 nor TLS 1.3 with a cipher that is safe: an old proxy on the network may \
                    open TLS; have Target's host let through"
                .to_owned();
        }
        _ => {
            return "no secure connection to Target: the handshake failed; see `outpost doctor`".to_owned();
        }
    };
    match problem {
        Certificate::UnknownIssuer | Certificate::BadSignature => {
            "the certificate was issued by an unknown authority: a proxy on the network intercepts TLS, or a login page answers; \
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
        Certificate::Revoked => "the certificate was revoked: something on the network may answer in Target's place",
        Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } | Certificate::Other(_) => {
            "the certificate is not one of a server, such as an authority's own: a proxy on the network may open TLS; let \
             Target's host pass, or have the proxy issue certificates of its own for hosts"
        }
        _ => {
            "the certificate is not accepted: it is damaged, or signed in a way that is not safe; `outpost doctor` says who \
             issued it"
        }
    }
    .to_owned()
}

/// Explains the alert with which the other side ends the handshake.
const fn explain_alert(alert: rustls::AlertDescription) -> &'static str {
    use rustls::AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA | Alert::CertificateUnknown => {
            "the server does not accept this device's certificate; check client_cert and client_key in [target.http]"
        }
        Alert::CertificateExpired => {
            "the server finds this device's certificate expired; renew client_cert in [target.http], or check the clock"
        }
        Alert::UnrecognisedName => {
            "the server does not know Target's host: something else on the network may be answering; check endpoint in [target]"
        }
        Alert::ProtocolVersion | Alert::InsufficientSecurity | Alert::HandshakeFailure => {
            "the server ended the handshake: an old proxy on the network may open TLS, or the server wants a certificate of this \
             device; have Target's host let through"
        }
        _ => "the server ended the handshake; a proxy on the network may open TLS: have Target's host let through",
    }
}

/// Explains why no connection was made, from the system's error.
fn explain_connection(error: &reqwest::Error) -> String {
    let words = match cause::<std::io::Error>(error).map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => "it is refused: nobody listens there, or a firewall forbids it",
        Some(ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown | ErrorKind::AddrNotAvailable) => {
            "this device has no network; check the network cable and the Wi-Fi"
        }
        Some(ErrorKind::HostUnreachable) => "no way leads there; check the network cable, the Wi-Fi and the router",
        Some(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof) => {
            "it was cut off at once; a firewall may do that: have Target's host let through"
        }
        Some(ErrorKind::PermissionDenied) => "a firewall of this device forbids it",
        _ => return root_cause(error),
    };
    words.to_owned()
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
