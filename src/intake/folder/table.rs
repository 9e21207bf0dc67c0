//! CSV: how a table is written, and how a row of it becomes an event. What is not set is recognised.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;

use csv::{ErrorKind, StringRecord};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::value::RawValue;

use super::bounded::Budget;
use super::line::Line;
use crate::core::number::Number;
use crate::intake::cloudevents::Invalid;

/// Delimiters that are recognised, in the order in which they are preferred.
const DELIMITERS: [u8; 4] = [b';', b'\t', b',', b'|'];

/// The members of an event that a column may be.
const MEMBERS: [&str; 5] = ["id", "source", "type", "subject", "time"];

/// How tables are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableRules {
    /// What stands between two cells.
    pub delimiter: Option<u8>,
    /// What stands around a cell that holds a delimiter.
    pub quote: Option<u8>,
    /// Whether the first row names the columns.
    pub has_header: Option<bool>,
    /// Which column each field of an event is; empty for all columns, each under its own name.
    pub columns: Vec<(Field, Column)>,
    /// Fields that are numbers.
    pub numbers: Vec<Field>,
    /// What stands before the fraction of a number, if it is no point.
    pub decimal: Option<char>,
    /// How a time is written, in the words of `strftime`; else as in RFC 3339, or as a date and a time of day.
    pub time_format: Option<String>,
    /// The time zone of times that name none; else the device's.
    pub time_zone: Option<TimeZone>,
}

/// A field of an event: `time`, or names within `data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(Vec<String>);

impl Field {
    /// A field such as `time` or `data.card`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let path: Vec<String> = text.split('.').map(str::to_owned).collect();
        let is_member = path.len() == 1 && MEMBERS.contains(&text);
        let is_data = path.len() > 1 && path[0] == "data" && path.iter().all(|name| !name.is_empty());
        (is_member || is_data).then_some(Self(path))
    }

    /// The field that a column is, where nobody says which: a member of its name, or one of the data.
    fn of_name(name: &str) -> Self {
        match MEMBERS.into_iter().find(|member| *member == name) {
            Some(member) => Self(vec![member.to_owned()]),
            None => Self(vec!["data".to_owned(), name.to_owned()]),
        }
    }

    fn text(&self) -> String {
        self.0.join(".")
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By the name in the first row.
    Named(String),
    /// By its place, from 1.
    At(usize),
}

/// How one table is written, as set or as recognised.
struct Shape {
    delimiter: u8,
    quote: u8,
    has_header: bool,
    /// Whether a line ends with a carriage return before its line feed.
    has_returns: bool,
}

impl Shape {
    /// The line that a row begins on. The parser counts a line feed when it comes to it, which after a carriage return is
    /// with the next row.
    fn line(&self, position: Option<&csv::Position>) -> u64 {
        let behind = |position: &csv::Position| u64::from(self.has_returns && position.byte() > 0);
        position.map_or(1, |position| position.line() + behind(position))
    }
}

impl TableRules {
    fn shape(&self, sample: &str) -> Shape {
        let first = sample.lines().next().unwrap_or_default();
        let has_returns = sample[first.len()..].starts_with('\r');
        let count = |delimiter: &u8| first.bytes().filter(|byte| byte == delimiter).count();
        // Of those that occur as often, the one that is preferred.
        let most = DELIMITERS.into_iter().rev().max_by_key(count);
        let delimiter = self.delimiter.or(most).unwrap_or(b',');
        let edge = char::from(delimiter);
        let is_single = !sample.contains('"') && (first.starts_with('\'') || first.contains(&format!("{edge}'")));
        let quote = self.quote.unwrap_or(if is_single { b'\'' } else { b'"' });
        let has_header = self.has_header.unwrap_or_else(|| self.expects_header(first, edge));
        Shape { delimiter, quote, has_header, has_returns }
    }

    /// Columns that are named are named in the first row; where nothing is said of columns, a first row without a number.
    fn expects_header(&self, first: &str, delimiter: char) -> bool {
        if self.columns.is_empty() {
            return first.split(delimiter).all(|cell| !cell.trim().is_empty() && cell.trim().parse::<f64>().is_err());
        }
        self.columns.iter().any(|(_, column)| matches!(column, Column::Named(_)))
    }

    /// Where each field stands in a row.
    fn places(&self, header: &StringRecord) -> Result<Vec<(&Field, usize)>, Invalid> {
        let place = |(field, column): &'_ (Field, Column)| match column {
            Column::At(place) => Ok(place - 1),
            Column::Named(name) => header
                .iter()
                .position(|cell| cell == name)
                .ok_or_else(|| Invalid::at(&field.text(), format!("the first row names no column \"{name}\""))),
        };
        self.columns.iter().map(|rule| place(rule).map(|place| (&rule.0, place))).collect()
    }

    /// Hands the rows over as events, until the end or until `each` breaks off.
    pub(super) fn read(
        &self,
        input: impl Read,
        budget: &Budget,
        sample: &str,
        mut each: impl FnMut(Line) -> ControlFlow<()>,
    ) {
        let shape = self.shape(sample);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(shape.delimiter)
            .quote(shape.quote)
            .has_headers(shape.has_header)
            .trim(csv::Trim::All)
            .from_reader(input);
        let header = if shape.has_header { reader.headers().cloned() } else { Ok(StringRecord::new()) };
        let header = match header {
            Ok(header) => header,
            Err(error) => {
                let _ = each(Line { number: 1, event: Err(problem(&error)) });
                return;
            }
        };
        let named: Vec<(Field, usize)> = header.iter().map(Field::of_name).zip(0..).collect();
        let places = match self.places(&header) {
            Ok(places) if self.columns.is_empty() => {
                drop(places);
                named.iter().map(|(field, place)| (field, *place)).collect()
            }
            Ok(places) => places,
            Err(invalid) => {
                let _ = each(Line { number: 1, event: Err(invalid) });
                return;
            }
        };
        let mut record = StringRecord::new();
        loop {
            budget.renew();
            let line = match reader.read_record(&mut record) {
                Ok(false) => return,
                Ok(true) => Line { number: shape.line(record.position()), event: self.event(&places, &record) },
                Err(error) => {
                    let number = shape.line(Some(error.position().unwrap_or(reader.position())));
                    let is_over = matches!(error.kind(), ErrorKind::Io(_));
                    if each(Line { number, event: Err(problem(&error)) }).is_break() || is_over {
                        return;
                    }
                    continue;
                }
            };
            if each(line).is_break() {
                return;
            }
        }
    }

    /// The event of a row, without what every event has. An empty cell is no field.
    fn event(&self, places: &[(&Field, usize)], record: &StringRecord) -> Result<String, Invalid> {
        let mut event = Members::new();
        for (field, place) in places {
            let Some(cell) = record.get(*place).filter(|cell| !cell.is_empty()) else { continue };
            let value = self.value(field, cell).map_err(|problem| Invalid::at(&field.text(), problem))?;
            insert(&mut event, &field.0, value);
        }
        Ok(serde_json::to_string(&event).expect("texts and numbers are JSON"))
    }

    fn value(&self, field: &Field, cell: &str) -> Result<Member, String> {
        if field.0 == ["time"] {
            return self.time(cell).map(Member::Text);
        }
        if !self.numbers.contains(field) {
            return Ok(Member::Text(cell.to_owned()));
        }
        let mut number: String = cell.chars().filter(|next| !next.is_whitespace()).collect();
        if let Some(decimal) = self.decimal {
            number = number.replace(decimal, ".");
        }
        // As it is written, so that no digit is lost; what JSON does not take as a number is none.
        let number = number.trim_start_matches('+');
        let json = RawValue::from_string(number.to_owned()).ok().filter(|_| Number::parse(number).is_some());
        json.map(Member::Number).ok_or_else(|| "it is not a number".to_owned())
    }

    fn time(&self, cell: &str) -> Result<String, String> {
        if self.time_format.is_none() && cell.parse::<jiff::Timestamp>().is_ok() {
            return Ok(cell.to_owned());
        }
        let zone = self.time_zone.clone().unwrap_or_else(TimeZone::system);
        let at = match &self.time_format {
            Some(format) => {
                let parsed = jiff::fmt::strtime::parse(format, cell)
                    .map_err(|_| format!("it is not written as time_format says, {format}"))?;
                let with_zone = parsed.to_timestamp().ok();
                with_zone.or_else(|| parsed.to_datetime().ok().and_then(|time| instant(time, &zone)))
            }
            None => cell.parse::<DateTime>().ok().and_then(|time| instant(time, &zone)),
        };
        at.map(|at| at.to_string()).ok_or_else(|| "it is no time; set time_format in [intake.folder.csv]".to_owned())
    }
}

fn instant(time: DateTime, zone: &TimeZone) -> Option<jiff::Timestamp> {
    time.to_zoned_datetime(zone.clone()).ok().map(|time| time.timestamp())
}

/// What a row says of one name.
#[derive(Serialize)]
#[serde(untagged)]
enum Member {
    Text(String),
    Number(Box<RawValue>),
    Object(Members),
}

type Members = BTreeMap<String, Member>;

/// Puts a value where its names say; what stands in the way of a name stays.
fn insert(object: &mut Members, path: &[String], value: Member) {
    match path {
        [] => {}
        [name] => {
            object.entry(name.clone()).or_insert(value);
        }
        [name, rest @ ..] => {
            let below = object.entry(name.clone()).or_insert_with(|| Member::Object(Members::new()));
            if let Member::Object(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

/// Words without a cell's content.
fn problem(error: &csv::Error) -> Invalid {
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Invalid::new(format!("the row has {len} cells, and the first has {expected_len}"))
        }
        ErrorKind::Utf8 { err, .. } => {
            Invalid::new(format!("cell {} is not UTF-8; set encoding in [intake.folder]", err.field() + 1))
        }
        ErrorKind::Io(error) => Invalid::new(error.to_string()),
        _ => Invalid::new("the row cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> TableRules {
        TableRules { time_zone: Some(TimeZone::UTC), ..TableRules::default() }
    }

    /// Each row as its event, or as what is wrong with it, after the number of its line.
    fn check(rules: &TableRules, table: &str, expected: &[&str]) {
        let mut found = Vec::new();
        rules.read(table.as_bytes(), &Budget::default(), table, |Line { number, event }| {
            found.push(format!("{number} {}", event.unwrap_or_else(|invalid| invalid.to_string())));
            ControlFlow::Continue(())
        });
        assert_eq!(found, expected, "{table}");
    }

    fn columns(pairs: &[(&str, &str)]) -> Vec<(Field, Column)> {
        let column = |text: &str| text.parse().map_or_else(|_| Column::Named(text.to_owned()), Column::At);
        pairs.iter().map(|(field, text)| (Field::new(field).expect("a field"), column(text))).collect()
    }

    #[test]
    fn delimiter_quote_and_header_are_recognised() {
        for (table, expected) in [
            (
                "card,store\n1,Lund\n2,\"a, \"\"b\"\"\"\n",
                [
                    "2 {\"data\":{\"card\":\"1\",\"store\":\"Lund\"}}",
                    "3 {\"data\":{\"card\":\"2\",\"store\":\"a, \\\"b\\\"\"}}",
                ],
            ),
            (
                "card;store\r\n1;Lund\r\n2;'a, \"b\"'\r\n",
                [
                    "2 {\"data\":{\"card\":\"1\",\"store\":\"Lund\"}}",
                    "3 {\"data\":{\"card\":\"2\",\"store\":\"'a, \\\"b\\\"'\"}}",
                ],
            ),
            (
                "'card'\t'store'\n'1'\t'Lund'\n'2'\t'a\nb'\n",
                [
                    "2 {\"data\":{\"card\":\"1\",\"store\":\"Lund\"}}",
                    "3 {\"data\":{\"card\":\"2\",\"store\":\"a\\nb\"}}",
                ],
            ),
        ] {
            check(&rules(), table, &expected);
        }
        let by_place = TableRules { columns: columns(&[("data.card", "1")]), ..rules() };
        check(&by_place, "7|8\n9|10\n", &["1 {\"data\":{\"card\":\"7\"}}", "2 {\"data\":{\"card\":\"9\"}}"]);
    }

    #[test]
    fn columns_are_mapped_to_fields_with_numbers_and_times() {
        let rules = TableRules {
            columns: columns(&[("time", "When"), ("data.card", "Card"), ("data.sum.total", "Total"), ("type", "Kind")]),
            numbers: vec![Field::new("data.sum.total").expect("a field")],
            decimal: Some(','),
            time_format: Some("%d.%m.%Y %H:%M".to_owned()),
            ..rules()
        };
        check(
            &rules,
            "Card;When;Total;Kind\n1;24.11.2026 09:30;1 099,50;x\n2;24.11.2026 09:31;;\n3;yesterday;1;\n4;24.11.2026 09:31;much;\n5;6\n",
            &[
                "2 {\"data\":{\"card\":\"1\",\"sum\":{\"total\":1099.50}},\"time\":\"2026-11-24T09:30:00Z\",\"type\":\"x\"}",
                "3 {\"data\":{\"card\":\"2\"},\"time\":\"2026-11-24T09:31:00Z\"}",
                "4 time: it is not written as time_format says, %d.%m.%Y %H:%M",
                "5 data.sum.total: it is not a number",
                "6 the row has 2 cells, and the first has 4",
            ],
        );
        check(&rules, "Card;Total\n1;2\n", &["1 time: the first row names no column \"When\""]);
    }

    #[test]
    fn times_without_a_format_are_understood() {
        let rules = TableRules { time_zone: TimeZone::get("Europe/Stockholm").ok(), ..rules() };
        check(&rules, "time\n2026-11-24T10:00:00+01:00\n", &["2 {\"time\":\"2026-11-24T10:00:00+01:00\"}"]);
        check(&rules, "time\n2026-11-24 10:00:00\n", &["2 {\"time\":\"2026-11-24T09:00:00Z\"}"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_does_not_take_the_memory() {
        let table = format!("card\n1\n\"2{}", "x".repeat(3 * crate::core::limits::FOLDER_LINE_BYTES_MAX));
        let budget = Budget::default();
        let mut found = Vec::new();
        rules().read(budget.over(table.as_bytes()), &budget, "card\n", |line| {
            found.push(line.event.map_err(|invalid| invalid.to_string()));
            ControlFlow::Continue(())
        });
        assert_eq!(found.len(), 2);
        assert!(found[1].as_ref().is_err_and(|problem| problem.contains("longer than")), "{:?}", found[1]);
    }
}
