//! Tables in all dialects, damaged in many ways: each row is either recorded as it was written, or listed as an error.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::{ControlFlow, Range};

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::Config;

use super::encoding::{Encoding, Whole};
use super::line::{Line, Unreadable};
use super::lines::{Kind, read};
use super::table::{Column, Field, TableRules};
use crate::intake::cloudevents::Invalid;

/// The notation of a table.
#[derive(Clone, Debug)]
struct Dialect {
    delimiter: char,
    quotes_all: bool,
    end: &'static str,
    has_trailing_delimiter: bool,
    has_mark: bool,
    has_last_end: bool,
    is_set: bool,
    has_columns: bool,
}

/// The damage to a table in transit.
#[derive(Clone, Debug)]
enum Break {
    None,
    Cut,
    Quote,
    Byte(u8),
    LostDelimiter,
}

/// A table as it was written.
struct Written {
    bytes: Vec<u8>,
    /// Offset of the rows, after the header.
    body: usize,
    rows: Vec<WrittenRow>,
    /// Offsets of the delimiters between cells of rows.
    delimiters: Vec<usize>,
}

struct WrittenRow {
    lines: Range<u64>,
    bytes: Range<usize>,
    cells: Vec<String>,
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let ends = prop_oneof![Just("\n"), Just("\r\n")];
    let flags = prop::array::uniform6(any::<bool>());
    (prop::sample::select(vec![';', ',', '\t', '|']), ends, flags).prop_map(|(delimiter, end, flags)| {
        let [quotes_all, has_trailing_delimiter, has_mark, has_last_end, is_set, has_columns] = flags;
        Dialect { delimiter, quotes_all, end, has_trailing_delimiter, has_mark, has_last_end, is_set, has_columns }
    })
}

fn breaks() -> impl Strategy<Value = Break> {
    let bytes = prop::sample::select(vec![0_u8, 7, 0x80, 0x94, 0xC3, 0xD6, 0xFF]);
    prop_oneof![
        Just(Break::None),
        Just(Break::Cut),
        Just(Break::Quote),
        bytes.prop_map(Break::Byte),
        Just(Break::LostDelimiter)
    ]
}

fn cells() -> impl Strategy<Value = String> {
    let parts = ["a", "7", " b", "ö", "\"", "'", ";", ",", "|", "x\ny", "12,50", "", "-", "="];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..5).prop_map(|parts| {
        let text = parts.concat();
        // A line within a cell that looks like a row counts as one once the cell is broken.
        let text = if text.contains('\n') { text.replace([';', ',', '|'], "") } else { text };
        text.trim().to_owned()
    })
}

fn write(dialect: &Dialect, width: usize, rows: &[Vec<String>]) -> Written {
    let Dialect { delimiter, end, .. } = *dialect;
    let quoted = |cell: &str| {
        let must = cell.contains([delimiter, '"', '\n']);
        if dialect.quotes_all || must { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
    };
    let last = if dialect.has_trailing_delimiter { delimiter.to_string() } else { String::new() };
    let names: Vec<String> = (0..width).map(|place| quoted(&name(place))).collect();
    let mut text = if dialect.has_mark { "\u{feff}".to_owned() } else { String::new() };
    text += &format!("{}{last}{end}", names.join(&delimiter.to_string()));
    let (body, mut line, mut delimiters, mut written) = (text.len(), 2, Vec::new(), Vec::new());
    for (index, cells) in rows.iter().enumerate() {
        let start = text.len();
        for (place, cell) in cells.iter().enumerate() {
            if place > 0 {
                delimiters.push(text.len());
                text.push(delimiter);
            }
            text += &quoted(cell);
        }
        text += &last;
        let lines = 1 + text[start..].matches('\n').count() as u64;
        written.push(WrittenRow { lines: line..line + lines, bytes: start..text.len(), cells: cells.clone() });
        line += lines;
        if index + 1 < rows.len() || dialect.has_last_end {
            text += end;
        }
    }
    Written { bytes: text.into_bytes(), body, rows: written, delimiters }
}

/// Returns a name; the first one has a letter that shows that the file is UTF-8.
fn name(place: usize) -> String {
    format!("kärl{}", char::from(b'a' + u8::try_from(place).expect("a few")))
}

/// Damages a table at some place after its header; returns the offset of a cut.
fn damage(written: &mut Written, how: &Break, place: usize) -> Option<usize> {
    let at = written.body + place % (written.bytes.len() - written.body).max(1);
    match how {
        Break::None => {}
        Break::Cut => {
            written.bytes.truncate(at);
            return Some(at);
        }
        Break::Quote => written.bytes.insert(at, b'"'),
        // The end of a line stays.
        Break::Byte(_) if matches!(written.bytes.get(at), None | Some(b'\n' | b'\r')) => {}
        Break::Byte(byte) => {
            let before = std::mem::replace(&mut written.bytes[at], *byte);
            // Changing a character into another of UTF-8 cannot be detected.
            if *byte >= 0x80 && std::str::from_utf8(&written.bytes).is_ok() {
                written.bytes[at] = before;
            }
        }
        Break::LostDelimiter => {
            let at = written.delimiters.get(place % written.delimiters.len().max(1))?;
            written.bytes.remove(*at);
        }
    }
    None
}

fn expected(cells: &[String]) -> String {
    let cells = cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty());
    let data: BTreeMap<String, &String> = cells.map(|(place, cell)| (name(place), cell)).collect();
    serde_json::json!({ "data": data }).to_string()
}

#[test]
fn each_row_of_a_broken_table_is_recorded_as_written_or_named() {
    let tables = (1_usize..5).prop_flat_map(|more| {
        let rows = prop::collection::vec(prop::collection::vec(cells(), more), 1..8);
        (Just(more + 1), rows)
    });
    let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
    proptest!(config, |((width, rows) in tables, dialect in dialects(), how in breaks(), place in any::<usize>())| {
        let named = rows.iter().enumerate().map(|(number, cells)| {
            std::iter::once(format!("r{number}")).chain(cells.iter().cloned()).collect::<Vec<_>>()
        });
        let mut written = write(&dialect, width, &named.collect::<Vec<_>>());
        let cut = damage(&mut written, &how, place);
        let column = |place: usize| (Field::new(&format!("data.{}", name(place))).expect("a field"), vec![Column::Named(name(place))]);
        let rules = TableRules {
            delimiter: dialect.is_set.then_some(dialect.delimiter as u8),
            columns: if dialect.has_columns { (0..width).map(column).collect() } else { Vec::new() },
            ..TableRules::default()
        };
        let (whole, found) = read_table(&written.bytes, &rules);
        let text = String::from_utf8_lossy(&written.bytes).into_owned();
        if let Err(Unreadable { .. }) = whole {
            assert!(found.is_empty(), "{text}");
            return Ok(());
        }
        for row in &written.rows {
            let is_cut = cut.is_some_and(|at| at < row.bytes.end + 1);
            if is_cut {
                continue;
            }
            let named = found.range(row.lines.clone()).any(|(_, event)| event.is_err());
            let recorded = found.get(&row.lines.start).and_then(|event| event.as_ref().ok());
            assert!(named || recorded == Some(&expected(&row.cells)), "{text:?}\n{:?}\n{found:?}", row.cells);
        }
        for (number, event) in found.iter().filter_map(|(number, event)| Some((number, event.as_ref().ok()?))) {
            let row = written.rows.iter().find(|row| row.lines.start == *number);
            // A row cut in its last cell cannot be told from a complete one.
            let is_cut = |row: &WrittenRow| cut.is_some_and(|at| row.bytes.contains(&at) || at == row.bytes.end);
            let is_right = row.is_some_and(|row| is_cut(row) || *event == expected(&row.cells));
            assert!(is_right, "line {number} of {text:?} became {event}");
        }
    });
}

/// Reads a table: whether it could be read, and the event or the error of each line that has one.
fn read_table(bytes: &[u8], rules: &TableRules) -> (Result<(), Unreadable>, BTreeMap<u64, Result<String, Invalid>>) {
    let reopen = || Ok(Box::new(io::Cursor::new(bytes.to_vec())) as Box<dyn Read>);
    let (mut found, whole) = (BTreeMap::new(), Whole { open: &reopen, ends: &[] });
    let read = read(bytes, Kind::Table, Encoding::Recognised, rules, whole, |line| {
        let Line { number, event, .. } = line;
        assert!(found.insert(number, event).is_none(), "line {number} twice");
        ControlFlow::Continue(())
    });
    (read.expect("memory can be read"), found)
}

/// Texts with lines that may look like rows.
fn texts() -> impl Strategy<Value = String> {
    let parts = ["a", "7", "\n", "\nTea;2", "\nTea,2\nJam,3", "\nx|y|z", "\"", "\n\"", ";", ",", "\"\n", " ", ""];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..5).prop_map(|parts| parts.concat().trim().to_owned())
}

/// Valid tables with cells of several lines: where each cell is quoted, or `multiline` is set, every row is recorded. Elsewhere a line
/// within a cell may be a row.
#[test]
fn a_valid_table_is_recorded_as_written_or_its_lines_are_named() {
    let tables = (1_usize..4).prop_flat_map(|more| {
        let rows = prop::collection::vec(prop::collection::vec(texts(), more), 1..8);
        (Just(more + 1), rows)
    });
    let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
    proptest!(config, |((width, rows) in tables, dialect in dialects(), is_set in any::<bool>(), at in any::<usize>())| {
        let named = rows.iter().enumerate().map(|(number, cells)| {
            let mut cells = cells.clone();
            cells.insert(at % width, format!("r{number}"));
            cells
        });
        let written = write(&dialect, width, &named.collect::<Vec<_>>());
        let rules = TableRules {
            delimiter: Some(dialect.delimiter as u8),
            multiline: is_set.then_some(true),
            ..TableRules::default()
        };
        let (whole, found) = read_table(&written.bytes, &rules);
        let text = String::from_utf8_lossy(&written.bytes).into_owned();
        assert!(whole.is_ok(), "{text:?}");
        for row in &written.rows {
            let recorded = found.get(&row.lines.start).and_then(|event| event.as_ref().ok());
            let must = is_set || dialect.quotes_all;
            let is_named = !must && row.lines.clone().all(|line| found.get(&line).is_none_or(Result::is_err));
            let is_right = recorded == Some(&expected(&row.cells));
            assert!(is_right || is_named, "{text:?}\n{:?}\n{found:?}", row.cells);
        }
        let recorded = found.iter().filter(|(_, event)| event.is_ok());
        let events: Vec<u64> = recorded.map(|(number, _)| *number).collect();
        assert!(events.iter().all(|number| written.rows.iter().any(|row| row.lines.start == *number)), "{text:?}\n{found:?}");
    });
}
