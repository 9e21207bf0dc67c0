//! How far each file was read, kept over a restart: what is added to a file while the agent is down is recorded, and nothing twice.
//!
//! A note is written before the first event of a file is recorded. It stands in `done`, which this user alone writes to.

use std::ffi::OsStr;
use std::io::{self, Read as _};

use serde::{Deserialize, Serialize};

use super::content::Segment;
use super::opened::{DONE, Identity, Opened};
use crate::device::dir;

/// Most bytes of them. Limits: more than all notes with all segments.
const NOTES_BYTES_MAX: u64 = 4 << 20;

/// Their name in the folder for what was recorded whole.
const NAME: &str = ".read";

/// Rights of the notes.
const MODE: u32 = 0o640;

/// Files that are noted, the last that were read. Limits: notes are written for each file, and are some 10 kB.
const FILES_MAX: usize = 100;

/// Times that files were read on, of all that are noted; the oldest notes are dropped beyond that. Limits: each is some 15
/// bytes of the notes.
const SEGMENTS_MAX: usize = 20_000;

/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Which file it is.
    file: Identity,
    /// Its name when it was dropped: a longer one of that name may be the same with more rows.
    name: String,
    /// What was read of it before, each time.
    pub(super) segments: Vec<Segment>,
    /// Bytes that are read of it now.
    pub(super) bytes: u64,
    /// SHA-256 over them, so that another file is not taken for it.
    pub(super) digest: String,
}

/// The notes of a folder, the newest last.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    /// Reads those that the last agent has left; none where they cannot be read.
    pub(super) fn load(opened: &Opened) -> Self {
        let read = || {
            let mut text = String::new();
            let kept = opened.kept(DONE)?.ok_or(io::ErrorKind::NotFound)?;
            kept.file(OsStr::new(NAME))?.take(NOTES_BYTES_MAX).read_to_string(&mut text)?;
            Ok::<_, io::Error>(serde_json::from_str(&text)?)
        };
        Self(read().unwrap_or_default())
    }

    /// The note of a file, by what it is.
    pub(super) fn of(&self, identity: Identity) -> Option<&Note> {
        self.0.iter().find(|note| note.file == identity.in_volume())
    }

    /// Notes of what a file of so many bytes may begin with: of itself, of one of its name, or of one that was as long.
    pub(super) fn candidates(&self, identity: Identity, name: &str, bytes: u64) -> impl Iterator<Item = &Note> {
        let is_it = move |note: &&Note| note.file == identity.in_volume() || note.name == name || note.bytes == bytes;
        self.0.iter().filter(move |note| note.bytes <= bytes).filter(is_it)
    }

    /// Notes how far a file is read now. The note of another file of which it is a longer version is dropped.
    ///
    /// # Errors
    /// The system's, when notes cannot be written.
    pub(super) fn add(
        &mut self,
        opened: &Opened,
        (identity, name): (Identity, &str),
        segments: &[Segment],
        (bytes, digest): (u64, String),
    ) -> io::Result<()> {
        let name = self.of(identity).map_or(name, |note| &note.name).to_owned();
        let note = Note { file: identity.in_volume(), name, segments: segments.to_vec(), bytes, digest };
        if self.of(identity) == Some(&note) {
            return Ok(());
        }
        let begin = segments.last().map(|segment| segment.bytes);
        let is_its_begin = |other: &Note| other.name == note.name && Some(other.bytes) == begin;
        self.0.retain(|other| other.file != note.file && !is_its_begin(other));
        self.0.push(note);
        while self.0.len() > FILES_MAX || self.0.iter().map(|note| note.segments.len()).sum::<usize>() > SEGMENTS_MAX {
            self.0.remove(0);
        }
        let bytes = serde_json::to_vec(&self.0).expect("numbers and texts are JSON");
        dir::replace(&opened.make(DONE)?, OsStr::new(NAME), &bytes, MODE)
    }
}

/// Returns whether a name in a folder for what was read is that of the notes.
pub(super) fn is_notes(name: &OsStr) -> bool {
    name == NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_again_when_its_file_system_has_another_number() {
        let temporary = tempfile::tempdir().expect("a directory");
        let opened = Opened::open(temporary.path()).expect("opened");
        let mut notes = Notes::default();
        notes.add(&opened, (Identity(7, 42), "a.csv"), &[], (100, "ab".to_owned())).expect("written");
        let loaded = Notes::load(&opened);
        assert_eq!(loaded.0, notes.0);
        #[cfg(unix)]
        assert_eq!(loaded.of(Identity(8, 42)).map(|note| note.bytes), Some(100));
        assert_eq!(loaded.of(Identity(7, 43)), None);
        assert_eq!(loaded.candidates(Identity(7, 43), "a.csv", 120).count(), 1);
        assert_eq!(loaded.candidates(Identity(7, 43), "b.csv", 120).count(), 0);
        assert_eq!(loaded.candidates(Identity(7, 43), "b.csv", 100).count(), 1);
    }

    #[test]
    fn a_file_that_is_replaced_by_longer_ones_all_day_has_one_note() {
        let temporary = tempfile::tempdir().expect("a directory");
        let opened = Opened::open(temporary.path()).expect("opened");
        let mut notes = Notes::default();
        notes.add(&opened, (Identity(1, 1), "other.csv"), &[], (5, String::new())).expect("written");
        let mut segments = Vec::new();
        for number in 1..300 {
            notes
                .add(&opened, (Identity(1, 100 + number), "a.csv"), &segments, (number * 10, String::new()))
                .expect("written");
            segments.push(Segment { bytes: number * 10, events: number });
        }
        assert_eq!(notes.0.len(), 2);
        assert_eq!(Notes::load(&opened).0, notes.0);
    }
}
