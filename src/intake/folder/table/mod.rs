//! CSV: the notation of a table, and the conversion of rows to events. Whatever is not configured is recognised.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::ControlFlow;

use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::value::RawValue;

use super::line::{Line, Unreadable};
use super::text_lines::TextLines;
use crate::core::mapping::values::may_be_thousands;
use crate::core::number::Number;
use crate::intake::cloudevents::Invalid;

mod cells;
mod column;
mod headers;
mod number;
mod rows;
mod shape;
mod time;

pub use column::{Column, Field, TableRules};
pub use time::is_time_format;

use headers::Headers;
use rows::{Row, Rows};
use shape::Shape;

/// Part of a table that is examined to recognise its notation. Units: bytes.
const HEAD_BYTES: usize = 16 * 1024;

impl TableRules {
    /// Returns true if a row names the columns: as configured, or because columns are given by name.
    fn has_header(&self) -> bool {
        self.has_header.unwrap_or_else(|| self.columns.is_empty() || self.names().next().is_some())
    }

    /// Returns the names of columns in the settings.
    fn names(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().flat_map(|(_, columns)| columns).filter_map(|column| match column {
            Column::Named(name) => Some(name),
            Column::At(_) => None,
        })
    }

    /// Passes on the rows as events, until the end or until `each` stops. The inner error says why nothing can be read.
    pub(super) fn read(
        &self,
        mut lines: TextLines<'_, impl Read>,
        mut each: impl FnMut(Line) -> ControlFlow<()>,
    ) -> io::Result<Result<(), Unreadable>> {
        let shape = match Shape::of(self, lines.look(HEAD_BYTES)?) {
            Ok(Some(shape)) => shape,
            Ok(None) => return Ok(Ok(())),
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        let places = match self.places(&shape) {
            Ok(places) => places,
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        lines.skip_to(shape.first_row)?;
        let mut headers = Headers::new(shape.header.as_deref().unwrap_or_default(), shape.grid.width);
        let mut rows = Rows::new(shape.grid);
        while let Some(Row { number, cells }) = rows.next(&mut lines)? {
            let Some(cells) = cells.map_or_else(|invalid| Some(Err(invalid)), |cells| headers.take(number, cells))
            else {
                continue;
            };
            let event = cells.and_then(|cells| self.event(&places, &cells));
            if each(Line::new(number, event)).is_break() {
                break;
            }
        }
        Ok(Ok(()))
    }

    /// Returns the positions of each field in a row.
    fn places(&self, shape: &Shape) -> Result<Vec<(Field, Vec<usize>)>, Unreadable> {
        let header = shape.header.as_deref().unwrap_or_default();
        if self.columns.is_empty() {
            let named = header.iter().zip(0..).filter(|(name, _)| !name.is_empty());
            let places: Vec<_> = named.map(|(name, place)| (Field::of_name(name), vec![place])).collect();
            self.check_numbers(&places, shape.first_row)?;
            return Ok(places);
        }
        let place = |column: &Column| match column {
            Column::At(place) => Some(place - 1),
            Column::Named(name) => header.iter().position(|cell| cell == name),
        };
        let places =
            |(field, columns): &(Field, Vec<Column>)| (field.clone(), columns.iter().filter_map(place).collect());
        Ok(self.columns.iter().map(places).collect())
    }

    /// Refuses a number that matches no column, if a column has a similar name.
    fn check_numbers(&self, places: &[(Field, Vec<usize>)], first_row: u64) -> Result<(), Unreadable> {
        let is_there = |number: &Field| places.iter().any(|(field, _)| field == number);
        for number in self.numbers.iter().filter(|number| !is_there(number)) {
            let is_near = |field: &Field| {
                let (a, b) = (field.text().to_lowercase(), number.text().to_lowercase());
                strsim::damerau_levenshtein(&a, &b) <= b.len().saturating_sub("data.".len()).div_ceil(4)
            };
            if let Some((field, _)) = places.iter().find(|(field, _)| is_near(field) && !self.numbers.contains(field)) {
                let problem = format!(
                    "numbers in [intake.folder.csv] has {}, and the header has no such column; did you mean {}?",
                    number.text(),
                    field.text()
                );
                return Err(Unreadable { number: first_row - 1, problem });
            }
        }
        Ok(())
    }

    /// Returns the event of a row, without the members that the folder's settings add. An empty cell is not a field.
    fn event(&self, places: &[(Field, Vec<usize>)], cells: &[String]) -> Result<String, Invalid> {
        let mut event = Members::new();
        for (field, places) in places {
            let found = places.iter().filter_map(|place| cells.get(*place)).filter(|cell| !cell.is_empty());
            let found: Vec<&str> = found.map(String::as_str).collect();
            // Without it the event would be of now, and with a part of it of another time.
            if field.is_time() && found.len() < places.len() {
                return Err(Invalid::at("time", "a cell of it is empty, and each row must have its time"));
            }
            let text = found.join(" ");
            if text.is_empty() {
                continue;
            }
            let value = self.value(field, text).map_err(|problem| Invalid::at(&field.text(), problem))?;
            insert(&mut event, &field.0, value);
        }
        Ok(serde_json::to_string(&event).expect("texts and numbers are JSON"))
    }

    /// Refuses a text that a mapping would take as another number than the one that was written, such as `1.500` for 1.5 where
    /// decimals have a comma.
    fn check_counted(&self, field: &Field, text: &str) -> Result<(), String> {
        let Some(counted) = self.counted.contains(field).then(|| Number::parse(text)).flatten() else { return Ok(()) };
        let written = number::read(text, self.decimal).ok().and_then(|number| Number::parse(&number));
        if written == Some(counted) && !may_be_thousands(text) {
            return Ok(());
        }
        Err("a mapping takes it as a number, and it may be read in two ways; name it in numbers of [intake.folder.csv]"
            .to_owned())
    }

    fn value(&self, field: &Field, text: String) -> Result<Member, String> {
        if field.is_time() {
            let zone = self.time_zone.clone().unwrap_or_else(TimeZone::system);
            return time::read(&text, self.time_format.as_deref(), &zone).map(Member::Text);
        }
        if !self.numbers.contains(field) {
            self.check_counted(field, &text)?;
            return Ok(Member::Text(text));
        }
        // As it is written, so that no digit is lost.
        let json = RawValue::from_string(number::read(&text, self.decimal)?);
        json.map(Member::Number).map_err(|_| "it is not a number".to_owned())
    }
}

/// The value of a row for one name.
#[derive(Serialize)]
#[serde(untagged)]
enum Member {
    Text(String),
    Number(Box<RawValue>),
    Object(Members),
}

type Members = BTreeMap<String, Member>;

/// Inserts a value at the path of its names; a value already there stays.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::folder::encoding::{Decoder, Encoding, Whole};

    fn rules() -> TableRules {
        TableRules { time_zone: Some(TimeZone::UTC), ..TableRules::default() }
    }

    /// Checks the event or the error of each row, with the number of its line.
    fn check(rules: &TableRules, table: &str, expected: &[&str]) {
        let owned = table.as_bytes().to_vec();
        let reopen = move || Ok(Box::new(io::Cursor::new(owned.clone())) as Box<dyn Read>);
        let lines = TextLines::new(
            table.as_bytes(),
            table.as_bytes(),
            Decoder::new(Encoding::Recognised, Whole { open: &reopen, ends: &[] }),
        );
        let mut found = Vec::new();
        let each = |Line { number, event, .. }: Line| {
            found.push(format!("{number} {}", event.unwrap_or_else(|invalid| invalid.to_string())));
            ControlFlow::Continue(())
        };
        let whole = rules.read(lines, each).expect("memory can be read");
        found.extend(whole.err().map(|Unreadable { number, problem }| format!("file {number} {problem}")));
        let begins = |(found, expected): (&String, &&str)| found.starts_with(*expected);
        let is_right = found.len() == expected.len() && found.iter().zip(expected).all(begins);
        assert!(is_right, "{table}\nfound {found:#?}\nexpected {expected:#?}");
    }

    fn columns(pairs: &[(&str, &str)]) -> Vec<(Field, Vec<Column>)> {
        let column = |text: &str| text.parse().map_or_else(|_| Column::Named(text.to_owned()), Column::At);
        let columns = |text: &str| text.split('+').map(column).collect();
        pairs.iter().map(|(field, text)| (Field::new(field).expect("a field"), columns(text))).collect()
    }

    const FIRST: &str = "2 {\"data\":{\"card\":\"1\",\"store\":\"Lund\"}}";

    #[test]
    fn delimiter_and_header_are_recognised() {
        let quoted = "3 {\"data\":{\"card\":\"2\",\"store\":\"a, \\\"b\\\"\"}}";
        check(&rules(), "card,store\n1,Lund\n2,\"a, \"\"b\"\"\"\n", &[FIRST, quoted]);
        check(&rules(), "card;store\r\n1;Lund\r\n2;\"a, \"\"b\"\"\"\r\n", &[FIRST, quoted]);
        check(&rules(), "card|store\r1|Lund\r", &[FIRST]);
        check(
            &rules(),
            "card\tstore\n1\tLund\n2\t\"a\nb\"\n",
            &[FIRST, "3 {\"data\":{\"card\":\"2\",\"store\":\"a\\nb\"}}"],
        );
        check(&rules(), "sep=;\ncard;store\n", &[]);
        check(&rules(), "SEP=|\ncard|store\n1|Lund", &["3 {\"data\":{\"card\":\"1\",\"store\":\"Lund\"}}"]);
        check(&rules(), "card;store;\n1;Lund;\n", &[FIRST]);
        check(&rules(), "card;store\n1;Lund;\n", &[FIRST]);
        check(&rules(), "card;;store\n1;x;Lund\n", &[FIRST]);
        let by_place = TableRules { columns: columns(&[("data.card", "1")]), ..rules() };
        check(&by_place, "7|8\n9|10\n", &["1 {\"data\":{\"card\":\"7\"}}", "2 {\"data\":{\"card\":\"9\"}}"]);
        let single = TableRules { quote: Some(Some('\'')), ..rules() };
        check(&single, "'card';'store'\n'1';'Lund'\n", &[FIRST]);
    }

    #[test]
    fn a_file_whose_header_is_not_known_is_not_read() {
        check(&rules(), "1;x\n2;y\n", &["file 1 no header is recognised"]);
        check(&rules(), "2026-11-24;Lund\n2026-11-25;Lund\n", &["file 1 no header is recognised"]);
        check(&rules(), "Report;\nAccount;4711\n\nCard;Total\n1;2\n2;3\n", &["file 1 no header is recognised"]);
        check(&rules(), "Report\nCard;Total\n1;2\n2;3\n", &["file 1 the rows below"]);
        check(
            &rules(),
            "card;note;\n1;x;5\n2;y;\n",
            &[
                "file 1 no header is recognised in the first row; set columns, header or skip in [intake.folder.csv], or name",
            ],
        );
        check(&rules(), "card;card\n1;2\n", &["file 1 column 2 has the name of one before it"]);
        let far = TableRules { columns: columns(&[("data.card", "3")]), ..rules() };
        check(&far, "1;2\n", &["file 1 columns in [intake.folder.csv] has column 3"]);
        let near = TableRules { numbers: vec![Field::new("data.totl").expect("a field")], ..rules() };
        check(&near, "card;total\n1;2\n", &["file 1 numbers in [intake.folder.csv] has data.totl"]);
        let skip = TableRules { skip: 3, ..rules() };
        check(
            &skip,
            "Report;\nAccount;4711\n\ncard;store\n1;Lund\n",
            &["5 {\"data\":{\"card\":\"1\",\"store\":\"Lund\"}}"],
        );
    }

    #[test]
    fn a_header_without_rows_is_one_for_sure_or_an_error_of_the_file() {
        check(&rules(), "card;store\n", &[]);
        check(&rules(), "card;Q1\n", &[]);
        for row in ["A4711;Lund\n", "Lund;24.11.2026\n", "Lund;12,50\n", "KL-0815-22;x\n"] {
            check(&rules(), row, &["file 1 no header is recognised"]);
            check(&TableRules { has_header: Some(true), ..rules() }, row, &["file 1 no header is recognised"]);
        }
        let skip = TableRules { skip: 5, ..rules() };
        check(&skip, "card;store\n1;Lund\n", &["file 1 skip in [intake.folder.csv] is 5"]);
    }

    #[test]
    fn the_header_says_how_many_cells_a_row_has() {
        let wide = "2 the row has 3 cells, and must have 2";
        let note =
            |line: u64, text: &str| format!("{line} {{\"data\":{{\"card\":\"{}\",\"note\":\"{text}\"}}}}", line - 1);
        check(&rules(), "card;note\n1;x;extra\n2;y\n3;z;;\n", &[wide, &note(3, "y"), &note(4, "z")]);
        check(&rules(), "card;note\n1;x;extra\n2;y;\n3;z;\n", &[wide, &note(3, "y"), &note(4, "z")]);
    }

    #[test]
    fn a_number_that_json_refuses_is_named_by_its_field() {
        let rules = TableRules { numbers: vec![Field::new("data.total").expect("a field")], ..rules() };
        check(&rules, "card;total\n1;1e400\n", &["2 data.total: it is too large"]);
    }

    #[test]
    fn a_header_with_other_columns_is_known_by_the_one_that_stayed() {
        let other = "3 it is a header and not the first one";
        check(
            &rules(),
            "card;store\n1;Lund\ncard;amount\n2;5\n",
            &[FIRST, other, "4 it is below the header of line 3"],
        );
    }

    #[test]
    fn a_delimiter_that_may_be_of_fractions_is_set_and_never_guessed() {
        let comma = TableRules { decimal: Some(','), ..rules() };
        let words = "file 1 the cells are divided by commas or have them in their numbers; set delimiter";
        check(&comma, "card,total\n1,5\n2,6\n", &[words]);
        check(&comma, "card;store\n1;Lund\n", &[FIRST]);
        let set = TableRules { delimiter: Some(b','), ..comma };
        check(&set, "card,store\n1,Lund\n", &[FIRST]);
    }

    #[test]
    fn a_delimiter_that_is_not_known_is_an_error_of_the_file() {
        for sign in ["^", "~", ":", "    ", "#", "::"] {
            let table = "card^note\n1^x\n2^y\n".replace('^', sign);
            check(&rules(), &table, &["file 1 only one column is recognised, and its name and each row below it have"]);
        }
        check(&rules(), "card   note\n1      x\n4711   y z\n", &["file 1 only one column is recognised"]);
        check(&rules(), "card^note\n", &[]);
        check(&rules(), "card_number\n4_5\n", &["2 {\"data\":{\"card_number\":\"4_5\"}}"]);
        check(&rules(), "e-mail\na@b.example\nc-d@e.example\n", &["2 {\"data\":{\"e-mail\":", "3 {"]);
        let set = TableRules { delimiter: Some(b'^'), ..rules() };
        check(&set, "card^store\n1^Lund\n", &[FIRST]);
    }

    #[test]
    fn a_quote_that_is_not_closed_takes_no_other_row() {
        check(
            &rules(),
            "card;store\n1;Lund\n2;\"5 inch\n3;x\n",
            &[FIRST, "3 the quote of cell 2 is not closed", "4 {"],
        );
        check(
            &rules(),
            "card;store\n1;Lund\n2;\"5 inch\n3;27\" screen\n4;x\n",
            &[FIRST, "3 the quote", "4 cell 2 has a quote", "5 {"],
        );
        check(
            &rules(),
            "card;store\n1;Lund\n2;\"5 inch\n3;27\"\n4;x\n",
            &[FIRST, "3 the quote of cell 2 is closed in line 4", "4 it may be a row", "5 {"],
        );
        check(&rules(), "card;store\n1;Lund\n2;\"5 inch", &[FIRST, "3 the quote of cell 2 is not closed"]);
        let long = format!("card;store\n{}2;\"{}", "1;Lund\n".repeat(2_000), "x\n".repeat(40_000));
        let found = std::iter::repeat_n("", 2_000).chain(["2002 the quote of cell 2 is not closed"]);
        check(&rules(), &long, &found.chain(std::iter::repeat_n("", 39_999)).collect::<Vec<_>>());
    }

    #[test]
    fn lines_within_a_cell_are_no_rows() {
        let doubt = "it may be a row, or a line within a cell of the row of line 3";
        let last = "7 {\"data\":{\"card\":\"3\",\"note\":\"c\"}}";
        let first = "2 {\"data\":{\"card\":\"1\",\"note\":\"a\"}}";
        let table = "card,note\n1,a\n2,\"bought:\nTea, 2\nJam, 3\nthanks\"\n3,c\n";
        let closed = "3 the quote of cell 2 is closed in line 6: these lines are one row, or several";
        let [in_4, in_5, in_6] = [4, 5, 6].map(|line| format!("{line} {doubt}"));
        check(&rules(), table, &[first, closed, &in_4, &in_5, &in_6, last]);
        let whole = "3 {\"data\":{\"card\":\"2\",\"note\":\"bought:\\nTea, 2\\nJam, 3\\nthanks\"}}";
        check(&TableRules { multiline: Some(true), ..rules() }, table, &[first, whole, last]);
        let tea = ["4 {\"data\":{\"card\":\"Tea\"", "5 {\"data\":{\"card\":\"Jam\"", "6 cell 1 has a quote"];
        let lines = [first, "3 the quote of cell 2 is not closed on its line", tea[0], tea[1], tea[2], last];
        check(&TableRules { multiline: Some(false), ..rules() }, table, &lines);
        let quoted = "\"card\",\"note\"\n\"1\",\"a\"\n\"2\",\"bought:\nTea, 2\nJam, 3\nthanks\"\n\"3\",\"c\"\n";
        check(&rules(), quoted, &[first, whole, last]);
        // One that is broken is no less a cell.
        let broken = "card,note\n1,a\n2,\"bou\"ght:\nTea, 2\nJam, 3\nthanks\"\n3,c\n";
        check(&rules(), broken, &[first, "3 cell 2 has a quote", &in_4, &in_5, &in_6, last]);
        let cut = "card,note\n1,a\n2\"bought:\nTea, 2\nJam, 3\nthanks\"\n3,c\n";
        check(&rules(), cut, &[first, "3 cell 1 has a quote", &in_4, &in_5, &in_6, last]);
    }

    #[test]
    fn no_row_is_refused_for_the_cell_of_several_lines_in_the_next() {
        let rows = |table: &str, count: usize| {
            for table in
                [table.to_owned(), table.replace('\n', "\r\n"), table.replace(',', ";"), table.replace(',', "\t")]
            {
                check(&rules(), &table, &vec![""; count]);
                let mut is_whole = true;
                let mut seen = 0;
                let owned = table.clone().into_bytes();
                let reopen = move || Ok(Box::new(io::Cursor::new(owned.clone())) as Box<dyn Read>);
                let decoder = Decoder::new(Encoding::Recognised, Whole { open: &reopen, ends: &[] });
                let lines = TextLines::new(table.as_bytes(), table.as_bytes(), decoder);
                let each = |line: Line| {
                    is_whole &= line.event.is_ok();
                    seen += 1;
                    ControlFlow::Continue(())
                };
                rules().read(lines, each).expect("memory can be read").expect("a table");
                assert!(is_whole && seen == count, "{table}");
            }
        };
        rows("\"card\",\"note\",\"total\"\n\"1\",\"a\",\"5\"\n\"2\",\"two\nlines\",\"6\"\n\"3\",\"c\",\"7\"\n", 3);
        rows("\"card\",\"note\"\n\"1\",\"a\"\n\"2\",\"three\nlines\nhere\"\n\"3\",\"c\"\n", 3);
        rows("\"note\",\"card\"\n\"a\nb\",\"1\"\n\"c\nd\",\"2\"\n\"e\nf\",\"3\"\n", 3);
        rows("\"card\",\"address\",\"total\"\n\"1\",\"Main St 5\nApt 4, left\",\"5\"\n\"2\",\"x\",\"6\"\n", 2);
        rows("card,address,total\n1,\"Main St 5\nApt 4, left\",5\n2,\"Side St 1\nApt 2, right\",6\n", 2);
        rows("\"card\nnumber\",\"note\"\n\"1\",\"a\"\n", 1);
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
                "6 the row has 2 cells, and must have 4",
            ],
        );
        check(&rules, "Card;Total\n1;2\n", &["file 1 no row names all columns"]);
        check(
            &rules,
            "Report of today\n;;;\nCard;When;Total;Kind\n1;24.11.2026 09:30;2;x\n",
            &["4 {\"data\":{\"card\":\"1\",\"sum\":{\"total\":2}}"],
        );
    }

    #[test]
    fn times_without_a_format_are_understood() {
        let rules = TableRules { time_zone: TimeZone::get("Europe/Stockholm").ok(), ..rules() };
        check(&rules, "time\n2026-11-24T10:00:00+01:00\n", &["2 {\"time\":\"2026-11-24T10:00:00+01:00\"}"]);
        check(&rules, "time\n2026-11-24 10:00:00\n", &["2 {\"time\":\"2026-11-24T09:00:00Z\"}"]);
        for cell in [
            "2026-11-24T10:00:00+25:00",
            "2026-11-24T10:00:00+24:00",
            "2026-11-24T10:00:00+01:00:30",
            "2026-11-24T10:00:00+01:00[Europe/Stokholm]",
            "2026-11-24T10:00:00+09:00[Europe/Stockholm]",
            "2026-11-24T10:00:00[Europe/Stockholm]",
        ] {
            check(&rules, &format!("time\n{cell}\n"), &["2 time: it is no time; set time_format"]);
        }
        let joined = TableRules { columns: columns(&[("time", "Date+Time")]), ..rules };
        check(&joined, "Date,Time\n2026-11-24,10:00:00\n", &["2 {\"time\":\"2026-11-24T09:00:00Z\"}"]);
        let empty = "time: a cell of it is empty, and each row must have its time";
        check(&joined, "Date,Time\n,10:00:00\n2026-11-24,\n", &[&format!("2 {empty}"), &format!("3 {empty}")]);
        check(&self::rules(), "time,card\n,1\n", &[&format!("2 {empty}")]);
    }
}
