//! Breaks in reading a file, however much there is to read: it ends when the agent stops, and while it is a large one the others have
//! their turn.

use std::io::{self, Read, Seek, SeekFrom};

use tokio::sync::watch;

/// Ends the reading of a file, or has others read in between.
#[derive(Clone, Copy)]
pub(super) struct Breaks<'b> {
    pub(super) stop: &'b watch::Receiver<bool>,
    /// Called before each part that is read.
    pub(super) turn: Option<&'b dyn Fn()>,
}

impl<'b> Breaks<'b> {
    /// Returns a file with these breaks.
    pub(super) const fn of<R>(self, inner: R) -> WithBreaks<'b, R> {
        WithBreaks { inner, breaks: self }
    }

    /// Returns true if the agent is stopping.
    pub(super) fn is_stopping(self) -> bool {
        *self.stop.borrow()
    }
}

/// A file that is read with breaks; reading fails once the agent stops.
pub(super) struct WithBreaks<'b, R> {
    inner: R,
    breaks: Breaks<'b>,
}

impl<R: Read> Read for WithBreaks<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(turn) = self.breaks.turn {
            turn();
        }
        if self.breaks.is_stopping() {
            return Err(io::Error::other("the agent is stopping"));
        }
        self.inner.read(bytes)
    }
}

impl<R: Seek> Seek for WithBreaks<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
