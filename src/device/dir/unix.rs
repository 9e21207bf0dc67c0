//! A directory by its descriptor, relative to which the system does everything.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

use super::regular::regular;
use crate::device::disk;

/// Flags of every open. No terminal becomes that of this process.
const OPEN: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY);

/// Flag for the standard library's way to open a file: nothing is waited for, whatever it is.
pub(super) const OPEN_AT_ONCE: i32 = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits() as i32;

/// Flag that opens any kind of file only to look at it, without waiting.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = OFlags::NONBLOCK;

/// A directory that is held open.
#[derive(Debug)]
pub struct Dir(File);

/// User that stands for all that a user namespace does not map. Source: default of `/proc/sys/kernel/overflowuid`.
const OVERFLOW_UID: u32 = 65_534;

/// Bit of a directory's permissions by which only the owner of a name, or of the directory, changes that name. Source: chmod(2).
const STICKY: u32 = 0o1000;

/// Returns who may write to a directory beside its owner, for people.
fn others(dir: &Metadata) -> Option<&'static str> {
    match dir.mode() & 0o022 {
        0 => None,
        0o020 => Some("its group"),
        _ => Some("everybody"),
    }
}

/// Returns true if all users of the machine can be told apart here.
fn sees_all_users() -> bool {
    // On a system without user namespaces the file does not exist.
    let Ok(map) = std::fs::read_to_string("/proc/self/uid_map") else { return true };
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

impl Dir {
    /// Opens a directory at a trusted path; links in it are followed.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path, OPEN | OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())?;
        Ok(Self(File::from(fd)))
    }

    /// Opens a directory only to reach what is in it, for which one need not be allowed to list it.
    ///
    /// # Errors
    /// The system's.
    pub fn reach(path: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let flags = OFlags::PATH;
        #[cfg(not(target_os = "linux"))]
        let flags = OFlags::RDONLY;
        let fd = rustix::fs::open(path, OPEN | OFlags::DIRECTORY | flags, Mode::empty())?;
        Ok(Self(File::from(fd)))
    }

    /// Opens a directory in this one.
    ///
    /// # Errors
    /// The system's, also for a link.
    pub fn dir(&self, name: &OsStr) -> io::Result<Self> {
        self.open_in(name, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).map(Self)
    }

    /// Creates a directory in this one and opens it.
    ///
    /// # Errors
    /// The system's, also if the name exists.
    pub fn make_dir(&self, name: &OsStr, mode: u32) -> io::Result<Self> {
        rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(mode as _))?;
        let dir = self.dir(name)?;
        self.give(&dir.0)?;
        Ok(dir)
    }

    /// Returns the names in the directory, as far as they can be read.
    ///
    /// # Errors
    /// The system's.
    pub fn names(&self) -> io::Result<impl Iterator<Item = OsString>> {
        let entries = rustix::fs::Dir::read_from(&self.0)?;
        let name = |entry: rustix::fs::DirEntry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
        Ok(entries.filter_map(Result::ok).map(name).filter(|name| name != "." && name != ".."))
    }

    /// Returns the metadata of the directory itself.
    ///
    /// # Errors
    /// The system's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// Returns the metadata of an entry; for a link, of the link itself.
    ///
    /// # Errors
    /// The system's.
    pub fn metadata_of(&self, name: &OsStr) -> io::Result<Metadata> {
        self.open_in(name, LOOK, Mode::empty())?.metadata()
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// The system's, also for a link and for anything but a regular file.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        regular(self.open_in(name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?)
    }

    /// Opens a file to be read and written, as it is.
    ///
    /// # Errors
    /// The system's, also for a link and for anything but a regular file.
    pub fn writable(&self, name: &OsStr) -> io::Result<File> {
        regular(self.open_in(name, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty())?)
    }

    /// Opens a file to be continued at its end.
    ///
    /// # Errors
    /// The system's, also for a link; and for what is no file.
    pub fn appendable(&self, name: &OsStr) -> io::Result<File> {
        regular(self.open_in(name, OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK, Mode::empty())?)
    }

    /// Creates a file for writing.
    ///
    /// # Errors
    /// The system's, also if the name exists.
    pub fn create(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = self.open_in(name, flags, Mode::from_raw_mode(mode as _))?;
        self.give(&file)?;
        Ok(file)
    }

    /// Renames an entry, in this directory or to another one, replacing any entry of the new name.
    ///
    /// # Errors
    /// The system's.
    pub fn rename(&self, name: &OsStr, to: &Self, to_name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, to_name)?)
    }

    /// Removes a file; of a link, the link itself.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Syncs the names in the directory to the disk.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.0) {
            // Some file systems cannot sync directories; there is no more to be had there.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            synced => synced.map_err(io::Error::from),
        }
    }

    /// Sets the permissions of the directory.
    ///
    /// # Errors
    /// The system's.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.0.set_permissions(Permissions::from_mode(mode))
    }

    /// Keeps others who may write there from renaming or removing what is not theirs, if the directory is this user's.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_names(&self) -> io::Result<()> {
        let found = self.metadata()?;
        let mode = found.mode() & 0o7777;
        let is_open = mode & 0o022 != 0 && mode & STICKY == 0;
        let is_ours = found.uid() == rustix::process::geteuid().as_raw();
        if is_open && is_ours { self.set_mode(mode | STICKY) } else { Ok(()) }
    }

    /// Sets the modification time of a file in it to now.
    ///
    /// # Errors
    /// The system's.
    pub fn touch(&self, file: &File, _name: &OsStr) -> io::Result<()> {
        let time = |nanoseconds| Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let times = Timestamps { last_access: time(UTIME_OMIT), last_modification: time(UTIME_NOW) };
        Ok(rustix::fs::futimens(file, &times)?)
    }

    /// Returns why the content may be somebody else's, for people: the directory belongs neither to this user, nor to
    /// root or the owner of the directory above; or others may write there. `None` on a file system that records no
    /// owners, or those of another machine.
    ///
    /// # Errors
    /// The system's.
    pub fn distrust(&self, above: &Self) -> io::Result<Option<String>> {
        let (found, above) = (self.metadata()?, above.metadata()?);
        let us = rustix::process::geteuid().as_raw();
        if !disk::keeps_owners(self.0.as_fd()) {
            return Ok(None);
        }
        // In a namespace where a service is alone with root, all other users look like one.
        let is_of_many = found.uid() == OVERFLOW_UID && us != OVERFLOW_UID && !sees_all_users();
        if is_of_many || ![us, 0, above.uid()].contains(&found.uid()) {
            return Ok(Some(format!("belongs to the user {}", found.uid())));
        }
        Ok(others(&found).map(|others| format!("may be written to by others than its owner, by {others}")))
    }

    /// Returns why a link in it may be another's, for people: others than this user and root can put one there.
    #[must_use]
    pub fn distrust_link(&self) -> Option<String> {
        let us = rustix::process::geteuid().as_raw();
        let Ok(found) = self.metadata() else {
            return Some("it is a link, in a folder that cannot be looked at".to_owned());
        };
        if ![us, 0].contains(&found.uid()) {
            return Some(format!(
                "it is a link, which the user {} can change, to whom the folder above belongs",
                found.uid()
            ));
        }
        others(&found)
            .map(|others| format!("it is a link, which {others} can change, who may write to the folder above"))
    }

    /// Returns why what was found in it may be another's, for people: it is no file, has another name elsewhere, or belongs neither to
    /// this user, nor to root or the owner of the directory.
    #[must_use]
    pub fn distrust_file(&self, found: &Metadata) -> Option<String> {
        if !found.is_file() {
            return Some(format!("must be a file; found {}", super::regular::kind(found.file_type())));
        }
        if found.nlink() > 1 {
            return Some("has another name elsewhere, a hard link; it must be a file of one name".to_owned());
        }
        let us = rustix::process::geteuid().as_raw();
        let is_ours = [us, 0].contains(&found.uid()) || self.metadata().is_ok_and(|dir| dir.uid() == found.uid());
        let words = || format!("belongs to the user {}; it must belong to the owner of its folder", found.uid());
        (!is_ours && disk::keeps_owners(self.0.as_fd())).then(words)
    }

    fn open_in(&self, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<File> {
        let fd = rustix::fs::openat(&self.0, name, OPEN | OFlags::NOFOLLOW | flags, mode)?;
        Ok(File::from(fd))
    }

    /// Gives a file that root created to the owner of the directory, so that the service can continue with it.
    fn give(&self, file: &File) -> io::Result<()> {
        let owner = self.metadata()?;
        if rustix::process::geteuid().is_root() && owner.uid() != 0 {
            std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(())
    }
}
