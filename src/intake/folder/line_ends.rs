//! The end of an event in NDJSON that is not closed on its line: by the brackets of the lines, or by their indentation.

use std::io::{self, Read};

use super::depth::Depth;
use super::text_lines::{TextLine, TextLines};
use crate::core::limits::FOLDER_LINE_BYTES_MAX;

/// Lines that begin with an object, behind a line that was cut by all signs, among which its end is looked for nevertheless.
const OBJECTS_AHEAD: usize = 8;

/// The way in which the events of a file are written, as far as its lines have shown it.
#[derive(Clone, Copy, Default)]
pub(super) struct Layout {
    /// Some event was alone on a line.
    has_lines: bool,
    /// Some event on one line had a list of objects.
    has_lists: bool,
    /// Some event had several lines.
    pub(super) is_mixed: bool,
}

impl Layout {
    pub(super) const fn add(&mut self, shape: Shape) {
        let is_event = shape.first == b'{' && shape.net == 0 && shape.is_intact;
        self.has_lines |= is_event;
        self.has_lists |= is_event && shape.has_list;
    }

    /// Returns true if the writer puts each event on a line of its own.
    pub(super) const fn is_of_lines(self) -> bool {
        self.has_lists || (self.has_lines && !self.is_mixed)
    }
}

/// The end of an event, counted in lines behind the one on which it begins.
pub(super) enum End {
    /// On its own line.
    Here,
    /// Behind that many more lines.
    Behind(usize),
    /// Unknown: that many lines behind it may be parts of it; `None`: all of them.
    Unknown(Option<usize>),
}

/// The brackets of one line.
#[derive(Clone, Copy, Default)]
pub(super) struct Shape {
    /// Brackets that open, less those that close. Behind the place where the line is broken quotes mean nothing.
    pub(super) net: i64,
    /// The same of lists alone.
    lists: i64,
    /// True if no list is open, whatever texts contain.
    is_outside_lists: bool,
    pub(super) first: u8,
    last: u8,
    has_list: bool,
    /// True if the line is sound as far as it goes.
    is_intact: bool,
}

impl Shape {
    pub(super) fn of(line: &TextLine) -> Self {
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
    pub(super) const fn may_go_on(self) -> bool {
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
pub(super) fn end(
    lines: &mut TextLines<'_, impl Read>,
    (begin, margin): (Shape, usize),
    layout: Layout,
) -> io::Result<End> {
    if let Some(end) = end_by_indentation(lines, (begin, margin))? {
        return Ok(end);
    }
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

/// Looks ahead for the end of an event whose further lines are indented deeper than its first one: none of them begins another, however
/// the event is broken. `None` if the next line is not deeper.
fn end_by_indentation(
    lines: &mut TextLines<'_, impl Read>,
    (begin, margin): (Shape, usize),
) -> io::Result<Option<End>> {
    let (mut count, mut bytes, mut total, mut is_deeper) = (0, 0, begin.net, false);
    let mut found = None;
    while bytes <= FOLDER_LINE_BYTES_MAX && found.is_none() {
        let Some(line) = lines.ahead(count)? else { break };
        let (shape, is_at_margin) = (Shape::of(line), line.indent().is_some_and(|indent| indent <= margin));
        (count, bytes, total) = (count + 1, bytes + line.bytes(), total + shape.net);
        is_deeper |= line.indent().is_some() && !is_at_margin;
        found = match shape.first {
            _ if !is_at_margin => None,
            _ if !is_deeper => return Ok(None),
            b'}' => Some(End::Behind(count)),
            b']' if total <= 0 => Some(End::Behind(count)),
            b'{' => Some(End::Unknown(Some(count - 1))),
            _ => None,
        };
    }
    if !is_deeper {
        return Ok(None);
    }
    let is_within = lines.may_look_again(bytes);
    Ok(Some(found.filter(|_| is_within).unwrap_or(End::Unknown(None))))
}
