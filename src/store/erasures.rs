//! The list of erasures: a line for each time that people were forgotten, and nothing of whom. It stands beside the store, and
//! outlives it.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use crate::device::dir::{self, Dir};

/// Its name, beside the store.
const NAME: &str = "erasures.log";

/// Bytes that it may have; its oldest lines go first.
const BYTES_MAX: usize = dir::SMALL_BYTES_MAX as usize;

/// Adds a line to the list of erasures, so that a power cut does not take it back. Of a list that somebody filled the end is kept.
///
/// # Errors
/// A clause about the list, which is then as it was.
pub fn note_erasure(store_path: &Path, line: &str) -> Result<(), String> {
    let path = store_path.with_file_name(NAME);
    let add = || {
        let dir = Dir::reach(dir::parent(&path))?;
        let mut list = match dir::read_end_in(&dir, OsStr::new(NAME), BYTES_MAX as u64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        if list.last().is_some_and(|last| *last != b'\n') {
            list.push(b'\n');
        }
        list.extend_from_slice(line.as_bytes());
        list.push(b'\n');
        if let Some(surplus) = list.len().checked_sub(BYTES_MAX) {
            let end = list[surplus..].iter().position(|byte| *byte == b'\n').unwrap_or_default();
            list.drain(..=surplus + end);
        }
        dir::replace_at(&path, &list, 0o600)
    };
    add().map_err(|error: io::Error| format!("the list of erasures {} cannot be written: {error}", path.display()))
}
