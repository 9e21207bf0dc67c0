//! A waiting file and its reason, for display.

use serde::{Deserialize, Serialize};

use super::opened::LINKED;
use crate::core::limits::FOLDER_FILE_BYTES_MAX;

/// Waiting files that are shown.
pub(super) const WAITS_SHOWN: usize = 5;

/// A file that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderWait {
    /// Name of the file.
    pub file: String,
    /// Reason for the wait.
    pub why: String,
}

/// Returns why a file is not read as it is, however long it stays unchanged: by whether it is a link, by the number of its names, and by
/// its size in bytes.
pub(super) fn never(is_link: bool, links: u64, bytes: u64) -> Option<String> {
    if is_link {
        return Some("it is a link, which is not followed; it must be a copy".to_owned());
    }
    if links > 1 {
        return Some(LINKED.to_owned());
    }
    if bytes == 0 {
        return Some("it is empty".to_owned());
    }
    (bytes > FOLDER_FILE_BYTES_MAX)
        .then(|| format!("it is {bytes} bytes, and must be at most {FOLDER_FILE_BYTES_MAX}; split it"))
}
