//! A file of the folder as it was found: its kind, its appearance, and how long it has to stay so.

use std::fs::Metadata;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::{Duration, SystemTime};

use super::content::Content;
use super::lines::Kind;
use super::opened::{Identity, Opened, Place, links};
use crate::core::timestamp::Timestamp;

/// Factor by which the wait is longer for a file whose last line has no end, because it may be half written.
const UNENDED_FACTOR: u32 = 4;

/// Size above which a file pauses for the smaller ones. Units: bytes. Limits: some seconds of reading.
const LARGE_BYTES: u64 = 64 << 20;

/// Size up to which a file is read when it is first seen to wait; a larger one may still grow. Units: bytes. Limits: some milliseconds
/// of reading.
const SMALL_BYTES: u64 = 1 << 20;

/// The appearance of a file: if it changes, the file is still being written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) bytes: u64,
    pub(super) modified: Option<SystemTime>,
    /// Permissions, as the system's number.
    rights: u64,
}

impl Look {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: metadata.modified().ok(), rights: rights(metadata) }
    }
}

#[cfg(unix)]
fn rights(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    u64::from(metadata.mode()) << 32 | u64::from(metadata.uid())
}

#[cfg(not(unix))]
fn rights(metadata: &Metadata) -> u64 {
    u64::from(metadata.permissions().readonly())
}

/// A file to be read.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) look: Look,
    pub(super) identity: Identity,
    /// Time of its rows that have none.
    pub(super) at: Timestamp,
    /// Number of its hard links.
    pub(super) links: u64,
    /// True if it is a link, which is never read.
    pub(super) is_link: bool,
}

impl Found {
    /// Returns a file of a known kind that is not hidden, or a link of such a name.
    pub(super) fn at(place: Place, metadata: &Metadata) -> Option<Self> {
        let kind = Kind::of(&place.name).filter(|_| metadata.is_file() || metadata.is_symlink())?;
        let (identity, links, is_link) = (Identity::of(metadata), links(metadata), metadata.is_symlink());
        Some(Self { place, kind, look: Look::of(metadata), identity, at: Timestamp::default(), links, is_link })
    }

    /// Returns true if the others are not to wait for it.
    pub(super) fn is_large(&self) -> bool {
        self.look.bytes > LARGE_BYTES
    }

    /// Returns true if it is read in no time.
    pub(super) const fn is_small(&self) -> bool {
        self.look.bytes <= SMALL_BYTES
    }

    /// Returns the digest of its content; `None` if that has another length by now.
    ///
    /// # Errors
    /// The system's, if it cannot be read.
    pub(super) fn digest(&self, opened: &Opened) -> io::Result<Option<String>> {
        let content = Content::of(opened.file(&self.place)?, &[])?;
        Ok((content.bytes == self.look.bytes).then(|| content.digest()))
    }

    /// Returns its name, for people.
    pub(super) fn shown(&self) -> String {
        self.place.name.to_string_lossy().into_owned()
    }

    /// Returns how long it must stay unchanged to count as complete.
    pub(super) fn patience(&self, opened: &Opened, quiet: Duration) -> Duration {
        let is_ended = || {
            let mut last = [0; 2];
            let mut file = opened.file(&self.place)?;
            file.seek(SeekFrom::End(-2))?;
            file.read_exact(&mut last)?;
            // Of UTF-16 the last byte may be zero; other zeros are those of a file that is not written yet, or was cut.
            let end = if last[1] == 0 { last[0] } else { last[1] };
            Ok::<_, io::Error>(matches!(end, b'\n' | b'\r' | b'}' | b']'))
        };
        if is_ended().unwrap_or(true) { quiet } else { quiet * UNENDED_FACTOR }
    }
}
