//! `[intake.folder]` and `[intake.folder.csv]`: files, and how tables are written.

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeValue;

use super::document::Table;
use crate::intake::folder::{Column, Encoding, Field, FolderRules, TableRules};

/// How long a file stays as it is before it counts as complete, unless told otherwise.
const QUIET: Duration = Duration::from_secs(2);

/// How long files are kept that were read, unless told otherwise.
const KEEP_DONE: Duration = Duration::from_secs(7 * 86_400);

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn read(section: Table<'_, '_>, data_dir: &Path) -> Option<FolderRules> {
    section.required_text("path")?;
    let path = section.path("path")?;
    if path == data_dir {
        section.report(
            section.span(),
            "path in [intake.folder] is not the data directory; give the files one of their own",
        );
    }
    let encoding = section.one_of("encoding", Encoding::ALL.map(Encoding::name));
    let rules = FolderRules {
        path,
        quiet: section.duration("quiet", Duration::from_millis(10)..DAY).unwrap_or(QUIET),
        poll: section.duration("poll", Duration::from_millis(10)..DAY),
        keep_done: section.duration("keep_done", Duration::ZERO..3_650 * DAY).unwrap_or(KEEP_DONE),
        source: section.text("source").map_or("/folder", Spanned::into_inner).to_owned(),
        event_type: section.text("type").map(|text| text.into_inner().to_owned()),
        encoding: Encoding::ALL.into_iter().find(|known| Some(known.name()) == encoding).unwrap_or_default(),
        table: section.table("csv").map_or_else(TableRules::default, read_table),
    };
    section.finish();
    Some(rules)
}

fn read_table(section: Table<'_, '_>) -> TableRules {
    let rules = TableRules {
        delimiter: section.character("delimiter"),
        quote: section.character("quote"),
        has_header: section.flag("header"),
        columns: section.table("columns").map_or_else(Vec::new, |columns| read_columns(&columns)),
        numbers: section.texts("numbers").iter().filter_map(|text| field(&section, text)).collect(),
        decimal: section.character("decimal").map(char::from),
        time_format: section.text("time_format").map(|text| text.into_inner().to_owned()),
        time_zone: section.text("time_zone").and_then(|text| {
            let zone = TimeZone::get(text.get_ref());
            let words = "time_zone in [intake.folder.csv] is a name such as Europe/Stockholm";
            zone.inspect_err(|_| section.report(text.span(), words)).ok()
        }),
    };
    section.finish();
    rules
}

fn field(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<Field> {
    let field = Field::new(text.get_ref());
    if field.is_none() {
        let words = "a field of an event is id, source, type, subject, time or a name in data, such as \"data.card\"";
        section.report(text.span(), words);
    }
    field
}

/// `columns = { time = "Date", "data.card" = 3 }`: for each field the column by its name, or by its place from 1.
fn read_columns(section: &Table<'_, '_>) -> Vec<(Field, Column)> {
    let mut columns = Vec::new();
    for (key, span, value) in section.entries() {
        let place = || match value.get_ref() {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let column = match value.get_ref().as_str() {
            Some(name) => Some(Column::Named(name.to_owned())),
            None => place().filter(|place| *place > 0).map(Column::At),
        };
        match column {
            Some(column) => columns.extend(field(section, &Spanned::new(span, key)).map(|field| (field, column))),
            None => {
                section.report(value.span(), format!("the column of {key} is its name in quotes, or its place from 1"));
            }
        }
    }
    columns
}
