//! The files of a folder: which exist, which are complete, and which wait, with the reason.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::content::{Content, Segment};
use super::lines::Kind;
use super::notes::{Note, Notes};
use super::opened::{Identity, KEPT, LINKED, Opened, Place, links};
use super::wait::FolderWait;
use crate::core::limits::FOLDER_FILE_BYTES_MAX;
use crate::core::timestamp::Timestamp;

/// Files examined in one round; the others follow in the next.
const FILES_MAX: usize = 10_000;

/// Factor by which the wait is longer for a file whose last line has no end, because it may be half written.
const UNENDED_FACTOR: u32 = 4;

/// Time for which a file that was read is watched, because its writer may continue. Source: our choice; tills pause for
/// seconds.
const GROWTH_WATCHED: Duration = Duration::from_secs(10 * 60);

/// Longest time until the next try for a file that could not be read or moved.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Reason for a file that only has to stay unchanged for a while.
const WRITTEN: &str = "it may still be written to";

/// Size above which a file pauses for the smaller ones. Units: bytes. Limits: some seconds of reading.
const LARGE_BYTES: u64 = 64 << 20;

/// The appearance of a file: if it changes, the file is still being written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Permissions, as the system's number.
    rights: u64,
}

#[cfg(unix)]
fn rights(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    u64::from(metadata.mode()) << 32 | u64::from(metadata.uid())
}

#[cfg(not(unix))]
fn rights(metadata: &Metadata) -> u64 {
    u64::from(metadata.permissions().readonly())
}

/// A file to be read.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) kind: Kind,
    look: Look,
    identity: Identity,
    /// Number of its hard links.
    links: u64,
    /// True if it is a link, which is never read.
    is_link: bool,
}

impl Found {
    /// Returns a file of a known kind that is not hidden, or a link of such a name.
    fn at(place: Place, metadata: &Metadata) -> Option<Self> {
        let is_hidden = place.name.as_encoded_bytes().starts_with(b".");
        let kind =
            Kind::of(Path::new(&place.name)).filter(|_| !is_hidden && (metadata.is_file() || metadata.is_symlink()))?;
        let look = Look { bytes: metadata.len(), modified: metadata.modified().ok(), rights: rights(metadata) };
        let (identity, links, is_link) = (Identity::of(metadata), links(metadata), metadata.is_symlink());
        Some(Self { place, kind, look, identity, links, is_link })
    }

    /// Returns true if the others are not to wait for it.
    pub(super) fn is_large(&self) -> bool {
        self.look.bytes > LARGE_BYTES
    }

    /// Returns its name, for people.
    pub(super) fn shown(&self) -> String {
        self.place.name.to_string_lossy().into_owned()
    }

    /// Returns how long it must stay unchanged to count as complete.
    fn patience(&self, opened: &Opened, quiet: Duration) -> Duration {
        let is_ended = || {
            let mut last = [0; 2];
            let mut file = opened.file(&self.place)?;
            file.seek(SeekFrom::End(-2))?;
            file.read_exact(&mut last)?;
            // Of UTF-16 the last byte may be zero; other zeros are those of a file that is not written yet, or was cut.
            let end = if last[1] == 0 { last[0] } else { last[1] };
            Ok::<_, io::Error>(matches!(end, b'\n' | b'\r' | b'}' | b']'))
        };
        if is_ended().unwrap_or(true) { quiet } else { quiet * UNENDED_FACTOR }
    }
}

/// The files of a folder, sorted by what to do.
#[derive(Default)]
pub(super) struct Looked {
    /// Complete files, oldest first, of which one at most is large.
    pub(super) complete: Vec<Found>,
    /// Waiting files, with the reason.
    pub(super) waits: Vec<FolderWait>,
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
    /// Appearance of each file, and the time since which it has it.
    seen: HashMap<Place, (Look, Identity, Instant)>,
    /// Files that were moved into the folder complete.
    whole: HashSet<OsString>,
    retries: HashMap<Place, Retry>,
    taken: HashMap<Identity, Taken>,
    /// `None` before the first look at the folder.
    notes: Option<Notes>,
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

    /// Notes how far a file is being read, and since when: the same content since the time that was noted first, also after a
    /// restart. Returns that time. Without a note it counts as new after a restart.
    pub(super) fn note(
        &mut self,
        (opened, found): (&Opened, &Found),
        identity: Identity,
        (content, segments): (&Content, &[Segment]),
        now: Timestamp,
    ) -> Timestamp {
        let before = segments.len() - usize::from(segments.last().is_some_and(|last| last.bytes == content.bytes));
        let notes = self.notes.get_or_insert_default();
        let digest = content.digest();
        let begun = notes.begun(identity, (content.bytes, &digest)).unwrap_or(now);
        let (file, read) = ((identity, &*found.shown()), (content.bytes, digest));
        if let Err(error) = notes.add(opened, file, &segments[..before], read, begun) {
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
        let (place, retry) = self.retries.iter().min_by_key(|(place, _)| *place)?;
        let name = place.name.to_string_lossy();
        let more = match self.retries.len() {
            1 => String::new(),
            count => format!(" and {} more files", count - 1),
        };
        Some(format!("the file {name}{more} cannot be read or put away, and is tried again: {}", retry.problem))
    }

    /// Examines a folder, and those of its read files that may have grown.
    pub(super) fn look(&mut self, opened: &Opened, quiet: Duration, now: Instant) -> io::Result<Looked> {
        let find = |name| {
            let place = Place::dropped(name);
            let metadata = opened.metadata(&place).ok()?;
            Found::at(place, &metadata)
        };
        if self.notes.is_none() {
            self.load_notes(opened, now);
        }
        let here: Vec<Found> = opened.dir.names()?.filter_map(find).take(FILES_MAX).collect();
        let grown = self.grown(opened, now);
        let mut looked = Looked::default();
        let mut seen = HashMap::new();
        for found in here.into_iter().chain(grown) {
            let since = match self.seen.get(&found.place) {
                Some((look, identity, since)) if (*look, *identity) == (found.look, found.identity) => *since,
                _ => now,
            };
            seen.insert(found.place.clone(), (found.look, found.identity, since));
            match self.waits_for((opened, &found), quiet, now.duration_since(since), now) {
                None => looked.complete.push(found),
                Some(why) => {
                    looked.is_unsettled |= why == WRITTEN;
                    looked.waits.push(FolderWait { file: found.shown(), why });
                }
            }
        }
        self.retries.retain(|place, _| seen.contains_key(place));
        self.seen = seen;
        self.whole.clear();
        looked.complete.sort_by(|a, b| (a.look.modified, &a.place.name).cmp(&(b.look.modified, &b.place.name)));
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
        if found.is_link {
            return Some("it is a link, which is not followed; it must be a copy".to_owned());
        }
        if found.links > 1 {
            return Some(LINKED.to_owned());
        }
        if let Some(retry) = self.retries.get(&found.place).filter(|retry| retry.at > now && retry.look == found.look) {
            return Some(format!("{}; tried again in {} s", retry.problem, (retry.at - now).as_secs()));
        }
        if found.look.bytes == 0 {
            return Some("it is empty".to_owned());
        }
        if found.look.bytes > FOLDER_FILE_BYTES_MAX {
            return Some(format!(
                "it is {} bytes, and must be at most {FOLDER_FILE_BYTES_MAX}; split it",
                found.look.bytes
            ));
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
        let (mut files, identity, now) = (Files::default(), Identity(1, 2), Instant::now());
        let place = &Place::dropped("a.csv".into());
        let (long, short) = (Segment { bytes: 100, events: 9 }, Segment { bytes: 60, events: 5 });
        files.taken((identity, place), Vec::new(), (long, String::new()), now);
        assert_eq!(files.segments(identity, place, 120), [long]);
        assert_eq!(files.segments(identity, place, 60), []);
        files.taken((identity, place), Vec::new(), (short, String::new()), now);
        assert_eq!(files.segments(identity, place, 120), [short]);
    }
}
