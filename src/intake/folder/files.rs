//! The files of a folder: which exist, which are complete, and which wait, with the reason.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::time::{Duration, Instant};

use super::content::{Content, Segment};
use super::found::{Found, Look};
use super::lines::Kind;
use super::listing::{FILES_MAX, Listed, list};
use super::notes::{Note, Notes};
use super::opened::{Identity, KEPT, Opened, Place};
use super::seen::Seen;
use super::wait::{FolderWait, never};
use crate::core::timestamp::Timestamp;
use crate::core::words::counted;
use crate::device::clock::Clock;

/// Time for which a file that was read is watched, because its writer may continue. Source: our choice; tills pause for
/// seconds.
const GROWTH_WATCHED: Duration = Duration::from_secs(10 * 60);

/// Longest time until the next try for a file that could not be read or moved.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Reason for a file that only has to stay unchanged for a while.
const WRITTEN: &str = "it may still be written to";

/// The files of a folder, sorted by what to do.
#[derive(Default)]
pub(super) struct Looked {
    /// Complete files, oldest first, of which one at most is large.
    pub(super) complete: Vec<Found>,
    /// Waiting files, with the reason.
    pub(super) waits: Vec<FolderWait>,
    /// Number of waiting files beyond these.
    pub(super) more: usize,
    /// True if some of them only have to stay unchanged for a while.
    pub(super) is_unsettled: bool,
}

/// A file that could not be read or moved.
struct Retry {
    /// Appearance of the file: with other permissions it is tried at once.
    look: Look,
    tries: u32,
    at: Instant,
    problem: String,
}

/// A file that was read, with its place.
struct Taken {
    place: Place,
    at: Instant,
    segments: Vec<Segment>,
    /// Bytes read by an earlier run of the agent.
    noted: u64,
    /// SHA-256 over everything read.
    digest: String,
}

impl Taken {
    /// Returns the number of bytes read.
    fn bytes(&self) -> u64 {
        self.segments.last().map_or(self.noted, |segment| segment.bytes)
    }
}

/// The memory of a folder's files.
#[derive(Default)]
pub(super) struct Files {
    seen: Seen,
    /// Files that were moved into the folder complete.
    whole: HashSet<OsString>,
    retries: HashMap<Place, Retry>,
    taken: HashMap<Identity, Taken>,
    /// `None` before the first look at the folder.
    notes: Option<Notes>,
    /// Number of files that were not examined in the last look, since there are too many.
    beyond: usize,
}

impl Files {
    /// Marks files as moved in, and therefore complete.
    pub(super) fn moved_in(&mut self, names: Vec<OsString>) {
        self.whole.extend(names);
    }

    /// Notes that a file could not be read or moved: it is tried again, later each time.
    pub(super) fn failed(&mut self, found: &Found, problem: String, quiet: Duration, now: Instant) {
        let tries = self.retries.get(&found.place).map_or(0, |retry| retry.tries);
        let wait = quiet.saturating_mul(2_u32.saturating_pow(tries)).min(RETRY_MAX);
        let retry = Retry { look: found.look, tries: tries.saturating_add(1), at: now + wait, problem };
        self.retries.insert(found.place.clone(), retry);
    }

    /// Notes that a file was moved away.
    pub(super) fn settled(&mut self, found: &Found) {
        self.retries.remove(&found.place);
    }

    /// Notes that a file was read in its place up to its present end, with that digest, after what was read before.
    pub(super) fn taken(
        &mut self,
        (identity, place): (Identity, &Place),
        mut segments: Vec<Segment>,
        (last, digest): (Segment, String),
        now: Instant,
    ) {
        if segments.last().is_none_or(|before| before.bytes < last.bytes) {
            segments.push(last);
        }
        self.taken.insert(identity, Taken { place: place.clone(), at: now, segments, noted: 0, digest });
    }

    /// Returns notes that may match the beginning of a file, shortest first.
    pub(super) fn notes_of(&self, identity: Identity, found: &Found) -> Vec<Note> {
        let (Some(notes), name) = (&self.notes, found.shown()) else { return Vec::new() };
        let mut notes: Vec<Note> = notes.candidates(identity, &name, found.look.bytes).cloned().collect();
        notes.sort_by_key(|note| note.bytes);
        notes
    }

    /// Returns true if there is a note of this very file.
    pub(super) fn is_noted(&self, identity: Identity) -> bool {
        self.notes.as_ref().is_some_and(|notes| notes.of(identity).is_some())
    }

    /// Returns how much of a file was read in its place, and the digest of that.
    pub(super) fn read_of(&self, identity: Identity) -> Option<(u64, String)> {
        self.taken.get(&identity).map(|taken| (taken.bytes(), taken.digest.clone()))
    }

    /// Stops watching a file.
    pub(super) fn leave(&mut self, identity: Identity) {
        self.taken.remove(&identity);
    }

    /// Notes how far a file is being read, and of when its rows without a time are: for the same content that is the time that was
    /// noted first, also after a restart. Returns that time. Without a note it counts as new after a restart.
    pub(super) fn note(
        &mut self,
        (opened, found): (&Opened, &Found),
        identity: Identity,
        (content, segments): (&Content, &[Segment]),
    ) -> Timestamp {
        let before = segments.len() - usize::from(segments.last().is_some_and(|last| last.bytes == content.bytes));
        let notes = self.notes.get_or_insert_default();
        let digest = content.digest();
        let begun = notes.begun(identity, (content.bytes, &digest)).unwrap_or(found.at);
        let (file, read) = ((identity, &*found.shown()), (content.bytes, digest));
        let begin = before.checked_sub(1).and_then(|last| content.part(segments, last));
        if let Err(error) = notes.add(opened, file, (&segments[..before], begin.as_ref()), read, begun) {
            tracing::debug!(%error, "how far a file was read could not be noted");
        }
        begun
    }

    /// Looks for files that an earlier run of the agent has moved away: they may have grown since.
    fn load_notes(&mut self, opened: &Opened, now: Instant) {
        let notes = Notes::load(opened);
        for kept in KEPT {
            let Ok(Some(dir)) = opened.kept(kept) else { continue };
            for name in dir.names().into_iter().flatten() {
                let Ok(metadata) = dir.metadata_of(&name) else { continue };
                let identity = Identity::of(&metadata);
                if let Some(note) = notes.of(identity) {
                    let place = Place { kept: Some(kept), name };
                    let (noted, digest) = (note.bytes, note.digest.clone());
                    self.taken.insert(identity, Taken { place, at: now, segments: Vec::new(), noted, digest });
                }
            }
        }
        self.notes = Some(notes);
    }

    /// Returns whether a file has more than was read of it, and is looked at for that.
    pub(super) fn has_more(&self, metadata: &Metadata) -> bool {
        let taken = self.taken.get(&Identity::of(metadata));
        taken.is_some_and(|taken| metadata.len() > taken.bytes())
    }

    /// Notes that a file that was read has moved.
    pub(super) fn moved(&mut self, identity: Identity, place: Place) {
        if let Some(taken) = self.taken.get_mut(&identity) {
            taken.place = place;
        }
    }

    /// Returns what was read before of a file that is still in its place and not shorter: a shorter one was written
    /// again.
    pub(super) fn segments(&self, identity: Identity, place: &Place, bytes: u64) -> Vec<Segment> {
        let taken = self.taken.get(&identity).filter(|taken| taken.place == *place && taken.bytes() <= bytes);
        taken.map_or_else(Vec::new, |taken| taken.segments.clone())
    }

    /// Returns when there is something to do again at the latest: a file to try, or one to check for growth.
    pub(super) fn next(&self, quiet: Duration, now: Instant) -> Option<Duration> {
        let retry = self.retries.values().map(|retry| retry.at.saturating_duration_since(now)).min();
        let growth = (!self.taken.is_empty()).then(|| quiet.max(Duration::from_secs(2)));
        retry.into_iter().chain(growth).min()
    }

    /// Returns what keeps files from being read, for people.
    pub(super) fn problem(&self) -> Option<String> {
        if self.beyond > 0 {
            return Some(format!(
                "{} files beside {FILES_MAX} others are not looked at; see why these wait, and move away what is not to be read",
                self.beyond
            ));
        }
        let (place, retry) = self.retries.iter().min_by_key(|(place, _)| *place)?;
        let name = place.name.to_string_lossy();
        let more = match self.retries.len() {
            1 => String::new(),
            count => format!(" and {}", counted(count - 1, "more file")),
        };
        Some(format!("the file {name}{more} cannot be read or put away, and is tried again: {}", retry.problem))
    }

    /// Examines a folder, and those of its read files that may have grown.
    pub(super) fn look(
        &mut self,
        opened: &Opened,
        quiet: Duration,
        (now, clock): (Instant, &Clock),
    ) -> io::Result<Looked> {
        let find = |name| {
            let place = Place::dropped(name);
            let metadata = opened.metadata(&place).ok()?;
            Found::at(place, &metadata)
        };
        let may_be_read = |found: &Found| never(found.is_link, found.links, found.look.bytes).is_none();
        if self.notes.is_none() {
            self.load_notes(opened, now);
        }
        let order = |found: &Found| (self.retries.contains_key(&found.place), found.look.modified);
        let names = opened.dir.names()?.filter(|name| Kind::of(name).is_some());
        let Listed { mut files, beyond } = list(names, find, may_be_read, order);
        self.beyond = beyond;
        files.extend(self.grown(opened, now));
        let digest = |found: &Found| found.digest(opened).ok().flatten();
        let since = self.seen.look(&mut files, (now, clock), digest);
        self.retries.retain(|place, _| self.seen.has(place));
        let mut looked = Looked { more: beyond, ..Looked::default() };
        for (found, since) in files.into_iter().zip(since) {
            match self.waits_for((opened, &found), quiet, now.duration_since(since), now) {
                None => looked.complete.push(found),
                Some(why) => {
                    looked.is_unsettled |= why == WRITTEN;
                    if found.is_small() || since < now {
                        self.seen.note(&found, digest);
                    }
                    looked.waits.push(FolderWait { file: found.shown(), why });
                }
            }
        }
        self.whole.clear();
        let mut is_first = true;
        let is_next = |found: &mut Found| found.is_large() && !std::mem::take(&mut is_first);
        let why = "another large file is read first";
        let wait = |found: Found| FolderWait { file: found.shown(), why: why.to_owned() };
        let before = looked.waits.len();
        looked.waits.extend(looked.complete.extract_if(.., is_next).map(wait));
        looked.is_unsettled |= looked.waits.len() > before;
        Ok(looked)
    }

    /// Returns why a file waits; `None` if it is complete.
    fn waits_for(
        &self,
        (opened, found): (&Opened, &Found),
        quiet: Duration,
        unchanged: Duration,
        now: Instant,
    ) -> Option<String> {
        if let Some(never) = never(found.is_link, found.links, found.look.bytes) {
            return Some(never);
        }
        if let Some(retry) = self.retries.get(&found.place).filter(|retry| retry.at > now && retry.look == found.look) {
            return Some(format!("{}; tried again in {} s", retry.problem, (retry.at - now).as_secs()));
        }
        let is_complete = self.whole.contains(&found.place.name)
            || (unchanged >= quiet && unchanged >= found.patience(opened, quiet));
        (!is_complete).then(|| WRITTEN.to_owned())
    }

    /// Returns files that were moved away and have grown since they were read.
    fn grown(&mut self, opened: &Opened, now: Instant) -> Vec<Found> {
        self.taken.retain(|_, taken| now.duration_since(taken.at) < GROWTH_WATCHED);
        let mut grown = Vec::new();
        for (identity, taken) in self.taken.iter().filter(|(_, taken)| taken.place.kept.is_some()) {
            let Ok(metadata) = opened.metadata(&taken.place) else { continue };
            if Identity::of(&metadata) == *identity && metadata.len() > taken.bytes() {
                grown.extend(Found::at(taken.place.clone(), &metadata));
            }
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_anew_and_shorter_was_not_read() {
        let (mut files, identity, now) = (Files::default(), Identity(1, 2, None), Instant::now());
        let place = &Place::dropped("a.csv".into());
        let (long, short) = (Segment { bytes: 100, events: 9 }, Segment { bytes: 60, events: 5 });
        files.taken((identity, place), Vec::new(), (long, String::new()), now);
        assert_eq!(files.segments(identity, place, 120), [long]);
        assert_eq!(files.segments(identity, place, 60), []);
        files.taken((identity, place), Vec::new(), (short, String::new()), now);
        assert_eq!(files.segments(identity, place, 120), [short]);
    }
}
