//! Settings that could not take effect, each with its reason for as long as it lasts. They are shown beside the
//! settings in effect instead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// The area of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The configuration was changed but could not be reloaded.
    Configuration,
    /// The tokens were changed but could not be read.
    Tokens,
    /// Log files cannot be written.
    Log,
}

/// A notice about one area, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Area of the setting.
    pub area: Area,
    /// Description of the problem, in a sentence.
    pub text: String,
    /// Action to take, in a sentence.
    pub what_to_do: String,
}

impl Notice {
    fn new(area: Area, why: &str) -> Self {
        // Several problems have a line each.
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
        Self { area, text, what_to_do: what_to_do.to_owned() }
    }
}

/// All present notices. Cheap to clone; all clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<BTreeMap<Area, Notice>>>);

impl Notices {
    /// Records why a setting is not in effect.
    pub fn set(&self, area: Area, why: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(area, Notice::new(area, why));
    }

    /// Removes the notice of an area.
    pub fn clear(&self, area: Area) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&area);
    }

    /// Returns the present notices.
    #[must_use]
    pub fn now(&self) -> Vec<Notice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
