//! The files of the log: one a day in a directory that is held open, so that no link in it is followed, and nobody else writes there.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::device::clock::Clock;
use crate::device::dir::{self, Dir};

/// Permissions of a file: the group of the agent's user may read it, as support does.
const FILE_MODE: u32 = 0o640;

/// Permissions of the directory, if it is created; the umask takes those of others.
const DIR_MODE: u32 = 0o755;

/// Characters of a date, such as `2027-03-01`.
const DATE_CHARS: usize = 10;

/// The files, of which one is written to.
pub struct LogFiles {
    path: PathBuf,
    /// Most files at a time.
    keep: usize,
    /// Date of the open file, in UTC.
    date: String,
    file: File,
}

impl LogFiles {
    /// Opens the file of today, and creates it and its directory if they are not there.
    ///
    /// # Errors
    /// The system's; and in words, if others may write in the directory, or put it there.
    pub fn open(path: &Path, keep: usize) -> io::Result<Self> {
        dir::make_dirs(path, DIR_MODE)?;
        let (dir, date) = (dir::open_own(path)?, today());
        let file = dir::append(&dir, &name(&date), FILE_MODE)?;
        prune(&dir, keep, &name(&date));
        Ok(Self { path: path.to_owned(), keep, date, file })
    }

    /// Goes on in another file on another day; in the same one as long as there cannot be another.
    fn turn(&mut self) {
        if today() == self.date {
            return;
        }
        // Opened again: another directory may be there by now, as behind a mount.
        if let Ok(next) = Self::open(&self.path, self.keep) {
            *self = next;
        }
    }
}

impl Write for LogFiles {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn();
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn today() -> String {
    Clock::system().to_string().chars().take(DATE_CHARS).collect()
}

fn name(date: &str) -> OsString {
    format!("outpost.{date}.log").into()
}

/// Returns true for the name of a file of the log.
#[must_use]
pub fn is_log(file: &OsStr) -> bool {
    let date = file.to_str().and_then(|file| file.strip_prefix("outpost.")?.strip_suffix(".log"));
    date.is_some_and(|date| date.len() == DATE_CHARS && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
}

/// Deletes the oldest files. One that cannot be deleted is tried again on the next day.
fn prune(dir: &Dir, keep: usize, open: &OsStr) {
    let Ok(names) = dir.names() else { return };
    // A clock that is not set yet makes the newest file the first by name.
    let mut logs: Vec<OsString> = names.filter(|name| is_log(name) && name != open).collect();
    logs.sort_unstable();
    let over = (logs.len() + 1).saturating_sub(keep.max(1));
    for log in &logs[..over] {
        let _ = dir.remove(log);
    }
}
