//! The way to Target or to the hub, piece by piece: the name, the proxy, TLS and who issued it, the clock, the token.

use super::finding::{Finding, Level};
use crate::adobe::diagnose::{self, Issuer};
use crate::adobe::{Client, ClientOptions, Reply, host, proxy};
use crate::cli::runtime::small_runtime;
use crate::config::TargetConfig;
use crate::core::fleet::KnownDevice;
use crate::core::identity::{Identity, IdentityKind};
use crate::core::timestamp::Timestamp;
use crate::core::visible::one_line;
use crate::device::clock::Clock;

/// Difference of clocks from which TLS and event times suffer.
const SKEW_MAX_SECONDS: u64 = 60;

/// Words in the names of those who issue for the whole web. Others are somebody's own: a company's, or a proxy's.
const PUBLIC_ISSUERS: [&str; 8] =
    ["DigiCert", "Let's Encrypt", "GlobalSign", "Sectigo", "Amazon", "Entrust", "Google Trust", "GeoTrust"];

pub(super) fn examine(target: TargetConfig) -> Vec<Finding> {
    let is_hub = target.is_hub();
    let options = target.client;
    let has_token = options.token.is_some();
    let Ok(runtime) = small_runtime() else { return Vec::new() };
    runtime.block_on(async {
        let mut findings = vec![proxy(&options), name(&options).await];
        findings.extend(trusted(&options));
        findings.push(tls(&options).await);
        findings.extend(if is_hub { hub(&options).await } else { answer(&options, has_token).await });
        findings
    })
}

fn proxy(options: &ClientOptions) -> Finding {
    if options.http.proxy.is_some() {
        return Finding::new("proxy", Level::Ok, "all goes through the one in [target.http]");
    }
    match proxy::unused_variables().first() {
        Some(unused) => Finding::new("proxy", Level::Warn, format!("none; {unused}")),
        None => Finding::new("proxy", Level::Ok, "none"),
    }
}

/// Counts the certificates in `ca_file`, which are trusted besides the system's.
fn trusted(options: &ClientOptions) -> Option<Finding> {
    let finding = |level, detail| Finding::new("ca_file", level, detail);
    Some(match options.http.tls.extra_roots().transpose()? {
        Ok(count) => finding(
            Level::Ok,
            format!(
                "{count} {} trusted in addition to the system's",
                if count == 1 { "certificate is" } else { "certificates are" }
            ),
        ),
        Err(error) => finding(Level::Fail, error.to_string()),
    })
}

async fn name(options: &ClientOptions) -> Finding {
    let host = host(options.destination.endpoint());
    match diagnose::resolve(options).await {
        Ok(None) => Finding::new("name (DNS)", Level::Ok, format!("the proxy looks {host} up")),
        Ok(Some(count)) => Finding::new("name (DNS)", Level::Ok, format!("{host} has {count} addresses")),
        Err(error) => Finding::new(
            "name (DNS)",
            Level::Fail,
            format!("{host} is not found: {error}; check the cable, the Wi-Fi and the DNS server"),
        ),
    }
}

async fn tls(options: &ClientOptions) -> Finding {
    let finding = |level, detail: String| Finding::new("certificate", level, detail);
    match diagnose::issuer(options).await {
        Ok(None) => finding(Level::Ok, "none: the endpoint is on this device".to_owned()),
        Ok(Some(Issuer { subject, issuer, pin, not_after })) => {
            let pin = pin.unwrap_or_default();
            let words = format!("of {subject}, issued by {issuer}, valid until {not_after}, public key {pin}");
            if not_after < Clock::system() {
                return finding(Level::Fail, format!("{words}: expired, or this device's clock is ahead"));
            }
            let is_public = PUBLIC_ISSUERS.iter().any(|name| issuer.contains(name));
            let is_own = options.http.tls.ca_file.is_some();
            if is_public || is_own {
                return finding(Level::Ok, words);
            }
            let advice = "this issuer is not one of the web's: a proxy on the network may intercept TLS; let its host pass, or \
                          name the issuer in ca_file";
            finding(Level::Warn, format!("{words}; {advice}"))
        }
        Err(reason) => finding(Level::Fail, reason),
    }
}

/// Asks the hub whether it knows this device: its clock, and the token.
async fn hub(options: &ClientOptions) -> Vec<Finding> {
    let client = match Client::new(options) {
        Ok(client) => client,
        Err(error) => return vec![Finding::new("answer", Level::Fail, crate::cli::failure::chain(&error))],
    };
    match client.known().await {
        Ok(KnownDevice { device_id, group, time }) => {
            let group = group.map(|group| format!(" of group {group}")).unwrap_or_default();
            let words = one_line(&format!("the hub answers, and knows this device as {device_id}{group}")).into_owned();
            vec![skew("hub's clock", time, Clock::system()), Finding::new("answer", Level::Ok, words)]
        }
        Err(outcome) => vec![Finding::new("answer", Level::Fail, outcome.reason())],
    }
}

/// Asks Target for a profile that nobody has: its clock, and what it thinks of the token.
async fn answer(options: &ClientOptions, has_token: bool) -> Vec<Finding> {
    let client = match Client::new(options) {
        Ok(client) => client,
        Err(error) => return vec![Finding::new("answer", Level::Fail, crate::cli::failure::chain(&error))],
    };
    let nobody = Identity::new(IdentityKind::ThirdPartyId, "outpost-doctor").expect("a valid key");
    let exchange = client.fetch(&nobody).await;
    let mut findings = Vec::new();
    if let Some(date) = exchange.date {
        findings.push(skew("Target's clock", date, Clock::system()));
    }
    let (level, words) = match exchange.answer {
        Reply::Found(_) | Reply::Missing if has_token => {
            (Level::Ok, "Target answers, and accepts the token".to_owned())
        }
        Reply::Found(_) | Reply::Missing => (Level::Ok, "Target answers; no token is configured".to_owned()),
        Reply::Denied(reason) | Reply::Unreadable(reason) => (
            Level::Warn,
            format!("{reason}; updates may work all the same: see link. Ask for a token that may read profiles"),
        ),
        Reply::Failed(outcome) => (Level::Fail, outcome.reason()),
    };
    findings.push(Finding::new("answer", level, words));
    findings
}

fn skew(name: &'static str, other: Timestamp, device: Timestamp) -> Finding {
    let seconds = other.since(device).max(device.since(other)).as_secs();
    let side = if other > device { "behind" } else { "ahead of" };
    match seconds {
        0..=SKEW_MAX_SECONDS => Finding::new(name, Level::Ok, "agrees with this device's"),
        _ => Finding::new(
            name,
            Level::Warn,
            format!("this device's clock is {seconds} s {side} it; set the clock, or event times are wrong by as much"),
        ),
    }
}
