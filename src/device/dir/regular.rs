//! Files that are neither folders nor devices nor pipes.

use std::fs::{File, FileType};
use std::io;

/// Returns a file only if it is a regular one: a pipe or a device would block.
pub(super) fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it must be a file")) }
}

/// A word for what is no file.
#[must_use]
pub fn kind(found: FileType) -> &'static str {
    if found.is_symlink() {
        "a link"
    } else if found.is_dir() {
        "a folder"
    } else {
        "a pipe, a socket or a device"
    }
}
