//! By a handle that keeps the directory where it is: while it is open, nobody can rename or remove the directory, nor any
//! above it. So a path below it leads where it led.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::regular;

/// Source: `CreateFileW`, `dwShareMode`: others may read and write, which renaming a file within takes, but neither rename
/// nor remove.
const SHARE_READ_WRITE: u32 = 3;

/// Source: `CreateFileW`, `dwFlagsAndAttributes`: a directory may be opened.
const BACKUP_SEMANTICS: u32 = 0x0200_0000;

/// Source: `CreateFileW`, `dwFlagsAndAttributes`: a link is opened, not what it leads to.
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// Source: file attribute constants.
const REPARSE_POINT: u32 = 0x0400;

/// A directory that is held open.
#[derive(Debug)]
pub struct Dir {
    handle: File,
    path: PathBuf,
}

impl Dir {
    /// Opens a directory at a path that is trusted: links in it are followed.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::hold(path.to_owned(), BACKUP_SEMANTICS)
    }

    /// Opens a directory in this one.
    ///
    /// # Errors
    /// The system's, also for a link.
    pub fn dir(&self, name: &OsStr) -> io::Result<Self> {
        let dir = Self::hold(self.path.join(name), BACKUP_SEMANTICS | OPEN_REPARSE_POINT)?;
        refuse_link(&dir.metadata()?)?;
        Ok(dir)
    }

    fn hold(path: PathBuf, flags: u32) -> io::Result<Self> {
        let handle = OpenOptions::new().read(true).share_mode(SHARE_READ_WRITE).custom_flags(flags).open(&path)?;
        if !handle.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self { handle, path })
    }

    /// Makes a directory in this one, and opens it. It has the rights that the one above passes on.
    ///
    /// # Errors
    /// The system's, also when there is something of that name.
    pub fn make_dir(&self, name: &OsStr, _mode: u32) -> io::Result<Self> {
        fs::create_dir(self.path.join(name))?;
        self.dir(name)
    }

    /// The names of what is in it, as far as they can be read.
    ///
    /// # Errors
    /// The system's.
    pub fn names(&self) -> io::Result<impl Iterator<Item = OsString>> {
        Ok(fs::read_dir(&self.path)?.filter_map(Result::ok).map(|entry| entry.file_name()))
    }

    /// What the directory itself is.
    ///
    /// # Errors
    /// The system's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.handle.metadata()
    }

    /// What has that name in it; of a link, the link itself.
    ///
    /// # Errors
    /// The system's.
    pub fn metadata_of(&self, name: &OsStr) -> io::Result<Metadata> {
        fs::symlink_metadata(self.path.join(name))
    }

    /// Opens a file to be read.
    ///
    /// # Errors
    /// The system's; and for what is no file, also for a link.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        self.open_in(OpenOptions::new().read(true), name)
    }

    /// Makes a file to be written. It has the rights that the directory passes on.
    ///
    /// # Errors
    /// The system's, also when there is something of that name.
    pub fn create(&self, name: &OsStr, _mode: u32) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path.join(name))
    }

    /// Gives what has a name another, in this directory or another; what had that name before is gone.
    ///
    /// # Errors
    /// The system's.
    pub fn rename(&self, name: &OsStr, to: &Self, to_name: &OsStr) -> io::Result<()> {
        fs::rename(self.path.join(name), to.path.join(to_name))
    }

    /// Removes a file; of a link, the link itself.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Does nothing: NTFS keeps names in its own log, in the order in which they were given, and flushes it with the file.
    ///
    /// # Errors
    /// None.
    pub fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing: rights are those that the directory above passes on.
    ///
    /// # Errors
    /// None.
    pub fn set_mode(&self, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    /// Has a file of it count as changed now.
    ///
    /// # Errors
    /// The system's.
    pub fn touch(&self, _file: &File, name: &OsStr) -> io::Result<()> {
        self.open_in(OpenOptions::new().append(true), name)?.set_modified(SystemTime::now())
    }

    /// Trusts it: it cannot be changed while it is held, and nothing in it is followed.
    ///
    /// # Errors
    /// None.
    pub fn distrust(&self, _above: &Self) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn open_in(&self, options: &mut OpenOptions, name: &OsStr) -> io::Result<File> {
        let file = regular(options.custom_flags(OPEN_REPARSE_POINT).open(self.path.join(name))?)?;
        refuse_link(&file.metadata()?)?;
        Ok(file)
    }
}

fn refuse_link(metadata: &Metadata) -> io::Result<()> {
    if metadata.file_attributes() & REPARSE_POINT == 0 {
        Ok(())
    } else {
        Err(io::Error::other("it must not be a link"))
    }
}
