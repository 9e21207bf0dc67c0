//! What the page says, in plain words: the link and what to do about it, the numbers, what was rejected. Pure.

use std::time::Duration;

use serde::Serialize;

use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::core::verdict::Verdict;
use crate::core::words::capitalised;
use crate::device::metrics::RecentRequest;
use crate::inspect::profile::{Profile, ProfileAttribute, WithoutEffectView};
use crate::inspect::rejected::RejectedItem;
use crate::inspect::status::Status;
use crate::intake::view::Figure;

/// The verdict, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Headline {
    level: &'static str,
    pub(super) title: String,
    what_to_do: String,
    also: Vec<String>,
    link: String,
    /// True if somebody may want it tried now.
    can_try: bool,
}

impl From<&Status> for Headline {
    fn from(status: &Status) -> Self {
        let Verdict { level, text, what_to_do, also } = status.verdict.clone();
        let link = match status.link.as_str() {
            "online" => "Connected to Adobe Target".to_owned(),
            "offline" => "Not connected".to_owned(),
            "blocked" => "Something stands in the way to Adobe Target".to_owned(),
            "paused" => "Waiting for a new token".to_owned(),
            _ => "Nothing was sent to Adobe Target".to_owned(),
        };
        let next = match (&status.next_try_at, &status.quota.opens_at) {
            (Some(at), _) => format!("; the next try is at {}", clock_time(at)),
            (None, Some(at)) => format!("; the quota has room again at {}", clock_time(at)),
            (None, None) => String::new(),
        };
        Self {
            level: level.name(),
            title: text,
            what_to_do,
            also,
            link: format!("{link} since {}{next}.", clock_time(&status.link_since)),
            can_try: status.next_try_at.is_some() && !status.is_told_to_wait && status.pending.profiles > 0,
        }
    }
}

/// One of the large numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Number {
    name: &'static str,
    figure: String,
    words: String,
    /// How much of a bound it is, in percent.
    part: Option<u64>,
}

pub(super) fn numbers(status: &Status) -> Vec<Number> {
    let Status { pending, delivered, quota, store, events, .. } = status;
    let waiting = match pending.profiles {
        0 => "Target has everything.".to_owned(),
        _ => {
            format!("{}; the oldest waits for {}.", counted(pending.attributes, "value"), span(pending.oldest_seconds))
        }
    };
    let missing = match pending.missing_profiles {
        0 => String::new(),
        count => format!(" {} not known to Target; mode = \"auto\" creates them.", counted(count, "profile")),
    };
    let waiting = waiting + &missing;
    let last = delivered.last_at.as_deref().map_or_else(
        || "Nothing was delivered yet.".to_owned(),
        |at| format!("Updates since installation; the last on {}.", clock_time(at)),
    );
    let free = store.disk_free_bytes.map(|bytes| format!("{} are free on the disk.", size(bytes))).unwrap_or_default();
    let full = if store.is_full { "It is full: events are refused. " } else { "" };
    let salvage = store.salvage.as_deref().map(|words| format!(" {}.", capitalised(words))).unwrap_or_default();
    let purged = match store.purged_profiles {
        0 => String::new(),
        count => format!(" {} that Target has were purged for room.", counted(count, "profile")),
    };
    let differing = match events.differing {
        0 => String::new(),
        count => format!(" ({} with other content under a known id: not recorded)", grouped(count)),
    };
    let destination = store.destination_words().map(|words| format!(" {}.", capitalised(&words))).unwrap_or_default();
    let mut numbers = vec![
        Number { name: "Waiting", figure: counted(pending.profiles, "profile"), words: waiting, part: None },
        Number { name: "Delivered", figure: grouped(delivered.updates), words: last, part: None },
        Number {
            name: "Recorded",
            figure: counted(events.recorded, "event"),
            words: format!(
                "{} came twice{differing}, {} fit no mapping.",
                grouped(events.duplicate),
                grouped(events.unmapped)
            ),
            part: None,
        },
        Number {
            name: "Quota",
            figure: format!("{} left", grouped(i64::try_from(quota.remaining).unwrap_or(i64::MAX))),
            words: format!("{} of {} single updates used in 24 hours.", quota.used, quota.updates_per_day),
            part: Some(percent(quota.used, quota.updates_per_day)),
        },
        Number {
            name: "Store",
            figure: size(store.bytes),
            words: format!("{full}At most {}. {free}{purged}{salvage}{destination}", size(store.max_bytes)),
            part: Some(percent(store.bytes, store.max_bytes)),
        },
    ];
    numbers.extend(status.intake.shown().map(|intake| Number::from(intake.figure())));
    numbers
}

impl From<Figure> for Number {
    fn from(Figure { name, figure, words, part }: Figure) -> Self {
        Self { name, figure, words, part: part.map(|(part, whole)| percent(part, whole)) }
    }
}

/// One line of what was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RejectedLine {
    id: i64,
    at: String,
    what: String,
    why: String,
}

impl From<&RejectedItem> for RejectedLine {
    fn from(item: &RejectedItem) -> Self {
        let what = match (&item.event_type, item.attributes.len()) {
            (Some(event_type), _) => format!("event {event_type}"),
            (None, 0) => item.kind.clone(),
            (None, _) => format!("update of {}", item.attributes.join(", ")),
        };
        let why = format!("{}: {}", item.reason.replace('_', " "), item.detail);
        Self { id: item.id, at: clock_time(&item.rejected_at), what, why }
    }
}

/// One line of the last requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RequestLine {
    at: String,
    api: String,
    outcome: String,
    took: String,
}

impl From<&RecentRequest> for RequestLine {
    fn from(request: &RecentRequest) -> Self {
        Self {
            at: clock_time(&request.at.to_string()),
            api: request.api.replace('_', " "),
            outcome: outcome(request.outcome),
            took: format!("{} ms", request.took.as_millis()),
        }
    }
}

/// The outcome of a request, as a technician reads it.
fn outcome(label: &str) -> String {
    match label {
        "foreign" => "not Target's answer",
        "broken" => "the connection broke off",
        "unreachable" => "no connection",
        "unauthorized" => "token not accepted",
        "throttled" => "asked to wait",
        "failing" => "server error or no answer in time",
        "told" => "answered",
        label => return label.replace('_', " "),
    }
    .to_owned()
}

/// A profile that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ProfileWords {
    identity: String,
    exists: String,
    attributes: Vec<AttributeWords>,
    events: Vec<String>,
    without_effect: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct AttributeWords {
    name: String,
    value: String,
    state: String,
    set_by: String,
    way: String,
}

impl From<&Profile> for ProfileWords {
    fn from(profile: &Profile) -> Self {
        let exists = match (profile.exists.as_str(), &profile.exists_since) {
            ("yes", Some(at)) => format!("Target has this profile, as of {}.", clock_time(at)),
            ("no", Some(at)) => format!("Target did not have this profile on {}.", clock_time(at)),
            _ => "Whether Target has this profile is not known.".to_owned(),
        };
        let events = profile
            .events
            .iter()
            .map(|event| format!("{}: {} ({})", clock_time(&event.time), event.event_type, event.id));
        Self {
            identity: format!("{}:{}", profile.identity.kind, profile.identity.key),
            exists,
            attributes: profile.attributes.iter().map(AttributeWords::from).collect(),
            events: events.collect(),
            without_effect: profile.without_effect.iter().map(without_effect).collect(),
        }
    }
}

fn without_effect(it: &WithoutEffectView) -> String {
    let event = match &it.event {
        Some(event) => format!("{}: {} ({})", clock_time(&event.time), event.event_type, event.id),
        None => format!("Event {}, no longer in the journal", it.seq),
    };
    format!("{event}: {}", it.words())
}

impl From<&ProfileAttribute> for AttributeWords {
    fn from(it: &ProfileAttribute) -> Self {
        let words = |label: &str| match Reason::of_label(label).and_then(Reason::words) {
            Some(words) => format!(": {words}"),
            None => format!(": {}", label.replace('_', " ")),
        };
        let reason = it.reason.as_deref().map(words).unwrap_or_default();
        let when = it.delivered_at.as_deref().filter(|_| it.state == "delivered").map(clock_time);
        let when = when.map(|at| format!(" on {at}")).unwrap_or_default();
        let way = it.api.as_deref().zip(it.why.as_deref()).map(|(api, why)| format!("{api}: {why}"));
        let read = it.read.as_ref().map(|read| format!("; {}", read.decision)).unwrap_or_default();
        Self {
            name: it.name.clone(),
            value: match (it.parts(), &it.elsewhere) {
                (None, _) => it.value.clone(),
                (Some(parts), Some(_)) => parts,
                (Some(parts), None) => format!("{} ({parts})", it.value),
            },
            state: format!("{}{when}{reason}", it.state.replace('_', " ")),
            set_by: format!("{}, event of {}", it.mapping, clock_time(&it.event_time)),
            way: format!("{}{read}", way.unwrap_or_default()),
        }
    }
}

/// Time, in the largest unit that fits.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    counted(i64::try_from(count).unwrap_or(i64::MAX), unit)
}

/// A number with what it counts.
pub(super) fn counted(count: i64, unit: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", grouped(count))
}

/// A time to the second, as people read it.
pub(super) fn clock_time(text: &str) -> String {
    let Ok(time) = Timestamp::parse(text) else { return text.to_owned() };
    let second = Duration::from_millis(u64::try_from(time.as_millis().rem_euclid(1_000)).unwrap_or(0));
    time.minus(second).to_string().replace('T', " ").replace('Z', " UTC")
}

fn percent(part: u64, whole: u64) -> u64 {
    (part.saturating_mul(100) / whole.max(1)).min(100)
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).to_string()
}

/// A number with spaces between its thousands.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digit.is_ascii_digit() && !text.ends_with('-') {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_people_read_them() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((grouped(0), grouped(999), grouped(-1_000)), ("0".into(), "999".into(), "-1\u{202f}000".into()));
        assert_eq!(
            (span(1), span(119), span(7_199), span(90_000)),
            ("1 second".into(), "119 seconds".into(), "119 minutes".into(), "25 hours".into())
        );
        assert_eq!(clock_time("2026-11-23T10:00:00.25Z"), "2026-11-23 10:00:00 UTC");
        assert_eq!((percent(1, 0), percent(3, 2), percent(1, 3)), (100, 100, 33));
    }
}
