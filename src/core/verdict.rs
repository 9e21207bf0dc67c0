//! The condition of a device in one verdict; `inspect` decides it from the status.

use serde::{Deserialize, Serialize};

/// The condition of a device, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing needs doing.
    #[default]
    Well,
    /// Something is waiting and will continue by itself.
    Waiting,
    /// Somebody should act; events are still recorded.
    Attention,
    /// New events are refused.
    Refusing,
}

impl Level {
    /// All levels, best first.
    pub const ALL: [Self; 4] = [Self::Well, Self::Waiting, Self::Attention, Self::Refusing];

    /// Returns the name used in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Waiting => "waiting",
            Self::Attention => "attention",
            Self::Refusing => "refusing",
        }
    }
}

/// The verdict, as `GET /v1/status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The worst level of all findings.
    pub level: Level,
    /// The most important finding, in a sentence.
    pub text: String,
    /// The action to take, in sentences; empty if there is none.
    pub what_to_do: String,
    /// The other findings, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

impl Verdict {
    /// Returns the verdict in one line, without the action to take.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {}", self.level.name(), self.text)
    }

    /// Returns the verdict as rows of a table, each with a name and its text.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![("verdict", self.line())];
        if !self.what_to_do.is_empty() {
            rows.push(("", self.what_to_do.clone()));
        }
        rows.extend(self.also.iter().map(|words| ("also", words.clone())));
        rows
    }
}
