//! The bundle for support: all that says how this device is doing, and nothing of a customer and no secret.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use zip::write::{SimpleFileOptions, ZipWriter};

use super::Finding;
use crate::cli::Failure;
use crate::config::{Config, Sources, without_secrets};
use crate::device::metrics::Metrics;
use crate::inspect::status::Status;
use crate::store::{Reader, SCHEMA_VERSION};

/// Part of each log file that is taken, from its end. Units: bytes.
const LOG_BYTES_MAX: usize = 4 << 20;

/// What goes in.
pub(super) struct Bundle<'b> {
    pub(super) findings: &'b [Finding],
    pub(super) config: &'b Config,
    /// The configuration as written.
    pub(super) sources: &'b Sources,
    pub(super) status: Option<&'b Status>,
}

impl Bundle<'_> {
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::because(format!("the bundle {} cannot be written: {error}", path.display()))
        };
        let file = File::create(path).map_err(|error| failed(&error))?;
        let mut zip = ZipWriter::new(file);
        let mut add = |name: &str, content: &[u8]| -> Result<(), Failure> {
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
        zip.finish().map(|_| ()).map_err(|error| failed(&error))
    }

    /// The schema, and how many rows each table has.
    fn counts(&self) -> String {
        let mut text = format!("this program knows schema {SCHEMA_VERSION}\n");
        match Reader::open(crate::cli::store_file(self.config)).and_then(|reader| reader.table_counts()) {
            Ok(counts) => counts.iter().for_each(|(table, rows)| text.push_str(&format!("{table}: {rows} rows\n"))),
            Err(error) => text.push_str(&format!("{}\n", crate::cli::chain(&error))),
        }
        text
    }
}

fn json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(document).expect("our own documents are JSON")
}

/// The log files, each from its end as far as it is taken.
fn logs(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let read = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok().filter(|name| name.starts_with("outpost."))?;
        let content = std::fs::read(entry.path()).ok()?;
        let begin = content.len().saturating_sub(LOG_BYTES_MAX);
        Some((name, content[begin..].to_vec()))
    };
    entries.flatten().filter_map(read).collect()
}
