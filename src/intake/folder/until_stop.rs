//! Reading that ends when the agent stops, however much there is to read.

use std::io::{self, Read, Seek, SeekFrom};

use tokio::sync::watch;

/// A file that is read until the agent stops; then reading fails.
pub(super) struct UntilStop<R> {
    inner: R,
    stop: watch::Receiver<bool>,
}

impl<R> UntilStop<R> {
    pub(super) fn new(inner: R, stop: &watch::Receiver<bool>) -> Self {
        Self { inner, stop: stop.clone() }
    }
}

impl<R: Read> Read for UntilStop<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if *self.stop.borrow() {
            return Err(io::Error::other("the agent is stopping"));
        }
        self.inner.read(bytes)
    }
}

impl<R: Seek> Seek for UntilStop<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
