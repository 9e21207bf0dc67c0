//! The bundle for support: all that says how this device is doing, and nothing of a customer and no secret.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{Cursor, Write as _};
use std::path::Path;

use zip::write::{SimpleFileOptions, ZipWriter};

use super::finding::Finding;
use crate::cli::failure::Failure;
use crate::config::{Config, Sources, without_secrets};
use crate::core::words::counted;
use crate::device::dir::{self, Dir};
use crate::device::log_files::is_log;
use crate::device::metrics::Metrics;
use crate::device::rights;
use crate::inspect::status::Status;
use crate::store::{Reader, SCHEMA_VERSION};

/// Part of each log file that is taken, from its end. Units: bytes.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// Part of all log files that is taken. Units: bytes.
const LOGS_BYTES_MAX: u64 = 32 << 20;

/// Permissions of the bundle: it says much of the device.
const BUNDLE_MODE: u32 = 0o600;

/// Content of a bundle.
pub(super) struct Bundle<'b> {
    pub(super) findings: &'b [Finding],
    pub(super) config: &'b Config,
    /// The configuration as written.
    pub(super) sources: &'b Sources,
    pub(super) status: Option<&'b Status>,
}

impl Bundle<'_> {
    /// Returns the ZIP file.
    pub(super) fn zip(&self) -> Result<Vec<u8>, String> {
        let failed = |error: &dyn std::error::Error| error.to_string();
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let mut add = |name: &str, content: &[u8]| -> Result<(), String> {
            zip.start_file(name, SimpleFileOptions::default()).map_err(|error| failed(&error))?;
            zip.write_all(content).map_err(|error| failed(&error))
        };
        add("doctor.json", &json(&self.findings))?;
        for (path, text) in self.sources.files() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let folder = if path == self.sources.path() { "" } else { "agent.d/" };
            add(&format!("{folder}{name}"), without_secrets(text).as_bytes())?;
        }
        add("effective.toml", self.sources.effective().as_bytes())?;
        add("store.txt", self.counts().as_bytes())?;
        if let Some(status) = self.status {
            add("status.json", &json(status))?;
            add("metrics.txt", Metrics::new().text(&status.numbers()).as_bytes())?;
        }
        for (name, content) in logs(&self.config.log.dir) {
            add(&format!("log/{name}"), &content)?;
        }
        zip.finish().map(Cursor::into_inner).map_err(|error| failed(&error))
    }

    /// The schema, and how many rows each table has.
    fn counts(&self) -> String {
        let mut text = format!("this program knows schema {SCHEMA_VERSION}\n");
        match Reader::open(crate::cli::at_rest::store_file(self.config)).and_then(|reader| reader.table_counts()) {
            Ok(counts) => {
                counts.iter().for_each(|(table, rows)| text.push_str(&format!("{table}: {}\n", counted(*rows, "row"))));
            }
            Err(error) => text.push_str(&format!("{}\n", crate::cli::failure::chain(&error))),
        }
        text
    }
}

/// Writes a bundle, for this user alone.
pub(super) fn save(path: &Path, zip: &[u8]) -> Result<(), Failure> {
    refuse_other(path)?;
    dir::place_at(path, zip, BUNDLE_MODE).map_err(|error| cannot_be_written(path, &error.to_string()))
}

/// The failure of a bundle that cannot be written there.
pub(super) fn cannot_be_written(path: &Path, why: &str) -> Failure {
    Failure::because(format!("the bundle {} cannot be written: {why}", path.display()))
}

/// Checks that a bundle replaces nothing but a file of this user's: where others can write, they may have put something there.
fn refuse_other(path: &Path) -> Result<(), Failure> {
    let found =
        Dir::reach(dir::parent(path)).and_then(|dir| Ok((dir.metadata_of(path.file_name().unwrap_or_default())?, dir)));
    let refused = |(found, dir): (Metadata, Dir)| {
        // Also that of the directory's owner: it is this user's to make, and not to replace.
        let other = || rights::other_owner(&found).map(|owner| format!("belongs to the user {owner}"));
        dir.distrust_file(&found).or_else(other)
    };
    match found.ok().and_then(refused) {
        None => Ok(()),
        Some(words) => Err(Failure::because(format!(
            "the bundle {} cannot be written: what is there {words}; name another file",
            path.display()
        ))),
    }
}

fn json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(document).expect("our own documents are JSON")
}

/// Returns the log files, each from its end as far as it is taken, the newest first. Whoever writes the log may be trusted less than
/// this user, and so it is read through no link, and from files alone.
fn logs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(dir) = dir::open_unlinked(path) else { return Vec::new() };
    let mut names: Vec<OsString> = dir.names().into_iter().flatten().filter(|name| is_log(name)).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    let mut left = LOGS_BYTES_MAX;
    let mut read = |name: &OsString| {
        let content = dir::read_end_in(&dir, name, left.min(LOG_BYTES_MAX)).ok()?;
        left -= content.len() as u64;
        Some((name.to_string_lossy().into_owned(), content))
    };
    names.iter().filter_map(&mut read).collect()
}
