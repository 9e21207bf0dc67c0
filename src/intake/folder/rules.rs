//! The settings of a folder, and its state.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::away;
use super::encoding::Encoding;
use super::table::{Field, TableRules};
use super::wait::FolderWait;
use crate::core::mapping::Mappings;
use crate::core::words::{With, counted, figures, verdicts};
use crate::intake::view::{Figure, SharedView, Shown, Trouble, sentence};

/// The settings of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRules {
    /// Path of the folder.
    pub path: PathBuf,
    /// Time that a file must stay unchanged to count as complete, unless it was moved in.
    pub quiet: Duration,
    /// Time between two looks, if configured.
    pub poll: Option<Duration>,
    /// Time for which files are kept after they were read.
    pub keep_done: Duration,
    /// Default source of events.
    pub source: String,
    /// Default type of events.
    pub event_type: Option<String>,
    /// Character encoding of files.
    pub encoding: Encoding,
    /// Settings of tables.
    pub table: TableRules,
}

impl FolderRules {
    /// Returns true if a field such as `data.total` is always a text in events from a table: it is a column, and
    /// `numbers` does not name it. If only a header names the columns, each field may be one where there is any setting of tables.
    #[must_use]
    pub fn is_text(&self, field: &str) -> bool {
        let TableRules { columns, numbers, .. } = &self.table;
        let may_be_header =
            || self.table != TableRules::default() && Field::new(field).is_some_and(|field| field.is_of_header());
        let is_field = |other: &Field| other.text() == field;
        let is_column =
            if columns.is_empty() { may_be_header() } else { columns.iter().any(|(column, _)| is_field(column)) };
        is_column && !numbers.iter().any(is_field)
    }

    /// Returns the settings of tables, with the fields that mappings take as numbers.
    pub(super) fn table_for(&self, mappings: &Mappings) -> TableRules {
        let uses = mappings.uses(self.table_type()).into_iter().filter(|(used, ..)| used.is_of_number());
        let counted = uses.filter_map(|(_, field, ..)| Field::new(&field)).collect();
        TableRules { counted, ..self.table.clone() }
    }

    /// Returns the type of events from tables, if it is always the same.
    #[must_use]
    pub fn table_type(&self) -> Option<&str> {
        let has_column = self.table.columns.iter().any(|(field, _)| field.text() == "type");
        self.event_type.as_deref().filter(|_| !has_column)
    }

    /// Counts the files that were read and still exist.
    #[must_use]
    pub fn files_kept(&self) -> usize {
        away::count_kept(&self.path)
    }
}

/// The state of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderView {
    /// Files waiting to be complete or to be read.
    pub waiting: usize,
    /// File that is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<FolderReading>,
    /// Files read since the start; `failed_files` counts those with an unreadable line.
    pub files: u64,
    /// See `files`.
    pub failed_files: u64,
    /// Files among them of which every line had been recorded before.
    #[serde(default)]
    pub duplicate_files: u64,
    /// Lines read since the start; `failed_lines` counts those that could not be recorded.
    pub lines: u64,
    /// See `lines`.
    pub failed_lines: u64,
    /// Lines since the start whose time was in the future, and was replaced by the present.
    #[serde(default)]
    pub ahead_lines: u64,
    /// Files in `failed` with a list of errors beside them.
    #[serde(default)]
    pub unfixed: usize,
    /// The first waiting files, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<FolderWait>,
    /// Problem that keeps the folder from being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Replacement for names given by others.
const REMOVED: &str = "(removed)";

impl FolderView {
    /// Returns the state without names given by others, or texts that may contain them.
    #[must_use]
    pub fn without_names(mut self) -> Self {
        let removed = || REMOVED.to_owned();
        self.reading.iter_mut().for_each(|reading| reading.file = removed());
        self.waits.iter_mut().for_each(|wait| *wait = FolderWait { file: removed(), why: removed() });
        self.problem = self.problem.map(|_| format!("the folder or a file in it cannot be used: {REMOVED}"));
        self
    }

    /// Returns what waits and why, and what is in the way.
    fn obstacles(&self) -> String {
        let waits = self.waits.iter().map(|FolderWait { file, why }| format!("the file {file} waits: {why}"));
        waits.chain(self.problem.clone()).collect::<Vec<_>>().join("; ")
    }
}

impl Shown for FolderView {
    fn line(&self) -> String {
        let Self { waiting, reading, files, failed_files, duplicate_files, lines, failed_lines, .. } = self;
        let reading = reading.as_ref().map(|reading| {
            let percent = 100 * reading.bytes / reading.total_bytes.max(1);
            format!("{} at {percent} % ({}), ", reading.file, counted(reading.lines, "line"))
        });
        let duplicate = match duplicate_files {
            0 => String::new(),
            count => format!(", {count} with only duplicates"),
        };
        let ahead = match self.ahead_lines {
            0 => String::new(),
            count => format!(", {count} with a time in the future, taken as now"),
        };
        let obstacles = Some(self.obstacles()).filter(|words| !words.is_empty()).map(|words| format!("; {words}"));
        format!(
            "{:<10}{}{waiting} waiting; {} ({failed_files} failed{duplicate}) and {} ({failed_lines} failed{ahead}) since the start{}",
            "folder",
            reading.unwrap_or_default(),
            counted(*files, "file"),
            counted(*lines, "line"),
            obstacles.unwrap_or_default()
        )
    }

    fn figure(&self) -> Figure {
        let (figure, part) = match &self.reading {
            Some(reading) => {
                (figures::READS_FILE.with([reading.file.as_str().into()]), Some((reading.bytes, reading.total_bytes)))
            }
            None => (figures::FILES_WAITING.with([With::count(self.waiting)]), None),
        };
        let mut words = vec![figures::FILES_READ.with([With::count(self.files)])];
        words.extend((self.failed_files > 0).then(|| figures::FILES_BAD.with([With::count(self.failed_files)])));
        words.extend(
            (self.duplicate_files > 0).then(|| figures::FILES_OF_DUPLICATES.with([With::count(self.duplicate_files)])),
        );
        words.extend((self.ahead_lines > 0).then(|| figures::LINES_AHEAD.with([With::count(self.ahead_lines)])));
        words.extend(sentence(Some(&self.obstacles())));
        Figure { name: figures::FOLDER, figure, words, part }
    }

    fn trouble(&self) -> Option<Trouble> {
        if let Some(problem) = &self.problem {
            let text = verdicts::FOLDER_PROBLEM.with([problem.as_str().into()]);
            return Some(Trouble::Needs(text, verdicts::CHECK_FOLDER));
        }
        if self.unfixed > 0 {
            let text = verdicts::BAD_LINES.with([With::count(self.unfixed)]);
            return Some(Trouble::Needs(text, verdicts::FIX_LINES));
        }
        (self.waiting > 0).then(|| Trouble::Waits(verdicts::FILES_WAIT.with([With::count(self.waiting)])))
    }
}

/// Progress of reading a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct FolderReading {
    pub file: String,
    pub lines: u64,
    pub bytes: u64,
    pub total_bytes: u64,
}

/// Shows a problem, and logs it once. The log does not name files.
pub(super) fn trouble(view: &SharedView<FolderView>, problem: String) {
    let mut view = view.lock();
    let is_new = view.problem.as_ref() != Some(&problem);
    view.problem = Some(problem);
    if is_new {
        tracing::warn!("the folder or a file in it cannot be used; `outpost status` says which");
    }
}
