//! A file that is read once more, of which nothing is passed on but what was there the first time: a copy that is written over it in
//! its place would mix its rows with those that were there before.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _};

use sha2::{Digest, Sha256};

use super::breaks::Breaks;
use super::content::{self, Content, STEP};
use super::found::Look;

/// Error of a file that is no longer what was read first.
#[derive(Debug)]
struct WrittenAnew;

impl fmt::Display for WrittenAnew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "it was written anew while it was read; what was read of it before is recorded, and what it holds now is read from \
             its start",
        )
    }
}

impl Error for WrittenAnew {}

/// Returns the error of a file that is no longer what was read first.
pub(super) fn written_anew() -> io::Error {
    io::Error::other(WrittenAnew)
}

/// Returns true for that error.
pub(super) fn is_written_anew(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<WrittenAnew>())
}

/// A reader of known content, which fails before the first step of it that is different now.
pub(super) struct Verified<'c, R> {
    inner: R,
    content: &'c Content,
    hasher: Sha256,
    step: Vec<u8>,
    given: usize,
    /// Bytes read.
    at: u64,
}

impl<'c, R: Read> Verified<'c, R> {
    /// Returns a reader of a file from its beginning.
    pub(super) fn new(inner: R, content: &'c Content) -> Self {
        Self { inner, content, hasher: Sha256::new(), step: Vec::new(), given: 0, at: 0 }
    }

    fn refill(&mut self) -> io::Result<()> {
        let most = (self.content.bytes - self.at).min(STEP);
        self.step.clear();
        self.given = 0;
        let count = self.inner.by_ref().take(most).read_to_end(&mut self.step)? as u64;
        self.hasher.update(&self.step);
        self.at += count;
        if count == most && self.content.begins_with(self.at, self.hasher.clone().finalize().into()) {
            return Ok(());
        }
        self.step.clear();
        Err(written_anew())
    }
}

impl<R: Read> Read for Verified<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.step.len() {
            self.refill()?;
        }
        let rest = &self.step[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

/// Part of an open file that was read.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) file: &'k File,
    pub(super) content: &'k Content,
    pub(super) breaks: Breaks<'k>,
}

impl Known<'_> {
    /// Returns the appearance of the file if it still begins with what was read of it.
    ///
    /// # Errors
    /// The system's, if it cannot be read.
    pub(super) fn look(self) -> io::Result<Option<Look>> {
        let (mut file, bytes) = (self.file, self.content.bytes);
        // Before it is read: what is written meanwhile changes it.
        let look = Look::of(&file.metadata()?);
        file.rewind()?;
        let digests = content::digests(self.breaks.of(file), &[bytes])?;
        Ok((look.bytes >= bytes && digests == [self.content.digest()]).then_some(look))
    }

    /// Returns true if the file still begins with what was read of it, as it did when it had that appearance.
    ///
    /// # Errors
    /// As for [`Self::look`].
    pub(super) fn is_still(self, look: Look) -> io::Result<bool> {
        Ok(Look::of(&self.file.metadata()?) == look || self.look()?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn check(before: &[u8], now: &[u8], expected: Result<usize, usize>) {
        let content = Content::of(Cursor::new(before), &[]).expect("memory can be read");
        let mut read = Vec::new();
        let found = Verified::new(now, &content).read_to_end(&mut read);
        assert!(read == before[..read.len()], "only what was there before");
        assert_eq!(found.map_err(|error| (read.len(), is_written_anew(&error))), expected.map_err(|at| (at, true)));
    }

    #[test]
    fn nothing_is_read_but_what_was_there_before() {
        let step = usize::try_from(STEP).expect("it fits");
        let before: Vec<u8> = (0..3 * step + 7).map(|at| b"abcdefg\n"[at % 8]).collect();
        let with = |at: usize| {
            let mut now = before.clone();
            now[at] = b'X';
            now
        };
        check(&before, &before, Ok(before.len()));
        check(&before, &[before.as_slice(), b"more\n"].concat(), Ok(before.len()));
        check(b"", b"more\n", Ok(0));
        check(&before, &with(0), Err(0));
        check(&before, &with(step), Err(step));
        check(&before, &with(before.len() - 1), Err(3 * step));
        check(&before, &before[..before.len() - 1], Err(3 * step));
        check(&before, &before[..2 * step], Err(2 * step));
        check(&before, b"", Err(0));
        check(&before[..2 * step], &before, Ok(2 * step));
    }
}
