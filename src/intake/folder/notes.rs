//! How far each file was read, kept over a restart: what is added to a file while the agent is down is recorded, and nothing twice.
//!
//! A note is written before the first event of a file is recorded. It stands in `done`, which this user alone writes to.

use std::ffi::OsStr;
use std::io::{self, Read as _};

use serde::{Deserialize, Serialize};

use super::opened::{DONE, Identity, Opened};
use crate::device::dir;

/// Their name in the folder for what was recorded whole.
const NAME: &str = ".read";

/// Rights of the notes.
const MODE: u32 = 0o640;

/// Files that are noted, the last that were read. Limits: notes are written for each file, and are some 10 kB.
const FILES_MAX: usize = 100;

/// Times that a file may be read on. Limits: what was read at each time is counted again after a restart.
const EXTENTS_MAX: usize = 20;

/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    identity: Identity,
    /// Bytes from its start, each time that it was read.
    pub(super) extents: Vec<u64>,
    /// SHA-256 over the last of them, so that another file is not taken for it.
    pub(super) digest: String,
}

impl Note {
    /// Bytes that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.extents.last().copied().unwrap_or_default()
    }
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
            kept.file(OsStr::new(NAME))?.take(1 << 20).read_to_string(&mut text)?;
            Ok::<_, io::Error>(serde_json::from_str(&text)?)
        };
        Self(read().unwrap_or_default())
    }

    /// The note of a file.
    pub(super) fn of(&self, identity: Identity) -> Option<&Note> {
        self.0.iter().find(|note| note.identity == identity)
    }

    /// Notes how far a file is read now.
    ///
    /// # Errors
    /// The system's, when notes cannot be written.
    pub(super) fn add(
        &mut self,
        opened: &Opened,
        identity: Identity,
        extents: Vec<u64>,
        digest: String,
    ) -> io::Result<()> {
        let note = Note { identity, extents, digest };
        if self.of(identity) == Some(&note) {
            return Ok(());
        }
        self.0.retain(|other| other.identity != identity);
        if note.extents.len() <= EXTENTS_MAX {
            self.0.push(note);
        }
        let excess = self.0.len().saturating_sub(FILES_MAX);
        self.0.drain(..excess);
        let bytes = serde_json::to_vec(&self.0).expect("numbers and texts are JSON");
        dir::replace(&opened.make(DONE)?, OsStr::new(NAME), &bytes, MODE)
    }
}

/// Returns whether a name in a folder for what was read is that of the notes.
pub(super) fn is_notes(name: &OsStr) -> bool {
    name == NAME
}
