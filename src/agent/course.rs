//! The course of a device's updates: where they go now, and where next. One decision, for an agent that starts or reloads and for
//! commands on a store at rest.

use std::path::Path;

use super::data_dir::HUB_TOKEN_FILE;
use super::settings::Settings;
use crate::adobe::ClientOptions;
use crate::config::TargetConfig;
use crate::core::forwarding::destination::Destination;
use crate::core::limits::{HUB_DRAIN_MAX, HUB_EVERY};
use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;
use crate::device::dir;
use crate::device::secret::Secret;
use crate::store::{Noted, Reader, Store, StoreError, StoreFile};

/// Present destination of updates, and the next one.
#[derive(Clone, Debug)]
pub struct Course {
    /// The effective settings.
    pub settings: Settings,
    /// Next destination of updates.
    pub next: Next,
}

/// Next destination of updates.
#[derive(Clone, Debug)]
pub enum Next {
    /// Present destination.
    Same,
    /// To a hub, by these settings, once nothing is pending for Target, or a day later.
    Hub(Box<Settings>),
    /// To the hub that this device has joined, although the configuration has none any more: Target would get this device's own
    /// totals instead of the fleet's.
    HubUnconfigured,
}

impl Course {
    /// Returns the course by the configured settings and by what the store notes. `data_dir` has the token of a hub that is not
    /// configured any more.
    #[must_use]
    pub fn of(configured: Settings, noted: &Noted, now: Timestamp, data_dir: &Path) -> Self {
        if let Some(hub) = noted.destination.as_ref().filter(|noted| noted.is_hub() && !configured.target.is_hub()) {
            let client = ClientOptions {
                destination: hub.clone(),
                token: Some(Secret::File(data_dir.join(HUB_TOKEN_FILE))),
                http: configured.target.client.http.elsewhere(),
            };
            let target = TargetConfig::of_hub(client, HUB_EVERY);
            return Self { settings: Settings { target, before: None, ..configured }, next: Next::HubUnconfigured };
        }
        match &configured.before {
            Some(before) if must_drain(&configured, noted, now) => {
                let settings = Settings { target: before.clone(), before: None, ..configured.clone() };
                Self { settings, next: Next::Hub(Box::new(configured)) }
            }
            _ => Self { settings: configured, next: Next::Same },
        }
    }

    /// Returns the course of a store that no agent runs on. A store that is yet to be made notes nothing.
    ///
    /// # Errors
    /// As for [`Reader::open`], and [`StoreError::Read`].
    pub fn at_rest(configured: Settings, file: &StoreFile) -> Result<Self, StoreError> {
        let (noted, now) = notes(file)?;
        Ok(Self::of(configured, &noted, now, dir::parent(&file.path)))
    }

    /// Opens a store for writing, with the limits of its course.
    ///
    /// # Errors
    /// As for [`Store::open_within`].
    pub fn open(configured: Settings, file: &StoreFile) -> Result<(Self, Store), StoreError> {
        // Its course is not known yet; its size is bounded in any case.
        let mut store = Store::open_within(file, configured.limits())?;
        let now = Clock::new(store.counters().recorded_at).now();
        let course = Self::of(configured, &store.noted()?, now, dir::parent(&file.path));
        store.set_limits(course.settings.limits())?;
        Ok((course, store))
    }

    /// Logs what somebody must know about it.
    pub(super) fn tell(&self) {
        match &self.next {
            Next::Same => {}
            Next::Hub(_) => {
                tracing::info!("what is pending goes to Target first; then this device hands over to the hub");
            }
            Next::HubUnconfigured => tracing::error!(
                hub = self.settings.target.client.destination.endpoint(),
                "the section [hub] is missing, and this device has joined a hub: it continues to hand over there; write \
                 agent.d/90-hub.toml again with `outpost join`, or set another data_dir"
            ),
        }
    }
}

/// Returns true if what is pending goes to Target before a device with these settings hands over to their hub: for a day at most.
pub(super) fn must_drain(settings: &Settings, noted: &Noted, now: Timestamp) -> bool {
    let is_turning = settings.target.is_hub() && settings.before.is_some();
    let is_of_hub = noted.destination.as_ref().is_some_and(Destination::is_hub);
    let is_late = noted.draining_since.is_some_and(|since| now.since(since) >= HUB_DRAIN_MAX);
    is_turning && !is_of_hub && !noted.is_drained && !is_late
}

/// Returns what a store at rest notes, with the time on its device's clock.
///
/// # Errors
/// As for [`Reader::open`], and [`StoreError::Read`].
pub fn notes(file: &StoreFile) -> Result<(Noted, Timestamp), StoreError> {
    if file.path.symlink_metadata().is_err() {
        return Ok((Noted::default(), Clock::new(None).now()));
    }
    let reader = Reader::open(file)?;
    Ok((reader.noted()?, Clock::new(reader.counters()?.recorded_at).now()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Sources};

    const TARGET: &str = "[target]\nclient_code = \"acme\"\nresend_after = \"1h\"\ntoken = \"target's\"\n[target.http]\n\
                          ca_file = \"/ca.pem\"\nproxy = \"http://proxy.example:3128\"\nclient_cert = \"/own.pem\"\n\
                          client_key = \"/own.key\"\npins = [\"sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]\n";

    const HUB: &str = "[hub]\nurl = \"https://hub.example\"\ntoken = \"the hub's\"\n";

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    fn course(sections: &[&str], destination: Option<&str>, is_drained: bool, since: Option<Duration>) -> Course {
        let config = Config::parse(&Sources::of_text(Path::new("agent.toml"), &sections.concat()), |_| String::new());
        let destination = destination.map(|name| match name {
            "acme" => {
                Destination::Target { client_code: "acme".to_owned(), endpoint: "https://acme.example".to_owned() }
            }
            url => Destination::Hub { url: url.to_owned() },
        });
        let noted = Noted { destination, is_drained, draining_since: since.map(|since| NOW.minus(since)) };
        Course::of(Settings::of(config.expect("valid")), &noted, NOW, Path::new("/data"))
    }

    #[test]
    fn where_updates_go_now_and_where_next() {
        let (target, hub) = ("client code acme at https://acme.tt.omtrdc.net", "the hub at https://hub.example");
        let of = |course: &Course| {
            let next = match &course.next {
                Next::Same => "same".to_owned(),
                Next::Hub(settings) => settings.target.client.destination.to_string(),
                Next::HubUnconfigured => "unconfigured".to_owned(),
            };
            (course.settings.target.client.destination.to_string(), next)
        };
        let (hour, noted) = (Duration::from_secs(3_600), Some("acme"));
        for (sections, noted, is_drained, since, now, next) in [
            (&[TARGET] as &[&str], None, true, None, target, "same"),
            (&[TARGET], noted, false, None, target, "same"),
            (&[TARGET, HUB], noted, false, None, target, hub),
            (&[TARGET, HUB], None, false, None, target, hub),
            (&[TARGET, HUB], noted, false, Some(hour), target, hub),
            // A day is over, or the clock was ahead when it began.
            (&[TARGET, HUB], noted, false, Some(DAY), hub, "same"),
            (&[TARGET, HUB], noted, true, Some(hour), hub, "same"),
            (&[TARGET, HUB], None, true, None, hub, "same"),
            (&[HUB], noted, false, None, hub, "same"),
            (&[TARGET, HUB], Some("https://old.example"), false, None, hub, "same"),
            (&[TARGET], Some("https://old.example"), false, None, "the hub at https://old.example", "unconfigured"),
        ] {
            let course = course(sections, noted, is_drained, since);
            assert_eq!(of(&course), (now.to_owned(), next.to_owned()), "{sections:?} {noted:?} {is_drained} {since:?}");
        }
    }

    #[test]
    fn limits_are_those_of_where_updates_go_now() {
        let limits = |sections: &[&str], noted, is_drained| {
            let limits = course(sections, Some(noted), is_drained, None).settings.limits();
            (limits.shares_profiles, limits.resend_after)
        };
        let (of_target, of_hub) = ((true, Duration::from_secs(3_600)), (false, Duration::from_secs(12 * 3_600)));
        assert_eq!(limits(&[TARGET, HUB], "acme", false), of_target);
        assert_eq!(limits(&[TARGET, HUB], "acme", true), of_hub);
        assert_eq!(limits(&[TARGET], "https://hub.example", false), of_hub);
    }

    #[test]
    fn a_hub_that_is_not_configured_is_reached_without_what_is_for_target_alone() {
        let client = course(&[TARGET], Some("https://hub.example"), true, None).settings.target.client;
        assert!(matches!(&client.token, Some(Secret::File(path)) if path == &Path::new("/data").join(HUB_TOKEN_FILE)));
        assert!(client.http.tls.pins.is_empty() && client.http.tls.client_cert.is_none());
        assert!(client.http.tls.ca_file.is_some() && client.http.proxy.is_some());
    }
}
