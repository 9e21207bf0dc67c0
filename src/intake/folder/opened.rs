//! The folder while it is held open: operations apply to it, whatever those who may drop files do meanwhile with its
//! path, with `done` and `failed`, or with a file.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::device::dir::{self, Dir};
use crate::device::rights;

/// Permissions of the folder: members of this user's group may drop files, and change the names of nothing but these.
const FOLDER_MODE: u32 = 0o1770;

/// Permissions of the directories in it, where only this user can write.
const KEPT_MODE: u32 = 0o755;

/// Directories in it for files that were read: recorded completely, not new, and not recorded completely.
pub(super) const KEPT: [&str; 3] = [DONE, "duplicate", FAILED];

/// Most names of `failed` examined in a round.
pub(super) const UNFIXED_LOOKED_AT: usize = 10_000;

/// Directory for files that were not recorded completely.
pub(super) const FAILED: &str = "failed";

/// Directory for files that were recorded completely.
pub(super) const DONE: &str = "done";

/// Told once that the folder cannot be made sticky.
static TOLD: Once = Once::new();

/// Reason for a waiting file that has a second name.
pub(super) const LINKED: &str =
    "it has another name elsewhere, a hard link, and may be the file of somebody else; it must be a copy";

/// The identity of a file, whatever its name: device, number on it, and nanoseconds from 1970 to its creation, where the file system
/// keeps them. A number is used again for another file once the file is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Identity(
    pub(super) u64,
    pub(super) u64,
    #[serde(default, skip_serializing_if = "Option::is_none")] pub(super) Option<u64>,
);

impl Identity {
    /// Returns the identity in the file system's numbers.
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino(), created(metadata))
    }

    /// Returns the time of creation, which serves as identity.
    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self(0, 0, created(metadata))
    }

    /// Returns the identity without the device number, which may change when the machine restarts.
    pub(super) const fn in_volume(self) -> Self {
        Self(0, self.1, self.2)
    }

    /// Returns true if a note is of this file in its volume. Notes of earlier versions have no time of creation.
    pub(super) fn is_noted_as(self, noted: Self) -> bool {
        self.1 == noted.1 && noted.2.is_none_or(|created| self.2 == Some(created))
    }
}

fn created(metadata: &Metadata) -> Option<u64> {
    let since = metadata.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// The place of a file: in the folder itself, or in one of its directories.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    /// Directory, such as `done`.
    pub(super) kept: Option<&'static str>,
    pub(super) name: OsString,
}

impl Place {
    /// Returns a place in the folder itself.
    pub(super) const fn dropped(name: OsString) -> Self {
        Self { kept: None, name }
    }
}

/// The folder, held open.
pub(super) struct Opened {
    pub(super) dir: Dir,
    path: PathBuf,
}

impl Opened {
    /// Opens the folder.
    ///
    /// # Errors
    /// The system's; also if its path is a link that somebody else made.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(owner) = rights::foreign_link(path) {
            let words = format!("it is a link that the user {owner} made; it must be one of this user or root");
            return Err(io::Error::other(words));
        }
        let dir = Dir::open(path)?;
        // Otherwise whoever may drop files could exchange `done` and `failed`, or hide them. A supervisor may forbid it: that of
        // systemd does for a folder with the setgid bit (`RestrictSUIDSGID`).
        if let Err(error) = dir.keep_names() {
            TOLD.call_once(|| {
                tracing::warn!(%error, "whoever may drop files can rename done and failed: run chmod +t on the folder");
            });
        }
        Ok(Self { dir, path: path.to_owned() })
    }

    /// Returns the metadata at a place; for a link, of the link itself.
    pub(super) fn metadata(&self, place: &Place) -> io::Result<Metadata> {
        match place.kept {
            None => self.dir.metadata_of(&place.name),
            Some(kept) => self.existing(kept)?.metadata_of(&place.name),
        }
    }

    /// Opens a file for reading: never through a link, and never a file with a second name, which might belong to
    /// somebody who keeps it from those who drop files.
    pub(super) fn file(&self, place: &Place) -> io::Result<File> {
        let file = match place.kept {
            None => self.dir.file(&place.name)?,
            Some(kept) => self.existing(kept)?.file(&place.name)?,
        };
        if links(&file.metadata()?) > 1 { Err(io::Error::other(LINKED)) } else { Ok(file) }
    }

    /// Returns a directory for files that were read, creating it if it does not exist.
    pub(super) fn make(&self, kept: &'static str) -> io::Result<Dir> {
        match self.kept(kept)? {
            Some(dir) => Ok(dir),
            None => {
                self.dir.make_dir(OsStr::new(kept), KEPT_MODE)?;
                self.existing(kept)
            }
        }
    }

    /// Returns a directory for files that were read, if it exists and belongs to this user.
    pub(super) fn kept(&self, kept: &'static str) -> io::Result<Option<Dir>> {
        let found = match self.dir.dir(OsStr::new(kept)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found,
        };
        let error = |words: String| {
            let path = self.path.join(kept);
            io::Error::other(format!("{} {words}; remove it, and the agent makes its own", path.display()))
        };
        let dir = found.map_err(|source| match self.dir.metadata_of(OsStr::new(kept)) {
            Ok(metadata) if !metadata.is_dir() => error("must be a folder, not a link or a file".to_owned()),
            _ => source,
        })?;
        match dir.distrust(&self.dir)? {
            None => Ok(Some(dir)),
            Some(words) => Err(error(words)),
        }
    }

    /// Returns how many files in `failed` have a list of errors beside them. Limits: among the first
    /// [`UNFIXED_LOOKED_AT`] names.
    pub(super) fn unfixed(&self) -> usize {
        let count = |dir: Dir| {
            let is_list = |name: &OsString| name.as_encoded_bytes().ends_with(b".errors");
            Ok::<_, io::Error>(dir.names()?.take(UNFIXED_LOOKED_AT).filter(is_list).count())
        };
        // If it cannot be examined, that is reported when a file is moved there.
        self.kept(FAILED).ok().flatten().and_then(|dir| count(dir).ok()).unwrap_or(0)
    }

    fn existing(&self, kept: &'static str) -> io::Result<Dir> {
        self.kept(kept)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

/// Returns how many names a file has.
#[cfg(unix)]
pub(super) fn links(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

/// Returns 1: on Windows nobody can give a second name to a file that they cannot write.
#[cfg(not(unix))]
pub(super) fn links(_metadata: &Metadata) -> u64 {
    1
}

/// Creates the folder, if it does not exist.
pub(super) fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    dir::make_dirs(path, FOLDER_MODE)?;
    // Whatever the umask is.
    Dir::open(path)?.set_mode(FOLDER_MODE)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_took_the_place_of_a_file_is_refused_at_once() {
        let temporary = tempfile::tempdir().expect("a directory");
        let opened = Opened::open(temporary.path()).expect("opened");
        let at = |name: &str| temporary.path().join(name);
        std::fs::write(at("there"), "x").expect("written");
        let made = std::process::Command::new("mkfifo").arg(at("pipe.csv")).status().expect("mkfifo runs");
        assert!(made.success());
        std::os::unix::fs::symlink("there", at("link.csv")).expect("linked");
        std::fs::create_dir(at("folder.csv")).expect("made");
        for name in ["pipe.csv", "link.csv", "folder.csv", "none.csv"] {
            assert!(opened.file(&Place::dropped(name.into())).is_err(), "{name}");
        }
        assert!(opened.file(&Place::dropped("there".into())).is_ok());
    }
}
