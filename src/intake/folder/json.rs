//! Events in JSON: one after another, or an array, separated before they are parsed, so that a broken one does not
//! affect the others.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use serde::de::IgnoredAny;

use super::again::ReadAgain;
use super::depth::{BEHIND, Depth, HEADLESS, MISPLACED};
use super::encoding::Decoder;
use super::line::Line;
use super::search::{Found, Layout, Search};
use crate::core::limits::FOLDER_LINE_BYTES_MAX;
use crate::intake::cloudevents::Invalid;

/// Passes on the events, each with its place.
///
/// # Errors
/// The system's, if the file cannot be read.
pub(super) fn read(
    input: impl Read,
    mut decoder: Decoder<'_>,
    mut each: impl FnMut(Line) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut cutter = Cutter::new(input);
    let mut index = Some(0);
    while let Some(Piece { number, column, bytes, broken }) = cutter.next()? {
        let (event, is_unread) = match broken {
            Some((problem, unread)) => (Err(Invalid::new(problem)), unread != Unread::Nothing),
            None => (decoder.text(&bytes), false),
        };
        let line = Line { number, column, index, is_unread, event };
        // How many were not read is not known.
        index = index.filter(|_| !is_unread).map(|index| index + 1);
        if each(line).is_break() {
            break;
        }
    }
    Ok(())
}

/// The text between two commas.
struct Piece {
    number: u64,
    column: u64,
    bytes: Vec<u8>,
    /// Reason why it is not JSON, if that is already clear, and what was not read behind it.
    broken: Option<(String, Unread)>,
}

impl Piece {
    const fn broken((number, column): (u64, u64), problem: String, unread: Unread) -> Self {
        Self { number, column, bytes: Vec::new(), broken: Some((problem, unread)) }
    }
}

/// End of a problem behind which nothing is read.
const REST: &str = ", and what follows it in the file was not read";

/// Extent of the text after a broken piece that was not read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// Nothing, for sure.
    Nothing,
    /// Possible events, up to where reading went on.
    Before,
    /// All that follows.
    Rest,
}

/// A scanner that cuts a JSON text at commas or blanks on its outermost level.
struct Cutter<R> {
    input: BufReader<R>,
    /// Bytes to be read again, from after a piece that was not closed; the last first.
    again: Vec<u8>,
    work: ReadAgain,
    line: u64,
    column: u64,
    is_array: bool,
    /// True behind an array.
    is_closed: bool,
    is_begun: bool,
    /// Blanks, commas and the bracket of the array at the beginning of the line, and whether nothing else was on it so far.
    leading: usize,
    is_leading: bool,
    layout: Layout,
}

impl<R: Read> Cutter<R> {
    fn new(input: R) -> Self {
        let input = BufReader::with_capacity(64 * 1024, input);
        Self {
            input,
            again: Vec::new(),
            work: ReadAgain::default(),
            line: 1,
            column: 1,
            is_array: false,
            is_closed: false,
            is_begun: false,
            leading: 0,
            is_leading: true,
            layout: Layout::default(),
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        match self.again.last() {
            Some(byte) => Ok(Some(*byte)),
            None => Ok(self.input.fill_buf()?.first().copied()),
        }
    }

    fn skip(&mut self, byte: u8) {
        if self.again.pop().is_some() {
            self.work.is_again(1);
        } else {
            self.input.consume(1);
            self.work.is_new(1);
        }
        if byte == b'\n' {
            (self.line, self.column, self.leading, self.is_leading) = (self.line + 1, 1, 0, true);
            return;
        }
        // Characters, of which each has one byte that does not continue another.
        self.column += u64::from(byte & 0xC0 != 0x80);
        self.is_leading &= matches!(byte, b' ' | b'\t' | b'\r' | b',');
        self.leading += usize::from(self.is_leading);
    }

    /// Returns the next piece; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Piece>> {
        while let Some(byte) = self.peek()? {
            match byte {
                _ if is_between(&byte) => self.skip(byte),
                b'[' if !self.is_begun => {
                    (self.is_array, self.is_begun) = (true, true);
                    let leading = self.leading;
                    self.skip(byte);
                    (self.leading, self.is_leading) = (leading + 1, true);
                }
                b']' if self.is_array => {
                    (self.is_array, self.is_closed) = (false, true);
                    self.skip(byte);
                }
                b'{' | b'[' => {
                    self.is_begun = true;
                    let piece = self.piece(byte)?;
                    return if byte == b'[' && piece.broken.is_none() {
                        self.list(piece).map(Some)
                    } else {
                        Ok(Some(piece))
                    };
                }
                _ if self.is_closed => {
                    let (number, column) = (self.line, self.column);
                    let problem = format!("what stands behind the array belongs to no event{REST}");
                    return Ok(Some(Piece::broken((number, column), problem, self.give_up()?)));
                }
                _ => {
                    self.is_begun = true;
                    return self.piece(byte).map(Some);
                }
            }
        }
        if std::mem::take(&mut self.is_array) {
            let problem = "the array is not closed: events may be missing".to_owned();
            return Ok(Some(Piece::broken((self.line, self.column), problem, Unread::Rest)));
        }
        Ok(None)
    }

    /// Returns what is wrong with a list where an event must be, if there may be events in it: one bracket makes a list of all events
    /// behind it.
    fn list(&mut self, piece: Piece) -> io::Result<Piece> {
        let place = (piece.number, piece.column);
        if self.is_closed {
            let words = "it is a second array, and is not recorded; drop it as a file of its own";
            return Ok(Piece::broken(place, words.to_owned(), Unread::Before));
        }
        if !piece.bytes.contains(&b'{') {
            return Ok(piece);
        }
        let problem = "it is a list, and must be an event";
        if serde_json::from_slice::<IgnoredAny>(&piece.bytes).is_ok() {
            return Ok(Piece::broken(place, format!("{problem}; events in it were not read"), Unread::Before));
        }
        Ok(Piece::broken(place, format!("{problem}{REST}"), self.give_up()?))
    }

    fn piece(&mut self, first: u8) -> io::Result<Piece> {
        let (number, column, margin) = (self.line, self.column, self.leading);
        let (mut bytes, mut depth) = (Vec::new(), Depth::default());
        let is_nested = matches!(first, b'{' | b'[');
        let broken = loop {
            let Some(byte) = self.peek()? else {
                break is_nested.then(|| "it is not closed".to_owned());
            };
            let is_begun = !bytes.is_empty();
            if !is_nested && is_begun && !depth.in_text && matches!(byte, b',' | b']' | b' ' | b'\t' | b'\r' | b'\n') {
                break None;
            }
            if !is_nested && !depth.in_text && matches!(byte, b'{' | b'[') {
                break Some(self.here(MISPLACED));
            }
            if let Some(broken) = depth.take(byte) {
                break Some(if byte == b'\n' { broken.to_owned() } else { self.here(broken) });
            }
            self.skip(byte);
            bytes.push(byte);
            if is_nested && depth.is_level() {
                break self.behind(&mut bytes, (number, margin), depth.has_list)?;
            }
            if bytes.len() > FOLDER_LINE_BYTES_MAX {
                break Some(format!("it is longer than {FOLDER_LINE_BYTES_MAX} bytes, or not closed"));
            }
        };
        if !is_nested && broken.is_none() && self.is_member(&bytes)? {
            let search = Search::headless(self.layout.at(number), margin);
            return self.broken((number, column), HEADLESS.to_owned(), &bytes, search);
        }
        let Some(broken) = broken else { return Ok(Piece { number, column, bytes, broken: None }) };
        // Which of its quotes is one too many, or is missing, is not known.
        let quote = depth.in_text.then(|| bytes.iter().rposition(|byte| *byte == b'"')).flatten();
        let search = Search::new(self.layout.at(number), margin, quote.unwrap_or(bytes.len()));
        self.broken((number, column), broken, &bytes, search)
    }

    /// Returns true if a piece that is no object and no list is the name of a member, or follows one.
    fn is_member(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let is_name = bytes.first().is_some_and(|first| matches!(first, b'"' | b':')) && bytes.last() == Some(&b':');
        while self.peek()?.is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            self.skip(b' ');
        }
        Ok(is_name || self.peek()? == Some(b':'))
    }

    /// Returns what is wrong with a piece, once it is known where reading goes on.
    fn broken(
        &mut self,
        (number, column): (u64, u64),
        broken: String,
        bytes: &[u8],
        search: Search,
    ) -> io::Result<Piece> {
        let unread = self.resume(bytes, search)?;
        let problem = match unread {
            Unread::Nothing => broken,
            Unread::Before => format!("{broken}, and what follows it was not read up to line {}", self.line),
            Unread::Rest => format!("{broken}{REST}"),
        };
        Ok(Piece::broken((number, column), problem, unread))
    }

    fn here(&self, broken: &str) -> String {
        format!("{broken} at line {} column {}", self.line, self.column)
    }

    /// Goes past blanks and commas behind a sound event. Returns what is wrong with it if something else stands there, or an object that
    /// its indentation shows to be a part of it: one of its brackets has closed it too early.
    fn behind(
        &mut self,
        bytes: &mut Vec<u8>,
        (number, margin): (u64, usize),
        has_list: bool,
    ) -> io::Result<Option<String>> {
        let last = self.line;
        let mut between = Vec::new();
        while let Some(byte) = self.peek()?.filter(is_between) {
            self.skip(byte);
            // Only the indentation of the last line tells something.
            if byte == b'\n' {
                between.clear();
            }
            if between.len() < FOLDER_LINE_BYTES_MAX {
                between.push(byte);
            }
        }
        let next = self.peek()?;
        let is_part =
            next == Some(b'{') && self.line > last && last > number && self.leading > margin.max(closing(bytes));
        if matches!(next, None | Some(b'{' | b'[' | b']')) && !is_part {
            self.layout.add(number, last, has_list);
            return Ok(None);
        }
        bytes.append(&mut between);
        Ok(Some(self.here(BEHIND)))
    }

    /// Reads on to where a broken event has ended for sure.
    fn search(&mut self, search: &mut Search) -> io::Result<Found> {
        while let Some(byte) = self.peek()? {
            let found = search.take(byte);
            if matches!(found, None | Some(Found::Behind)) {
                self.skip(byte);
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Ok(Found::Nowhere)
    }

    /// Goes past blanks and commas.
    fn skip_between(&mut self) -> io::Result<()> {
        while let Some(byte) = self.peek()?.filter(is_between) {
            self.skip(byte);
        }
        Ok(())
    }

    /// Continues where the broken event has ended for sure, or at the end of the file.
    fn resume(&mut self, bytes: &[u8], mut search: Search) -> io::Result<Unread> {
        let known = bytes.iter().enumerate().find_map(|(at, byte)| Some((at, search.take(*byte)?)));
        let unread = |search: &Search| if search.has_more { Unread::Before } else { Unread::Nothing };
        let found = match known {
            Some((at, found @ (Found::Before | Found::Behind))) if self.work.may_repeat(bytes.len() - at) => {
                let at = at + usize::from(found == Found::Behind);
                self.again.extend(bytes[at..].iter().rev());
                let before = &bytes[..at];
                let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                self.line -= bytes[at..].iter().filter(|byte| **byte == b'\n').count() as u64;
                self.column = 1 + String::from_utf8_lossy(&before[start..]).chars().count() as u64;
                (self.leading, self.is_leading) = (search.indent(), found == Found::Before);
                if found == Found::Behind {
                    self.layout.ended(self.line);
                }
                found
            }
            Some(_) => Found::Nowhere,
            None => self.search(&mut search)?,
        };
        let is_sure = match found {
            Found::Before if self.peek()? == Some(b']') => self.is_at_end()?,
            Found::Before => true,
            Found::Behind => self.is_behind(search.margin())?,
            Found::Nowhere => false,
        };
        if is_sure { Ok(unread(&search)) } else { self.give_up() }
    }

    /// Returns true if an event or the end follows the bracket at the margin of a broken event. If the bracket closes that event too
    /// early, what is left of it follows, and is indented deeper than the event.
    fn is_behind(&mut self, margin: usize) -> io::Result<bool> {
        let (line, column, is_comma) = (self.line, self.column, self.peek()? == Some(b','));
        self.skip_between()?;
        match self.peek()? {
            None => Ok(true),
            Some(b'{') if self.line > line => Ok(self.leading <= margin),
            // Such as `}, {`, while more blanks are those of a line before which the bracket was put.
            Some(b'{') => Ok(self.column - column <= 1 + u64::from(is_comma)),
            Some(b']') => self.is_at_end(),
            Some(_) => Ok(false),
        }
    }

    /// Goes past a bracket that may end the array, and returns true if it does: nothing follows it.
    fn is_at_end(&mut self) -> io::Result<bool> {
        let was_array = std::mem::take(&mut self.is_array);
        self.skip(b']');
        self.skip_between()?;
        Ok(was_array && self.peek()?.is_none())
    }

    /// Reads nothing more.
    fn give_up(&mut self) -> io::Result<Unread> {
        while let Some(byte) = self.peek()? {
            self.skip(byte);
        }
        self.is_array = false;
        Ok(Unread::Rest)
    }
}

/// Returns the bytes before the bracket that closes an event, if it is alone on its line; otherwise 0.
fn closing(event: &[u8]) -> usize {
    let last = event.iter().rposition(|byte| *byte == b'\n').map_or(event, |end| &event[end + 1..]);
    if last.trim_ascii_start() == b"}" { last.len() - 1 } else { 0 }
}

/// Returns true for a byte that may stand between events: a blank, a comma, or one of an invisible mark, with which each part of a
/// joined file begins; no event begins like that.
const fn is_between(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xEF | 0xBB | 0xBF | 0xE2 | 0x80 | 0x8B)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::FOLDER_EVENT_DEPTH_MAX;
    use crate::intake::folder::encoding::{Encoding, Whole};

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(all(text), expected, "{text}");
    }

    fn all(text: &str) -> Vec<String> {
        let owned = text.as_bytes().to_vec();
        let reopen = move || Ok(Box::new(io::Cursor::new(owned.clone())) as Box<dyn Read>);
        let mut found = Vec::new();
        let each = |Line { number, column, event, .. }: Line| {
            found.push(format!("{number}:{column} {}", event.unwrap_or_else(|invalid| format!("! {invalid}"))));
            ControlFlow::Continue(())
        };
        read(text.as_bytes(), Decoder::new(Encoding::Recognised, Whole { open: &reopen, ends: &[] }), each)
            .expect("memory can be read");
        found
    }

    #[test]
    fn events_are_cut_apart_with_their_places() {
        check("\n{\n\"a\":1}\n{\"a\":\n2}", &["2:1 {\n\"a\":1}", "4:1 {\"a\":\n2}"]);
        check("\n [\n{\"a\":1},\n{\n}]\n", &["3:1 {\"a\":1}", "4:1 {\n}"]);
        check("[{\"a\":\"]},{\\\"\"}, {\"b\":[1]} ]", &["1:2 {\"a\":\"]},{\\\"\"}", "1:18 {\"b\":[1]}"]);
        check("[7,\"x y\",[1],{}]", &["1:2 7", "1:4 \"x y\"", "1:10 [1]", "1:14 {}"]);
        check("", &[]);
        check("[]", &[]);
        let second = "2:1 ! it is a second array, and is not recorded; drop it as a file of its own";
        check("[{}]\n[{},\n{}]", &["1:2 {}", second]);
    }

    #[test]
    fn what_is_broken_throughout_is_named_and_takes_no_square_of_its_length() {
        for piece in ["{", "{\n", "\"", "\"\n", "[", "{\"\n", "{\n{}\n", "{\"a\":[\n{\"b\":1}\n"] {
            let bytes = 8 * FOLDER_LINE_BYTES_MAX;
            let text = piece.repeat(bytes / piece.len());
            let mut cutter = Cutter::new(text.as_bytes());
            let mut broken = 0;
            while let Some(Piece { broken: is_broken, .. }) = cutter.next().expect("memory can be read") {
                broken += u64::from(is_broken.is_some());
            }
            let steps = cutter.work.steps();
            assert!(broken > 0 && steps >= text.len() as u64, "{piece:?}");
            assert!(steps <= 10 * bytes as u64, "{piece:?}: {steps}");
        }
    }

    #[test]
    fn one_that_is_broken_takes_no_other_with_it() {
        check("[{\"a\":1}, {\"a\": }, {\"a\":3}]", &["1:2 {\"a\":1}", "1:11 {\"a\": }", "1:20 {\"a\":3}"]);
        check(
            "[\n  {\"a\":1},\n  {\"a\":\"2},\n  {\"a\":3}\n]",
            &["2:3 {\"a\":1}", "3:3 ! a text is not closed at the end of its line", "4:3 {\"a\":3}"],
        );
        check(
            "[\n  {\"a\":1},\n  {\"a\":{\"b\":1},\n  {\"a\":2},\n  {\"a\":3}\n]",
            &["2:3 {\"a\":1}", "3:3 ! it is not closed at line 4 column 3", "4:3 {\"a\":2}", "5:3 {\"a\":3}"],
        );
        let rest = ", and what follows it in the file was not read";
        check(
            "[{\"a\":1},{\"a\":{},{\"a\":3}]",
            &["1:2 {\"a\":1}", &format!("1:10 ! it is not closed at line 1 column 18{rest}")],
        );
        let deep = "[".repeat(FOLDER_EVENT_DEPTH_MAX + 1);
        let too_deep = "it is deeper than 128 brackets, or not closed at line 1 column 133";
        check(&format!("{{\"a\":{deep}\n{{}}"), &[&format!("1:1 ! {too_deep}{rest}")]);
        check("[{\"a\":1},", &["1:2 {\"a\":1}", "1:10 ! the array is not closed: events may be missing"]);
    }

    #[test]
    fn behind_what_is_broken_in_an_array_of_one_line_the_rest_is_named() {
        let rest = ", and what follows it in the file was not read";
        // A second stray quote restores the parity: what lies between is no one event.
        check(
            r#"[{"a":"0"},{"a":"5" wide"},{"a":"1"},{"a":"2"},{"a":"6" wide"},{"a":"3"}]"#,
            &[r#"1:2 {"a":"0"}"#, &format!("1:12 ! {MISPLACED} at line 1 column 21{rest}")],
        );
        // The same of brackets.
        check(
            r#"[{"a":{"b":1},{"a":{"b":2}},{"a":{"b":3}}},{"a":{"b":4}}]"#,
            &[&format!("1:2 ! it is not closed at line 1 column 15{rest}")],
        );
        check(r#"[{"a":{"b":1}},"c":2},{"a":{"b":2}}]"#, &[&format!("1:2 ! {BEHIND} at line 1 column 16{rest}")]);
        check(r#"[{"a":"Å" 5"},{"a":1}]"#, &[&format!("1:2 ! {MISPLACED} at line 1 column 11{rest}")]);
        // Words without quotes leave no doubt where it ends.
        check(r#"[{"a": , "b":12,50, "c":},{"a":1}]"#, &[r#"1:2 {"a": , "b":12,50, "c":}"#, r#"1:27 {"a":1}"#]);
    }

    #[test]
    fn an_object_within_a_broken_event_is_no_event() {
        let rest = ", and what follows it in the file was not read";
        let sound = r#"{"t":"x","l":[1]}"#;
        for inner in ["\"5\" wide\"", "\"5"] {
            let text = format!("[\n{sound},\n{{\"t\":{inner},\"l\":[\n{{\"t\":1}},\n{{\"t\":2}}]}},\n{sound}\n]");
            let found = all(&text);
            assert_eq!(found.len(), 2, "{found:?}");
            assert!(found[1].starts_with("3:1 ! ") && found[1].ends_with(rest), "{found:?}");
        }
        // All lines begin at the margin.
        let found = all("[\n{\n\"t\":\"5\" wide\",\n\"l\":[\n{\n\"t\":1\n}\n]\n},\n{\n\"t\":2\n}\n]");
        assert!(found.len() == 1 && found[0].ends_with(rest), "{found:?}");
        // A lost bracket of a list, before anything shows how the file is written.
        let found = all("[\n{\"l\":{\"t\":1},\n{\"t\":2}]},\n{\"t\":3}\n]");
        assert!(found.len() == 1 && found[0].ends_with(rest), "{found:?}");
        let found = all("[{\"l\":[{\n  \"t\":\"5\" wide\"\n},{\n  \"t\":2\n}]},{\n  \"t\":3\n}]");
        assert!(found.len() == 1 && found[0].ends_with(rest), "{found:?}");
    }

    /// Returns how many events of a text were read, and what was named.
    fn named(text: &str) -> (usize, Vec<String>) {
        let (broken, read): (Vec<String>, Vec<String>) = all(text).into_iter().partition(|found| found.contains(" ! "));
        (read.len(), broken)
    }

    #[test]
    fn behind_a_stray_bracket_at_the_margin_no_deeper_object_is_an_event() {
        let inner = "        {\"t\":1},\n        {\"t\":2}\n";
        for stray in ["]\n", "],\n", "}\n", "},\n", "}", "]"] {
            let open = "{\n    \"t\":0,\n    \"l\": [\n        {\"t\":3},\n";
            for text in [
                format!("[\n  {open}{stray}{inner}    ]\n  }},\n  {{\n    \"t\":4\n  }}\n]\n"),
                format!("{open}{stray}{inner}    ]\n}}\n{{\n    \"t\":4\n}}\n"),
                format!("{open}{stray}    ],\n    \"m\": [\n{inner}    ]\n}}\n{{\n    \"t\":4\n}}\n"),
                format!("[\n  {open}{stray}    ],\n    \"m\": [\n{inner}    ]\n  }},\n  {{\n    \"t\":4\n  }}\n]\n"),
            ] {
                let (read, broken) = named(&text);
                assert!(read == 0 && broken.len() == 1 && broken[0].ends_with(REST), "{text}: {read} {broken:?}");
            }
        }
        // Both brackets, which leave a whole event.
        let (read, broken) = named("[\n {\"t\":0,\n  \"l\":[\n   {\"t\":1}]},\n   {\"t\":2}\n  ]},\n {\"t\":3}\n]\n");
        assert!(read == 1 && broken.len() == 1 && broken[0].ends_with("was not read up to line 7"), "{broken:?}");
        let found = all("[{\n    \"t\":0\n  },\n  {\n    \"t\":1\n  }\n]\n");
        assert_eq!(found.len(), 2, "{found:?}");
        let (read, broken) = named("[\n{\"t\":1}\n]\n\"m\": [\n{\"t\":2}\n]\n}\n]\n");
        assert!(read == 1 && broken.len() == 1 && broken[0].ends_with(REST), "{broken:?}");
    }

    #[test]
    fn events_that_are_indented_deeper_than_a_broken_one_are_named() {
        for broken in ["{\"t\":{\"u\":2},", "{\"t\":\"2},", "{\"t\":2"] {
            let (read, named) = named(&format!("[\n {{\"t\":1}},\n {broken}\n  {{\"t\":3}},\n {{\"t\":4}}\n]"));
            assert!(read == 2 && named.len() == 1 && named[0].ends_with("was not read up to line 5"), "{named:?}");
        }
        // The same of events of several lines; what can only be a part of the broken one is none of them.
        let event = "  {\n    \"t\": 1\n  }";
        let (read, named) = named(&format!("[\n{event},\n  {{\n    \"t\": {{\n  {event},\n{event}\n]"));
        assert!(read < 3 && named.len() == 1 && named[0].contains("not read"), "{read} {named:?}");
        let list = "    \"l\": [\n      {\n        \"t\":1\n      },\n      {\n        \"t\":2\n      }\n    ]\n";
        let found = all(&format!("[\n  {{\n    \"t\":\"5\" wide\",\n{list}  }},\n{event}\n]"));
        assert!(found.len() == 2 && !found[0].contains("not read"), "{found:?}");
    }

    #[test]
    fn a_bracket_that_makes_a_list_of_what_follows_is_named_where_it_stands() {
        let words = "it is a list, and must be an event";
        check("[{\"t\":1},[,{\"t\":2},{\"t\":3}]", &["1:2 {\"t\":1}", &format!("1:10 ! {words}{REST}")]);
        let read = "1:2 {\"t\":1}";
        check("[{\"t\":1}\n[,{\"t\":2}]", &[read, &format!("2:1 ! {words}{REST}")]);
        let events = format!("1:10 ! {words}; events in it were not read");
        check("[{\"t\":1},[{\"t\":2}],{\"t\":3}]", &[read, &events, "1:20 {\"t\":3}"]);
    }

    #[test]
    fn the_next_event_is_found_where_the_end_of_the_broken_one_is_sure() {
        let list = r#"{"t":"x","l":[{"t":1},{"t":2}]}"#;
        // A writer of one event in each line, lists among it: a cut line is followed by an event.
        for cut in [r#"{"t":"x","l":[{"t":1},"#, r#"{"t":"x","l":[{"t":"#, r#"{"t":"x","l":"#, r#"{"t":"x"#] {
            let found = all(&format!("[{list},\n{cut}\n{list},\n {list}]"));
            assert_eq!(found.len(), 4, "{found:?}");
            assert!(found[1].starts_with("2:1 ! ") && !found[1].contains("not read"), "{found:?}");
        }
        // The first line is that of the bracket.
        let found = all("[{\"t\":\"5\" wide\",\"l\":[{\"t\":1}]},\n{\"t\":1},\n{\"t\":\"2},\n{\"t\":3}]");
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[3], "4:1 {\"t\":3}");
        // Lines that begin with the comma.
        let found = all("[{\"t\":1}\n,{\"t\":\"2}\n,{\"t\":3}\n]");
        assert_eq!((found.len(), found[2].as_str()), (3, "3:2 {\"t\":3}"), "{found:?}");
        // Events of several lines, by their indentation; several brackets in one line.
        let found = all("[{\n  \"t\":\"5\" wide\",\n  \"l\":[\n    {\n      \"t\":1\n    }\n  ]\n}, {\n  \"t\": 2\n}]");
        assert_eq!((found.len(), found[1].as_str()), (2, "8:4 {\n  \"t\": 2\n}"), "{found:?}");
        let found = all("[\n  {\n    \"t\": {\n      \"u\":1\n  },\n  {\n    \"t\":2\n  }\n]");
        assert_eq!((found.len(), found[1].as_str()), (2, "6:3 {\n    \"t\":2\n  }"), "{found:?}");
        // A bracket at the margin that closes it too early, with more of it on the line.
        let found = all("[\n{\n  \"t\":\"5\" wide\",\n  \"l\":[\n}   },\n    {\"t\":1}\n  ]\n},\n{\n  \"t\":2\n}\n]");
        assert!(found.len() == 1 && found[0].ends_with(", and what follows it in the file was not read"), "{found:?}");
        // Others on the line are named.
        let found = all("[{\"t\":1},{\"t\":\"5\" wide\"},{\"t\":2},\n{\"t\":3}]");
        assert!(found.len() == 3 && found[1].ends_with(", and what follows it was not read up to line 2"), "{found:?}");
    }
}
