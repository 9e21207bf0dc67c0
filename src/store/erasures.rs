//! The list of erasures: a line for each time that people were forgotten, and nothing of whom. It stands beside the store, and
//! outlives it.

use std::io;
use std::path::Path;

use super::StoreError;
use crate::device::dir;

/// Its name, beside the store.
const NAME: &str = "erasures.log";

/// Bytes that it may have; its oldest lines go first.
const BYTES_MAX: usize = dir::SMALL_BYTES_MAX as usize;

/// Adds a line to the list of erasures, so that a power cut does not take it back.
///
/// # Errors
/// [`StoreError::Erasures`]; then the list is as it was.
pub fn note_erasure(store_path: &Path, line: &str) -> Result<(), StoreError> {
    let path = store_path.with_file_name(NAME);
    let add = || {
        let mut list = match dir::read_small_at(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        list.extend_from_slice(line.as_bytes());
        list.push(b'\n');
        if let Some(surplus) = list.len().checked_sub(BYTES_MAX) {
            let end = list[surplus..].iter().position(|byte| *byte == b'\n').unwrap_or_default();
            list.drain(..=surplus + end);
        }
        dir::replace_at(&path, &list, 0o600)
    };
    add().map_err(|source| StoreError::Erasures { path: path.clone(), source })
}
