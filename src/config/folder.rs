//! The sections `[intake.folder]` and `[intake.folder.csv]`: files, and the notation of tables.

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeValue;

use super::document::Table;
use crate::intake::folder::{Column, Encoding, Field, FolderRules, TableRules, is_time_format};

/// Default time that a file must stay unchanged to count as complete.
const QUIET: Duration = Duration::from_secs(2);

/// Default time for which files are kept after they were read.
const KEEP_DONE: Duration = Duration::from_secs(7 * 86_400);

/// Bound on the lines that may precede a table.
const SKIP_MAX: u64 = 1_001;

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
    let rules = FolderRules {
        path,
        quiet: section.duration("quiet", Duration::from_millis(10)..DAY).unwrap_or(QUIET),
        poll: section.duration("poll", Duration::from_millis(10)..DAY),
        keep_done: section.duration("keep_done", Duration::ZERO..3_650 * DAY).unwrap_or(KEEP_DONE),
        source: section.text("source").map_or("/folder", Spanned::into_inner).to_owned(),
        event_type: section.text("type").map(|text| text.into_inner().to_owned()),
        encoding: section.text("encoding").and_then(|text| encoding(&section, &text)).unwrap_or_default(),
        table: section.table("csv").map_or_else(TableRules::default, read_table),
    };
    section.finish();
    Some(rules)
}

fn encoding(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<Encoding> {
    let encoding = Encoding::named(text.get_ref());
    if encoding.is_none() {
        section.report(
            text.span(),
            format!(
                "encoding in [intake.folder] must be a name such as utf-8, utf-16, windows-1252, iso-8859-15 or cp850; found \
                 {}",
                text.get_ref()
            ),
        );
    }
    encoding
}

fn read_table(section: Table<'_, '_>) -> TableRules {
    let columns = section.table("columns").map_or_else(Vec::new, |columns| read_columns(&columns));
    let rules = TableRules {
        delimiter: section.character("delimiter"),
        quote: quote(&section),
        multiline: section.flag("multiline"),
        has_header: section.flag("header"),
        skip: section.integer("skip", 0..SKIP_MAX).and_then(|lines| usize::try_from(lines).ok()).unwrap_or_default(),
        numbers: read_numbers(&section, &columns),
        counted: Vec::new(),
        columns,
        decimal: section.one_of("decimal", [",", "."]).and_then(|sign| sign.chars().next()),
        time_format: section.text("time_format").and_then(|text| time_format(&section, &text)),
        time_zone: section.text("time_zone").and_then(|text| {
            let zone = TimeZone::get(text.get_ref());
            let words = "time_zone in [intake.folder.csv] must be a name such as Europe/Stockholm; found";
            zone.inspect_err(|_| section.report(text.span(), format!("{words} {}", text.get_ref()))).ok()
        }),
    };
    let is_named = |columns: &[Column]| columns.iter().any(|column| matches!(column, Column::Named(_)));
    let needs_header = rules.columns.is_empty() || rules.columns.iter().any(|(_, columns)| is_named(columns));
    if rules.has_header == Some(false) && needs_header {
        let words = "header = false in [intake.folder.csv] needs columns with places, as in { \"data.card\" = 1 }";
        section.report(section.span(), words);
    }
    check_marks(&section, &rules);
    section.finish();
    rules
}

/// Refuses signs that cannot be told apart, and settings that nothing in a table has.
fn check_marks(section: &Table<'_, '_>, rules: &TableRules) {
    let delimiter = rules.delimiter.map(char::from);
    if delimiter.is_some_and(|delimiter| delimiter.is_control() && delimiter != '\t') {
        section
            .report(section.span(), "delimiter in [intake.folder.csv] must be a sign or a tab, and no end of a line");
    }
    if delimiter.is_some() && rules.quote.unwrap_or(Some('"')) == delimiter {
        section.report(
            section.span(),
            "delimiter and quote in [intake.folder.csv] must be two signs; for no quote set quote = \"\"",
        );
    }
    let has_time = rules.columns.iter().any(|(field, _)| field.text() == "time");
    if rules.time_format.is_some() && !rules.columns.is_empty() && !has_time {
        section.report(
            section.span(),
            "time_format in [intake.folder.csv] needs a column of time, as in { time = \"Date\" }",
        );
    }
}

/// Reads the quote; an empty text means that a quote is an ordinary character.
fn quote(section: &Table<'_, '_>) -> Option<Option<char>> {
    let text = section.text("quote")?;
    let mut rest = text.get_ref().chars();
    let quote = rest.next();
    if rest.next().is_some() || quote.is_some_and(|quote| !quote.is_ascii()) {
        section.report(text.span(), "quote in [intake.folder.csv] must be one ASCII character, or empty for none");
    }
    Some(quote)
}

fn read_numbers(section: &Table<'_, '_>, columns: &[(Field, Vec<Column>)]) -> Vec<Field> {
    let mut numbers = Vec::new();
    for text in section.texts("numbers") {
        let Some(number) = field(section, &text) else { continue };
        if !number.text().starts_with("data.") {
            let words =
                format!("numbers in [intake.folder.csv] can only name fields of data; {} is none", number.text());
            section.report(text.span(), words);
        }
        if !columns.is_empty() && !columns.iter().any(|(field, _)| *field == number) {
            let fields: Vec<String> = columns.iter().map(|(field, _)| field.text()).collect();
            let words =
                format!("numbers names {}, which no column is; columns are {}", number.text(), fields.join(", "));
            section.report(text.span(), words);
        }
        numbers.push(number);
    }
    numbers
}

fn time_format(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<String> {
    let format = text.get_ref();
    if !is_time_format(format) {
        let words = format!(
            "time_format in [intake.folder.csv] must tell the day as strftime does, as in %d.%m.%Y %H:%M, and no hour of \
             twelve without %p; found \"{format}\""
        );
        section.report(text.span(), words);
    }
    Some((*format).to_owned())
}

fn field(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<Field> {
    let field = Field::new(text.get_ref());
    if field.is_none() {
        let words = "a field of an event is id, source, type, subject, time or a name in data, such as \"data.card\"";
        section.report(text.span(), words);
    }
    field
}

/// Reads `columns = { time = ["Date", "Time"], "data.card" = 3 }`: for each field its column by name, or by position
/// from 1; for the time several, which are joined.
fn read_columns(section: &Table<'_, '_>) -> Vec<(Field, Vec<Column>)> {
    let mut columns = Vec::new();
    for (key, span, value) in section.entries() {
        let several = value.get_ref().as_array().filter(|_| key == "time");
        let found: Option<Vec<Column>> = match several {
            Some(items) if !items.is_empty() => items.iter().map(|item| column(item.get_ref())).collect(),
            _ => column(value.get_ref()).map(|column| vec![column]),
        };
        match found {
            Some(found) => {
                let Some(field) = field(section, &Spanned::new(span.clone(), key)) else { continue };
                let mut others = columns.iter().map(|(other, _): &(Field, _)| other);
                if let Some(other) = others.find(|other| other.is_within(&field) || field.is_within(other)) {
                    let words =
                        format!("{} and {} cannot both be columns: one is a part of the other", other.text(), key);
                    section.report(span, words);
                }
                columns.push((field, found));
            }
            None => {
                let words = format!(
                    "the column of {key} must be its name in quotes, or its place from 1; for time also several, as in \
                     [\"Date\", \"Time\"]"
                );
                section.report(value.span(), words);
            }
        }
    }
    columns
}

fn column(value: &DeValue<'_>) -> Option<Column> {
    if let DeValue::Integer(number) = value {
        let place = usize::from_str_radix(number.as_str(), number.radix()).ok();
        return place.filter(|place| *place > 0).map(Column::At);
    }
    value.as_str().filter(|name| !name.is_empty()).map(|name| Column::Named(name.to_owned()))
}
