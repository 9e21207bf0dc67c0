//! The effective configuration, with the source of each value, for people to read.

use std::fmt::Write;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layers::{are_sections, is_section, lay};
use super::secret_places;
use super::sources::{Origin, Place, Sources};

impl Sources {
    /// Returns the effective configuration of all sources as TOML, with a comment after each value that names its
    /// source. Secrets are not shown. The sources must have been parsed without errors.
    #[must_use]
    pub fn effective(&self) -> String {
        let (table, _) = lay(self);
        let mut listing =
            Listing { sources: self, secrets: secret_places::spans(table.get_ref()), text: String::new() };
        listing.table(&[], table.get_ref());
        listing.text.trim_start().to_owned()
    }
}

struct Listing<'s> {
    sources: &'s Sources,
    /// Positions of secrets in the sources.
    secrets: Vec<Range<usize>>,
    text: String,
}

impl Listing<'_> {
    fn table(&mut self, path: &[&str], table: &DeTable<'_>) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let is_below =
            |value: &Spanned<DeValue<'_>>| is_section(value, self.sources) || are_sections(value, self.sources);
        // A key after the header of a section would belong to that section.
        let (sections, values): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(_, value)| is_below(value));
        for (key, value) in values {
            self.value(key.get_ref(), value);
        }
        for (key, value) in sections {
            let path = [path, &[key.get_ref()]].concat();
            match value.get_ref() {
                DeValue::Table(table) => {
                    if table.iter().any(|(_, value)| !is_section(value, self.sources)) {
                        self.line(format_args!("\n[{}]", path.join(".")));
                    }
                    self.table(&path, table);
                }
                DeValue::Array(items) => {
                    for table in items.iter().filter_map(|item| item.get_ref().as_table()) {
                        self.line(format_args!("\n[[{}]]", path.join(".")));
                        self.table(&path, table);
                    }
                }
                _ => {}
            }
        }
    }

    fn value(&mut self, key: &str, value: &Spanned<DeValue<'_>>) {
        let span = value.span();
        let Place { origin, line, .. } = self.sources.place(span.start);
        let shown = match (value.get_ref(), &origin) {
            // Such a value may be written without quotes.
            (DeValue::String(text), Origin::Variable(_)) if !self.secrets.contains(&span) => format!("{text:?}"),
            _ => secret_places::without_comments(&secret_places::cut(
                self.sources.text(span.clone()),
                span.start,
                self.secrets.clone(),
            )),
        };
        let key = if is_bare(key) { key.to_owned() } else { format!("{key:?}") };
        let place = match origin {
            Origin::File(path) => format!("{}:{line}", path.display()),
            Origin::Variable(name) => name,
        };
        self.line(format_args!("{key} = {shown}  # {place}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// Returns true if a key needs no quotes.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-'))
}
