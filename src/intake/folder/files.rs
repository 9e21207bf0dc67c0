//! The files of a folder: which are there, which are complete, and where they go when they were read.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::lines::Kind;

/// Where files go whose every line was recorded.
pub(super) const DONE: &str = "done";

/// Where the others go, each with what is wrong with it.
pub(super) const FAILED: &str = "failed";

/// Files that are looked at in one round; the others in the next.
const FILES_MAX: usize = 10_000;

/// How a file looked: one that looks otherwise is still written to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) bytes: u64,
    modified: Option<SystemTime>,
}

impl Look {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// A file that waits to be read.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) kind: Kind,
    look: Look,
}

impl Found {
    /// Whether it looks as it did when it was found.
    pub(super) fn is_as_found(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|metadata| Look::of(&metadata) == self.look)
    }
}

/// What was seen of the files of a folder.
#[derive(Default)]
pub(super) struct Files {
    /// How each looked, and since when.
    seen: HashMap<PathBuf, (Look, Instant)>,
    /// Files that were moved in whole.
    whole: HashSet<OsString>,
    /// Files that were read and could not be moved away, as they looked.
    stuck: HashMap<PathBuf, Look>,
}

impl Files {
    /// These were moved in whole: they need not be waited for.
    pub(super) fn moved_in(&mut self, names: Vec<OsString>) {
        self.whole.extend(names);
    }

    /// A file was read and could not be moved away: it is left alone until it changes.
    pub(super) fn stuck(&mut self, found: &Found) {
        self.stuck.insert(found.path.clone(), found.look);
    }

    /// Looks at a folder: gives the files that are complete, the oldest first, and how many are not yet.
    pub(super) fn look(&mut self, folder: &Path, quiet: Duration, now: Instant) -> io::Result<(Vec<Found>, usize)> {
        let mut complete = Vec::new();
        let mut seen = HashMap::new();
        let mut waiting = 0;
        for entry in fs::read_dir(folder)?.take(FILES_MAX) {
            let Some(found) = find(&entry?) else { continue };
            let since = match self.seen.get(&found.path) {
                Some((look, since)) if *look == found.look => *since,
                _ => now,
            };
            seen.insert(found.path.clone(), (found.look, since));
            if self.stuck.get(&found.path) == Some(&found.look) {
                continue;
            }
            let is_whole = self.whole.contains(found.path.file_name().unwrap_or_default());
            if is_whole || now.duration_since(since) >= quiet {
                complete.push(found);
            } else {
                waiting += 1;
            }
        }
        self.seen = seen;
        self.whole.clear();
        complete.sort_by(|a, b| (a.look.modified, &a.name).cmp(&(b.look.modified, &b.name)));
        Ok((complete, waiting))
    }
}

/// A file of a kind that is read; neither hidden, nor a link to somewhere else.
fn find(entry: &fs::DirEntry) -> Option<Found> {
    let name = entry.file_name().into_string().ok()?;
    let kind = Kind::of(&name).filter(|_| !name.starts_with('.'))?;
    let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
    Some(Found { path: entry.path(), name, kind, look: Look::of(&metadata) })
}

/// Opens a file, but not through a link: who may write into the folder need not be one who may read the rest.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(target_os = "linux")]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// Makes the folder, if it is not there: whoever is of this user's group may drop files.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    #[cfg(unix)]
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o770))?;
    Ok(())
}

/// Moves a file that was read to `done` or, with a text that names its bad lines, to `failed`.
pub(super) fn put_away(folder: &Path, found: &Found, errors: Option<&str>) -> io::Result<()> {
    let to = folder.join(if errors.is_some() { FAILED } else { DONE });
    fs::create_dir_all(&to)?;
    let name = free_name(&to, &found.name);
    if let Some(errors) = errors {
        // First, so that a file in the folder is always with what is wrong with it.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let mut file = options.open(to.join(format!("{name}.errors")))?;
        file.write_all(errors.as_bytes())?;
        file.sync_all()?;
    }
    let path = to.join(&name);
    fs::rename(&found.path, &path)?;
    // From now on it is kept for a while; on a file system without such times it is kept from when it was written.
    let _ = OpenOptions::new().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
    Ok(())
}

/// A name that nothing has in a folder: the file's own, or with a number.
fn free_name(folder: &Path, name: &str) -> String {
    let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
    let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{stem}-{number}.{end}")));
    names.into_iter().find(|name| !folder.join(name).exists()).unwrap_or_else(|| name.to_owned())
}

/// Files that were read and are still there.
pub(super) fn count_kept(folder: &Path) -> usize {
    let count = |name| fs::read_dir(folder.join(name)).map_or(0, Iterator::count);
    count(DONE) + count(FAILED)
}

/// Deletes what was read so long ago.
pub(super) fn purge(folder: &Path, keep: Duration) -> io::Result<()> {
    let done = folder.join(DONE);
    if !done.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(done)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if metadata.is_file() && age.is_some_and(|age| age >= keep) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
