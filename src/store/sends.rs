//! The send log: the last values sent of a profile, recorded before they are sent, so that they are recognised when it
//! is read.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::transaction::Transaction;
use crate::core::operation::{LATE_MAX, Sent, Shown};
use crate::core::short_hash::short_hash;
use crate::core::timestamp::Timestamp;

/// Most values kept for one attribute. Limits: a busy profile changes a few times within the period in which a value
/// may be applied late, and each value may be tried more than once.
const KEPT_MAX: usize = 16;

/// Time for which they are kept after a newer one arrived. Limits: longer than a value may take to be applied late and
/// then to show.
const KEPT_FOR: Duration = Duration::from_secs(4 * 60 * 60);

/// The last values sent of a profile, by attribute, oldest first; and values of others that were written again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendLog {
    sent: BTreeMap<String, Vec<Sent>>,
    carried: BTreeMap<String, Carried>,
    gave_way: BTreeMap<String, GaveWay>,
    /// Until when what Target shows may hold what was forgotten of this person; stands with the profile.
    forgotten_until: Option<Timestamp>,
}

/// A value of others that replaced a version of ours while an attempt of ours was lost: version, value, time of
/// writing, and true if that is the time of the whole profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct GaveWay(i64, String, Option<i64>, bool);

/// A value of others that a batch of ours wrote again: Target then shows the time of our write, not the original one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Carried(u64, i64, i64);

/// A value as it is stored: version, value, own value if it differs, time, time of the value shown then, and 1 if its
/// answer was lost. Units: times in ms.
#[derive(Serialize, Deserialize)]
struct Stored(i64, String, Option<String>, i64, Option<i64>, u8);

#[derive(Serialize, Deserialize)]
struct StoredLog {
    sent: BTreeMap<String, Vec<Stored>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    carried: BTreeMap<String, Carried>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    gave_way: BTreeMap<String, GaveWay>,
}

impl SendLog {
    /// Returns the values sent of one attribute, oldest first.
    #[must_use]
    pub fn of(&self, name: &str) -> &[Sent] {
        self.sent.get(name).map_or(&[], Vec::as_slice)
    }

    /// Adds a value that is about to be sent. Values that can no longer show late are removed, then the oldest.
    pub fn add(&mut self, name: &str, sent: Sent) {
        let sends = self.sent.entry(name.to_owned()).or_default();
        // The next value builds on what is known to have arrived last, and on what may have arrived since.
        let known = sends.iter().rposition(|held| !held.is_lost);
        let mut too_many = (sends.len() + 1).saturating_sub(KEPT_MAX);
        let mut place = 0;
        // If nothing was read now, the last value shown counts.
        let seen_at = sent.seen_at.or_else(|| sends.iter().rev().find_map(|held| held.seen_at));
        sends.retain(|held| {
            // The value that Target showed when this was decided may be one of them, however old.
            let may_stand = seen_at.is_some_and(|seen_at| held.may_stand_since(seen_at));
            let is_old = !may_stand && sent.at.since(held.at) > KEPT_FOR;
            let is_past = known.is_some_and(|known| place < known) && is_old;
            let goes = Some(place) != known && (is_past || too_many > 0);
            too_many -= usize::from(goes && too_many > 0);
            place += 1;
            !goes
        });
        sends.push(sent);
    }

    /// Removes the newest value of an attribute, because it was not sent.
    pub fn undo(&mut self, name: &str) {
        if let Some(sends) = self.sent.get_mut(name) {
            sends.pop();
        }
    }

    /// Marks the answer to the newest value of an attribute as lost.
    pub fn lose(&mut self, name: &str) {
        let Some(sends) = self.sent.get_mut(name) else { return };
        let Some(last) = sends.last_mut() else { return };
        last.is_lost = true;
        // The same value sent repeatedly without an answer is one attempt, with its first and its last time.
        if let [.., one, two, three] = sends.as_slice()
            && [one, two].iter().all(|it| it.is_lost && (&it.value, it.version) == (&three.value, three.version))
        {
            sends.remove(sends.len() - 2);
        }
    }

    /// Marks values newer than a delivered version as lost, because the process ended before their answers.
    pub fn lose_after(&mut self, name: &str, delivered_version: i64) {
        for sent in self.sent.get_mut(name).into_iter().flatten().filter(|sent| sent.version > delivered_version) {
            sent.is_lost = true;
        }
    }

    /// Returns the time of the newest value whose answer was lost.
    #[must_use]
    pub fn lost_at(&self) -> Option<Timestamp> {
        self.sent.values().flatten().filter(|sent| sent.is_lost).map(|sent| sent.at).max()
    }

    /// Records that a value of others, written at `written_at`, is written again.
    pub fn carry(&mut self, name: &str, value: &str, written_at: Timestamp, at: Timestamp) {
        let carried = Carried(short_hash(value), written_at.as_millis(), at.as_millis());
        self.carried.insert(name.to_owned(), carried);
    }

    /// Records that a version of ours gave way to a value of others while an attempt of ours was lost.
    pub fn give_way(&mut self, name: &str, version: i64, theirs: &Shown) {
        let modified_ms = theirs.modified_at.map(Timestamp::as_millis);
        self.gave_way.insert(name.to_owned(), GaveWay(version, theirs.value.clone(), modified_ms, theirs.is_whole));
    }

    /// Returns the value of others to which this version of ours gave way.
    #[must_use]
    pub fn gave_way_to(&self, name: &str, version: i64) -> Option<Shown> {
        let GaveWay(_, value, modified_ms, is_whole) = self.gave_way.get(name).filter(|it| it.0 == version)?.clone();
        Some(Shown { value, modified_at: modified_ms.map(Timestamp::from_millis), is_whole })
    }

    /// Returns whether a value that Target shows may hold what this device has sent of the person before it was forgotten; `on_target`
    /// says what a time of this device is on Target's clock.
    #[must_use]
    pub fn may_be_forgotten(&self, shown: &Shown, on_target: impl Fn(Timestamp) -> Timestamp) -> bool {
        let Some(until) = self.forgotten_until.map(on_target) else { return false };
        // One without a time is others' as soon as something of ours is known again.
        shown.modified_at.map_or_else(|| self.sent.is_empty(), |at| at <= until)
    }

    /// Restores the original time of a value of others that a batch of ours has written again.
    #[must_use]
    pub fn as_written(&self, name: &str, shown: Shown) -> Shown {
        let Some(Carried(hash, written_ms, at_ms)) = self.carried.get(name) else { return shown };
        let late = Timestamp::from_millis(*at_ms).plus(LATE_MAX);
        let is_again = *hash == short_hash(&shown.value) && shown.modified_at.is_some_and(|at| at <= late);
        let written_at = Timestamp::from_millis(*written_ms);
        let modified_at = if is_again { shown.modified_at.map(|at| at.min(written_at)) } else { shown.modified_at };
        Shown { modified_at, ..shown }
    }

    /// Returns the log as it is stored: personal data.
    #[must_use]
    pub fn to_json(&self) -> String {
        let stored = |sent: &Sent| {
            let own = (sent.own != sent.value).then(|| sent.own.clone());
            let seen_ms = sent.seen_at.map(Timestamp::as_millis);
            Stored(sent.version, sent.value.clone(), own, sent.at.as_millis(), seen_ms, u8::from(sent.is_lost))
        };
        let sent = self.sent.iter().filter(|(_, sends)| !sends.is_empty());
        let sent = sent.map(|(name, sends)| (name.clone(), sends.iter().map(stored).collect())).collect();
        let stored = StoredLog { sent, carried: self.carried.clone(), gave_way: self.gave_way.clone() };
        serde_json::to_string(&stored).expect("names, texts and numbers are JSON")
    }

    /// Reads a log as it is stored.
    ///
    /// # Errors
    /// The error of JSON, whose words may repeat a value.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        let StoredLog { sent, carried, gave_way } = serde_json::from_str(json)?;
        let of = |Stored(version, value, own, at_ms, seen_ms, is_lost): Stored| Sent {
            own: own.unwrap_or_else(|| value.clone()),
            value,
            version,
            at: Timestamp::from_millis(at_ms),
            seen_at: seen_ms.map(Timestamp::from_millis),
            is_noted: true,
            is_lost: is_lost != 0,
        };
        let sent = sent.into_iter().map(|(name, sends)| (name, sends.into_iter().map(of).collect())).collect();
        Ok(Self { sent, carried, gave_way, forgotten_until: None })
    }
}

/// Reads the send log of a profile.
pub(super) fn load(connection: &Connection, profile_id: i64) -> rusqlite::Result<SendLog> {
    let found: Option<(Option<String>, Option<i64>)> = connection
        .prepare_cached(
            "SELECT open(log, 'sends', profile_id) AS log, forgotten_until_ms
             FROM profile LEFT JOIN sends ON profile_id = id WHERE id = ?1",
        )?
        .query_row([profile_id], |row| Ok((row.get("log")?, row.get("forgotten_until_ms")?)))
        .optional()?;
    let (json, forgotten_until_ms) = found.unwrap_or_default();
    let log = json.map_or(Ok(SendLog::default()), |json| SendLog::from_json(&json));
    let log =
        log.map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))?;
    Ok(SendLog { forgotten_until: forgotten_until_ms.map(Timestamp::from_millis), ..log })
}

/// Writes the send log of a profile, unless the profile was erased meanwhile.
pub(super) fn write(transaction: &Transaction<'_>, profile_id: i64, log: &SendLog) -> rusqlite::Result<()> {
    transaction
        .connection
        .prepare_cached(
            "INSERT OR REPLACE INTO sends (profile_id, log)
             SELECT id, seal(?2, 'sends', id) FROM profile WHERE id = ?1",
        )?
        .execute((profile_id, log.to_json()))
        .map(|_| ())
}

impl Transaction<'_> {
    /// Records the values about to be sent, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn note_sends(&mut self, notes: &[(i64, SendLog)]) -> Result<(), StoreError> {
        let note = |(profile_id, log): &(i64, SendLog)| write(self, *profile_id, log);
        notes.iter().try_for_each(note).map_err(StoreError::write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(version: i64, value: &str, own: &str) -> Sent {
        let at = Timestamp::from_millis(version * 1_000);
        Sent {
            value: value.to_owned(),
            own: own.to_owned(),
            version,
            at,
            is_noted: true,
            seen_at: None,
            is_lost: false,
        }
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let mut log = SendLog::default();
        log.add("visits", sent(1, "5", "1"));
        log.add("visits", sent(2, "6", "2"));
        log.lose("visits");
        log.add("lastStore", sent(3, "Lund", "Lund"));
        let theirs =
            Shown { value: "Malmö".to_owned(), modified_at: Some(Timestamp::from_millis(4_000)), is_whole: true };
        log.give_way("lastStore", 3, &theirs);
        assert_eq!((log.gave_way_to("lastStore", 3), log.gave_way_to("lastStore", 4)), (Some(theirs), None));
        assert_eq!(SendLog::from_json(&log.to_json()).expect("it was written"), log);
        assert_eq!(log.lost_at(), Some(Timestamp::from_millis(2_000)));
    }

    fn versions(log: &SendLog) -> Vec<i64> {
        log.of("visits").iter().map(|sent| sent.version).collect()
    }

    #[test]
    fn the_last_values_are_kept_and_the_one_that_arrived_last() {
        let mut log = SendLog::default();
        (1..=40).for_each(|version| log.add("visits", sent(version, "x", "x")));
        assert_eq!(versions(&log), (25..=40).collect::<Vec<i64>>());
        log.undo("visits");
        assert_eq!(log.of("visits").last().map(|sent| sent.version), Some(39));
        for version in 40..=80 {
            log.add("visits", sent(version, "x", "x"));
            log.lose("visits");
        }
        assert_eq!(versions(&log), [39].into_iter().chain(66..=80).collect::<Vec<i64>>());
    }

    #[test]
    fn what_can_be_applied_late_no_more_is_not_kept() {
        let hours = |hours: i64| hours * 60 * 60;
        let log_of = |sends: &[(i64, bool)]| {
            let mut log = SendLog::default();
            for (at, is_lost) in sends {
                log.add("visits", sent(hours(*at), "x", "x"));
                if *is_lost {
                    log.lose("visits");
                }
            }
            versions(&log)
        };
        assert_eq!(log_of(&[(1, false), (2, true), (3, false), (4, true), (8, true)]), [3, 4, 8].map(hours));
        // Nothing after it is known to have arrived.
        assert_eq!(log_of(&[(1, true), (60, true)]), [1, 60].map(hours));
    }

    #[test]
    fn what_target_still_shows_is_kept_however_long_ago_it_was_sent() {
        let hours = |hours: i64| Timestamp::from_millis(hours * 60 * 60 * 1_000);
        let versions_of = |seen_at| {
            let mut log = SendLog::default();
            let sends = [
                (1, hours(1), None, true),
                (2, hours(1).plus(KEPT_FOR / 8), None, false),
                (3, hours(9), seen_at, true),
            ];
            for (version, at, seen_at, is_lost) in sends {
                log.add("visits", Sent { at, seen_at, ..sent(version, "x", "x") });
                if is_lost {
                    log.lose("visits");
                }
            }
            versions(&log)
        };
        assert_eq!(versions_of(None), [2, 3]);
        // The first one was applied late, over the second.
        assert_eq!(versions_of(Some(hours(2))), [1, 2, 3]);
        assert_eq!(versions_of(Some(hours(8))), [2, 3]);
    }
}
