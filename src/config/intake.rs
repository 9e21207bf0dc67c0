//! `[intake.http]`, `[intake.socket]` and `[intake.folder]`: the ways in.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeValue;

use super::document::Table;
use super::lines;
use super::{DEFAULT_LISTEN, IntakeConfig};
use crate::intake::folder::{Column, Encoding, Field, FolderRules, TableRules};

/// How long a file stays as it is before it counts as complete, unless told otherwise.
const QUIET: Duration = Duration::from_secs(2);

/// How long files are kept that were read, unless told otherwise.
const KEEP_DONE: Duration = Duration::from_secs(7 * 86_400);

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn read(top: &Table<'_, '_>, data_dir: &Path) -> IntakeConfig {
    let mut intake = IntakeConfig {
        listen: DEFAULT_LISTEN,
        allowed_origins: Vec::new(),
        socket: None,
        folder: None,
        lines: Vec::new(),
    };
    let Some(section) = top.table("intake") else { return intake };
    if let Some(http) = section.table("http") {
        if let Some(listen) = http.text("listen").and_then(|text| listen(&http, &text)) {
            intake.listen = listen;
        }
        intake.allowed_origins = origins(&http);
        http.finish();
    }
    if let Some(socket) = section.table("socket") {
        intake.socket = socket.path("path");
        if cfg!(not(unix)) {
            socket.report(socket.span(), "[intake.socket] is there on Unix alone; remove the section");
        }
        socket.finish();
    }
    intake.folder = section.table("folder").and_then(|folder| read_folder(folder, data_dir));
    for line in section.tables("line") {
        let rules = lines::read(line);
        intake.lines.extend(rules);
    }
    lines::check(&section, &intake.lines);
    section.finish();
    intake
}

fn listen(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<SocketAddr> {
    let address: Option<SocketAddr> = text.get_ref().parse().ok();
    match address {
        Some(address) if address.ip().is_loopback() => return Some(address),
        Some(_) => section
            .report(text.span(), "listen in [intake.http] is a loopback address: nothing else may reach the intake"),
        None => section.report(text.span(), "listen in [intake.http] is an address such as 127.0.0.1:7717"),
    }
    None
}

fn origins(section: &Table<'_, '_>) -> Vec<String> {
    let mut origins = Vec::new();
    for text in section.texts("allowed_origins") {
        let origin = reqwest::Url::parse(text.get_ref()).ok().map(|url| url.origin().ascii_serialization());
        if origin.as_deref() == Some(*text.get_ref()) {
            origins.push(text.into_inner().to_owned());
        } else {
            section.report(text.span(), "an origin is a scheme and a host, as in https://kiosk.acme.example");
        }
    }
    origins
}

fn read_folder(section: Table<'_, '_>, data_dir: &Path) -> Option<FolderRules> {
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
