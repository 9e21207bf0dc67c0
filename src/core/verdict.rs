//! How a device does, in one verdict; `inspect` decides it from the status.

use serde::{Deserialize, Serialize};

/// How well the device does, the best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// There is nothing to do.
    #[default]
    Well,
    /// Something waits, and goes on by itself.
    Waiting,
    /// Somebody should do something; events are recorded meanwhile.
    Attention,
    /// New events are refused.
    Refusing,
}

impl Level {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Well, Self::Waiting, Self::Attention, Self::Refusing];

    /// The name in documents.
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
    /// The worst of all.
    pub level: Level,
    /// What is the matter, in a sentence.
    pub text: String,
    /// What somebody may do about it, in sentences; empty where there is nothing to do.
    pub what_to_do: String,
    /// What else is the matter, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

impl Verdict {
    /// In a line, without what is to be done.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {}", self.level.name(), self.text)
    }

    /// In rows of a table: the name of each, and its words.
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
