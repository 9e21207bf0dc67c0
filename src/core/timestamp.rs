//! A point in time as the agent keeps it: milliseconds since 1970, UTC.
//!
//! No clock is read here; see `device::clock`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A wall-clock time in whole milliseconds, ordered, printed as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Returns the time that many milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Reads an RFC 3339 time, cut to whole milliseconds.
    ///
    /// # Errors
    /// The text is not RFC 3339, has no offset or one that does not exist, or names a time outside the calendar.
    pub fn parse(text: &str) -> Result<Self, jiff::Error> {
        if !has_plain_offset(text) {
            return Err(jiff::Error::from_args(format_args!("the offset from UTC must be as in Z or +01:00")));
        }
        text.parse::<jiff::Timestamp>().map(|time| Self(time.as_millisecond()))
    }

    /// Returns how much later `self` is than `earlier`; zero if it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Returns an earlier time.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time to the second as a clock of a zone shows it, with the zone's name.
    #[must_use]
    pub fn in_zone(self, zone: &jiff::tz::TimeZone) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time.to_zoned_datetime(zone.clone()).strftime("%F %T %Z").to_string(),
            Err(_) => self.to_string(),
        }
    }

    /// Returns a later time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Returns true if a time ends with an offset that RFC 3339 allows: `Z`, or less than 24 hours and without seconds.
///
/// The library accepts others, and annotations in brackets, which may contradict the offset.
#[must_use]
pub fn has_plain_offset(time: &str) -> bool {
    let Some((at, sign)) = time.char_indices().rfind(|(_, next)| matches!(next, 'Z' | 'z' | '+' | '-' | '\u{2212}'))
    else {
        return false;
    };
    let offset = &time[at + sign.len_utf8()..];
    if sign.eq_ignore_ascii_case(&'z') {
        return offset.is_empty();
    }
    let digits = offset.replacen(':', "", 1);
    let is_short = matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_short && digits[..2] < *"24"
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} ms after 1970", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_any_offset_and_printed_in_utc() {
        let time = Timestamp::parse("2026-11-23T11:00:00.250+01:00").expect("valid");
        assert_eq!(time.to_string(), "2026-11-23T10:00:00.25Z");
    }

    #[test]
    fn a_time_without_offset_is_refused() {
        assert!(Timestamp::parse("2026-11-23T10:00:00").is_err());
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn an_offset_that_does_not_exist_is_refused() {
        for end in
            ["+25:00", "+24:00", "-24:00", "+01:00:30", "+01:00[Europe/Stokholm]", "Z[UTC]", "Z[Etc/GMT+1]", "+9", ""]
        {
            assert!(Timestamp::parse(&format!("2026-11-23T10:00:00{end}")).is_err(), "{end}");
        }
        for end in ["Z", "z", "+00:00", "-11:30", "+23:59", "+0100", "+01"] {
            assert!(Timestamp::parse(&format!("2026-11-23T10:00:00{end}")).is_ok(), "{end}");
        }
    }

    #[test]
    fn differences_never_run_below_zero() {
        let early = Timestamp::from_millis(1_000);
        let late = early.plus(Duration::from_secs(2));
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
