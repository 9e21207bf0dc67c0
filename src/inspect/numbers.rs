//! The metrics of a status.

use super::status::Status;
use crate::core::timestamp::Timestamp;
use crate::core::verdict::Level;
use crate::device::metrics::Number;
use crate::device::notices::Area;

impl Status {
    /// Returns the numbers that metrics show: the totals of the store, and these. A new one is one line.
    #[must_use]
    pub fn numbers(&self) -> Vec<Number> {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let Self { events, pending, quota, store, .. } = self;
        let rejected = self.rejected.events + self.rejected.updates;
        let aside = pending.set_aside.as_ref().map_or(0, |aside| aside.profiles as u64);
        let (total, gauge) = (Number::total, Number::gauge);
        let mut numbers = self.totals.metrics();
        numbers.extend(self.states());
        numbers.extend([
            total("events_recorded_total", "Events that were recorded and changed a profile.", events.recorded),
            gauge("pending_profiles", "Profiles with a value that Target does not have yet.", pending.profiles),
            gauge("pending_attributes", "Values that Target does not have yet.", pending.attributes),
            gauge("set_aside_profiles", "Profiles that wait each for a reason of its own.", signed(aside)),
            gauge(
                "oldest_pending_seconds",
                "For how long the longest waiting profile has been pending.",
                signed(pending.oldest_seconds),
            ),
            gauge(
                "quota_remaining",
                "Single updates that the quota of 24 hours still allows.",
                signed(quota.remaining),
            ),
            gauge(
                "quota_updates_per_day",
                "Single updates that the quota of 24 hours allows.",
                signed(quota.updates_per_day),
            ),
            gauge("store_bytes", "Bytes that the store takes on disk.", signed(store.bytes)),
            gauge("store_max_bytes", "Bytes that the store may take on disk.", signed(store.max_bytes)),
            gauge("rejected", "Rejected events and updates that wait for a decision.", rejected),
            gauge(
                "disk_free_bytes",
                "Bytes that are free on the disk of the store.",
                signed(store.disk_free_bytes.unwrap_or(0)),
            ),
            gauge("uptime_seconds", "Time since the agent started.", signed(self.uptime_seconds)),
        ]);
        numbers
    }

    /// Returns the state of the device, as numbers and labels.
    fn states(&self) -> [Number; 8] {
        let gauge = Number::gauge;
        let level = Level::ALL.iter().position(|level| *level == self.verdict.level).unwrap_or_default();
        let is_unread = self.notices.iter().any(|notice| matches!(notice.area, Area::Configuration | Area::Tokens));
        let last = self.delivered.last_at.as_deref().and_then(|at| Timestamp::parse(at).ok());
        let cause = self.link_cause.as_deref().unwrap_or_default();
        [
            gauge("build_info", "1, with what this agent was built from.", 1)
                .with([("version", self.version.as_str()), ("commit", env!("OUTPOST_COMMIT"))]),
            gauge("link_info", "1, with the state of the link, and why it is not online.", 1)
                .with([("state", self.link.as_str()), ("reason", cause)]),
            gauge(
                "link_up",
                "1 while Target answers, or nothing is to be sent, else 0.",
                i64::from(self.link_is_good()),
            ),
            gauge(
                "verdict",
                "How the device does: 0 well, 1 waiting, 2 needs attention, 3 refuses events.",
                i64::try_from(level).unwrap_or_default(),
            ),
            gauge("store_full", "1 while there is no room for new events, else 0.", i64::from(self.store.is_full)),
            gauge(
                "configuration_ok",
                "0 while a changed configuration or changed tokens could not be reloaded, else 1.",
                i64::from(!is_unread),
            ),
            gauge(
                "target_set_up",
                "0 while nothing can be sent with what is configured in [target], else 1.",
                i64::from(self.not_set_up.is_none()),
            ),
            gauge(
                "last_delivery_timestamp_seconds",
                "When Target last took an update, in seconds since 1970; 0 is never.",
                last.map_or(0, |at| at.as_millis() / 1_000),
            ),
        ]
    }
}
