//! The lines of a text, one after another, with bounded look-ahead: no file fills the memory.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

use super::again::ReadAgain;
use super::encoding::Decoder;
use crate::core::limits::FOLDER_LINE_BYTES_MAX;
use crate::intake::cloudevents::Invalid;

/// Invisible characters: the byte order mark, which begins each part of a joined file, and the zero-width space.
pub(super) const MARKS: [char; 2] = ['\u{feff}', '\u{200b}'];

/// One line, without its line end.
pub(super) struct TextLine {
    /// Number of the line, from 1.
    pub(super) number: u64,
    pub(super) text: Result<String, Invalid>,
}

impl TextLine {
    /// Returns its length with its line end, as far as known.
    pub(super) fn bytes(&self) -> usize {
        self.text.as_ref().map_or(0, String::len) + 1
    }

    /// Returns the blanks before its first character, in bytes; none for a blank line, or one that cannot be read.
    pub(super) fn indent(&self) -> Option<usize> {
        let text = self.text.as_ref().ok()?;
        let rest = text.trim_start();
        (!rest.is_empty()).then(|| text.len() - rest.len())
    }

    /// Returns true if the line is empty or blank.
    pub(super) fn is_blank(&self) -> bool {
        self.text.as_ref().is_ok_and(|text| text.trim().is_empty())
    }
}

/// The lines of a text.
pub(super) struct TextLines<'f, R> {
    input: BufReader<R>,
    decoder: Decoder<'f>,
    /// Byte that ends a line: a line feed or, in a text without any, a carriage return.
    end: u8,
    number: u64,
    /// Lines that were examined ahead of being taken.
    ahead: VecDeque<TextLine>,
    bytes: Vec<u8>,
    work: ReadAgain,
}

impl<'f, R: Read> TextLines<'f, R> {
    /// Returns the lines of a text that begins with a sample.
    pub(super) fn new(input: R, sample: &[u8], decoder: Decoder<'f>) -> Self {
        let (input, ahead) = (BufReader::with_capacity(64 * 1024, input), VecDeque::new());
        Self {
            input,
            decoder,
            end: end_of_lines(sample),
            number: 0,
            ahead,
            bytes: Vec::new(),
            work: ReadAgain::default(),
        }
    }

    /// Returns the next line; `None` at the end.
    ///
    /// # Errors
    /// The system's, if the file cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<TextLine>> {
        match self.ahead.pop_front() {
            Some(line) => {
                self.work.is_again(line.bytes());
                Ok(Some(line))
            }
            None => self.read(),
        }
    }

    /// Skips to the line with a number, which must not be behind.
    ///
    /// # Errors
    /// As for [`Self::next`].
    pub(super) fn skip_to(&mut self, number: u64) -> io::Result<()> {
        while let Some(line) = self.next()? {
            if line.number >= number {
                self.put_back(std::iter::once(line));
                break;
            }
        }
        Ok(())
    }

    /// Counts bytes that were looked at ahead. Returns false if that makes too many.
    pub(super) const fn may_look_again(&mut self, bytes: usize) -> bool {
        let may = self.work.may_repeat(bytes);
        self.work.is_again(bytes);
        may
    }

    /// Returns the bytes read, each counted as often as it was read.
    #[cfg(test)]
    pub(super) const fn steps(&self) -> u64 {
        self.work.steps()
    }

    /// Puts lines back in order, as if they had not been taken.
    pub(super) fn put_back(&mut self, lines: impl DoubleEndedIterator<Item = TextLine>) {
        lines.rev().for_each(|line| self.ahead.push_front(line));
    }

    /// Returns the first lines, up to a number of bytes, without taking them.
    ///
    /// # Errors
    /// As for [`Self::next`].
    pub(super) fn look(&mut self, bytes_max: usize) -> io::Result<&VecDeque<TextLine>> {
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(line) = self.read()? else { break };
            bytes += line.bytes();
            self.ahead.push_back(line);
        }
        Ok(&self.ahead)
    }

    /// Returns a line ahead, by its number from 0, without taking it or those before it.
    ///
    /// # Errors
    /// As for [`Self::next`].
    pub(super) fn ahead(&mut self, number: usize) -> io::Result<Option<&TextLine>> {
        while self.ahead.len() <= number {
            let Some(line) = self.read()? else { break };
            self.ahead.push_back(line);
        }
        Ok(self.ahead.get(number))
    }

    fn read(&mut self) -> io::Result<Option<TextLine>> {
        let end = self.end;
        self.bytes.clear();
        let most = FOLDER_LINE_BYTES_MAX as u64 + 1;
        let count = self.input.by_ref().take(most).read_until(end, &mut self.bytes)?;
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.work.is_new(count);
        let text = if count > FOLDER_LINE_BYTES_MAX && self.bytes.last() != Some(&end) {
            let skipped = self.input.skip_until(end)?;
            self.decoder.skip((count + skipped) as u64);
            Err(Invalid::new(format!("the line is longer than {FOLDER_LINE_BYTES_MAX} bytes")))
        } else {
            self.bytes.pop_if(|last| *last == end);
            self.bytes.pop_if(|last| *last == b'\r');
            let text = self.decoder.text(&self.bytes);
            self.decoder.skip((count - self.bytes.len()) as u64);
            text.map(|text| text.trim_start_matches(MARKS).to_owned())
        };
        Ok(Some(TextLine { number: self.number, text }))
    }
}

fn end_of_lines(sample: &[u8]) -> u8 {
    if sample.contains(&b'\r') && !sample.contains(&b'\n') { b'\r' } else { b'\n' }
}
