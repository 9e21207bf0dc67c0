//! The sources of a configuration: a file, the drop-in files beside it, and variables of the environment.
//!
//! All of them are joined to one text, so that an offset in it identifies the source. The meaning of their keys is not
//! known here.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::device::text_file;

/// Prefix of environment variables that override the configuration. Described in docs/configuration.md.
const PREFIX: &str = "OUTPOST_";

/// Names of the sections in variables.
const SECTIONS: [&str; 9] = ["AGENT", "HUB", "TARGET", "INTAKE", "STORE", "LOG", "METRICS", "PAGE", "PRIVACY"];

/// Separator of sections and key in the name of a variable.
const SEPARATOR: &str = "__";

/// The origin of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A file, by the path given.
    File(PathBuf),
    /// An environment variable, by its name.
    Variable(String),
}

/// A place in a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Origin of the source.
    pub origin: Origin,
    /// Line number, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    /// A variable has a single short value: its name is enough.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(path) => write!(f, "{}:{}:{}", path.display(), self.line, self.column),
            Origin::Variable(name) => f.write_str(name),
        }
    }
}

/// One text, with its offset in all of them.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) origin: Origin,
    pub(super) text: String,
    pub(super) begin: usize,
}

/// The sources of a configuration; a later one overrides earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Returns a single text, named as a file.
    #[must_use]
    pub fn of_text(path: &Path, text: &str) -> Self {
        let mut sources = Self::default();
        sources.add_text(path, text);
        sources
    }

    /// Adds a text that overrides the others, as a drop-in file does.
    pub fn add_text(&mut self, path: &Path, text: &str) {
        self.push(Origin::File(path.to_owned()), text.to_owned());
    }

    /// Reads a file and then its drop-in files: for `agent.toml` those are `agent.d/*.toml`, in the order of their
    /// names.
    ///
    /// # Errors
    /// The file that cannot be read, and the system's error.
    pub fn read(path: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let mut sources = Self::default();
        for path in std::iter::once(path.to_owned()).chain(drop_ins(&path.with_extension("d"))?) {
            match std::fs::read(&path).and_then(text) {
                Ok(text) => sources.push(Origin::File(path), text),
                Err(error) => return Err((path, error)),
            }
        }
        Ok(sources)
    }

    /// Returns the variables that name a section and a key with a single underscore in between, which has no effect;
    /// each with the name that was probably meant.
    pub fn misspelled(variables: impl Iterator<Item = OsString>) -> Vec<(String, String)> {
        let meant = |name: OsString| {
            let name = name.into_string().ok()?;
            let rest = name.strip_prefix(PREFIX).filter(|rest| !rest.contains(SEPARATOR))?;
            let (section, key) = rest.split_once('_').filter(|(section, _)| SECTIONS.contains(section))?;
            let meant = format!("{PREFIX}{section}{SEPARATOR}{key}");
            Some((name, meant))
        };
        variables.filter_map(meant).collect()
    }

    /// Adds the variables that name a section and a key, such as `OUTPOST_TARGET__CLIENT_CODE`, in the order of their
    /// names.
    ///
    /// # Errors
    /// The name of a variable that is not valid Unicode.
    pub fn add_variables(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), String> {
        let is_ours = |name: &str| name.strip_prefix(PREFIX).is_some_and(|rest| rest.contains(SEPARATOR));
        let named = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let mut ours: Vec<_> = named.filter(|(name, _)| is_ours(name)).collect();
        ours.sort();
        for (name, value) in ours {
            let Ok(text) = value.into_string() else { return Err(name) };
            self.push(Origin::Variable(name), text);
        }
        Ok(())
    }

    fn push(&mut self, origin: Origin, text: String) {
        // One byte apart, so that the end of one is not the beginning of the next.
        let begin = self.0.last().map_or(0, |last| last.begin + last.text.len() + 1);
        self.0.push(Source { origin, text, begin });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// Returns the files as they are written, each with the path given.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.0.iter().filter_map(|source| match &source.origin {
            Origin::File(path) => Some((path.as_path(), source.text.as_str())),
            Origin::Variable(_) => None,
        })
    }

    /// Returns the path of the main file, which the others override.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files().next().map_or(Path::new(""), |(path, _)| path)
    }

    /// Returns true if any source contains a text.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.0.iter().any(|source| source.text.contains(text))
    }

    /// Returns the source at an offset.
    fn at(&self, offset: usize) -> &Source {
        let after = self.0.partition_point(|source| source.begin <= offset);
        &self.0[after.saturating_sub(1)]
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        let source = self.at(offset);
        let (line, column) = position(&source.text, offset - source.begin);
        Place { origin: source.origin.clone(), line, column }
    }

    /// Returns the text of a span. A span never leaves its source.
    pub(super) fn text(&self, span: Range<usize>) -> &str {
        let Source { text, begin, .. } = self.at(span.start);
        text.get(span.start - begin..span.end - begin).unwrap_or_default()
    }

    /// Returns true if the offset is in an environment variable, where everything is text.
    pub(super) fn is_variable(&self, offset: usize) -> bool {
        matches!(self.at(offset).origin, Origin::Variable(_))
    }
}

impl Source {
    /// Returns sections and key of a variable, from the outermost: for `OUTPOST_TARGET__CLIENT_CODE` they are `target`
    /// and `client_code`. `None` for a file.
    pub(super) fn variable_path(&self) -> Option<Vec<String>> {
        let Origin::Variable(name) = &self.origin else { return None };
        let name = name.strip_prefix(PREFIX)?.to_lowercase();
        Some(name.split(SEPARATOR).map(str::to_owned).collect())
    }
}

/// Returns the text of a file.
fn text(bytes: Vec<u8>) -> io::Result<String> {
    // The mark itself stays, so that columns are those of the file; the parser passes over it.
    text_file::without_mark(&bytes).map_err(io::Error::other)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8; the file must be saved as UTF-8"))
    })
}

/// Returns the drop-in files of a directory, in the order of their names; none if there is no directory.
fn drop_ins(dir: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let failed = |error| (dir.to_owned(), error);
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        // Editors and package managers leave files with other names, and hidden ones.
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && !is_hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_not_bytes() {
        assert_eq!(position("a\nöö x", 2 + 5), (2, 4));
        assert_eq!(position("", 0), (1, 1));
    }

    #[test]
    fn a_place_is_of_the_source_that_it_falls_in() {
        let mut sources = Sources::of_text(Path::new("a.toml"), "ab");
        sources.add_text(Path::new("b.toml"), "\ncd");
        assert_eq!(sources.place(2).to_string(), "a.toml:1:3", "the end of the first is not the second");
        assert_eq!(sources.place(3).to_string(), "b.toml:1:1");
        assert_eq!(sources.place(5).to_string(), "b.toml:2:2");
        assert_eq!(sources.text(4..6), "cd");
    }
}
