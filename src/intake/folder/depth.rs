//! The nesting within an event of JSON, byte by byte, and the first place that shows that it is broken.
//!
//! Words and signs may stand anywhere, such as `"a": ,` or `12,50`: the event is wrong then, and its end is still sure. A quote or a
//! bracket where none may stand makes all that follows doubtful.

use crate::core::limits::FOLDER_EVENT_DEPTH_MAX;

/// Problem of a text that goes on behind its line.
const OPEN_TEXT: &str = "a text is not closed at the end of its line";

/// Problem of an object that begins where only a name may.
const NOT_CLOSED: &str = "it is not closed";

/// Problem of any other quote, word or bracket that cannot follow the one before it.
pub(super) const MISPLACED: &str = "a quote, a comma or a bracket is missing or too many";

/// Problem of an event behind which neither the next begins nor the array ends.
pub(super) const BEHIND: &str = "what stands behind it belongs to no event";

/// Problem of a member that belongs to no object.
pub(super) const HEADLESS: &str = "the beginning of the event is missing";

/// The last part before a place.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    /// A bracket that opens, or nothing.
    #[default]
    Open,
    Comma,
    Colon,
    /// A number, or any other word without quotes.
    Word,
    /// A text, or a bracket that closes.
    Value,
}

/// The nesting at a place, and whether it is inside a text.
#[derive(Default)]
pub(super) struct Depth {
    /// Open brackets.
    open: Vec<u8>,
    /// True within a text.
    pub(super) in_text: bool,
    is_escaped: bool,
    last: Last,
    /// True once there was an object in a list.
    pub(super) has_list: bool,
}

impl Depth {
    /// Takes a byte. Returns an error if the text is broken there.
    pub(super) fn take(&mut self, byte: u8) -> Option<&'static str> {
        if self.in_text {
            return self.within_text(byte);
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b',' => self.last = Last::Comma,
            b':' => self.last = Last::Colon,
            b'"' if !matches!(self.last, Last::Open | Last::Comma | Last::Colon) => return Some(MISPLACED),
            b'"' => self.in_text = true,
            b'{' | b'[' => return self.open(byte),
            b'}' | b']' => {
                let opened = self.open.pop()?;
                self.last = Last::Value;
                // The codes of matching brackets differ by two. Source: ASCII.
                return (opened + 2 != byte).then_some(NOT_CLOSED);
            }
            _ if self.last == Last::Value => return Some(MISPLACED),
            _ => self.last = Last::Word,
        }
        None
    }

    fn within_text(&mut self, byte: u8) -> Option<&'static str> {
        match byte {
            b'\n' => return Some(OPEN_TEXT),
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' => (self.in_text, self.last) = (false, Last::Value),
            _ => {}
        }
        None
    }

    fn open(&mut self, byte: u8) -> Option<&'static str> {
        let may_open = match self.open.last() {
            None => true,
            Some(b'{') => self.last == Last::Colon,
            Some(_) => matches!(self.last, Last::Open | Last::Comma),
        };
        if !may_open {
            return Some(if self.last == Last::Comma { NOT_CLOSED } else { MISPLACED });
        }
        self.has_list |= byte == b'{' && self.open.last() == Some(&b'[');
        self.open.push(byte);
        self.last = Last::Open;
        (self.open.len() > FOLDER_EVENT_DEPTH_MAX).then_some("it is deeper than 128 brackets, or not closed")
    }

    /// Returns true if no bracket is open.
    pub(super) const fn is_level(&self) -> bool {
        self.open.is_empty()
    }
}
