//! Notes of how far each file was read, kept over a restart: rows added to a file while the agent is down are recorded,
//! and none twice.
//!
//! A note is written before the first event of a file is recorded. Notes are in `done`, where only this user can write.

use std::ffi::OsStr;
use std::io;

use serde::{Deserialize, Serialize};

use super::content::Segment;
use super::opened::{DONE, Identity, Opened};
use crate::core::timestamp::Timestamp;
use crate::device::dir;

/// Name of the notes in the directory `done`.
const NAME: &str = ".read";

/// Permissions of the notes.
const MODE: u32 = 0o640;

/// Files that are noted, the last that were read. Limits: notes are written for each file; those of files that were read once are
/// some 20 kB.
const FILES_MAX: usize = 100;

/// Segments in all notes together; beyond that the oldest notes are dropped. Limits: each takes some 15 bytes.
const SEGMENTS_MAX: usize = 20_000;

/// The part of a file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Identity of the file.
    file: Identity,
    /// Name when it was dropped: a longer file of that name may be the same with more rows.
    name: String,
    /// Parts that were read before.
    pub(super) segments: Vec<Segment>,
    /// Bytes read so far.
    pub(super) bytes: u64,
    /// SHA-256 over those bytes, so that another file is not mistaken for it.
    pub(super) digest: String,
    /// Time of rows without one, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun_ms: Option<i64>,
}

/// The notes of a folder, the newest last.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    /// Reads the notes that an earlier run has left; empty if they cannot be read.
    pub(super) fn load(opened: &Opened) -> Self {
        let read = || {
            let kept = opened.kept(DONE)?.ok_or(io::ErrorKind::NotFound)?;
            Ok::<_, io::Error>(serde_json::from_slice(&dir::read_small_in(&kept, OsStr::new(NAME))?)?)
        };
        Self(read().unwrap_or_default())
    }

    /// Returns the note of a file, by its identity.
    pub(super) fn of(&self, identity: Identity) -> Option<&Note> {
        self.0.iter().find(|note| identity.is_noted_as(note.file))
    }

    /// Returns the time of a file's rows without one, if it was noted for the same content.
    pub(super) fn begun(&self, identity: Identity, (bytes, digest): (u64, &str)) -> Option<Timestamp> {
        let note = self.of(identity).filter(|note| note.bytes == bytes && note.digest == digest)?;
        note.begun_ms.map(Timestamp::from_millis)
    }

    /// Returns notes that may match the beginning of a file: its own, one of its name, or one of its length.
    pub(super) fn candidates(&self, identity: Identity, name: &str, bytes: u64) -> impl Iterator<Item = &Note> {
        let is_it = move |note: &&Note| identity.is_noted_as(note.file) || note.name == name || note.bytes == bytes;
        self.0.iter().filter(move |note| note.bytes <= bytes).filter(is_it)
    }

    /// Notes how far a file has been read, and of when its rows without a time are. The note of another file of which it is a longer version is dropped.
    ///
    /// # Errors
    /// The system's, if notes cannot be written.
    pub(super) fn add(
        &mut self,
        opened: &Opened,
        (identity, name): (Identity, &str),
        (segments, begin): (&[Segment], Option<&(u64, String)>),
        (bytes, digest): (u64, String),
        begun: Timestamp,
    ) -> io::Result<()> {
        // It may have another name where it was put away. One of which nothing was read has the number of a file that is gone.
        let known = self.of(identity).filter(|_| !segments.is_empty());
        let name = known.map_or(name, |note| &note.name).to_owned();
        let (file, segments, begun_ms) = (identity.in_volume(), segments.to_vec(), Some(begun.as_millis()));
        let note = Note { file, name, segments, bytes, digest, begun_ms };
        if self.of(identity) == Some(&note) {
            return Ok(());
        }
        // Another file of that name may have the same length.
        let is_its_begin = |other: &Note| {
            let is_of = |(bytes, digest): &(u64, String)| (other.bytes, &other.digest) == (*bytes, digest);
            other.name == note.name && begin.is_some_and(is_of)
        };
        self.0.retain(|other| !identity.is_noted_as(other.file) && !is_its_begin(other));
        self.0.push(note);
        while self.0.len() > FILES_MAX || self.0.iter().map(|note| note.segments.len()).sum::<usize>() > SEGMENTS_MAX {
            self.0.remove(0);
        }
        let bytes = serde_json::to_vec(&self.0).expect("numbers and texts are JSON");
        dir::replace(&opened.make(DONE)?, OsStr::new(NAME), &bytes, MODE)
    }
}

/// Returns true if a name in `done` is that of the notes.
pub(super) fn is_notes(name: &OsStr) -> bool {
    name == NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn a_file_is_known_again_when_its_file_system_has_another_number() {
        let temporary = tempfile::tempdir().expect("a directory");
        let opened = Opened::open(temporary.path()).expect("opened");
        let mut notes = Notes::default();
        notes.add(&opened, (Identity(7, 42, None), "a.csv"), (&[], None), (100, "ab".to_owned()), AT).expect("written");
        let loaded = Notes::load(&opened);
        assert_eq!(loaded.0, notes.0);
        #[cfg(unix)]
        assert_eq!(loaded.of(Identity(8, 42, None)).map(|note| note.bytes), Some(100));
        assert_eq!(loaded.of(Identity(7, 43, None)), None);
        assert_eq!(loaded.candidates(Identity(7, 43, None), "a.csv", 120).count(), 1);
        #[cfg(unix)]
        assert_eq!(["ab", "ac"].map(|digest| loaded.begun(Identity(8, 42, None), (100, digest))), [Some(AT), None]);
        assert_eq!(loaded.candidates(Identity(7, 43, None), "b.csv", 120).count(), 0);
        assert_eq!(loaded.candidates(Identity(7, 43, None), "b.csv", 100).count(), 1);
    }

    #[test]
    fn a_number_that_is_used_again_is_another_file() {
        let temporary = tempfile::tempdir().expect("a directory");
        let opened = Opened::open(temporary.path()).expect("opened");
        let mut notes = Notes::default();
        notes
            .add(&opened, (Identity(7, 42, Some(5)), "a.csv"), (&[], None), (100, "ab".to_owned()), AT)
            .expect("written");
        let loaded = Notes::load(&opened);
        assert_eq!(loaded.0, notes.0);
        let bytes = |created| loaded.of(Identity(8, 42, created)).map(|note| note.bytes);
        assert_eq!([Some(5), Some(6), None].map(bytes), [Some(100), None, None]);
        assert_eq!(loaded.candidates(Identity(8, 42, Some(6)), "b.csv", 120).count(), 0);
        // As an earlier version has written it.
        let old: Identity = serde_json::from_str("[0,42]").expect("an identity");
        assert!(Identity(8, 42, Some(6)).is_noted_as(old) && !Identity(8, 43, Some(6)).is_noted_as(old));
    }

    #[test]
    fn a_file_with_the_number_of_one_that_is_gone_has_its_own_name() {
        let temporary = tempfile::tempdir().expect("a directory");
        let opened = Opened::open(temporary.path()).expect("opened");
        let mut notes = Notes::default();
        for name in ["a.csv", "b.csv"] {
            notes
                .add(&opened, (Identity(1, 42, None), name), (&[], None), (100, name.to_owned()), AT)
                .expect("written");
        }
        assert_eq!(notes.candidates(Identity(1, 43, None), "b.csv", 120).count(), 1);
        let read = [Segment { bytes: 100, events: 3 }];
        notes
            .add(&opened, (Identity(1, 42, None), "b-2.csv"), (&read, None), (120, "c".to_owned()), AT)
            .expect("written");
        assert_eq!(
            notes.candidates(Identity(1, 43, None), "b.csv", 140).count(),
            1,
            "it was put away under another name"
        );
    }

    #[test]
    fn a_file_that_is_replaced_by_longer_ones_all_day_has_one_note() {
        let temporary = tempfile::tempdir().expect("a directory");
        let opened = Opened::open(temporary.path()).expect("opened");
        let mut notes = Notes::default();
        notes.add(&opened, (Identity(1, 1, None), "other.csv"), (&[], None), (5, String::new()), AT).expect("written");
        let mut segments = Vec::new();
        let begin = |segments: &[Segment]| segments.last().map(|last| (last.bytes, String::new()));
        for number in 1..300 {
            notes
                .add(
                    &opened,
                    (Identity(1, 100 + number, None), "a.csv"),
                    (&segments, begin(&segments).as_ref()),
                    (number * 10, String::new()),
                    AT,
                )
                .expect("written");
            segments.push(Segment { bytes: number * 10, events: number });
        }
        assert_eq!(notes.0.len(), 2);
        assert_eq!(Notes::load(&opened).0, notes.0);
    }
}
