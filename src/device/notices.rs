//! What is not as it is configured, and why, as long as that is so: it is shown beside what holds instead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Where something is not as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// The configuration was changed, and could not be reloaded.
    Configuration,
    /// The tokens were changed, and could not be read.
    Tokens,
    /// Log files cannot be written.
    Log,
}

/// One of them, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What is the matter, in a sentence.
    pub text: String,
    /// What somebody may do about it, in a sentence.
    pub what_to_do: String,
}

impl Notice {
    fn new(area: Area, why: &str) -> Self {
        // Of several problems each stands on a line.
        let why = why.lines().collect::<Vec<_>>().join("; ");
        let (text, what_to_do) = match area {
            Area::Configuration => (
                format!("The configuration was changed and could not be reloaded; the one before is effective: {why}"),
                "Correct it, see `outpost check`, and run `outpost reload`.",
            ),
            Area::Tokens => (
                format!("The tokens were changed and could not be read; those before are effective: {why}"),
                "Correct the file, and run `outpost reload`.",
            ),
            Area::Log => (
                format!("No log files are written: {why}"),
                "Let the agent's user write to the folder, or set dir in [log], and restart the agent.",
            ),
        };
        Self { text, what_to_do: what_to_do.to_owned() }
    }
}

/// All of them. Cheap to clone; all clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<BTreeMap<Area, Notice>>>);

impl Notices {
    /// Notes why something is not as configured.
    pub fn set(&self, area: Area, why: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(area, Notice::new(area, why));
    }

    /// Notes that it is as configured.
    pub fn clear(&self, area: Area) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&area);
    }

    /// Returns what is the matter now.
    #[must_use]
    pub fn now(&self) -> Vec<Notice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
