//! A limit on reading a file again to find good events after broken ones: a multiple of the bytes read for the first
//! time.

use crate::core::limits::{FOLDER_LINE_BYTES_MAX, FOLDER_READ_AGAIN_MAX};

/// Bytes of a file that were read, and read again.
#[derive(Debug, Default)]
pub(super) struct ReadAgain {
    fresh: u64,
    again: u64,
}

impl ReadAgain {
    /// Counts bytes read for the first time.
    pub(super) const fn is_new(&mut self, bytes: usize) {
        self.fresh += bytes as u64;
    }

    /// Counts bytes read again.
    pub(super) const fn is_again(&mut self, bytes: usize) {
        self.again += bytes as u64;
    }

    /// Returns true if that many bytes may be read again.
    pub(super) const fn may_repeat(&self, bytes: usize) -> bool {
        // At the beginning of a file the longest event may be read again before much has been read.
        let at_start = 2 * FOLDER_LINE_BYTES_MAX as u64;
        self.again + bytes as u64 <= at_start + self.fresh * FOLDER_READ_AGAIN_MAX
    }

    /// Returns the bytes read, each counted as often as it was read.
    #[cfg(test)]
    pub(super) const fn steps(&self) -> u64 {
        self.fresh + self.again
    }
}
