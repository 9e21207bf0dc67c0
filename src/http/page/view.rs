//! The texts of the page: verdict, numbers, rejected items and requests, in the viewer's language and in the
//! device's time. The texts stand in `core::words`. Pure.

use serde::Serialize;

use crate::core::reason::Reason;
use crate::core::verdict::Verdict;
use crate::core::words::{PLAIN, Receiver, Said, Text, Voice, With, answers, figures, grouped, page};
use crate::device::metrics::RecentRequest;
use crate::inspect::profile::{Profile, ProfileAttribute, ProfileEventView, WithoutEffectView};
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

impl Headline {
    pub(super) fn of(status: &Status, voice: &Voice) -> Self {
        let Verdict { level, text, what_to_do, also, .. } = status.verdict.told(voice);
        let link = match status.link.as_str() {
            "online" => figures::LINK_ONLINE,
            "offline" => figures::LINK_OFFLINE,
            "blocked" => figures::LINK_BLOCKED,
            "paused" => figures::LINK_PAUSED,
            _ => figures::LINK_UNKNOWN,
        };
        let mut link = vec![link.with([With::time(&status.link_since)])];
        link.extend(match (&status.next_try_at, &status.quota.opens_at) {
            (Some(at), _) => Some(figures::NEXT_TRY_AT.with([With::time(at)])),
            (None, Some(at)) => Some(figures::QUOTA_OPENS_AT.with([With::time(at)])),
            (None, None) => None,
        });
        Self {
            level: level.name(),
            title: text,
            what_to_do,
            also,
            link: voice.sentences(&link),
            can_try: status.next_try_at.is_some() && !status.is_told_to_wait && status.pending.profiles > 0,
        }
    }
}

/// One of the large numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Number {
    name: String,
    figure: String,
    words: String,
    /// Part of a bound, in percent.
    part: Option<u64>,
    /// The same in words.
    part_words: String,
}

impl Number {
    fn new(voice: &Voice, name: Text, figure: &Said, words: &[Said], part: Option<(u64, u64)>) -> Self {
        let (name, part) = (name.line(voice.language).to_owned(), part.map(|(part, whole)| percent(part, whole)));
        let spoken = |part: u64| answers::PERCENT.with([name.as_str().into(), With::count(part)]).words(voice);
        let part_words = part.map(spoken).unwrap_or_default();
        Self { figure: figure.words(voice), words: voice.sentences(words), part, part_words, name }
    }
}

pub(super) fn numbers(status: &Status, voice: &Voice) -> Vec<Number> {
    let mut numbers = vec![waiting(status, voice), delivered(status, voice), recorded(status, voice)];
    // A hub has its own quota.
    numbers.extend((status.receiver == Receiver::Target).then(|| quota(status, voice)));
    numbers.push(store(status, voice));
    let each = |Figure { name, figure, words, part }: Figure| Number::new(voice, name, &figure, &words, part);
    numbers.extend(status.intake.shown().map(|intake| each(intake.figure())));
    numbers
}

fn waiting(status: &Status, voice: &Voice) -> Number {
    let pending = &status.pending;
    let mut words = vec![match pending.profiles {
        0 => figures::TARGET_HAS_ALL.said(),
        _ => figures::VALUES_WAIT.with([pending.attributes.into(), With::Span(pending.oldest_seconds)]),
    }];
    let missing = crate::core::words::verdicts::MISSING;
    words.extend((pending.missing_profiles > 0).then(|| missing.with([pending.missing_profiles.into()])));
    Number::new(voice, figures::WAITING, &figures::PROFILES.with([pending.profiles.into()]), &words, None)
}

fn delivered(status: &Status, voice: &Voice) -> Number {
    let delivered = &status.delivered;
    let last = delivered.last_at.as_deref().map(|at| figures::LAST_DELIVERY.with([With::time(at)]));
    let words = [last.unwrap_or(figures::NEVER_DELIVERED.said())];
    let figure = PLAIN.with([delivered.updates.into()]);
    Number::new(voice, figures::DELIVERED, &figure, &words, None)
}

fn recorded(status: &Status, voice: &Voice) -> Number {
    let events = &status.events;
    let refused: u64 = status.refused.iter().map(|refused| refused.requests).sum();
    let mut words = vec![figures::DUPLICATES.with([events.duplicate.into()])];
    words.extend((events.differing > 0).then(|| figures::DIFFERING.with([events.differing.into()])));
    words.push(figures::UNMAPPED.with([events.unmapped.into()]));
    words.extend((refused > 0).then(|| figures::REFUSED_REQUESTS.with([With::count(refused)])));
    Number::new(voice, figures::RECORDED, &figures::EVENTS.with([events.recorded.into()]), &words, None)
}

fn quota(status: &Status, voice: &Voice) -> Number {
    let quota = &status.quota;
    let words = [figures::QUOTA_USED.with([With::count(quota.used), With::count(quota.updates_per_day)])];
    let (figure, part) = (figures::LEFT.with([With::count(quota.remaining)]), (quota.used, quota.updates_per_day));
    Number::new(voice, figures::QUOTA, &figure, &words, Some(part))
}

fn store(status: &Status, voice: &Voice) -> Number {
    let store = &status.store;
    let mut words: Vec<Said> = store.is_full.then(|| figures::STORE_FULL.said()).into_iter().collect();
    words.push(figures::AT_MOST.with([size(store.max_bytes).into()]));
    words.extend(store.disk_free_bytes.map(|bytes| figures::DISK_FREE.with([size(bytes).into()])));
    words.extend((store.purged_profiles > 0).then(|| figures::PURGED.with([store.purged_profiles.into()])));
    let changed = store.destination_changed_at.as_deref();
    words.extend(changed.map(|at| figures::DESTINATION_CHANGED.with([With::time(at)])));
    let figure = PLAIN.with([size(store.bytes).into()]);
    Number::new(voice, figures::STORE, &figure, &words, Some((store.bytes, store.max_bytes)))
}

/// One line of what was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RejectedLine {
    id: i64,
    at: String,
    what: String,
    why: String,
    /// The button's name for those who do not see where it stands.
    retry: String,
}

impl RejectedLine {
    pub(super) fn of(item: &RejectedItem, voice: &Voice) -> Self {
        let what = match (&item.event_type, item.attributes.len()) {
            (Some(event_type), _) => answers::EVENT_OF_TYPE.with([event_type.as_str().into()]),
            (None, 0) if item.kind == "event" => answers::EVENT.said(),
            (None, 0) => answers::UPDATE.said(),
            (None, _) => answers::UPDATE_OF.with([item.attributes.join(", ").into()]),
        };
        Self {
            id: item.id,
            at: voice.time_of(&item.rejected_at),
            what: what.words(voice),
            why: format!("{}: {}", reason(&item.reason, voice), item.detail),
            retry: answers::RETRY_NUMBER.with([item.id.to_string().into()]).words(voice),
        }
    }
}

/// Why something was rejected or waits, by the name in documents.
fn reason(label: &str, voice: &Voice) -> String {
    let text = match Reason::of_label(label) {
        Some(Reason::MappingFailed) => answers::MAPPING_FAILED,
        Some(Reason::CoalesceFailed) => answers::COALESCE_FAILED,
        Some(Reason::RefusedByTarget) => answers::REFUSED_BY_TARGET,
        Some(Reason::TooLarge) => answers::TOO_LARGE,
        Some(Reason::EmptyValue) => answers::EMPTY_VALUE,
        Some(Reason::Superseded) => answers::NEWER_VALUE,
        Some(Reason::ProfileMissing) => answers::PROFILE_MISSING,
        Some(Reason::BatchFailed) => answers::BATCH_FAILED,
        Some(Reason::OtherDevice) => answers::OTHER_DEVICE,
        Some(Reason::RefusedByHub) => answers::REFUSED_BY_HUB,
        None => return label.replace('_', " "),
    };
    text.line(voice.language).to_owned()
}

/// One line of the last requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RequestLine {
    at: String,
    api: String,
    outcome: String,
    took: String,
}

impl RequestLine {
    pub(super) fn of(request: &RecentRequest, voice: &Voice) -> Self {
        Self {
            at: voice.time(request.at),
            api: request.api.replace('_', " "),
            outcome: outcome(request.outcome, voice),
            took: format!("{} ms", grouped(i64::try_from(request.took.as_millis()).unwrap_or(i64::MAX))),
        }
    }
}

/// The outcome of a request, as a technician reads it.
fn outcome(label: &str, voice: &Voice) -> String {
    let text = match label {
        "delivered" => answers::WAS_DELIVERED,
        "refused" => answers::WAS_REFUSED,
        "too_large" => answers::WAS_TOO_LARGE,
        "foreign" => answers::WAS_FOREIGN,
        "lost" | "broken" => answers::WAS_LOST,
        "unreachable" => answers::WAS_UNREACHABLE,
        "unauthorized" | "denied" => answers::WAS_UNAUTHORIZED,
        "throttled" => answers::WAS_THROTTLED,
        "failing" => answers::WAS_FAILING,
        "told" => answers::WAS_TOLD,
        "found" => answers::WAS_FOUND,
        "missing" => answers::WAS_MISSING,
        "submitted" => answers::WAS_SUBMITTED,
        label => return label.replace('_', " "),
    };
    text.line(voice.language).to_owned()
}

/// A profile that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ProfileWords {
    identity: String,
    standing: Vec<String>,
    attributes: Vec<AttributeWords>,
    events: Vec<String>,
    without_effect: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct AttributeWords {
    name: String,
    value: String,
    state: String,
    unanswered: Vec<String>,
    set_by: String,
    way: String,
}

impl ProfileWords {
    pub(super) fn of(profile: &Profile, voice: &Voice) -> Self {
        Self {
            identity: format!("{}:{}", profile.identity.kind, profile.identity.key),
            standing: profile.standing(voice),
            attributes: profile.attributes.iter().map(|it| AttributeWords::of(it, voice)).collect(),
            events: profile.events.iter().map(|event| event_line(event, voice)).collect(),
            without_effect: profile.without_effect.iter().map(|it| without_effect(it, voice)).collect(),
        }
    }
}

fn event_line(event: &ProfileEventView, voice: &Voice) -> String {
    format!("{}: {} ({})", voice.time_of(&event.time), event.event_type, event.id)
}

/// An event that changed nothing, and what became of it.
fn without_effect(it: &WithoutEffectView, voice: &Voice) -> String {
    let event = match &it.event {
        Some(event) => event_line(event, voice),
        None => answers::EVENT_GONE.with([it.seq.to_string().into()]).words(voice),
    };
    let fate = match (it.status.as_str(), it.rejected_id) {
        ("duplicate", _) => answers::IS_DUPLICATE.with([it.times.into(), With::time(&it.last_at)]),
        ("rejected", Some(id)) => answers::REJECTED_AS.with([id.to_string().into()]),
        ("rejected", None) => answers::REJECTED_GONE.said(),
        ("unmapped", _) => answers::IS_UNMAPPED.said(),
        (status, _) => PLAIN.with([status.into()]),
    };
    let why = it.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{event}: {}{why}", fate.words(voice))
}

/// A value, and whose part of what was sent is whose, where it is not this device's alone.
fn value(it: &ProfileAttribute, voice: &Voice) -> String {
    let (Some(sent), Some(part)) = (&it.sent_value, &it.sent_part) else { return it.value.clone() };
    let (here, sent) = (With::from(it.value.as_str()), With::from(sent.as_str()));
    let said = match &it.elsewhere {
        None => answers::SENT_WITH_OTHERS.with([here, sent]),
        Some(elsewhere) if *part == it.value => answers::PARTS.with([here, elsewhere.as_str().into(), sent]),
        Some(elsewhere) => answers::PARTS_SINCE.with([here, elsewhere.as_str().into(), sent, part.as_str().into()]),
    };
    said.words(voice)
}

impl AttributeWords {
    fn of(it: &ProfileAttribute, voice: &Voice) -> Self {
        let known = it.reason.as_deref().and_then(Reason::of_label);
        let state = match (it.state.as_str(), it.delivered_at.as_deref()) {
            _ if known.is_some_and(Reason::is_withheld) => answers::NOT_SENT.said(),
            ("pending", _) => answers::PENDING.said(),
            ("in_flight", _) => answers::IN_FLIGHT.said(),
            ("delivered", Some(at)) => answers::DELIVERED_ON.with([With::time(at)]),
            ("delivered", None) => answers::WAS_DELIVERED.said(),
            ("superseded", _) => answers::SUPERSEDED.said(),
            _ => answers::REFUSED_STATE.said(),
        };
        let why = it.reason.as_deref().map(|label| format!(": {}", reason(label, voice))).unwrap_or_default();
        let way = it.api.as_deref().zip(it.why.as_deref()).map(|(api, why)| format!("{api}: {why}"));
        let read = it.read.as_ref().map(|read| format!("; {}", read.decision)).unwrap_or_default();
        let set_by = answers::SET_BY_EVENT.with([it.mapping.as_str().into(), With::time(&it.event_time)]);
        Self {
            name: it.name.clone(),
            value: value(it, voice),
            state: format!("{}{why}", state.words(voice)),
            unanswered: it.unanswered(voice),
            set_by: set_by.words(voice),
            way: format!("{}{read}", way.unwrap_or_default()),
        }
    }
}

/// The templates' own texts, by the names that they use.
#[derive(Debug)]
pub(super) struct Texts(pub(super) Voice);

impl minijinja::value::Object for Texts {
    fn get_value(self: &std::sync::Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        let name = key.as_str()?;
        let (_, text) = page::ALL.iter().find(|(known, _)| *known == name)?;
        Some(text.line(self.0.language).into())
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    (part.saturating_mul(100) / whole.max(1)).min(100)
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_at_most_all_of_it() {
        assert_eq!((percent(1, 0), percent(3, 2), percent(1, 3)), (100, 100, 33));
    }

    /// All that people read in the templates comes from the catalogue.
    #[test]
    fn no_text_is_left_in_the_templates() {
        for (name, template) in super::super::show::TEMPLATES {
            let mut text = String::new();
            // Without what minijinja puts in, and commands that are typed as they stand.
            let mut rest = template;
            while let Some(at) = rest.find(['{', '<']) {
                text.push_str(&rest[..at]);
                let (tag, end) = match &rest[at..] {
                    it if it.starts_with("{{") => (it, "}}"),
                    it if it.starts_with("{%") => (it, "%}"),
                    it if it.starts_with("<code>") => (it, "</code>"),
                    it => (it, ">"),
                };
                let (inside, after) = tag.split_once(end).expect("it ends");
                for attribute in ["aria-label=\"", "title=\"", "alt=\""] {
                    let value = inside.split(attribute).nth(1).unwrap_or("{{");
                    assert!(value.starts_with("{{"), "{name}: {inside}");
                }
                for used in inside.split("t.").skip(1).filter(|_| inside.starts_with("{{ t.")) {
                    let used: String = used.chars().take_while(|next| next.is_uppercase() || *next == '_').collect();
                    assert!(page::ALL.iter().any(|(known, _)| *known == used), "{name}: {used}");
                }
                rest = after;
            }
            text.push_str(rest);
            let words: Vec<&str> =
                text.split(|next: char| !next.is_alphabetic()).filter(|word| !word.is_empty()).collect();
            assert!(words.iter().all(|word| *word == "Outpost"), "{name}: {words:?}");
        }
        for (known, _) in page::ALL {
            let used = format!("t.{known} ");
            assert!(
                super::super::show::TEMPLATES.iter().any(|(_, template)| template.contains(&used)),
                "{known} is not used"
            );
        }
    }
}
