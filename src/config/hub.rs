//! The section `[hub]`: the hub of a fleet, to which a device hands over instead of sending to Target.

use std::time::Duration;

use super::document::Table;
use super::sections::{UPDATES_PER_DAY_MAX, http, is_local};
use super::{TargetConfig, secret};
use crate::adobe::ClientOptions;
use crate::core::forwarding::destination::Destination;
use crate::core::limits::{HUB_EVERY, READS_PER_DAY_MAX};
use crate::forward::ForwarderRules;
use crate::store::StoreLimits;

/// Shortest and longest time between two signs of life.
const EVERY_MIN: Duration = Duration::from_secs(10);
const EVERY_MAX: Duration = Duration::from_secs(24 * 3_600);

const SECOND: Duration = Duration::from_secs(1);

/// Reads the section; `None` if there is none, or if it has a problem, which is reported.
pub(super) fn hub(top: &Table<'_, '_>) -> Option<TargetConfig> {
    let section = top.table("hub")?;
    let url = section.required_text("url").and_then(|text| {
        let url = reqwest::Url::parse(text.get_ref()).ok().filter(reqwest::Url::has_host);
        let problem = match &url {
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                Some("url in [hub] must hold no credentials; use token")
            }
            Some(url) if url.scheme() == "http" && !is_local(url) => {
                Some("url in [hub] must begin with https://; http:// is only for loopback addresses")
            }
            Some(url) if matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none() => None,
            _ => Some("url in [hub] must be a scheme and a host, without a path, such as https://hub.acme.example"),
        };
        if let Some(problem) = problem {
            section.report(text.span(), problem);
        }
        url.filter(|_| problem.is_none()).map(|url| url.as_str().trim_end_matches('/').to_owned())
    });
    let token = secret::source(&section, "token");
    if token.is_none() && section.value("token").is_none() {
        section
            .report(section.span(), "token in [hub] is missing; `outpost join` fetches one, and writes this section");
    }
    let every = section.duration("every", EVERY_MIN..EVERY_MAX + SECOND).unwrap_or(HUB_EVERY);
    let http = http(Some(section));
    Some(TargetConfig::of_hub(ClientOptions { destination: Destination::Hub { url: url? }, token, http }, every))
}

impl TargetConfig {
    /// Returns the settings of a device that hands over to the hub of `client`, at least once in that time.
    #[must_use]
    pub fn of_hub(client: ClientOptions, every: Duration) -> Self {
        Self {
            client,
            forwarding: ForwarderRules { hands_over: Some(every), ..ForwarderRules::default() },
            // The hub keeps Target's quotas; these never bind.
            updates_per_day: UPDATES_PER_DAY_MAX,
            reads_per_day: READS_PER_DAY_MAX,
            resend_after: StoreLimits::default().resend_after,
        }
    }
}
