//! Settings that could not take effect, each with its reason for as long as it lasts. They are shown beside the
//! settings in effect instead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::core::words::{Said, verdicts};

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
    /// Reason, as a clause.
    #[serde(default)]
    pub why: String,
    /// Description of the problem, in a sentence.
    pub text: String,
    /// Action to take, in a sentence.
    pub what_to_do: String,
}

impl Notice {
    fn new(area: Area, why: &str) -> Self {
        // Several problems have a line each.
        let why = why.lines().collect::<Vec<_>>().join("; ");
        let notice = Self { area, why, text: String::new(), what_to_do: String::new() };
        let (text, what_to_do) = notice.said();
        Self { text: text.document(), what_to_do: what_to_do.document(), ..notice }
    }

    /// Returns what is the matter and the action to take, in no language yet.
    #[must_use]
    pub fn said(&self) -> (Said, Said) {
        let (text, what_to_do) = match self.area {
            Area::Configuration => (verdicts::NOT_RELOADED, verdicts::CORRECT_AND_RELOAD),
            Area::Tokens => (verdicts::TOKENS_UNREAD, verdicts::CORRECT_TOKENS),
            Area::Log => (verdicts::NO_LOG, verdicts::LET_LOG),
        };
        (text.with([self.why.as_str().into()]), what_to_do.said())
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
