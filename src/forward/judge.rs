//! Judging: decides which of a profile's values are sent. Pure.
//!
//! An [`Update`] contains what is pending. A [`Row`] contains the whole profile, because batches overwrite each other,
//! and can only be made from a [`Judgement`]: where profiles are shared with others, no total enters a batch without
//! having been judged.

use std::time::Duration;

use crate::adobe::FetchedProfile;
use crate::core::operation::{Decision, Own, Shown};
use crate::core::timestamp::Timestamp;
use crate::store::{Basis, Claim, Reading, RowAttribute, SendLog};

/// Difference within which clocks count as equal: answers take time, and give theirs in whole seconds.
const SKEW_MIN: Duration = Duration::from_secs(60);

/// The difference between this device's clock and Target's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Skew {
    /// The clocks agree, or Target did not tell its time.
    #[default]
    None,
    /// Target's clock is ahead.
    Ahead(Duration),
    /// Target's clock is behind.
    Behind(Duration),
}

impl Skew {
    /// Returns the difference between Target's time and this device's.
    #[must_use]
    pub fn between(target: Timestamp, device: Timestamp) -> Self {
        let (ahead, behind) = (target.since(device), device.since(target));
        if ahead >= SKEW_MIN {
            Self::Ahead(ahead)
        } else if behind >= SKEW_MIN {
            Self::Behind(behind)
        } else {
            Self::None
        }
    }

    /// Converts a time of this device to Target's clock.
    #[must_use]
    pub fn apply(self, time: Timestamp) -> Timestamp {
        match self {
            Self::None => time,
            Self::Ahead(ahead) => time.plus(ahead),
            Self::Behind(behind) => time.minus(behind),
        }
    }
}

/// One attribute as it is sent.
#[derive(Clone)]
pub struct Outgoing {
    /// Name of the attribute.
    pub name: String,
    /// Value, including the others' part.
    pub value: String,
    /// Our own value, if it is needed to recognise the value when it is read.
    pub own: Option<String>,
    /// Time of the value that Target showed.
    pub seen_at: Option<Timestamp>,
    /// Version of our own value.
    pub version: i64,
    /// Index among the attributes of the claim.
    pub index: usize,
}

/// The pending attributes of a profile, for a single update or a call of the Delivery API.
#[derive(Clone, Default)]
pub struct Update(pub Vec<Outgoing>);

/// The whole profile, for the row of a batch.
pub struct Row {
    /// Attributes by name.
    pub attributes: Vec<RowAttribute>,
    /// Time when the profile was read, on the monotonic clock; `None` if profiles are not shared or cannot be read.
    pub read_at: Option<Duration>,
}

/// The basis of a judgement.
#[derive(Clone, Copy)]
pub enum By<'f> {
    /// No other writer: profiles are not shared.
    Alone,
    /// The profile as just read; an empty one if Target has none.
    Reading(&'f FetchedProfile),
    /// The values sent before, because profiles cannot be read.
    Memory,
}

/// A profile of which all attributes were judged.
#[derive(Default)]
pub struct Judgement {
    attributes: Vec<Judged>,
    /// Attributes of others, which a batch would remove.
    others: Vec<(String, Shown)>,
    /// Values that were read, with decisions.
    pub readings: Vec<Reading>,
    /// True if an attribute has neither a reading nor a sent value to go by.
    pub is_groundless: bool,
    /// True if attributes of others, which a batch would remove, cannot be read.
    pub has_unreadable_others: bool,
}

struct Judged {
    basis: Basis,
    decision: Decision,
    value: String,
    is_logged: bool,
    /// True if the value that Target shows is known.
    is_read: bool,
    /// True if Target shows that value.
    is_shown: bool,
    /// Time of the value that Target shows.
    seen_at: Option<Timestamp>,
}

/// Judges a claim that was read with its basis. `now` is this device's time.
#[must_use]
pub fn judge(basis: Vec<Basis>, log: &SendLog, by: By<'_>, skew: Skew, now: Timestamp) -> Judgement {
    let mut judgement = Judgement::default();
    if let By::Reading(found) = by {
        let is_others = |name: &str| !basis.iter().any(|basis| basis.name == name);
        let others = found.attributes.iter().filter(|(name, shown)| is_others(name) && !shown.value.is_empty());
        judgement.has_unreadable_others = found.unreadable.iter().any(|name| is_others(name));
        judgement.others = others.map(|(name, shown)| (name.clone(), log.as_written(name, shown.clone()))).collect();
    }
    for basis in basis {
        judgement.judge(basis, log, by, skew, now);
    }
    judgement
}

impl Judgement {
    fn judge(&mut self, basis: Basis, log: &SendLog, by: By<'_>, skew: Skew, now: Timestamp) {
        let shown = match by {
            By::Reading(found) => {
                found.attributes.get(&basis.name).map(|shown| log.as_written(&basis.name, shown.clone()))
            }
            By::Alone | By::Memory => None,
        };
        // Nobody else writes an attribute of our own name; it is recorded all the same, because an answer may be lost.
        let is_logged = !matches!(by, By::Alone);
        let is_shared = !basis.is_own && is_logged;
        // An attribute that cannot be read continues from what was sent, as a profile does.
        let is_read = matches!(by, By::Reading(found) if !found.unreadable.contains(&basis.name));
        let (decision, value) = if is_shared {
            let sends = basis.sends(log, |at| skew.apply(at));
            let is_unknown = sends.is_empty() && !basis.operation.replaces() && basis.is_pending;
            self.is_groundless |= !is_read && is_unknown;
            let own = Own {
                value: &basis.value,
                version: basis.version,
                event_time: skew.apply(basis.event_time),
                items: basis.items.as_deref(),
            };
            let gave_way_to = log.gave_way_to(&basis.name, basis.version);
            // What was forgotten is nobody's part of a total.
            let is_forgotten = |shown: &&Shown| log.may_be_forgotten(shown, |at| skew.apply(at));
            let counted = shown.as_ref().filter(|shown| basis.operation.replaces() || !is_forgotten(shown));
            basis.operation.merge(own, &sends, counted, gave_way_to.as_ref(), skew.apply(now))
        } else {
            (Decision::Ours, basis.value.clone())
        };
        let seen_at = shown.as_ref().and_then(|shown| shown.modified_at);
        let is_shown = shown.as_ref().is_some_and(|shown| shown.value == value);
        if is_shared && is_read {
            let (name, version) = (basis.name.clone(), basis.version);
            self.readings.push(Reading { name, shown, decision, version });
        }
        self.attributes.push(Judged { basis, decision, value, is_logged, is_read, is_shown, seen_at });
    }

    /// Returns what is pending, except where another writer's value wins.
    #[must_use]
    pub fn update(&self, claim: &Claim) -> Update {
        let outgoing = |judged: &Judged| {
            let index = claim.attributes.iter().position(|claimed| claimed.name == judged.basis.name)?;
            // The claim and its basis may be of different moments: the claimed version is the one that is settled.
            let is_same = claim.attributes[index].version == judged.basis.version;
            is_same.then(|| Outgoing {
                name: judged.basis.name.clone(),
                value: judged.value.clone(),
                own: judged.is_logged.then(|| judged.basis.value.clone()),
                seen_at: judged.seen_at,
                version: judged.basis.version,
                index,
            })
        };
        let all = self.attributes.iter().filter(|judged| judged.decision != Decision::Superseded);
        Update(all.filter_map(outgoing).collect())
    }

    /// Returns the whole profile, with others' values where they win.
    #[must_use]
    pub fn row(&self, read_at: Option<Duration>) -> Row {
        let ours = self.attributes.iter().map(|judged| {
            let Judged { basis, value, .. } = judged;
            let is_ours = judged.decision != Decision::Superseded;
            let own = (judged.is_logged && is_ours).then(|| basis.value.clone());
            let (version, seen_ms) =
                (if is_ours { basis.version } else { 0 }, judged.seen_at.map(Timestamp::as_millis));
            RowAttribute(basis.name.clone(), value.clone(), version, own, seen_ms)
        });
        let others = self.others.iter().map(|(name, shown)| {
            let seen_ms = shown.modified_at.map(Timestamp::as_millis);
            RowAttribute(name.clone(), shown.value.clone(), 0, None, seen_ms)
        });
        let mut attributes: Vec<RowAttribute> = ours.chain(others).collect();
        attributes.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Row { attributes, read_at }
    }

    /// Returns true if a pending attribute is left to send.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.attributes.iter().any(|judged| judged.basis.is_pending && judged.decision != Decision::Superseded)
    }

    /// Records to whose value ours gives way while an attempt of ours is lost and may still overwrite it. Returns true
    /// if there was any.
    pub fn give_way(&self, log: &mut SendLog) -> bool {
        let mut gave_way = false;
        for reading in self.readings.iter().filter(|reading| reading.decision == Decision::Superseded) {
            let Some(theirs) = &reading.shown else { continue };
            if log.of(&reading.name).iter().any(|sent| sent.is_lost) {
                log.give_way(&reading.name, reading.version, theirs);
                gave_way = true;
            }
        }
        gave_way
    }

    /// Returns, for a profile that was read back, how many delivered values have arrived and which have not; the latter
    /// include values of others that are to be written again.
    #[must_use]
    pub fn arrived(&self) -> (i64, Vec<(String, i64)>) {
        let is_settled = |judged: &&Judged| {
            judged.basis.delivered_version == judged.basis.version
                || judged.decision == Decision::Restored && !judged.basis.is_pending
        };
        let (arrived, lost): (Vec<&Judged>, Vec<&Judged>) = self
            .attributes
            .iter()
            .filter(|judged| judged.is_read && is_settled(judged))
            .partition(|judged| judged.is_shown || judged.decision == Decision::Superseded);
        let lost = lost.into_iter().map(|judged| (judged.basis.name.clone(), judged.basis.version));
        (i64::try_from(arrived.len()).unwrap_or(0), lost.collect())
    }
}

/// Returns the pending attributes of a claim; none of them may have been written by others meanwhile.
#[must_use]
pub fn fresh(claim: &Claim, is_shared: bool) -> Update {
    let outgoing = |(index, attribute): (usize, &crate::store::ClaimedAttribute)| Outgoing {
        name: attribute.name.clone(),
        value: attribute.value.clone(),
        own: is_shared.then(|| attribute.value.clone()),
        seen_at: None,
        version: attribute.version,
        index,
    };
    Update(claim.attributes.iter().enumerate().map(outgoing).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::operation::{Operation, Sent};

    #[test]
    fn a_clock_that_is_right_within_a_minute_is_right() {
        let device = Timestamp::from_millis(1_800_000_000_000);
        let seconds = Duration::from_secs;
        assert_eq!(Skew::between(device.plus(seconds(59)), device), Skew::None);
        assert_eq!(Skew::between(device.plus(seconds(3_600)), device), Skew::Ahead(seconds(3_600)));
        assert_eq!(Skew::between(device.minus(seconds(3_600)), device).apply(device), device.minus(seconds(3_600)));
    }

    fn visits(value: &str, event_time: Timestamp) -> Basis {
        Basis {
            name: "visits".to_owned(),
            value: value.to_owned(),
            version: 7,
            operation: Operation::Add,
            event_time,
            items: None,
            is_own: false,
            is_pending: true,
            delivered_version: 0,
            delivered: None,
        }
    }

    #[test]
    fn an_attribute_that_cannot_be_read_goes_on_from_what_was_sent_or_has_no_ground() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let found = |name: &str| FetchedProfile { unreadable: [name.to_owned()].into(), ..FetchedProfile::default() };
        let judged =
            |log: &SendLog, name: &str| judge(vec![visits("7", now)], log, By::Reading(&found(name)), Skew::None, now);
        let nothing_sent = judged(&SendLog::default(), "visits");
        assert!(nothing_sent.is_groundless && nothing_sent.readings.is_empty());
        let two = vec![visits("7", now), Basis { name: "spend".to_owned(), ..visits("9", now) }];
        assert!(judge(two, &SendLog::default(), By::Memory, Skew::None, now).is_groundless, "one more changes nothing");
        let mut log = SendLog::default();
        let at = now.minus(Duration::from_secs(9_000));
        let (value, own) = ("15".to_owned(), "5".to_owned());
        log.add("visits", Sent { value, own, version: 5, at, is_noted: true, seen_at: None, is_lost: false });
        let sent = judged(&log, "visits");
        assert_eq!((sent.is_groundless, sent.attributes[0].value.as_str()), (false, "17"));
        assert!(!sent.has_unreadable_others && judged(&log, "theirs").has_unreadable_others);
    }

    #[test]
    fn the_time_of_an_attempt_that_a_crash_cut_off_is_put_on_target_s_clock_once() {
        // The device's clock is 160 s behind. The value sent before the crash arrived at once.
        let (device, skew) = (Timestamp::from_millis(1_800_000_000_000), Skew::Ahead(Duration::from_secs(160)));
        let sent_at = skew.apply(device);
        let basis = visits("3", device);
        let mut log = SendLog::default();
        let (value, own) = ("3".to_owned(), "3".to_owned());
        log.add(
            "visits",
            Sent { value: value.clone(), own, version: 7, at: sent_at, is_noted: true, seen_at: None, is_lost: false },
        );
        let shown = Shown { value, modified_at: Some(sent_at), is_whole: false };
        let found = FetchedProfile::of([("visits".to_owned(), shown)].into());
        let judgement = judge(vec![basis], &log, By::Reading(&found), skew, device.plus(Duration::from_secs(3)));
        assert_eq!(judgement.attributes[0].value, "3");
    }

    #[test]
    fn an_attribute_of_a_name_of_this_device_alone_is_sent_as_it_is_and_known_again() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let shown = Shown { value: "15".to_owned(), modified_at: Some(now), is_whole: false };
        let found = FetchedProfile::of([("visits".to_owned(), shown)].into());
        let own = Basis { is_own: true, ..visits("7", now) };
        let judged = |basis, by| judge(vec![basis], &SendLog::default(), by, Skew::None, now);
        let row = |judgement: &Judgement| judgement.row(None).attributes.remove(0);
        let of_own = judged(own, By::Reading(&found));
        assert!(of_own.readings.is_empty());
        let RowAttribute(_, value, version, known, _) = row(&of_own);
        assert_eq!((value.as_str(), version, known.as_deref()), ("7", 7, Some("7")));
        let RowAttribute(_, value, _, known, _) = row(&judged(visits("7", now), By::Reading(&found)));
        assert_eq!((value.as_str(), known.as_deref()), ("22", Some("7")));
        let RowAttribute(_, _, _, known, _) = row(&judged(visits("7", now), By::Alone));
        assert_eq!(known, None, "nobody else writes it");
        let set = Basis { operation: Operation::Set, ..visits("7", now.minus(Duration::from_secs(9_000))) };
        let RowAttribute(_, value, version, known, _) = row(&judged(set, By::Reading(&found)));
        assert_eq!((value.as_str(), version, known), ("15", 0, None), "theirs is newer");
    }
}
