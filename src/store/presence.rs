//! A check that an open store's files are still at their paths: commits to files that nobody can open any more would be
//! lost.

use std::path::{Path, PathBuf};

use super::StoreError;

/// Device and inode number of a file, which stay the same under any name.
type Identity = (u64, u64);

/// The database and its log, as they were when the store was opened and first written.
#[derive(Debug, Default)]
pub(super) struct Presence {
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    path: PathBuf,
    found: Option<Identity>,
    log_path: PathBuf,
    log: Option<Identity>,
}

impl Presence {
    /// Records the files of an open store.
    pub(super) fn of(path: &Path) -> Self {
        let mut log_path = path.as_os_str().to_owned();
        log_path.push("-wal");
        let files = Files { path: path.to_owned(), found: identity(path), log_path: log_path.into(), log: None };
        Self { files: Some(files) }
    }

    /// Checks that the files are still there. Call it after a commit, which has created the log. Costs two looks at a
    /// path, some microseconds.
    ///
    /// # Errors
    /// [`StoreError::Gone`].
    pub(super) fn check(&mut self) -> Result<(), StoreError> {
        let Some(files) = self.files.as_mut().filter(|_| cfg!(unix)) else { return Ok(()) };
        let gone = |path: &PathBuf| Err(StoreError::Gone { path: path.clone() });
        if identity(&files.path) != files.found {
            return gone(&files.path);
        }
        match identity(&files.log_path) {
            None => gone(&files.log_path),
            log if files.log.is_some() && log != files.log => gone(&files.log_path),
            log => {
                files.log = log;
                Ok(())
            }
        }
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Returns `None`: an open file cannot be renamed or removed here.
#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<Identity> {
    None
}
