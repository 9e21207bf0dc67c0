//! A file that waits, and why, as people see it.

use serde::{Deserialize, Serialize};

/// A file that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderWait {
    /// Its name.
    pub file: String,
    /// What it waits for.
    pub why: String,
}
