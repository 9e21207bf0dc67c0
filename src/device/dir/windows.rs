//! A directory by a handle that keeps it in place: while it is open, nobody can rename or remove the directory, nor any
//! above it. So paths below it keep their meaning.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::regular::regular;

/// Others may read and write, which renaming a file within the directory needs, but neither rename nor remove the
/// directory. Source: `CreateFileW`, `dwShareMode`.
const SHARE_READ_WRITE: u32 = 3;

/// Allows opening a directory. Source: `CreateFileW`, `dwFlagsAndAttributes`.
const BACKUP_SEMANTICS: u32 = 0x0200_0000;

/// Opens a link itself rather than its target. Source: `CreateFileW`, `dwFlagsAndAttributes`.
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// Marks a link. Source: file attribute constants.
const REPARSE_POINT: u32 = 0x0400;

/// A directory that is held open.
#[derive(Debug)]
pub struct Dir {
    handle: File,
    path: PathBuf,
}

impl Dir {
    /// Opens a directory at a trusted path; links in it are followed.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::hold(path.to_owned(), BACKUP_SEMANTICS)
    }

    /// As [`Self::open`].
    ///
    /// # Errors
    /// The system's.
    pub fn reach(path: &Path) -> io::Result<Self> {
        Self::open(path)
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

    /// Creates a directory in this one and opens it. It inherits the permissions of its parent.
    ///
    /// # Errors
    /// The system's, also if the name exists.
    pub fn make_dir(&self, name: &OsStr, _mode: u32) -> io::Result<Self> {
        fs::create_dir(self.path.join(name))?;
        self.dir(name)
    }

    /// Returns the names in the directory, as far as they can be read.
    ///
    /// # Errors
    /// The system's.
    pub fn names(&self) -> io::Result<impl Iterator<Item = OsString>> {
        Ok(fs::read_dir(&self.path)?.filter_map(Result::ok).map(|entry| entry.file_name()))
    }

    /// Returns the metadata of the directory itself.
    ///
    /// # Errors
    /// The system's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.handle.metadata()
    }

    /// Returns the metadata of an entry; for a link, of the link itself.
    ///
    /// # Errors
    /// The system's.
    pub fn metadata_of(&self, name: &OsStr) -> io::Result<Metadata> {
        fs::symlink_metadata(self.path.join(name))
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// The system's, also for anything but a regular file, such as a link.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        self.open_in(OpenOptions::new().read(true), name)
    }

    /// Opens a file to be read and written, as it is.
    ///
    /// # Errors
    /// The system's, also for anything but a regular file, such as a link.
    pub fn writable(&self, name: &OsStr) -> io::Result<File> {
        self.open_in(OpenOptions::new().read(true).write(true), name)
    }

    /// Opens a file to be continued at its end.
    ///
    /// # Errors
    /// The system's; and for what is no file, also for a link.
    pub fn appendable(&self, name: &OsStr) -> io::Result<File> {
        self.open_in(OpenOptions::new().append(true), name)
    }

    /// Creates a file for writing. It inherits the permissions of the directory.
    ///
    /// # Errors
    /// The system's, also if the name exists.
    pub fn create(&self, name: &OsStr, _mode: u32) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.path.join(name))
    }

    /// Renames an entry, in this directory or to another one, replacing any entry of the new name.
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

    /// Does nothing: NTFS keeps changes of names in order in its own log and flushes it with the file.
    ///
    /// # Errors
    /// None.
    pub fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing: permissions are inherited from the directory above.
    ///
    /// # Errors
    /// None.
    pub fn set_mode(&self, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing: the permissions of a name are its own there.
    ///
    /// # Errors
    /// None.
    pub fn keep_names(&self) -> io::Result<()> {
        Ok(())
    }

    /// Sets the modification time of a file in it to now.
    ///
    /// # Errors
    /// The system's.
    pub fn touch(&self, _file: &File, name: &OsStr) -> io::Result<()> {
        self.open_in(OpenOptions::new().append(true), name)?.set_modified(SystemTime::now())
    }

    /// Returns `None`: the directory cannot be changed while it is held open, and no link in it is followed.
    ///
    /// # Errors
    /// None.
    pub fn distrust(&self, _above: &Self) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// Returns that links are not followed, for people: one cannot be told from one of somebody else.
    #[must_use]
    pub fn distrust_link(&self) -> Option<String> {
        Some("it is a link or a junction, which is not followed".to_owned())
    }

    /// Returns why what was found in it cannot be opened as a file, for people.
    #[must_use]
    pub fn distrust_file(&self, found: &Metadata) -> Option<String> {
        (!found.is_file()).then(|| format!("must be a file; found {}", super::regular::kind(found.file_type())))
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
