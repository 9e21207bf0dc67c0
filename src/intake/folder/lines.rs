//! What a file holds, one event after another: JSON, NDJSON or CSV, in any of the usual encodings, of any size.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use encoding_rs::{Encoding as Charset, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;
use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::bounded::Budget;
use super::line::Line;
use super::table::TableRules;
use crate::core::limits::FOLDER_LINE_BYTES_MAX;
use crate::intake::cloudevents::Invalid;

/// How much of a file is looked at to recognise how it is written. Units: bytes.
const SAMPLE_BYTES: usize = 64 * 1024;

/// What breaks a parser off that is in the midst of its work.
const BROKEN_OFF: &str = "broken off";

/// How the characters of a file are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As the file looks.
    #[default]
    Recognised,
    /// UTF-8.
    Utf8,
    /// UTF-16, little end first unless the file says otherwise.
    Utf16,
    /// Windows-1252, which holds ISO 8859-1.
    Windows1252,
}

impl Encoding {
    /// All that can be set.
    pub const ALL: [Self; 3] = [Self::Utf8, Self::Utf16, Self::Windows1252];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recognised => "recognised",
            Self::Utf8 => "utf-8",
            Self::Utf16 => "utf-16",
            Self::Windows1252 => "windows-1252",
        }
    }

    /// What is to be decoded; none for UTF-8. A file that begins with a byte order mark says so itself.
    fn charset(self, sample: &[u8]) -> Option<&'static Charset> {
        match self {
            Self::Utf8 => None,
            Self::Utf16 => Some(UTF_16LE),
            Self::Windows1252 => Some(WINDOWS_1252),
            Self::Recognised => recognise(sample),
        }
    }
}

fn recognise(sample: &[u8]) -> Option<&'static Charset> {
    let nul_at = |odd: usize| sample.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count() * 4 > sample.len();
    if nul_at(1) {
        return Some(UTF_16LE);
    }
    if nul_at(0) {
        return Some(UTF_16BE);
    }
    match std::str::from_utf8(sample) {
        Ok(_) => None,
        // The sample may end within a character.
        Err(error) if error.error_len().is_none() => None,
        Err(_) => Some(WINDOWS_1252),
    }
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One event, several, or an array of them.
    Json,
    /// An event in each line.
    Lines,
    /// A table.
    Table,
}

impl Kind {
    /// By the end of a file's name.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "ndjson" => Some(Self::Lines),
            "csv" => Some(Self::Table),
            _ => None,
        }
    }
}

/// Hands over what a file holds, until its end or until `each` breaks off.
///
/// # Errors
/// The system's, when the file cannot be read.
pub(super) fn read(
    mut file: impl Read,
    kind: Kind,
    encoding: Encoding,
    table: &TableRules,
    mut each: impl FnMut(Line) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut sample = Vec::new();
    file.by_ref().take(SAMPLE_BYTES as u64).read_to_end(&mut sample)?;
    let charset = encoding.charset(&sample);
    let mut decoder = DecodeReaderBytesBuilder::new();
    decoder.encoding(charset).bom_override(true).utf8_passthru(charset.is_none()).strip_bom(true);
    let mut decoded = decoder.build(io::Cursor::new(sample).chain(file));
    match kind {
        Kind::Lines => read_lines(BufReader::new(decoded), each),
        Kind::Json => read_json(BufReader::new(decoded), each),
        Kind::Table => {
            let mut start = Vec::new();
            decoded.by_ref().take(SAMPLE_BYTES as u64 / 16).read_to_end(&mut start)?;
            let shown = String::from_utf8_lossy(&start).into_owned();
            let budget = Budget::default();
            table.read(budget.over(io::Cursor::new(start).chain(decoded)), &budget, &shown, &mut each);
            Ok(())
        }
    }
}

fn read_lines(mut input: impl BufRead, mut each: impl FnMut(Line) -> ControlFlow<()>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = input.by_ref().take(FOLDER_LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        let event = if read > FOLDER_LINE_BYTES_MAX && bytes.last() != Some(&b'\n') {
            input.skip_until(b'\n')?;
            Err(Invalid::new(format!("the line is longer than {FOLDER_LINE_BYTES_MAX} bytes")))
        } else {
            match std::str::from_utf8(&bytes) {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => Ok(text.trim().to_owned()),
                Err(_) => Err(Invalid::new("the line is not UTF-8; set encoding in [intake.folder]")),
            }
        };
        if each(Line { number, event }).is_break() {
            break;
        }
    }
    Ok(())
}

/// One event after another, or an array of them. After a place that is no JSON there is nothing to be had.
fn read_json(mut input: impl BufRead, mut each: impl FnMut(Line) -> ControlFlow<()>) -> io::Result<()> {
    let is_array = loop {
        match input.fill_buf()?.first() {
            None => return Ok(()),
            Some(byte) if byte.is_ascii_whitespace() && *byte != b'\n' => input.consume(1),
            // The parser counts the lines.
            Some(first) => break *first == b'[' || (*first == b'\n' && first_beyond(input.fill_buf()?) == Some(b'[')),
        }
    };
    let budget = Budget::default();
    let mut deserializer = serde_json::Deserializer::from_reader(budget.over(input));
    let mut take = |raw: &RawValue| {
        budget.renew();
        let within = raw.get().bytes().filter(|byte| *byte == b'\n').count() as u64;
        each(Line { number: budget.lines() - within + 1, event: Ok(raw.get().to_owned()) })
    };
    let result = if is_array {
        Items(&mut take).deserialize(&mut deserializer).and_then(|()| deserializer.end())
    } else {
        let mut values = deserializer.into_iter::<Box<RawValue>>();
        values.try_for_each(|value| match value.map(|raw| take(&raw))? {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(de::Error::custom(BROKEN_OFF)),
        })
    };
    match result {
        Err(error) if !error.to_string().starts_with(BROKEN_OFF) => {
            let number = error.line().max(1) as u64;
            let _ = each(Line { number, event: Err(Invalid::new(format!("this is not valid JSON: {error}"))) });
        }
        _ => {}
    }
    Ok(())
}

fn first_beyond(bytes: &[u8]) -> Option<u8> {
    bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// The items of an array, each handed over as it is read.
struct Items<'t>(&'t mut dyn FnMut(&RawValue) -> ControlFlow<()>);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(raw) = items.next_element::<Box<RawValue>>()? {
            if (self.0)(&raw).is_break() {
                return Err(de::Error::custom(BROKEN_OFF));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

    use super::*;

    fn found(bytes: &[u8], kind: Kind, encoding: Encoding) -> Vec<String> {
        let mut found = Vec::new();
        let each = |Line { number, event }: Line| {
            found.push(format!("{number} {}", event.unwrap_or_else(|invalid| format!("! {invalid}"))));
            ControlFlow::Continue(())
        };
        read(bytes, kind, encoding, &TableRules::default(), each).expect("memory can be read");
        found
    }

    fn check(text: &str, kind: Kind, expected: &[&str]) {
        assert_eq!(found(text.as_bytes(), kind, Encoding::Recognised), expected, "{text}");
    }

    #[test]
    fn events_are_found_with_their_lines() {
        check("{\"a\":1}\n\n {\"a\":2}", Kind::Lines, &["1 {\"a\":1}", "3 {\"a\":2}"]);
        check("\n{\n\"a\":1}\n{\"a\":\n2}", Kind::Json, &["2 {\n\"a\":1}", "4 {\"a\":\n2}"]);
        check("\n [\n{\"a\":1},\n{\n}]\n", Kind::Json, &["3 {\"a\":1}", "4 {\n}"]);
        check("", Kind::Json, &[]);
        check("[]", Kind::Json, &[]);
        check("a,b\n1,2\n", Kind::Table, &["2 {\"data\":{\"a\":\"1\",\"b\":\"2\"}}"]);
    }

    #[test]
    fn what_is_no_json_is_told_and_what_came_before_it_counts() {
        let found = found(b"[{\"a\":1},\n{\"a\":2},\n{\"a\":}]", Kind::Json, Encoding::Recognised);
        assert_eq!(found[..2], ["1 {\"a\":1}", "2 {\"a\":2}"]);
        assert!(found[2].starts_with("3 ! this is not valid JSON"), "{found:?}");
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn encodings_are_recognised_or_set() {
        let text = "{\"a\":\"Åsa\"}\n";
        let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
        let expected = ["1 {\"a\":\"Åsa\"}"];
        let check = |bytes: &[u8], encoding| assert_eq!(found(bytes, Kind::Lines, encoding), expected);
        let with_mark = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        let narrow = b"{\"a\":\"\xC5sa\"}\n";
        check(text.as_bytes(), Encoding::Recognised);
        check(text.as_bytes(), Encoding::Utf8);
        check(&with_mark(b"\xEF\xBB\xBF", text.as_bytes()), Encoding::Recognised);
        check(&wide(u16::to_le_bytes), Encoding::Recognised);
        check(&wide(u16::to_be_bytes), Encoding::Recognised);
        check(&wide(u16::to_le_bytes), Encoding::Utf16);
        check(&with_mark(b"\xFE\xFF", &wide(u16::to_be_bytes)), Encoding::Utf16);
        check(narrow, Encoding::Recognised);
        check(narrow, Encoding::Windows1252);
        assert!(found(narrow, Kind::Lines, Encoding::Utf8)[0].contains("not UTF-8"));
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
        let encodings =
            prop::sample::select([Encoding::Recognised].into_iter().chain(Encoding::ALL).collect::<Vec<_>>());
        proptest!(|(pieces in prop::collection::vec(pieces, 0..20), kind in kinds, encoding in encodings)| {
            let bytes = pieces.concat();
            let mut last = 0;
            read(bytes.as_slice(), kind, encoding, &TableRules::default(), |line| {
                assert!(line.number >= last.max(1), "{} after {last}", line.number);
                last = line.number;
                ControlFlow::Continue(())
            })
            .expect("memory can be read");
            assert!(last <= bytes.len() as u64 + 1);
        });
    }

    #[test]
    fn a_line_without_an_end_does_not_take_the_memory() {
        let endless = "x".repeat(2 * FOLDER_LINE_BYTES_MAX);
        let lines = found(format!("{{}}\n{endless}\n{{}}\n").as_bytes(), Kind::Lines, Encoding::Recognised);
        assert_eq!((lines.len(), lines[2].as_str()), (3, "3 {}"));
        assert!(lines[1].starts_with("2 ! the line is longer"), "{}", &lines[1][..40]);
        let json = found(format!("[{{}},\n\"{endless}\"]").as_bytes(), Kind::Json, Encoding::Recognised);
        assert_eq!(json.len(), 2);
        assert!(json[1].contains("longer than"), "{json:?}");
    }
}
