//! The events of a file, one after another: JSON, NDJSON or CSV, in any of the usual encodings, of any size.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use super::encoding::{Decoder, Encoding, SAMPLE_BYTES, Whole};
use super::json;
use super::line::{Line, Unreadable};
use super::line_events;
use super::table::TableRules;
use super::text_lines::TextLines;

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One event, several, or an array of them.
    Json,
    /// One event per line.
    Lines,
    /// A table.
    Table,
}

impl Kind {
    /// Returns the kind by the suffix of a file's name; `None` for one that is hidden.
    pub(super) fn of(name: &OsStr) -> Option<Self> {
        if name.as_encoded_bytes().starts_with(b".") {
            return None;
        }
        match Path::new(name).extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "ndjson" => Some(Self::Lines),
            "csv" => Some(Self::Table),
            _ => None,
        }
    }
}

/// Passes on the events of a file, until its end or until `each` stops. The inner error says why nothing of it can be
/// read.
///
/// # Errors
/// The system's, if the file cannot be read.
pub(super) fn read(
    mut file: impl Read,
    kind: Kind,
    encoding: Encoding,
    table: &TableRules,
    whole: Whole<'_>,
    each: impl FnMut(Line) -> ControlFlow<()>,
) -> io::Result<Result<(), Unreadable>> {
    let mut sample = Vec::new();
    file.by_ref().take(SAMPLE_BYTES as u64).read_to_end(&mut sample)?;
    if let Some(what) = foreign(&sample) {
        let problem = format!("it is {what}, and must be what its name says");
        return Ok(Err(Unreadable { number: 1, problem }));
    }
    if encoding.is_wrong(&sample) {
        let problem =
            "it is not UTF-16 in the byte order that encoding in [intake.folder] says; correct encoding, or remove it";
        return Ok(Err(Unreadable { number: 1, problem: problem.to_owned() }));
    }
    let shown = sample.clone();
    let decoded = encoding.decoded(io::Cursor::new(sample).chain(file), &shown);
    let decoder = Decoder::of_file(encoding, whole, &shown);
    match kind {
        Kind::Json => json::read(decoded, decoder, each).map(Ok),
        Kind::Lines => line_events::read(&mut TextLines::new(decoded, &shown, decoder), each).map(Ok),
        Kind::Table => table.read(TextLines::new(decoded, &shown, decoder), each),
    }
}

/// Beginnings of files that are of another kind than their name says; most often the page that a server sends if it
/// does not have the file.
const FOREIGN: [(&[u8], &str); 9] = [
    (b"<!doctype", "a page of HTML"),
    (b"<html", "a page of HTML"),
    (b"<head", "a page of HTML"),
    (b"<body", "a page of HTML"),
    (b"<?xml", "XML"),
    (b"pk\x03\x04", "a ZIP archive or a workbook"),
    (b"\xd0\xcf\x11\xe0", "a workbook"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"%pdf-", "a PDF"),
];

/// Returns the kind of a foreign file, by its first bytes.
fn foreign(sample: &[u8]) -> Option<&'static str> {
    let begin = sample.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(sample).trim_ascii_start();
    let begins = |with: &[u8]| begin.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    FOREIGN.iter().find(|(with, _)| begins(with)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

    use super::*;
    use crate::core::limits::FOLDER_LINE_BYTES_MAX;

    fn found(bytes: &[u8], kind: Kind, encoding: Encoding) -> Vec<String> {
        let mut found = Vec::new();
        let each = |Line { number, event, .. }: Line| {
            found.push(format!("{number} {}", event.unwrap_or_else(|invalid| format!("! {invalid}"))));
            ControlFlow::Continue(())
        };
        let open = || Ok(Box::new(io::Cursor::new(bytes.to_vec())) as Box<dyn Read>);
        let whole = Whole { open: &open, ends: &[] };
        let whole = read(bytes, kind, encoding, &TableRules::default(), whole, each).expect("memory can be read");
        found.extend(whole.err().map(|Unreadable { number, problem }| format!("{number} !! {problem}")));
        found
    }

    fn check(text: &str, kind: Kind, expected: &[&str]) {
        assert_eq!(found(text.as_bytes(), kind, Encoding::Recognised), expected, "{text}");
    }

    #[test]
    fn events_are_found_with_their_lines() {
        check("{\"a\":1}\n\n {\"a\":2},", Kind::Lines, &["1 {\"a\":1}", "3 {\"a\":2}"]);
        check("{\"a\":1}\r{\"a\":2}\r", Kind::Lines, &["1 {\"a\":1}", "2 {\"a\":2}"]);
        check("\n [\n{\"a\":1},\n{\n}]\n", Kind::Json, &["3 {\"a\":1}", "4 {\n}"]);
        check("a,b\n1,2\n", Kind::Table, &["2 {\"data\":{\"a\":\"1\",\"b\":\"2\"}}"]);
    }

    #[test]
    fn encodings_are_recognised_or_set() {
        let text = "{\"a\":\"Åsa\"}\n";
        let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
        let set = |name| Encoding::named(name).expect("known");
        let expected = ["1 {\"a\":\"Åsa\"}"];
        let check = |bytes: &[u8], encoding| assert_eq!(found(bytes, Kind::Lines, encoding), expected);
        let with_mark = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        let narrow = b"{\"a\":\"\xC5sa\"}\n";
        check(text.as_bytes(), Encoding::Recognised);
        check(text.as_bytes(), set("utf-8"));
        check(&with_mark(b"\xEF\xBB\xBF", text.as_bytes()), Encoding::Recognised);
        check(&with_mark(b"\xEF\xBB\xBF", text.as_bytes()), set("cp850"));
        check(&wide(u16::to_le_bytes), Encoding::Recognised);
        check(&wide(u16::to_be_bytes), Encoding::Recognised);
        check(&wide(u16::to_le_bytes), set("utf-16"));
        check(&with_mark(b"\xFE\xFF", &wide(u16::to_be_bytes)), set("utf-16"));
        check(narrow, Encoding::Recognised);
        check(narrow, set("windows-1252"));
        check(b"{\"a\":\"\x8Fsa\"}\n", set("cp850"));
        assert!(found(narrow, Kind::Lines, set("utf-8"))[0].contains("not UTF-8"));
    }

    #[test]
    fn an_encoding_that_is_plainly_wrong_is_an_error_of_the_file() {
        let text = "card;store\n1;Lund\n";
        let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
        for kind in [Kind::Json, Kind::Lines, Kind::Table] {
            for (bytes, encoding) in [
                (text.as_bytes().to_vec(), "utf-16"),
                (text.as_bytes().to_vec(), "utf-16be"),
                (wide(u16::to_be_bytes), "utf-16"),
                (wide(u16::to_le_bytes), "utf-16be"),
            ] {
                let found = found(&bytes, kind, Encoding::named(encoding).expect("known"));
                assert!(found.len() == 1 && found[0].starts_with("1 !! it is not UTF-16"), "{found:?}");
            }
        }
    }

    #[test]
    fn half_a_character_of_utf16_is_named_with_its_line() {
        for (mark, encoding) in [
            (true, Encoding::Recognised),
            (false, Encoding::Recognised),
            (false, Encoding::named("utf-16").expect("known")),
        ] {
            let mut units: Vec<u16> = "a;b\n1;x".encode_utf16().collect();
            units.push(0xD800);
            units.extend("\n2;y\n".encode_utf16());
            let mark = if mark { vec![0xFF, 0xFE] } else { Vec::new() };
            let bytes: Vec<u8> = mark.into_iter().chain(units.into_iter().flat_map(u16::to_le_bytes)).collect();
            for kind in [Kind::Lines, Kind::Table] {
                let found = found(&bytes, kind, encoding);
                assert!(found.iter().any(|line| line.starts_with("2 ! it holds")), "{found:?}");
                assert!(!found.iter().any(|line| line.contains('\u{fffd}')), "{found:?}");
            }
        }
    }

    #[test]
    fn whatever_a_file_holds_is_read_to_its_end_and_lines_are_in_order() {
        let pieces = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::sample::select(vec![
                "{",
                "}",
                "[",
                "]",
                ",",
                "\"",
                "\n",
                "\r\n",
                ";",
                "'",
                "{\"a\":1}",
                "\u{feff}",
                "\0"
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        let kinds = prop::sample::select(vec![Kind::Json, Kind::Lines, Kind::Table]);
        let names = [None, Some("utf-8"), Some("utf-16"), Some("windows-1252"), Some("cp850")];
        let encodings = prop::sample::select(names.to_vec())
            .prop_map(|name| name.map_or(Encoding::Recognised, |name| Encoding::named(name).expect("known")));
        proptest!(|(pieces in prop::collection::vec(pieces, 0..20), kind in kinds, encoding in encodings)| {
            let bytes = pieces.concat();
            let mut last = 0;
            let copy = bytes.clone();
            let open = move || Ok(Box::new(io::Cursor::new(copy.clone())) as Box<dyn Read>);
            let whole = Whole { open: &open, ends: &[] };
            let whole = read(bytes.as_slice(), kind, encoding, &TableRules::default(), whole, |line| {
                assert!(line.number >= last.max(1), "{} after {last}", line.number);
                last = line.number;
                ControlFlow::Continue(())
            });
            drop(whole.expect("memory can be read"));
            assert!(last <= bytes.len() as u64 + 1);
        });
    }

    #[test]
    fn a_line_without_an_end_does_not_take_the_memory() {
        let endless = "x".repeat(2 * FOLDER_LINE_BYTES_MAX);
        let lines = found(format!("{{}}\n{endless}\n{{}}\n").as_bytes(), Kind::Lines, Encoding::Recognised);
        assert_eq!((lines.len(), lines[2].as_str()), (3, "3 {}"));
        assert!(lines[1].starts_with("2 ! the line is longer"), "{}", &lines[1][..40]);
        let json = found(format!("[{{}},\n{{\"a\":\"{endless}\"}}]").as_bytes(), Kind::Json, Encoding::Recognised);
        assert_eq!(json.len(), 2);
        assert!(json[1].contains("longer than"), "{json:?}");
    }
}
