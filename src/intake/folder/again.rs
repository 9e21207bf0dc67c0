//! How much of a file may be read again to find what is good behind what is broken: a multiple of what was read for the first time.

use crate::core::limits::{FOLDER_LINE_BYTES_MAX, FOLDER_READ_AGAIN_MAX};

/// Bytes of a file that were read, and read again.
#[derive(Debug, Default)]
pub(super) struct ReadAgain {
    fresh: u64,
    again: u64,
}

impl ReadAgain {
    /// Counts bytes that are read for the first time.
    pub(super) const fn is_new(&mut self, bytes: usize) {
        self.fresh += bytes as u64;
    }

    /// Counts bytes that are read again.
    pub(super) const fn is_again(&mut self, bytes: usize) {
        self.again += bytes as u64;
    }

    /// Returns whether so many bytes may be read again.
    pub(super) const fn may_repeat(&self, bytes: usize) -> bool {
        // At the start of a file the longest event may be read again before much is read.
        let at_start = 2 * FOLDER_LINE_BYTES_MAX as u64;
        self.again + bytes as u64 <= at_start + self.fresh * FOLDER_READ_AGAIN_MAX
    }

    /// Bytes that were read, each as often as it was.
    #[cfg(test)]
    pub(super) const fn steps(&self) -> u64 {
        self.fresh + self.again
    }
}
