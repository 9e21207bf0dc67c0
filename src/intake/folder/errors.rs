//! The errors in the lines of a file, in words for its `.errors`.

use crate::core::limits::FOLDER_ERRORS_MAX;
use crate::core::visible::one_line;
use crate::intake::cloudevents::Invalid;

/// Characters of what is wrong with one line. Limits: names in it are the file's own, and may be of any length.
const SHOWN_MAX: usize = 500;

/// Returns the problem of a line as one line for a terminal.
fn shown(words: &str) -> String {
    let shown: String = words.chars().take(SHOWN_MAX).collect();
    let end = if shown.len() < words.len() { "…" } else { "" };
    format!("{}{end}", one_line(&shown))
}

/// The errors in the lines of a file; the first of them with a message.
pub(super) struct Errors {
    total: u64,
    /// Number of new errors.
    pub(super) fresh: u64,
    /// Reason why nothing of the file was read.
    whole: Option<String>,
    /// True if something was not read of which nobody knows how many events it holds.
    has_unread: bool,
    words: Vec<String>,
}

impl Errors {
    /// No errors.
    pub(super) const NONE: Self = Self { total: 0, fresh: 0, whole: None, has_unread: false, words: Vec::new() };

    /// Adds the error of a line, either a new one or one known from an earlier reading.
    pub(super) fn push(&mut self, number: u64, invalid: &Invalid, is_fresh: bool) {
        self.total += 1;
        self.fresh += u64::from(is_fresh);
        if self.words.len() < FOLDER_ERRORS_MAX {
            self.words.push(format!("line {number}: {}", shown(&invalid.to_string())));
        }
    }

    /// Returns the number of lines with a new error. Where nothing of a file was read, none of its lines was.
    pub(super) const fn fresh_lines(&self) -> u64 {
        if self.whole.is_some() { 0 } else { self.fresh }
    }

    /// Records that nothing of the file was read.
    pub(super) fn whole(&mut self, number: u64, problem: &str) {
        self.total += 1;
        self.fresh += 1;
        self.whole = Some(format!("line {number}: {}", shown(problem)));
    }

    /// Records that something behind a line was not read.
    pub(super) const fn unread(&mut self) {
        self.has_unread = true;
    }

    /// Returns the text of the list; `None` if there is no error.
    pub(super) fn text(&self, count: u64, unconsented: u64) -> Option<String> {
        if self.total == 0 {
            return None;
        }
        if let Some(whole) = &self.whole {
            return Some(format!("Nothing of this file was recorded.\n{whole}\n"));
        }
        let unread = if self.has_unread { ", and what was not read behind them," } else { "" };
        let others = match unconsented {
            0 => "the others were".to_owned(),
            count => format!("the others were, except {count} without consent"),
        };
        let mut text = format!(
            "{} of {count}{unread} were not recorded; {others}. Fix these, and drop them as a file of their own.\n{}\n",
            self.total,
            self.words.join("\n")
        );
        if let Some(more) = self.total.checked_sub(self.words.len() as u64).filter(|more| *more > 0) {
            text.push_str(&format!("and {more} more\n"));
        }
        Some(text)
    }
}
