//! Events in JSON: one after another, or an array, separated before they are parsed, so that a broken one does not
//! affect the others.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use super::again::ReadAgain;
use super::encoding::Decoder;
use super::line::Line;
use crate::core::limits::{FOLDER_EVENT_DEPTH_MAX, FOLDER_LINE_BYTES_MAX};
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
    let mut index = 0;
    while let Some(Piece { number, column, bytes, problem }) = cutter.next()? {
        let event = match problem {
            Some(problem) => Err(Invalid::new(problem)),
            None => decoder.text(&bytes),
        };
        let line = Line { number, column, index: Some(index), event };
        index += 1;
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
    /// Reason why it is not JSON, if that is already clear.
    problem: Option<String>,
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
    /// Column of the first piece that begins a line.
    margin: Option<u64>,
}

/// The nesting within a piece, and whether inside a string.
#[derive(Default)]
struct Depth {
    /// Open brackets.
    open: Vec<u8>,
    in_text: bool,
    is_escaped: bool,
}

impl Depth {
    /// Takes a byte. Returns an error if the text is broken there.
    fn take(&mut self, byte: u8) -> Option<&'static str> {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.in_text => self.is_escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'\n' if self.in_text => return Some("a text is not closed at the end of its line"),
            b'{' | b'[' if !self.in_text => {
                self.open.push(byte);
                return (self.open.len() > FOLDER_EVENT_DEPTH_MAX)
                    .then_some("it is deeper than 128 brackets, or not closed");
            }
            b'}' | b']' if !self.in_text => {
                let opened = self.open.pop()?;
                // The codes of matching brackets differ by two. Source: ASCII.
                return (opened + 2 != byte).then_some("it is not closed");
            }
            _ => {}
        }
        None
    }
}

/// The point where reading continues after a broken piece.
enum Resumed {
    /// At the next event.
    Behind,
    /// At a later event: finding the next would have read too much again.
    Later,
    /// No event follows.
    Nowhere,
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
            margin: None,
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
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
    }

    /// Returns the next piece; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Piece>> {
        while let Some(byte) = self.peek()? {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => self.skip(byte),
                // The bytes of invisible marks, with which each part of a joined file begins; no event begins like
                // that.
                0xEF | 0xBB | 0xBF | 0xE2 | 0x80 | 0x8B => self.skip(byte),
                b'[' if !self.is_begun => {
                    (self.is_array, self.is_begun) = (true, true);
                    self.skip(byte);
                }
                b']' if self.is_array => {
                    (self.is_array, self.is_closed) = (false, true);
                    self.skip(byte);
                }
                _ => {
                    self.is_begun = true;
                    let piece = self.piece(byte)?;
                    let is_second = byte == b'[' && self.is_closed && piece.problem.is_none();
                    let words = "it is a second array, and is not recorded; drop it as a file of its own";
                    return Ok(Some(if is_second {
                        Piece { problem: Some(words.to_owned()), ..piece }
                    } else {
                        piece
                    }));
                }
            }
        }
        if std::mem::take(&mut self.is_array) {
            let problem = Some("the array is not closed: events may be missing".to_owned());
            return Ok(Some(Piece { number: self.line, column: self.column, bytes: Vec::new(), problem }));
        }
        Ok(None)
    }

    fn piece(&mut self, first: u8) -> io::Result<Piece> {
        let (number, column) = (self.line, self.column);
        let margin = *self.margin.get_or_insert(column);
        let (mut bytes, mut depth) = (Vec::new(), Depth::default());
        let is_nested = matches!(first, b'{' | b'[');
        let problem = loop {
            let Some(byte) = self.peek()? else {
                break is_nested.then(|| "it is not closed".to_owned());
            };
            let is_begun = !bytes.is_empty();
            if !is_nested && is_begun && !depth.in_text && matches!(byte, b',' | b']' | b' ' | b'\t' | b'\r' | b'\n') {
                break None;
            }
            if let Some(broken) = depth.take(byte) {
                break Some(broken.to_owned());
            }
            self.skip(byte);
            bytes.push(byte);
            if is_nested && depth.open.is_empty() {
                break None;
            }
            if bytes.len() > FOLDER_LINE_BYTES_MAX {
                break Some(format!("it is longer than {FOLDER_LINE_BYTES_MAX} bytes, or not closed"));
            }
        };
        let Some(problem) = problem else { return Ok(Piece { number, column, bytes, problem: None }) };
        let problem = match self.resume(&bytes, number, margin)? {
            Resumed::Behind => problem,
            Resumed::Later => format!("{problem}, and what follows it was not read up to line {}", self.line),
            Resumed::Nowhere => format!("{problem}, and what follows it in the file was not read"),
        };
        Ok(Piece { number, column, bytes: Vec::new(), problem: Some(problem) })
    }

    /// Continues at the next line that begins like the first event, otherwise at the end.
    fn resume(&mut self, bytes: &[u8], number: u64, margin: u64) -> io::Result<Resumed> {
        let mut resumed = Resumed::Behind;
        let indent = usize::try_from(margin - 1).unwrap_or(usize::MAX);
        let begins =
            |line: &[u8]| line.get(indent) == Some(&b'{') && line[..indent].iter().all(u8::is_ascii_whitespace);
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        for (line, start) in (number + 1..).zip(ends) {
            if begins(&bytes[start..]) {
                if !self.work.may_repeat(bytes.len() - start) {
                    resumed = Resumed::Later;
                    break;
                }
                self.again.extend(bytes[start..].iter().rev());
                (self.line, self.column) = (line, 1);
                return Ok(resumed);
            }
        }
        while let Some(byte) = self.peek()? {
            self.skip(byte);
            if byte == b'\n' && self.is_at_margin(indent)? {
                return Ok(resumed);
            }
        }
        self.is_array = false;
        Ok(Resumed::Nowhere)
    }

    /// Skips the blanks before an event. Returns true if it is indented like the others.
    fn is_at_margin(&mut self, indent: usize) -> io::Result<bool> {
        for _ in 0..indent {
            match self.peek()? {
                Some(blank @ (b' ' | b'\t')) => self.skip(blank),
                _ => return Ok(false),
            }
        }
        Ok(self.peek()? == Some(b'{'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::folder::encoding::{Encoding, Whole};

    fn check(text: &str, expected: &[&str]) {
        let owned = text.as_bytes().to_vec();
        let reopen = move || Ok(Box::new(io::Cursor::new(owned.clone())) as Box<dyn Read>);
        let mut found = Vec::new();
        let each = |Line { number, column, event, .. }: Line| {
            found.push(format!("{number}:{column} {}", event.unwrap_or_else(|invalid| format!("! {invalid}"))));
            ControlFlow::Continue(())
        };
        read(text.as_bytes(), Decoder::new(Encoding::Recognised, Whole { open: &reopen, ends: &[] }), each)
            .expect("memory can be read");
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn events_are_cut_apart_with_their_places() {
        check("\n{\n\"a\":1}\n{\"a\":\n2}", &["2:1 {\n\"a\":1}", "4:1 {\"a\":\n2}"]);
        check("\n [\n{\"a\":1},\n{\n}]\n", &["3:1 {\"a\":1}", "4:1 {\n}"]);
        check("[{\"a\":\"]},{\\\"\"}, {\"b\":[1]} ]", &["1:2 {\"a\":\"]},{\\\"\"}", "1:18 {\"b\":[1]}"]);
        check("[{},7,\"x y\",[1]]", &["1:2 {}", "1:5 7", "1:7 \"x y\"", "1:13 [1]"]);
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
            while let Some(Piece { problem, .. }) = cutter.next().expect("memory can be read") {
                broken += u64::from(problem.is_some());
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
            "[\n  {\"a\":{\"b\":1},\n  {\"a\":2},\n  {\"a\":3}\n]",
            &["2:3 ! it is not closed", "3:3 {\"a\":2}", "4:3 {\"a\":3}"],
        );
        check(
            "[{\"a\":1},{\"a\":{},{\"a\":3}]",
            &["1:2 {\"a\":1}", "1:10 ! it is not closed, and what follows it in the file was not read"],
        );
        let deep = "[".repeat(FOLDER_EVENT_DEPTH_MAX + 1);
        check(&format!("{{\"a\":{deep}\n{{}}"), &["1:1 ! it is deeper than 128 brackets, or not closed", "2:1 {}"]);
        check("[{\"a\":1},", &["1:2 {\"a\":1}", "1:10 ! the array is not closed: events may be missing"]);
    }
}
