//! The nesting of a JSON text, byte by byte.

use crate::core::limits::FOLDER_EVENT_DEPTH_MAX;

/// The nesting at a place, and whether it is inside a string.
#[derive(Default)]
pub(super) struct Depth {
    /// Open brackets.
    open: Vec<u8>,
    /// True within a string.
    pub(super) in_text: bool,
    is_escaped: bool,
}

impl Depth {
    /// Takes a byte. Returns an error if the text is broken there.
    pub(super) fn take(&mut self, byte: u8) -> Option<&'static str> {
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

    /// Returns true if no bracket is open.
    pub(super) const fn is_level(&self) -> bool {
        self.open.is_empty()
    }
}
