//! A reader that gives up on something that has no end, so that no file takes the memory.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::core::limits::FOLDER_LINE_BYTES_MAX;

/// What a parser may still read before it comes to the end of a line; shared with the reader that it reads from.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    left: Rc<Cell<usize>>,
    /// Ends of lines that were read.
    lines: Rc<Cell<u64>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Rc::new(Cell::new(FOLDER_LINE_BYTES_MAX)), lines: Rc::default() }
    }
}

impl Budget {
    /// A line begins.
    pub(super) fn renew(&self) {
        self.left.set(FOLDER_LINE_BYTES_MAX);
    }

    /// Ends of lines that were read so far.
    pub(super) fn lines(&self) -> u64 {
        self.lines.get()
    }

    pub(super) fn over<R: Read>(&self, inner: R) -> Bounded<R> {
        Bounded { inner, budget: self.clone() }
    }
}

/// The reader.
pub(super) struct Bounded<R> {
    inner: R,
    budget: Budget,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.left.get();
        if left == 0 {
            let words =
                format!("a line is longer than {FOLDER_LINE_BYTES_MAX} bytes, or a quote or bracket is not closed");
            return Err(io::Error::other(words));
        }
        let most = buffer.len().min(left);
        let count = self.inner.read(&mut buffer[..most])?;
        self.budget.left.set(left - count);
        let ends = buffer[..count].iter().filter(|byte| **byte == b'\n').count();
        self.budget.lines.set(self.budget.lines.get() + ends as u64);
        Ok(count)
    }
}
