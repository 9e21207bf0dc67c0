//! The notation of one table: as configured, or as its first lines show with certainty.

use std::collections::VecDeque;

use super::cells::{Cells, Fed, Marks};
use super::rows::{Grid, ROW_BYTES_MAX};
use super::{Column, TableRules};
use crate::core::words::counted;
use crate::intake::folder::line::Unreadable;
use crate::intake::folder::text_lines::TextLine;

/// Delimiters that are recognised, in order of preference.
const DELIMITERS: [char; 4] = [';', '\t', ',', '|'];

/// Default quote.
const QUOTE: char = '"';

/// The notation of one table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) grid: Grid,
    /// Names of the columns; `None` if columns only have a position.
    pub(super) header: Option<Vec<String>>,
    /// Line of the first row.
    pub(super) first_row: u64,
}

/// A row at the beginning of a table.
struct HeadRow {
    number: u64,
    /// Its last line.
    last: u64,
    begins_with_quote: bool,
    cells: Vec<String>,
}

impl Shape {
    /// Recognises the notation from the first lines of a file. A file without a row has none.
    pub(super) fn of(rules: &TableRules, head: &VecDeque<TextLine>) -> Result<Option<Self>, Unreadable> {
        let mut lines: Vec<&TextLine> = head.iter().skip_while(|line| line.number <= rules.skip as u64).collect();
        if lines.is_empty() && !head.is_empty() {
            let problem = format!(
                "skip in [intake.folder.csv] is {}, and no line behind that is at the beginning of the file",
                rules.skip
            );
            return Err(Unreadable { number: 1, problem });
        }
        lines.retain(|line| !line.is_blank());
        let told = lines.first().and_then(|line| told_delimiter(line));
        if told.is_some() {
            lines.remove(0);
        }
        let Some(first) = lines.first().map(|line| line.number) else { return Ok(None) };
        let quote = rules.quote.unwrap_or(Some(QUOTE));
        let marks = |delimiter| Marks { delimiter, quote };
        let set = rules.delimiter.map(char::from).or(told);
        let multiline = rules.multiline;
        let marks = marks(set.unwrap_or_else(|| likely_delimiter(&lines, multiline, marks)));
        if set.is_none() && rules.decimal == Some(marks.delimiter) {
            let problem =
                "the cells are divided by commas or have them in their numbers; set delimiter in [intake.folder.csv]";
            return Err(Unreadable { number: first, problem: problem.to_owned() });
        }
        let rows = rows(marks, &lines, multiline);
        let begins_with_quote = rows.len() > 1 && rows.iter().all(|row| row.begins_with_quote);
        let grid = |width| Grid { marks, width, begins_with_quote, multiline };
        if !rules.has_header() {
            let width = most_frequent(rows.iter().map(|row| row.cells.len())).unwrap_or(1);
            let shape = Self { grid: grid(width), header: None, first_row: first };
            return shape.with_places(rules, first).map(Some);
        }
        let HeadRow { number, last, cells: header, .. } = header(rules, &rows, first)?;
        let (number, last, header) = (*number, *last, header.clone());
        let below: Vec<&[String]> = rows.iter().filter(|row| row.number > number).map(|row| &row.cells[..]).collect();
        // Of a header alone nothing would be recorded, and nobody would see that it was a row.
        let is_row = below.is_empty() && rules.columns.is_empty() && header.iter().any(|cell| is_code(cell));
        if is_row || (rules.columns.is_empty() && rules.has_header.is_none() && !is_header(&header, &below)) {
            let problem = match is_row || !is_header(&header, &[]) {
                true => "no header is recognised in the first row; set columns, header or skip in [intake.folder.csv]",
                false => {
                    "no header is recognised in the first row; set columns, header or skip in [intake.folder.csv], or name its last column, in which rows have something"
                }
            };
            return Err(Unreadable { number, problem: problem.to_owned() });
        }
        if let ([name], None, true) = (header.as_slice(), set, rules.columns.is_empty()) {
            check_delimiter(name, number, &below)?;
        }
        let width = width(&header, &below).ok_or_else(|| {
            let problem = format!(
                "the rows below do not have {} as this row does, so that it is no header; set columns or skip in \
                 [intake.folder.csv]",
                counted(header.len(), "cell")
            );
            Unreadable { number, problem }
        })?;
        Self { grid: grid(width), header: Some(header), first_row: last + 1 }.with_places(rules, number).map(Some)
    }

    /// Checks that each column named by its position exists.
    fn with_places(self, rules: &TableRules, number: u64) -> Result<Self, Unreadable> {
        let places = rules.columns.iter().flat_map(|(_, columns)| columns).filter_map(|column| match column {
            Column::At(place) => Some(*place),
            Column::Named(_) => None,
        });
        match places.max().filter(|most| *most > self.grid.width) {
            Some(most) => {
                let problem = format!(
                    "columns in [intake.folder.csv] has column {most}, and the rows have {}",
                    counted(self.grid.width, "cell")
                );
                Err(Unreadable { number, problem })
            }
            None => Ok(self),
        }
    }
}

/// Reads a first line such as `sep=;`, which spreadsheets write and read. Source: Excel.
fn told_delimiter(line: &TextLine) -> Option<char> {
    let text = line.text.as_ref().ok()?.trim_matches('"');
    let (name, value) = text.split_at_checked(4)?;
    let mut rest = value.chars();
    let delimiter = rest.next().filter(|_| name.eq_ignore_ascii_case("sep="))?;
    rest.next().is_none().then_some(delimiter)
}

/// Returns the delimiter with which most lines have the same number of cells, and of those the one that makes the most
/// cells.
fn likely_delimiter(lines: &[&TextLine], multiline: Option<bool>, marks: impl Fn(char) -> Marks) -> char {
    let score = |delimiter: &char| {
        let rows = rows(marks(*delimiter), lines, multiline);
        let widths: Vec<usize> = rows.iter().map(|row| row.cells.len()).filter(|width| *width > 1).collect();
        let width = most_frequent(widths.iter().copied()).unwrap_or_default();
        let is_first = |row: &&HeadRow| lines.first().is_some_and(|line| line.number == row.number);
        let splits_first = rows.first().filter(is_first).is_some_and(|row| row.cells.len() > 1);
        (widths.iter().filter(|found| **found == width).count(), splits_first, width)
    };
    // Among equally good ones, the preferred one.
    DELIMITERS.into_iter().rev().max_by_key(score).unwrap_or(',')
}

/// Returns the rows of some lines that can be read and are not blank.
fn rows(marks: Marks, lines: &[&TextLine], multiline: Option<bool>) -> Vec<HeadRow> {
    let (mut rows, mut rest) = (Vec::new(), lines);
    while let Some(first) = rest.first() {
        let most = if multiline == Some(false) { 1 } else { rest.len() };
        let (count, cells) = row(marks, &rest[..most]).unwrap_or_default();
        let begins_with_quote = first.text.as_ref().is_ok_and(|text| text.trim_start().chars().next() == marks.quote);
        if let Some(last) = rest[..count].last().filter(|_| cells.iter().any(|cell| !cell.is_empty())) {
            rows.push(HeadRow { number: first.number, last: last.number, begins_with_quote, cells });
        }
        rest = &rest[count.max(1)..];
    }
    rows
}

/// Returns the number of lines of the row that begins with the first, and its cells.
fn row(marks: Marks, lines: &[&TextLine]) -> Option<(usize, Vec<String>)> {
    let (mut row, mut bytes) = (Cells::new(marks), 0);
    for (line, count) in lines.iter().zip(1..) {
        match row.feed(line.text.as_ref().ok()?) {
            Fed::Whole => return Some((count, row.finish())),
            Fed::Wrong => return None,
            Fed::Open => bytes += line.bytes(),
        }
        if bytes > ROW_BYTES_MAX {
            return None;
        }
    }
    None
}

/// Returns the most frequent width; among equally frequent ones, the largest.
fn most_frequent(widths: impl Iterator<Item = usize>) -> Option<usize> {
    let mut widths: Vec<usize> = widths.collect();
    widths.sort_unstable();
    widths.chunk_by(|a, b| a == b).max_by_key(|chunk| chunk.len()).map(|chunk| chunk[0])
}

/// Returns the row that names the columns: the first that has all configured names, or the first row.
fn header<'r>(rules: &TableRules, rows: &'r [HeadRow], first: u64) -> Result<&'r HeadRow, Unreadable> {
    let named: Vec<&String> = rules.names().collect();
    let found = rows.iter().find(|row| named.iter().all(|name| row.cells.contains(name)));
    let Some(row) = found else {
        let names: Vec<String> = named.iter().map(|name| format!("\"{name}\"")).collect();
        let problem = match names.as_slice() {
            [] => "the first row cannot be read".to_owned(),
            [name] => format!("no row names the column {name}, which columns in [intake.folder.csv] has"),
            _ => format!("no row names all columns that columns in [intake.folder.csv] has: {}", names.join(", ")),
        };
        return Err(Unreadable { number: first, problem });
    };
    let HeadRow { number, cells, .. } = row;
    if named.is_empty() && *number != first {
        return Err(Unreadable { number: first, problem: "the first row cannot be read".to_owned() });
    }
    let asked = |name: &String| !name.is_empty() && (named.is_empty() || named.contains(&name));
    let is_twice = |(at, name): &(usize, &String)| asked(name) && cells[..*at].contains(name);
    if let Some((at, _)) = cells.iter().enumerate().find(is_twice) {
        let problem = format!(
            "column {} has the name of one before it; set columns in [intake.folder.csv] with places from 1",
            at + 1
        );
        return Err(Unreadable { number: *number, problem });
    }
    Ok(row)
}

/// Returns true if a row may be a header: its cells are names, and the columns below beyond the last of them are empty.
fn is_header(header: &[String], below: &[&[String]]) -> bool {
    let named = header.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    let is_empty_beyond = below.iter().all(|cells| cells.iter().take(header.len()).skip(named).all(String::is_empty));
    // A name that contains another delimiter is several names.
    let is_cut = header.len() > 1 || !header.concat().contains(DELIMITERS);
    header.iter().all(|name| !is_value(name)) && is_empty_beyond && is_cut
}

/// Refuses a table with one column whose delimiter was not recognised, most likely.
fn check_delimiter(name: &str, number: u64, below: &[&[String]]) -> Result<(), Unreadable> {
    let Some(sign) = missed_delimiter(name, below) else { return Ok(()) };
    let problem = format!(
        "only one column is recognised, and its name and each row below it have \"{sign}\", which may be the delimiter; set \
         delimiter in [intake.folder.csv]"
    );
    Err(Unreadable { number, problem })
}

/// Returns a sign in the name of the only column that each row below it has as often: perhaps the delimiter. Blanks side by side are one.
fn missed_delimiter(name: &str, below: &[&[String]]) -> Option<char> {
    let count = |text: &str, sign: char| {
        let parts = text.split(sign);
        if sign.is_whitespace() { parts.filter(|part| !part.is_empty()).count() } else { parts.count() }
    };
    let is_in_each = |sign: &char| {
        let in_name = count(name, *sign);
        let has_it = |cells: &&[String]| cells.first().is_some_and(|cell| count(cell, *sign) >= in_name);
        !below.is_empty() && below.iter().all(has_it)
    };
    name.chars().filter(|next| !next.is_alphanumeric() && *next != '_').find(is_in_each)
}

/// Returns true if a cell is a number, a date or a time, and therefore not a name.
fn is_value(cell: &str) -> bool {
    let is_part = |next: char| next.is_ascii_digit() || " .,:/-+TZ'€$%".contains(next);
    cell.contains(|next: char| next.is_ascii_digit()) && cell.chars().all(is_part)
}

/// Returns true if most of the letters and digits of a cell are digits, as in `A4711`, which is the name of no column.
fn is_code(cell: &str) -> bool {
    let digits = cell.chars().filter(char::is_ascii_digit).count();
    2 * digits > cell.chars().filter(|next| next.is_alphanumeric()).count()
}

/// Returns the number of cells in each row: as many as in the header, unless most rows have one trailing delimiter more
/// or less. `None` if most rows have another number.
fn width(header: &[String], below: &[&[String]]) -> Option<usize> {
    let filled = |cells: &[String]| cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    // Empty cells beyond the header's are left out.
    let width_of = |cells: &&[String]| cells.len().min(filled(cells).max(header.len()));
    let widths: Vec<usize> = below.iter().map(width_of).collect();
    let Some(most) = most_frequent(widths.iter().copied()) else { return Some(header.len()) };
    let agreeing = widths.iter().filter(|width| **width == most).count();
    let is_sure = agreeing > 1 && agreeing * 2 > below.len();
    match most {
        _ if most == header.len() => Some(most),
        _ if is_sure && (filled(header)..header.len()).contains(&most) => Some(most),
        _ if is_sure => None,
        _ => Some(header.len()),
    }
}
