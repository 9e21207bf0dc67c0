//! The content of a file when it was read, from which its events get their ids.

use std::io::{self, Read, Seek};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Part that is read at once. Units: bytes.
const CHUNK: usize = 64 * 1024;

/// Distance of the places up to which the beginning of a file can be recognised. Units: bytes. Limits: a file of the greatest length has
/// 8,192 of them.
pub(super) const STEP: u64 = 1 << 20;

/// The part of a file read up to one time: bytes from its beginning, and events in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub(super) struct Segment {
    pub(super) bytes: u64,
    pub(super) events: u64,
}

impl From<(u64, u64)> for Segment {
    fn from((bytes, events): (u64, u64)) -> Self {
        Self { bytes, events }
    }
}

impl From<Segment> for (u64, u64) {
    fn from(Segment { bytes, events }: Segment) -> Self {
        (bytes, events)
    }
}

/// The content of a file as far as it has been read.
pub(super) struct Content {
    /// Bytes read.
    pub(super) bytes: u64,
    /// For events up to a number, digest of the content from which they were first read.
    digests: Vec<(u64, [u8; 32])>,
    /// Digests of the beginnings that are one or more [`STEP`]s long, shortest first.
    steps: Vec<[u8; 32]>,
}

impl Content {
    /// Reads a file to its end, of which some was read before, and rewinds it.
    ///
    /// # Errors
    /// The system's, if the file cannot be read.
    pub(super) fn of(mut file: impl Read + Seek, segments: &[Segment]) -> io::Result<Self> {
        let (mut hasher, mut bytes, mut digests, mut steps) = (Sha256::new(), 0, Vec::new(), Vec::new());
        let mut segments = segments.iter().peekable();
        let mut buffer = vec![0; CHUNK];
        loop {
            let left = segments.peek().map_or(u64::MAX, |segment| segment.bytes - bytes).min(STEP - bytes % STEP);
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let count = file.read(&mut buffer[..most])?;
            hasher.update(&buffer[..count]);
            bytes += count as u64;
            if count > 0 && bytes.is_multiple_of(STEP) {
                steps.push(hasher.clone().finalize().into());
            }
            if let Some(segment) = segments.next_if(|segment| segment.bytes == bytes) {
                digests.push((segment.events, hasher.clone().finalize().into()));
            } else if count == 0 {
                break;
            }
        }
        digests.push((u64::MAX, hasher.finalize().into()));
        file.rewind()?;
        Ok(Self { bytes, digests, steps })
    }

    /// Returns true if this is the digest of its beginning, which ends with a whole number of [`STEP`]s or where all of it ends.
    pub(super) fn begins_with(&self, bytes: u64, digest: [u8; 32]) -> bool {
        let known = if bytes == self.bytes {
            self.digests.last().map(|(_, digest)| digest)
        } else {
            usize::try_from(bytes / STEP).ok().and_then(|steps| self.steps.get(steps.checked_sub(1)?))
        };
        known == Some(&digest)
    }

    /// Returns the digest of everything read, in hexadecimal.
    pub(super) fn digest(&self) -> String {
        self.digests.last().map_or_else(String::new, |(_, digest)| hex::encode(digest))
    }

    /// Returns the length and the digest of a part that was read before, by its number from 0.
    pub(super) fn part(&self, segments: &[Segment], number: usize) -> Option<(u64, String)> {
        let (_, digest) = self.digests.get(number)?;
        Some((segments.get(number)?.bytes, hex::encode(digest)))
    }

    /// Returns the id of an event, by its place from 1: 128 bits of SHA-256 over the content and the place.
    pub(super) fn id(&self, place: u64) -> String {
        let digest =
            self.digests.get(self.digests.partition_point(|(last, _)| *last < place)).map(|(_, digest)| digest);
        let id = Sha256::new().chain_update(digest.unwrap_or(&[0; 32])).chain_update(place.to_be_bytes()).finalize();
        hex::encode(&id[..16])
    }
}

/// Returns the digests of beginnings of a file, with the given lengths in bytes, shortest first, in hexadecimal;
/// rewinds the file.
///
/// # Errors
/// The system's, if the file cannot be read.
pub(super) fn digests(mut file: impl Read + Seek, lengths: &[u64]) -> io::Result<Vec<String>> {
    let (mut hasher, mut buffer, mut bytes) = (Sha256::new(), vec![0; CHUNK], 0);
    let mut digests = Vec::new();
    for length in lengths {
        while bytes < *length {
            let most = usize::try_from(length - bytes).unwrap_or(CHUNK).min(CHUNK);
            let count = file.read(&mut buffer[..most])?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            bytes += count as u64;
        }
        digests.push(hex::encode(hasher.clone().finalize()));
    }
    file.rewind()?;
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn events_keep_their_ids_when_the_file_grows() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"a\nb\n").expect("written");
        file.rewind().expect("at the start");
        let before = Content::of(&mut file, &[]).expect("read");
        let segment = Segment { bytes: before.bytes, events: 2 };
        file.seek(io::SeekFrom::End(0)).expect("at the end");
        file.write_all(b"c\n").expect("written");
        file.rewind().expect("at the start");
        let after = Content::of(&mut file, &[segment]).expect("read");
        assert_eq!((before.bytes, after.bytes), (4, 6));
        assert_eq!(before.id(2), after.id(2));
        assert_ne!(before.id(3), after.id(3));
        let again = Content::of(&mut file, &[segment, Segment { bytes: 6, events: 3 }]).expect("read");
        assert_eq!(again.id(3), after.id(3));
        let begins = digests(&mut file, &[4, 4, 6]).expect("read");
        assert_eq!(begins, [before.digest(), before.digest(), after.digest()]);
    }
}
