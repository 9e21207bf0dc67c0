//! Events in NDJSON, one per line. An event that somebody has written over several lines is read as a whole: an object within it is no
//! event, even if it is alone on a line and looks like one.

use std::io::{self, Read};
use std::ops::ControlFlow;

use serde::de::IgnoredAny;

use super::line::Line;
use super::line_ends::{End, Layout, Shape, end};
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
    let (mut layout, mut broken, mut has_array) = (Layout::default(), None::<Broken>, false);
    while let Some(line) = lines.next()? {
        if line.is_blank() {
            continue;
        }
        let (shape, indent, number) = (Shape::of(&line), line.indent().unwrap_or_default(), line.number);
        has_array |= shape.first == b'[';
        if shape.may_go_on() && indent > 0 && !has_array && broken.is_none() {
            // Part of an event whose beginning is missing, most likely.
            broken = Some(Broken { number, indent: indent - 1, total: 0 });
        }
        if let Some(broken) = broken.as_mut().filter(|broken| broken.has(shape, indent, layout)) {
            broken.total += shape.net;
            let whose = match broken.number {
                first if first == number => "an event whose beginning is missing".to_owned(),
                first => format!("the broken event of line {first}"),
            };
            let event = Err(Invalid::new(format!("it may be a part of {whose}, and was not read")));
            if each(Line { column: column(&line), ..Line::new(number, event) }).is_break() {
                break;
            }
            continue;
        }
        broken = Broken::behind(broken, number, shape, indent);
        layout.add(shape);
        let end = if shape.may_go_on() { end(lines, (shape, indent), layout)? } else { End::Here };
        layout.is_mixed |= matches!(end, End::Behind(_));
        let has_lines = !matches!(end, End::Here);
        if let (End::Here, Some(events)) = (&end, together(&line)) {
            if events.into_iter().any(|event| each(event).is_break()) {
                break;
            }
            continue;
        }
        let found = match end {
            End::Here => one(line),
            End::Behind(count) => several(lines, line, count)?,
            End::Unknown(unread) => unknown(lines, &line, unread)?,
        };
        if has_lines && found.event.is_err() {
            broken = Some(Broken { number, indent, total: 0 });
        }
        if each(found).is_break() {
            break;
        }
    }
    Ok(())
}

/// A broken event over several lines of which there may be more behind its end, or lines that belong to an event whose beginning is missing.
#[derive(Clone, Copy)]
struct Broken {
    /// Its first line.
    number: u64,
    indent: usize,
    /// Brackets that open in it, less those that close.
    total: i64,
}

impl Broken {
    /// Returns true for an object that may be within it.
    const fn has(&self, shape: Shape, indent: usize, layout: Layout) -> bool {
        let is_in_list = indent == self.indent && self.total > 0 && !layout.is_of_lines();
        shape.first == b'{' && (indent > self.indent || is_in_list)
    }

    /// Returns what is broken behind a line that is not in an object which was looked at as a whole.
    fn behind(before: Option<Self>, number: u64, shape: Shape, indent: usize) -> Option<Self> {
        let ends = matches!(shape.first, b'}' | b']');
        match (shape.first, before) {
            (b'{', _) | (b'[', None) => None,
            // A line that cannot be read.
            (0, before) => before,
            (_, Some(broken)) if indent >= broken.indent => {
                let total = broken.total + shape.net;
                (total >= 0 || indent > broken.indent).then_some(Self { total, ..broken })
            }
            _ => (!ends).then_some(Self { number, indent, total: shape.net.max(0) }).filter(|_| shape.net >= 0),
        }
    }
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

/// Several events on one line, if each of them is sound and nothing else stands there; `None` for one.
fn together(line: &TextLine) -> Option<Vec<Line>> {
    let text = line.text.as_deref().ok()?;
    if serde_json::from_str::<IgnoredAny>(trimmed(text)).is_ok() {
        return None;
    }
    let (mut events, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let mut objects = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        objects.next().filter(|object| object.is_ok() && rest.starts_with('{'))?.ok()?;
        let (event, behind) = rest.split_at(objects.byte_offset());
        let column = text[..text.len() - rest.len() - (text.len() - text.trim_end().len())].chars().count() as u64 + 1;
        events.push(Line { column, ..Line::new(line.number, Ok(event.to_owned())) });
        rest = behind.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    (events.len() > 1).then_some(events)
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
    fn two_sound_events_on_one_line_are_two() {
        check("{\"t\":1} {\"t\":2}\n{\"t\":3}\n", &["1 {\"t\":1}", "1 {\"t\":2}", "2 {\"t\":3}"]);
        check("{\"t\":1}, {\"t\":2},\n", &["1 {\"t\":1}", "1 {\"t\":2}"]);
        for broken in ["{\"t\":1} x {\"t\":2}", "{\"t\":1},{\"t\":2}]}", "{\"t\":1} 7"] {
            check(&format!("{broken}\n"), &[&format!("1 {broken}")]);
        }
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
    fn a_part_of_a_broken_event_over_several_lines_is_no_event() {
        let event = |card: u64| {
            let items = "\"items\": [\n      {\n        \"sku\": \"s0\",\n        \"id\": \"s0\"\n      },\n      {\n        \"sku\": \"s1\",\n        \"id\": \"s1\"\n      }\n    ]";
            format!(
                "{{\n  \"specversion\": \"1.0\",\n  \"id\": \"e{card}\",\n  \"data\": {{\n    \"card\": \"{card}\",\n    {items}\n  }}\n}}\n"
            )
        };
        let sound = event(1);
        let lines: Vec<&str> = sound.lines().collect();
        let mut broken: Vec<String> = vec![sound.replace("\"1.0\"", "]1.0\""), sound.replace("\"1.0\"", "}1.0\"")];
        for at in 0..lines.len() {
            // A line is lost, or its last character, or all behind it, or all before it.
            let without: Vec<&str> =
                lines.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, line)| *line).collect();
            let cut = lines[at].trim_end_matches(|next: char| !next.is_ascii()).len().saturating_sub(1);
            let shorter = [&lines[..at], &[&lines[at][..cut]], &lines[at + 1..]].concat();
            broken.extend(
                [without, shorter, lines[..at].to_vec(), lines[at + 1..].to_vec()].map(|lines| lines.join("\n") + "\n"),
            );
        }
        for broken in broken {
            for (before, behind) in [(String::new(), event(2) + &event(3)), (event(2), event(3))] {
                let found = all(&format!("{before}{broken}{behind}"));
                let is_part = |found: &String| {
                    found.split_once(' ').is_some_and(|(_, event)| event.starts_with("{\n        \"sku\""))
                };
                assert!(!found.iter().any(is_part), "{broken}\n{found:#?}");
            }
        }
        let is_event =
            |found: &String| found.split_once(' ').is_some_and(|(_, event)| event.starts_with("{\n  \"spec"));
        let read = |text: &str| all(text).iter().filter(|found| is_event(found)).count();
        let last = sound.trim_end().strip_suffix('}').expect("a bracket");
        assert_eq!(read(&format!("{last}{}{}", event(2), event(3))), 2);
        assert_eq!(read(&format!("{}{}{}", lines[..2].join("\n") + "\n", event(2), event(3))), 2);
        assert_eq!(read(&format!("{}{}{}", lines[1..].join("\n") + "\n", event(2), event(3))), 2);
        assert_eq!(read(&format!("{}{}", sound.replace("\"1.0\"", "]1.0\""), event(2))), 1);
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
