//! Events in NDJSON, one per line. An event that somebody has written over several lines is read as a whole: an object within it is no
//! event, even if it is alone on a line and looks like one.

use std::io::{self, Read};
use std::ops::ControlFlow;

use serde::de::IgnoredAny;

use super::depth::Depth;
use super::line::Line;
use super::text_lines::{TextLine, TextLines};
use crate::core::limits::FOLDER_LINE_BYTES_MAX;
use crate::intake::cloudevents::Invalid;

/// Passes on the events, each with its place; a comma after it is ignored.
///
/// # Errors
/// The system's, if the file cannot be read.
pub(super) fn read(
    lines: &mut TextLines<'_, impl Read>,
    mut each: impl FnMut(Line) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut layout = Layout::default();
    while let Some(line) = lines.next()? {
        if line.is_blank() {
            continue;
        }
        let shape = Shape::of(&line);
        layout.add(shape);
        let end = if shape.may_go_on() { end(lines, shape, layout)? } else { End::Here };
        layout.is_mixed |= matches!(end, End::Behind(_));
        let found = match end {
            End::Here => one(line),
            End::Behind(count) => several(lines, line, count)?,
            End::Unknown(unread) => unknown(lines, &line, unread)?,
        };
        if each(found).is_break() {
            break;
        }
    }
    Ok(())
}

/// Lines that begin with an object, behind a line that was cut by all signs, among which its end is looked for nevertheless.
const OBJECTS_AHEAD: usize = 8;

/// The way in which the events of a file are written, as far as its lines have shown it.
#[derive(Clone, Copy, Default)]
struct Layout {
    /// Some event was alone on a line.
    has_lines: bool,
    /// Some event on one line had a list of objects.
    has_lists: bool,
    /// Some event had several lines.
    is_mixed: bool,
}

impl Layout {
    const fn add(&mut self, shape: Shape) {
        let is_event = shape.first == b'{' && shape.net == 0 && shape.is_intact;
        self.has_lines |= is_event;
        self.has_lists |= is_event && shape.has_list;
    }

    /// Returns true if the writer puts each event on a line of its own.
    const fn is_of_lines(self) -> bool {
        self.has_lists || (self.has_lines && !self.is_mixed)
    }
}

/// The end of an event, counted in lines behind the one on which it begins.
enum End {
    /// On its own line.
    Here,
    /// Behind that many more lines.
    Behind(usize),
    /// Unknown: that many lines behind it may be parts of it; `None`: all of them.
    Unknown(Option<usize>),
}

/// The brackets of one line.
#[derive(Clone, Copy, Default)]
struct Shape {
    /// Brackets that open, less those that close. Behind the place where the line is broken quotes mean nothing.
    net: i64,
    /// The same of lists alone.
    lists: i64,
    /// True if no list is open, whatever texts contain.
    is_outside_lists: bool,
    first: u8,
    last: u8,
    has_list: bool,
    /// True if the line is sound as far as it goes.
    is_intact: bool,
}

impl Shape {
    fn of(line: &TextLine) -> Self {
        let Ok(text) = &line.text else { return Self::default() };
        let bytes = text.trim().as_bytes();
        let mut depth = Depth::default();
        let mut shape = Self::default();
        // The shape before the last quote that opens a text, and its place.
        let mut opened = (shape, 0);
        let mut broken = bytes.len();
        for (at, byte) in bytes.iter().enumerate() {
            let was_in_text = depth.in_text;
            if depth.take(*byte).is_some() {
                broken = at;
                break;
            }
            if !was_in_text && depth.in_text {
                opened = (shape, at);
            }
            if !was_in_text {
                shape.count(*byte);
            }
        }
        if depth.in_text {
            (shape, broken) = opened;
        }
        let is_intact = broken == bytes.len();
        let is_outside_lists = shape.lists == 0 && !bytes[broken..].contains(&b'[');
        bytes[broken..].iter().for_each(|byte| shape.count(*byte));
        let [first, last] = [bytes.first(), bytes.last()].map(|byte| byte.copied().unwrap_or_default());
        Self { first, last, has_list: depth.has_list, is_intact, is_outside_lists, ..shape }
    }

    const fn count(&mut self, byte: u8) {
        let (net, lists) = match byte {
            b'{' => (1, 0),
            b'}' => (-1, 0),
            b'[' => (1, 1),
            b']' => (-1, -1),
            _ => (0, 0),
        };
        (self.net, self.lists) = (self.net + net, self.lists + lists);
    }

    /// Returns true for the beginning of an event that is not closed on its line.
    const fn may_go_on(self) -> bool {
        self.first == b'{' && self.net > 0
    }

    /// Returns true if a line that begins with an object may be a part of this one, or of what goes on behind it.
    const fn may_be_followed(self) -> bool {
        match self.last {
            b'[' | b':' => true,
            b',' => self.lists > 0 || self.net == 0,
            _ => false,
        }
    }
}

/// Looks ahead for the end of an event that is not closed on its line. Most often the line was cut, and the next one is an event; but
/// if lines behind it close what it has opened, they are parts of it.
fn end(lines: &mut TextLines<'_, impl Read>, begin: Shape, layout: Layout) -> io::Result<End> {
    let (mut total, mut before, mut next_event, mut objects) = (begin.net, begin, None, 0);
    let (mut bytes, mut count, mut found) = (0, 0, None);
    // An event that is longer is none.
    while bytes <= FOLDER_LINE_BYTES_MAX && objects < OBJECTS_AHEAD {
        let Some(line) = lines.ahead(count)? else { break };
        let (shape, is_blank) = (Shape::of(line), line.is_blank());
        bytes += line.bytes();
        total += shape.net;
        if shape.first == b'{' && !before.may_be_followed() {
            next_event.get_or_insert(count);
        }
        if total <= 0 {
            found = Some((count + 1, shape));
            break;
        }
        objects += usize::from(shape.first == b'{' && next_event.is_some());
        before = if is_blank { before } else { shape };
        count += 1;
    }
    if !lines.may_look_again(bytes) {
        return Ok(End::Unknown(None));
    }
    Ok(match (found, next_event) {
        // What closes it is another event with a bracket too many: none begins within an object, nor without a comma within a list.
        (Some((_, last)), Some(next)) if last.first == b'{' && is_next(begin, next, layout) => End::Here,
        (Some((count, _)), _) => End::Behind(count),
        (None, Some(0)) => End::Here,
        // A writer of one event in each line was cut.
        (None, _) if layout.is_of_lines() => End::Here,
        (None, next) => End::Unknown(next),
    })
}

/// Returns true if an object on a line of its own, so many lines behind the beginning of an event, is the next event.
const fn is_next(begin: Shape, next: usize, layout: Layout) -> bool {
    (next == 0 && begin.is_outside_lists) || layout.is_of_lines()
}

/// An event over several lines.
fn several(lines: &mut TextLines<'_, impl Read>, line: TextLine, count: usize) -> io::Result<Line> {
    let column = column(&line);
    let number = line.number;
    let mut text = line.text;
    let (mut last, mut is_unread) = (number, false);
    for _ in 0..count {
        let Some(next) = lines.next()? else { break };
        is_unread |= next.text.as_ref().is_ok_and(|text| text.contains('{'));
        last = next.number;
        text = text.and_then(|text| Ok(text + "\n" + &next.text?));
    }
    let text = text.ok().filter(|text| text.len() <= FOLDER_LINE_BYTES_MAX);
    let event = text.map(|text| trimmed(&text).to_owned());
    let event = event.filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    let is_unread = is_unread && event.is_none();
    let problem = || {
        Invalid::new(format!(
            "it goes on to line {last}, and is no JSON: those lines were not read; an event must be on one line"
        ))
    };
    Ok(Line { column, is_unread, ..Line::new(number, event.ok_or_else(problem)) })
}

/// An event of which nobody knows where it ends.
fn unknown(lines: &mut TextLines<'_, impl Read>, line: &TextLine, count: Option<usize>) -> io::Result<Line> {
    let mut skipped = 0;
    while count.is_none_or(|count| skipped < count) && lines.next()?.is_some() {
        skipped += 1;
    }
    let words = match count {
        Some(_) => format!("was not read up to line {}", line.number + skipped as u64 + 1),
        None => "in the file was not read".to_owned(),
    };
    let event = Err(Invalid::new(format!("it is not closed on its line, and what follows it {words}")));
    Ok(Line { column: column(line), is_unread: true, ..Line::new(line.number, event) })
}

/// An event on a line of its own.
fn one(line: TextLine) -> Line {
    let column = column(&line);
    Line { column, ..Line::new(line.number, line.text.map(|text| trimmed(&text).to_owned())) }
}

fn column(line: &TextLine) -> u64 {
    line.text.as_ref().map_or(0, |text| text.len() - text.trim_start().len()) as u64 + 1
}

/// Returns an event without blanks around it, and without the comma behind it.
fn trimmed(text: &str) -> &str {
    let text = text.trim();
    text.strip_suffix(',').filter(|event| event.starts_with('{')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::folder::encoding::{Decoder, Encoding, Whole};

    fn all(text: &str) -> Vec<String> {
        let owned = text.as_bytes().to_vec();
        let reopen = move || Ok(Box::new(io::Cursor::new(owned.clone())) as Box<dyn Read>);
        let decoder = Decoder::new(Encoding::Recognised, Whole { open: &reopen, ends: &[] });
        let mut found = Vec::new();
        let each = |Line { number, event, is_unread, .. }: Line| {
            let end = if is_unread { " …" } else { "" };
            found.push(format!("{number} {}{end}", event.unwrap_or_else(|invalid| format!("! {invalid}"))));
            ControlFlow::Continue(())
        };
        read(&mut TextLines::new(text.as_bytes(), text.as_bytes(), decoder), each).expect("memory can be read");
        found
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(all(text), expected, "{text}");
    }

    #[test]
    fn an_event_over_several_lines_is_one() {
        let inner = "{\"t\":1}";
        let event = format!("{{\"t\":0,\"l\":[\n{inner},\n\n{inner}\n]}}");
        check(&format!("{event}\n{inner}\n"), &[&format!("1 {event}"), &format!("6 {inner}")]);
        check(&format!("{inner}\n{{\n  \"t\": 2\n}},\n{inner}"), &["1 {\"t\":1}", "2 {\n  \"t\": 2\n}", "5 {\"t\":1}"]);
    }

    #[test]
    fn an_object_within_a_broken_event_is_no_event() {
        let inner = "{\"t\":1}";
        let broken = "it goes on to line 4, and is no JSON: those lines were not read; an event must be on one line";
        for begin in ["{\"t\":\"5\" wide\",\"l\":[", "{\"t\":0,\"l\":[,"] {
            check(
                &format!("{begin}\n{inner},\n{inner}\n]}}\n{inner}\n"),
                &[&format!("1 ! {broken} …"), &format!("5 {inner}")],
            );
        }
        // A comma is missing; a bracket is; the end is.
        check(&format!("{{\"l\":[\n{inner}\n{inner}\n]}}\n"), &[&format!("1 ! {broken} …")]);
        let not_closed = "1 ! it is not closed on its line, and what follows it";
        check(
            &format!("{{\"l\":[\n{inner},\n{inner}\n{inner}\n"),
            &[&format!("{not_closed} was not read up to line 4 …"), &format!("4 {inner}")],
        );
        check(&format!("{{\"l\":[\n{inner},\n{inner}"), &[&format!("{not_closed} in the file was not read …")]);
    }

    #[test]
    fn a_line_that_was_cut_takes_no_other_with_it() {
        let sound = "{\"l\":[{\"t\":1},{\"t\":2}]}";
        for cut in (1..sound.len()).map(|at| &sound[..at]) {
            for end in ["\n", ",\n"] {
                let found = all(&format!("{sound}{end}{cut}\n{sound}{end}{sound}{end}"));
                let read = [0, 2, 3].map(|at| &found[at]);
                let numbers = [1, 3, 4].map(|number| format!("{number} {sound}"));
                assert!(found.len() == 4 && read.into_iter().eq(&numbers), "{cut}: {found:?}");
            }
        }
        // An array, with a comma behind each of its lines.
        let found = all("[\n{\"t\":1},\n{\"t\":2}\n]\n");
        assert_eq!((found.len(), found[1].as_str(), found[2].as_str()), (4, "2 {\"t\":1}", "3 {\"t\":2}"), "{found:?}");
    }

    #[test]
    fn behind_a_line_that_was_cut_each_sound_line_is_read_whatever_is_broken_later() {
        let sound = "{\"t\":{\"u\":1}}";
        let lines = |count: usize, end: &str| format!("{sound}{end}\n").repeat(count);
        for cut in ["{\"t\":{\"u\":1}", "{\"t\":{\"u\":1", "{\"t\":\"x", "{\"t\":1,", "{\"t\":"] {
            for later in ["{\"t\":1}}", "{\"t\":{\"u\":1}}}", "{\"t\":[1]]}}", ""] {
                for end in ["", ","] {
                    let text = format!("{}{cut}\n{}{later}\n{}", lines(1, end), lines(7, end), lines(2, end));
                    let read = all(&text).iter().filter(|line| line.ends_with(&format!(" {sound}"))).count();
                    // Where commas end lines, all of them may be parts of one event that a later line closes.
                    let may_be_one = end == "," && cut.ends_with(':') && !later.is_empty();
                    assert!(read == 10 || may_be_one, "{read}: {text}");
                }
            }
        }
        // Nothing before shows how the file is written.
        for cut in ["{\"t\":{\"u\":1}", "{\"t\":\"x", "{\"t\":1,"] {
            let found = all(&format!("{cut}\n{}{{\"t\":1}}}}\n", lines(7, "")));
            assert_eq!(found.len(), 9, "{cut}: {found:?}");
        }
        // What begins with a bracket that closes shows that all before belong to it.
        let found = all("{\"t\":1}\n{\"l\":[\n{\"t\":2}\n{\"t\":3}\n]}\n{\"t\":4}\n");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[1].starts_with("2 ! it goes on to line 5"), "{found:?}");
    }

    #[test]
    fn what_is_broken_throughout_takes_no_square_of_its_length() {
        for piece in ["{\n", "{\"l\":[\n", "{\"l\":[\n{\"t\":1},\n", "{\"t\n{}\n"] {
            let text = piece.repeat(4 * FOLDER_LINE_BYTES_MAX / piece.len());
            let reopen = || Ok(Box::new(io::empty()) as Box<dyn Read>);
            let decoder = Decoder::new(Encoding::Recognised, Whole { open: &reopen, ends: &[] });
            let mut lines = TextLines::new(text.as_bytes(), b"\n", decoder);
            let mut count = 0;
            read(&mut lines, |_| {
                count += 1;
                ControlFlow::Continue(())
            })
            .expect("memory can be read");
            assert!(count > 0 && lines.steps() <= 12 * text.len() as u64, "{piece:?}: {count} {}", lines.steps());
        }
    }
}
