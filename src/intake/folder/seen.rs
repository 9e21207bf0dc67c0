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
    /// When this content of it was seen first.
    at: Timestamp,
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
    /// content was first seen. A file of the same length has the same content, whatever its name and time stamp are by now: copying and
    /// scanning programs change those, and would make it newer than a correction of it. What is there at the first look was seen by an
    /// earlier run, if at all, and is of when it was written. Returns since when each looks as it does.
    pub(super) fn look(&mut self, found: &mut [Found], now: Instant, clock: &Clock) -> Vec<Instant> {
        found.sort_by(|a, b| (a.look.modified, &a.place.name).cmp(&(b.look.modified, &b.place.name)));
        let mut before = std::mem::take(&mut self.files);
        let contents: HashMap<(Identity, u64), Timestamp> =
            before.values().map(|sight| ((sight.identity, sight.look.bytes), sight.at)).collect();
        let content_at = |found: &Found| contents.get(&(found.identity, found.look.bytes)).copied();
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
            let unchanged = sight.filter(|sight| sight.look == found.look).map_or(now, |sight| sight.since);
            since.push(unchanged);
            let sight = Sight { look: found.look, identity: found.identity, since: unchanged, at: found.at };
            self.files.insert(found.place.clone(), sight);
        }
        // Also where the folder was empty: what comes now is new.
        self.last.get_or_insert(Timestamp::default());
        since
    }

    /// Returns true if a file was there at the last look.
    pub(super) fn has(&self, place: &Place) -> bool {
        self.files.contains_key(place)
    }
}
