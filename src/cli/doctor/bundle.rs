//! The bundle for support: all that says how this device is doing, and nothing of a customer and no secret.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use zip::write::{SimpleFileOptions, ZipWriter};

use super::Finding;
use crate::cli::Failure;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::status::Status;
use crate::store::{Reader, SCHEMA_VERSION};

/// Where secrets stand in the configuration.
const SECRETS: [&[&str]; 6] = [
    &["target", "token"],
    &["target", "http", "proxy"],
    &["target", "http", "proxy_password"],
    &["privacy", "key"],
    &["store", "key"],
    &["store", "old_key"],
];

/// How much of each log file is taken, from its end. Units: bytes.
const LOG_BYTES_MAX: usize = 4 << 20;

/// What goes in.
pub(super) struct Bundle<'b> {
    pub(super) findings: &'b [Finding],
    pub(super) config: &'b Config,
    /// The configuration as written.
    pub(super) text: &'b str,
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
        add("agent.toml", without_secrets(self.text).as_bytes())?;
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

/// The configuration, with its secrets cut out. What cannot be read is left out as a whole.
pub(super) fn without_secrets(text: &str) -> String {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return "# the configuration is not valid TOML, and may hold secrets\n".to_owned();
    }
    let mut spans = Vec::new();
    for path in SECRETS {
        let (key, sections) = path.split_last().expect("a path has a key");
        let mut inner = Some(table.get_ref());
        for section in sections {
            inner = inner
                .and_then(|table| table.iter().find(|(name, _)| name.get_ref() == *section))
                .and_then(|(_, value)| value.get_ref().as_table());
        }
        let value = inner.and_then(|table| table.iter().find(|(name, _)| name.get_ref() == *key));
        // A name of a file or of a variable is no secret.
        if let Some((_, value)) = value
            && matches!(value.get_ref(), DeValue::String(_))
        {
            spans.push(value.span());
        }
    }
    spans.sort_by_key(|span| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    spans.into_iter().for_each(|span| text.replace_range(span, "\"(removed)\""));
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_out_and_the_rest_stays_as_written() {
        let text = "# c\n[target]\nclient_code = \"acme\" # d\ntoken = \"s3cret\"\n[target.http]\nproxy = 'http://u:p@x'\n[privacy]\nkey = \"00\"\n";
        assert_eq!(
            without_secrets(text),
            "# c\n[target]\nclient_code = \"acme\" # d\ntoken = \"(removed)\"\n[target.http]\nproxy = \"(removed)\"\n[privacy]\nkey = \"(removed)\"\n"
        );
        assert_eq!(without_secrets("[target]\ntoken = { env = \"T\" }\n"), "[target]\ntoken = { env = \"T\" }\n");
        assert!(!without_secrets("[target]\ntoken = \"s3cret\"\n = \n").contains("s3cret"));
    }
}
