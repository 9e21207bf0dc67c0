//! The appearance of files: since when each has it, and of when its rows without a time are.
//!
//! A correction that is dropped after an export has to win over it, whichever is read first: a large file, or one that may still be
//! written to, is read later than a small one. So their order is that in which they were seen, not that in which they are read.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::found::{Found, Look};
use super::opened::{Identity, Place};
use crate::core::timestamp::Timestamp;
use crate::device::clock::{Clock, timestamp};

/// Time by which the rows of two files differ at least. Source: the store keeps milliseconds.
const APART: Duration = Duration::from_millis(1);

/// A file as it was last seen.
struct Sight {
    look: Look,
    identity: Identity,
    /// Since when it looks like that.
    since: Instant,
    /// Time when this content of it was first seen.
    at: Timestamp,
    /// Digest of it, once it has waited.
    digest: Option<String>,
}

impl Sight {
    /// Returns true if another file of the same length stands where this one did.
    fn is_replaced_by(&self, found: &Found) -> bool {
        self.identity != found.identity && self.look.bytes == found.look.bytes
    }
}

/// The files that were seen last.
#[derive(Default)]
pub(super) struct Seen {
    files: HashMap<Place, Sight>,
    /// Latest time of the rows of any file; `None` before the first look.
    last: Option<Timestamp>,
}

impl Seen {
    /// Takes what there is now, sorts it in the order in which it was written, and gives each file the time of its rows: when its
    /// content was first seen. Returns since when each looks as it does.
    ///
    /// Copying and scanning programs change names and time stamps, which must not make an export newer than its correction. So the
    /// same file with the same length has the same content, and so has another file in its place with the same `digest`. What is
    /// there at the first look was seen by an earlier run, if at all, and its rows are of when it was written.
    pub(super) fn look(
        &mut self,
        found: &mut [Found],
        (now, clock): (Instant, &Clock),
        digest: impl Fn(&Found) -> Option<String>,
    ) -> Vec<Instant> {
        found.sort_by(|a, b| (a.look.modified, &a.place.name).cmp(&(b.look.modified, &b.place.name)));
        let mut before = std::mem::take(&mut self.files);
        let contents: HashMap<(Identity, u64), Timestamp> =
            before.values().map(|sight| ((sight.identity, sight.look.bytes), sight.at)).collect();
        let copies: HashMap<Place, Timestamp> = found
            .iter()
            .filter_map(|found| {
                let sight = before.get(&found.place)?;
                let known = sight.digest.as_ref().filter(|_| sight.is_replaced_by(found))?;
                (digest(found).as_ref() == Some(known)).then(|| (found.place.clone(), sight.at))
            })
            .collect();
        let content_at = |found: &Found| {
            contents.get(&(found.identity, found.look.bytes)).or_else(|| copies.get(&found.place)).copied()
        };
        let mut fresh = found.iter().filter(|found| content_at(found).is_none()).count();
        let (first, present) = (self.last.is_none(), clock.now());
        let mut since = Vec::with_capacity(found.len());
        for found in found {
            found.at = content_at(found).unwrap_or_else(|| {
                fresh -= 1;
                let written = found.look.modified.filter(|_| first).map(|at| clock.place(timestamp(at)).min(present));
                let at = written.unwrap_or_else(|| present.minus(APART * u32::try_from(fresh).unwrap_or(u32::MAX)));
                let at = self.last.map_or(at, |last| at.max(last.plus(APART)));
                self.last = Some(at);
                at
            });
            let sight = before.remove(&found.place).filter(|sight| sight.identity == found.identity);
            let sight = sight.filter(|sight| sight.look == found.look);
            let (unchanged, digest) = sight.map_or((now, None), |sight| (sight.since, sight.digest));
            since.push(unchanged);
            let sight = Sight { look: found.look, identity: found.identity, since: unchanged, at: found.at, digest };
            self.files.insert(found.place.clone(), sight);
        }
        // Also where the folder was empty: what comes now is new.
        self.last.get_or_insert(Timestamp::default());
        since
    }

    /// Notes the digest of a file that waits, unless it is known.
    pub(super) fn note(&mut self, found: &Found, digest: impl Fn(&Found) -> Option<String>) {
        if let Some(sight) = self.files.get_mut(&found.place).filter(|sight| sight.digest.is_none()) {
            sight.digest = digest(found);
        }
    }

    /// Returns true if a file was there at the last look.
    pub(super) fn has(&self, place: &Place) -> bool {
        self.files.contains_key(place)
    }
}
