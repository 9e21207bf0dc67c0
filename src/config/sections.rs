//! The sections of the configuration except mappings: keys, defaults and limits.

use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use super::document::Table;
use super::places::default_data_dir;
use super::{AgentConfig, LogConfig, MetricsConfig, PageConfig, PushConfig, StoreConfig, TargetConfig};
use super::{privacy, secret};
use crate::adobe::{ClientOptions, HttpOptions, Pin, ProxyOptions, TlsOptions, single};
use crate::core::forwarding::destination::Destination;
use crate::core::forwarding::route::{Mode, RouteRules};
use crate::core::limits::{BATCH_ROWS_MAX, QUOTA_WINDOW, READS_PER_DAY, READS_PER_DAY_MAX};
use crate::core::loopback::is_loopback;
use crate::device::logging::LogFormat;
use crate::forward::ForwarderRules;
use crate::store::{StoreKey, StoreLimits};

/// Default share of Target's quota for this device. Units: single updates in 24 hours. Also in `agent.toml.example`.
const UPDATES_PER_DAY: u64 = 10_000;

/// Quota of all devices of a client code together. Source: Target Single Profile Update API.
pub(super) const UPDATES_PER_DAY_MAX: u64 = 1_000_000;

/// Default time for which an event is kept after its delivery. Also in `agent.toml.example`.
const KEEP_EVENTS: Duration = Duration::from_secs(30 * 86_400);

const KEEP_EVENTS_MAX: Duration = Duration::from_secs(3_650 * 86_400);

/// Longest time until an unchanged value is sent again: Target forgets the profile then. Source: Target, lifetime of
/// profiles.
const RESEND_AFTER_MAX: Duration = Duration::from_secs(14 * 86_400);

/// Default age of an event from which its value counts as late when it is sent. Also in `agent.toml.example`.
const LATE_AFTER: Duration = Duration::from_secs(15 * 60);

/// Default time after a delivery at which a profile is read back: Target says that most writes show within an hour.
const VERIFY_AFTER: Duration = Duration::from_secs(6 * 60 * 60);

/// Longest contact that the page shows. Units: characters.
const SUPPORT_CHARS_MAX: usize = 200;

/// Default time between two pushes of the metrics. Also in `agent.toml.example`.
const PUSH_EVERY: Duration = Duration::from_secs(60);

/// Shortest time between two pushes: ten thousand devices are a thousand requests a second then.
const PUSH_EVERY_MIN: Duration = Duration::from_secs(10);

const PUSH_EVERY_MAX: Duration = Duration::from_secs(24 * 3_600);

const SECOND: Duration = Duration::from_secs(1);

/// Smallest size of the store, with room for some thousand events. Units: bytes.
const STORE_BYTES_MIN: u64 = 4 << 20;

pub(super) fn agent(top: &Table<'_, '_>) -> AgentConfig {
    let Some(section) = top.table("agent") else {
        return AgentConfig { data_dir: default_data_dir(), device_id: None, data_disk: None };
    };
    let data_dir = section.path("data_dir").unwrap_or_else(default_data_dir);
    let device_id = section.text("device_id").and_then(|text| {
        let is_valid = is_device_id(text.get_ref());
        if !is_valid {
            section.report(
                text.span(),
                "device_id in [agent] must be 1 to 64 letters, digits, dots, hyphens and underscores",
            );
        }
        is_valid.then(|| text.into_inner().to_owned())
    });
    let data_disk = section.path("data_disk");
    if let (Some(disk), Some(text)) = (&data_disk, section.text("data_disk"))
        && !data_dir.starts_with(disk)
    {
        section.report(text.span(), "data_disk in [agent] must be where the disk is mounted that data_dir is on");
    }
    section.finish();
    AgentConfig { data_dir, device_id, data_disk }
}

/// Returns true if a text can be the name of a device.
pub(super) fn is_device_id(text: &str) -> bool {
    let is_allowed = |next: char| next.is_ascii_alphanumeric() || matches!(next, '.' | '-' | '_');
    (1..=64).contains(&text.len()) && text.chars().all(is_allowed)
}

/// Reads the section; without one there must be `[hub]`.
pub(super) fn target(top: &Table<'_, '_>, has_hub: bool) -> Option<TargetConfig> {
    let Some(section) = top.table("target") else {
        if !has_hub && top.entries().all(|(key, ..)| key != "target") {
            top.report(0..0, "the section [target] with client_code is missing");
        }
        return None;
    };
    let client_code = section.required_text("client_code").and_then(|text| client_code(&section, &text));
    let endpoint = section.text("endpoint").map(|text| endpoint(&section, &text));
    let forwarding = forwarding(&section);
    let token = secret::source(&section, "token");
    let resend_after = section.duration("resend_after", Duration::from_secs(60)..RESEND_AFTER_MAX);
    let (updates_per_day, reads_per_day) = section.table("quota").map_or((None, None), |quota| {
        let updates = quota.integer("updates_per_day", 1..UPDATES_PER_DAY_MAX + 1);
        let reads = quota.integer("reads_per_day", 1..READS_PER_DAY_MAX + 1);
        quota.finish();
        (updates, reads)
    });
    let http = http(section.table("http"));
    section.finish();
    let client_code = client_code?;
    let endpoint = match endpoint {
        Some(endpoint) => endpoint?,
        None => single::endpoint(&client_code),
    };
    Some(TargetConfig {
        client: ClientOptions { destination: Destination::Target { client_code, endpoint }, token, http },
        forwarding,
        reads_per_day: reads_per_day.unwrap_or(READS_PER_DAY),
        updates_per_day: updates_per_day.unwrap_or(UPDATES_PER_DAY),
        resend_after: resend_after.unwrap_or(StoreLimits::default().resend_after),
    })
}

fn client_code(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<String> {
    let code = text.get_ref();
    // It becomes part of a host name and of a path.
    let is_valid = (1..=63).contains(&code.len())
        && code.chars().all(|next| next.is_ascii_alphanumeric() || next == '-')
        && !code.starts_with('-');
    if !is_valid {
        let message = format!(
            "client_code in [target] must be letters, digits and hyphens, as acme in {}",
            single::endpoint("acme")
        );
        section.report(text.span(), message);
    }
    is_valid.then(|| (*code).to_owned())
}

fn endpoint(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<String> {
    let url = reqwest::Url::parse(text.get_ref()).ok();
    let problem = match &url {
        None if !text.get_ref().is_ascii() => {
            Some("endpoint in [target] must name its host in ASCII, such as xn--mnchen-3ya.example for münchen.example")
        }
        None => Some("endpoint in [target] must be a URL such as https://gateway.example"),
        Some(url) if url.scheme() == "http" && !is_local(url) => {
            Some("endpoint in [target] must begin with https://; http:// is only for loopback addresses")
        }
        Some(url) if !matches!(url.scheme(), "http" | "https") => Some("endpoint in [target] must begin with https://"),
        Some(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            Some("endpoint in [target] must be a scheme and a host, without a path, such as https://gateway.example")
        }
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Some("endpoint in [target] must hold no credentials; use token")
        }
        Some(_) => None,
    };
    if let Some(problem) = problem {
        section.report(text.span(), problem);
        return None;
    }
    url.map(|url| url.as_str().trim_end_matches('/').to_owned())
}

/// Returns true if a URL is of this device alone.
pub(super) fn is_local(url: &reqwest::Url) -> bool {
    is_loopback(url.host_str().unwrap_or_default())
}

fn forwarding(section: &Table<'_, '_>) -> ForwarderRules {
    let defaults = RouteRules::default();
    let mut routes = RouteRules {
        mode: mode(section).unwrap_or_default(),
        creates_missing: creates_missing(section),
        has_ecid: false,
        bulk_above: section
            .integer("bulk_above", 0..BATCH_ROWS_MAX as u64 + 1)
            .map_or(defaults.bulk_above, |rows| usize::try_from(rows).unwrap_or(usize::MAX)),
        has_batches: true,
    };
    let late_after = section.duration("late_after", Duration::ZERO..QUOTA_WINDOW + SECOND).unwrap_or(LATE_AFTER);
    let is_shared = section.flag("shared_profiles").unwrap_or(true);
    let verify_after = section.duration("verify_after", SECOND..RESEND_AFTER_MAX).unwrap_or(VERIFY_AFTER);
    routes.has_ecid = section.flag("ecid").unwrap_or(false);
    ForwarderRules {
        routes,
        late_after: is_shared.then_some(late_after),
        property_token: section.text("property_token").map(|text| text.into_inner().to_owned()),
        verify: verify_sample(section).map(|part| (part, verify_after)),
        hands_over: None,
    }
}

fn mode(section: &Table<'_, '_>) -> Option<Mode> {
    let text = section.text("mode")?;
    let mode = Mode::ALL.into_iter().find(|mode| mode.name() == *text.get_ref());
    if mode.is_none() {
        let known = Mode::ALL.map(Mode::name).join(", ");
        section.report(text.span(), format!("mode in [target] must be one of {known}; found \"{}\"", text.get_ref()));
    }
    mode
}

fn creates_missing(section: &Table<'_, '_>) -> bool {
    let Some(text) = section.text("missing_profiles") else { return true };
    match *text.get_ref() {
        "create" => return true,
        "send" => {}
        _ => section.report(text.span(), "missing_profiles in [target] must be \"create\" or \"send\""),
    }
    false
}

/// Reads a fraction of the profiles, such as `1%`, as a number from 0 to 1.
fn verify_sample(section: &Table<'_, '_>) -> Option<f64> {
    let text = section.text("verify_sample")?;
    let percent = text.get_ref().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => (percent > 0.0).then_some(percent / 100.0),
        _ => {
            section.report(
                text.span(),
                "verify_sample in [target] must be a part of the profiles, from \"0%\" to \"100%\"",
            );
            None
        }
    }
}

/// Reads how requests to Target or a hub are made.
pub(super) fn http(section: Option<Table<'_, '_>>) -> HttpOptions {
    let (timeout, tls) = (Duration::from_secs(10), TlsOptions::default());
    let mut http = HttpOptions { timeout, connections: 4, proxy: None, tls };
    let Some(section) = section else { return http };
    if let Some(timeout) = section.duration("timeout", Duration::from_millis(100)..Duration::from_secs(301)) {
        http.timeout = timeout;
    }
    if let Some(connections) = section.integer("connections", 1..65) {
        http.connections = usize::try_from(connections).unwrap_or(1);
    }
    http.proxy = proxy(&section);
    http.tls.ca_file = section.path("ca_file");
    http.tls.client_cert = match (section.path("client_cert"), section.path("client_key")) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => {
            let name = section.name();
            section
                .report(section.span(), format!("client_cert and client_key in {name} must both be set, or neither"));
            None
        }
    };
    for text in section.texts("pins") {
        match Pin::new(text.get_ref()) {
            Some(pin) => http.tls.pins.push(pin),
            None => section.report(
                text.span(),
                "a pin must be sha256/ and 44 characters of base64; `outpost doctor` shows the current one",
            ),
        }
    }
    section.finish();
    http
}

fn proxy(section: &Table<'_, '_>) -> Option<ProxyOptions> {
    let url = secret::source(section, "proxy");
    let user = section.text("proxy_user");
    let password = secret::source(section, "proxy_password");
    let exceptions = section.text("no_proxy");
    let needs_url = user.is_some() || password.is_some() || exceptions.is_some();
    if url.is_none() && needs_url && section.value("proxy").is_none() {
        section.report(
            section.span(),
            format!("proxy_user, proxy_password and no_proxy in {} need proxy, which must be set too", section.name()),
        );
    }
    if password.is_some() && user.is_none() {
        let name = section.name();
        section.report(section.span(), format!("proxy_password in {name} needs proxy_user, which must be set too"));
    }
    let text = |text: Spanned<&str>| text.into_inner().to_owned();
    Some(ProxyOptions { url: url?, user: user.map(text), password, exceptions: exceptions.map(text) })
}

pub(super) fn store(top: &Table<'_, '_>) -> StoreConfig {
    let StoreLimits { max_bytes, min_free_disk_bytes, .. } = StoreLimits::default();
    let mut store = StoreConfig { max_bytes, min_free_disk_bytes, keep_events: KEEP_EVENTS, key: None, old_key: None };
    let Some(section) = top.table("store") else { return store };
    if let Some(max_size) = section.size("max_size", STORE_BYTES_MIN..=1 << 40) {
        store.max_bytes = max_size;
    }
    if let Some(min_free_disk) = section.size("min_free_disk", 0..=1 << 40) {
        store.min_free_disk_bytes = min_free_disk;
    }
    if let Some(keep_events) = section.duration("keep_events", Duration::ZERO..KEEP_EVENTS_MAX) {
        store.keep_events = keep_events;
    }
    store.key = privacy::key(&section, "key").map(|secret| StoreKey::new(&secret));
    store.old_key = privacy::key(&section, "old_key").map(|secret| StoreKey::new(&secret));
    if store.old_key.is_some() && store.key.is_none() {
        section.report(
            section.span(),
            "old_key in [store] goes with the new key; to decrypt, use `outpost rekey --remove`",
        );
    }
    section.finish();
    store
}

pub(super) fn log(top: &Table<'_, '_>, data_dir: &Path) -> LogConfig {
    let (level, format) = (tracing::Level::INFO, LogFormat::default());
    let mut log = LogConfig { level, dir: data_dir.join("log"), keep_files: 14, format };
    let Some(section) = top.table("log") else { return log };
    if let Some(text) = section.text("level") {
        match text.get_ref().parse() {
            Ok(level) => log.level = level,
            Err(_) => section.report(text.span(), "level in [log] must be error, warn, info, debug or trace"),
        }
    }
    if let Some(dir) = section.path("dir") {
        log.dir = dir;
    }
    if let Some(keep_files) = section.integer("keep_files", 1..1_001) {
        log.keep_files = usize::try_from(keep_files).unwrap_or(1);
    }
    if let Some(text) = section.text("format") {
        match *text.get_ref() {
            "text" => log.format = LogFormat::Text,
            "json" => log.format = LogFormat::Json,
            _ => section.report(text.span(), "format in [log] must be text or json"),
        }
    }
    section.finish();
    log
}

pub(super) fn metrics(top: &Table<'_, '_>) -> MetricsConfig {
    let Some(section) = top.table("metrics") else { return MetricsConfig::default() };
    let token = secret::source(&section, "push_token");
    let every = section.duration("push_every", PUSH_EVERY_MIN..PUSH_EVERY_MAX + SECOND).unwrap_or(PUSH_EVERY);
    let push = section.text("push").and_then(|text| {
        let url = reqwest::Url::parse(text.get_ref()).ok().filter(reqwest::Url::has_host);
        let problem = match &url {
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                Some("push in [metrics] must hold no credentials; use push_token")
            }
            // At loopback, too, anybody may listen.
            Some(url) if url.scheme() == "http" && token.is_some() => {
                Some("push in [metrics] must begin with https://, since push_token is sent with it")
            }
            Some(url) if url.scheme() == "http" && !is_local(url) => {
                Some("push in [metrics] must begin with https://; http:// is for loopback addresses only")
            }
            Some(url) if matches!(url.scheme(), "http" | "https") && url.path() != "/" => None,
            _ => Some("push in [metrics] must be a whole URL such as https://collector.example:4318/v1/metrics"),
        };
        if let Some(problem) = problem {
            section.report(text.span(), problem);
        }
        url.filter(|_| problem.is_none()).map(|url| PushConfig { url: url.into(), every, token: token.clone() })
    });
    if section.entries().all(|(key, ..)| key != "push") {
        for (key, span, _) in section.entries().filter(|(key, ..)| key.starts_with("push_")) {
            section.report(span, format!("{key} in [metrics] needs push, the URL of the collector"));
        }
    }
    section.finish();
    MetricsConfig { push }
}

pub(super) fn page(top: &Table<'_, '_>) -> PageConfig {
    let Some(section) = top.table("page") else { return PageConfig::default() };
    let support = section.text("support").and_then(|text| {
        let is_valid = (1..=SUPPORT_CHARS_MAX).contains(&text.get_ref().trim().chars().count());
        if !is_valid {
            let words = "support in [page] must have 1 to 200 characters, such as \"+46 40 123 45, help@acme.example\"";
            section.report(text.span(), words);
        }
        is_valid.then(|| text.into_inner().trim().to_owned())
    });
    section.finish();
    PageConfig { support }
}
