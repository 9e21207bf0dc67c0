//! The condition of a device in one verdict; `inspect` decides it from the status.

use serde::{Deserialize, Serialize};

use crate::core::words::{Receiver, Said, Voice};

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

/// One thing that is the matter, in words of no language yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Severity.
    pub level: Level,
    /// The problem.
    pub text: Said,
    /// Advice.
    pub what_to_do: Vec<Said>,
}

impl Finding {
    /// A finding with what somebody may do, in one sentence or several.
    #[must_use]
    pub fn new(level: Level, text: impl Into<Said>, what_to_do: impl Into<Vec<Said>>) -> Self {
        Self { level, text: text.into(), what_to_do: what_to_do.into() }
    }
}

/// The verdict, as `GET /v1/status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The worst of all.
    pub level: Level,
    /// The problem, in a sentence.
    pub text: String,
    /// Advice, in sentences; empty if there is nothing to do.
    pub what_to_do: String,
    /// Other problems, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// The findings behind it, the worst first, for readers of other languages; not part of the document.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Returns the verdict on findings, in the words of documents. Among findings of one level, the first stays first.
    #[must_use]
    pub fn of(mut findings: Vec<Finding>, receiver: Receiver) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        Self { findings, ..Self::default() }.told(&Voice { receiver, ..Voice::default() })
    }

    /// The same, for whoever reads it.
    #[must_use]
    pub fn told(&self, voice: &Voice) -> Self {
        let Some(first) = self.findings.first() else { return self.clone() };
        Self {
            level: first.level,
            text: first.text.words(voice),
            what_to_do: voice.sentences(&first.what_to_do),
            also: self.findings[1..].iter().map(|finding| finding.text.words(voice)).collect(),
            findings: self.findings.clone(),
        }
    }

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
