//! A waiting file and its reason, for display.

use serde::{Deserialize, Serialize};

/// A file that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderWait {
    /// Name of the file.
    pub file: String,
    /// Reason for the wait.
    pub why: String,
}
