//! The last values that were sent of a profile, noted before they are sent, so that they are known again when it is read.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::journal::Store;
use crate::merge::Sent;
use crate::timestamp::Timestamp;

/// Values of one attribute that are kept. Limits: a reading may be some seconds old, and a lost answer some hours; in that
/// time a busy profile changes a few times.
const KEPT: usize = 6;

/// The last values that were sent of a profile, by attribute, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendLog(BTreeMap<String, Vec<Sent>>);

/// A value as it is stored: version, value, own value where it is another, time in ms, whether its answer was lost.
#[derive(Serialize, Deserialize)]
struct Stored(i64, String, Option<String>, i64, u8);

impl SendLog {
    /// Values that were sent of one attribute, oldest first.
    #[must_use]
    pub fn of(&self, name: &str) -> &[Sent] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Adds a value that is about to be sent; the oldest falls out.
    pub fn add(&mut self, name: &str, sent: Sent) {
        let sends = self.0.entry(name.to_owned()).or_default();
        sends.push(sent);
        if sends.len() > KEPT {
            sends.remove(0);
        }
    }

    /// Takes the newest value of an attribute out: it was not sent.
    pub fn undo(&mut self, name: &str) {
        if let Some(sends) = self.0.get_mut(name) {
            sends.pop();
        }
    }

    /// Marks the newest value of an attribute as one whose answer was lost.
    pub fn lose(&mut self, name: &str) {
        if let Some(sent) = self.0.get_mut(name).and_then(|sends| sends.last_mut()) {
            sent.is_lost = true;
        }
    }

    /// Marks what is newer than a delivered version as lost: the process ended before its answer came.
    pub fn lose_after(&mut self, name: &str, delivered_version: i64) {
        for sent in self.0.get_mut(name).into_iter().flatten().filter(|sent| sent.version > delivered_version) {
            sent.is_lost = true;
        }
    }

    /// Gives the time of the newest value whose answer was lost.
    #[must_use]
    pub fn lost_at(&self) -> Option<Timestamp> {
        self.0.values().flatten().filter(|sent| sent.is_lost).map(|sent| sent.at).max()
    }

    fn to_json(&self) -> String {
        let stored = |sent: &Sent| {
            let own = (sent.own != sent.value).then(|| sent.own.clone());
            Stored(sent.version, sent.value.clone(), own, sent.at.as_millis(), u8::from(sent.is_lost))
        };
        let all: BTreeMap<&str, Vec<Stored>> = self
            .0
            .iter()
            .filter(|(_, sends)| !sends.is_empty())
            .map(|(name, sends)| (name.as_str(), sends.iter().map(stored).collect()))
            .collect();
        serde_json::to_string(&all).expect("names, texts and numbers are JSON")
    }

    fn from_json(json: &str) -> rusqlite::Result<Self> {
        let all: BTreeMap<String, Vec<Stored>> = serde_json::from_str(json)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))?;
        let sent = |Stored(version, value, own, at_ms, is_lost): Stored| Sent {
            own: own.unwrap_or_else(|| value.clone()),
            value,
            version,
            at: Timestamp::from_millis(at_ms),
            is_lost: is_lost != 0,
        };
        let all = all.into_iter().map(|(name, sends)| (name, sends.into_iter().map(sent).collect()));
        Ok(Self(all.collect()))
    }
}

/// What was sent of a profile lately.
pub(super) fn load(connection: &Connection, profile_id: i64) -> rusqlite::Result<SendLog> {
    let json: Option<String> = connection
        .prepare_cached("SELECT open(log, 'sends', profile_id) FROM sends WHERE profile_id = ?1")?
        .query_row([profile_id], |row| row.get(0))
        .optional()?;
    json.map_or(Ok(SendLog::default()), |json| SendLog::from_json(&json))
}

/// Writes what was sent of a profile, unless it was erased meanwhile.
pub(super) fn write(connection: &Connection, profile_id: i64, log: &SendLog) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO sends (profile_id, log)
             SELECT id, seal(?2, 'sends', id) FROM profile WHERE id = ?1",
        )?
        .execute((profile_id, log.to_json()))
        .map(|_| ())
}

impl Store {
    /// Notes what is about to be sent of profiles, within a transaction.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn note_sends(&mut self, notes: &[(i64, SendLog)]) -> Result<(), StoreError> {
        let note = |(profile_id, log): &(i64, SendLog)| write(&self.connection, *profile_id, log);
        notes.iter().try_for_each(note).map_err(StoreError::write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(version: i64, value: &str, own: &str) -> Sent {
        let at = Timestamp::from_millis(version * 1_000);
        Sent { value: value.to_owned(), own: own.to_owned(), version, at, is_lost: false }
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let mut log = SendLog::default();
        log.add("visits", sent(1, "5", "1"));
        log.add("visits", sent(2, "6", "2"));
        log.lose("visits");
        log.add("lastStore", sent(3, "Lund", "Lund"));
        assert_eq!(SendLog::from_json(&log.to_json()).expect("it was written"), log);
        assert_eq!(log.lost_at(), Some(Timestamp::from_millis(2_000)));
    }

    #[test]
    fn the_last_few_values_are_kept() {
        let mut log = SendLog::default();
        (1..=9).for_each(|version| log.add("visits", sent(version, "x", "x")));
        let versions: Vec<i64> = log.of("visits").iter().map(|sent| sent.version).collect();
        assert_eq!(versions, [4, 5, 6, 7, 8, 9]);
        log.undo("visits");
        assert_eq!(log.of("visits").last().map(|sent| sent.version), Some(8));
    }
}
