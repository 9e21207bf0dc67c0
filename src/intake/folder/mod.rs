//! Files that other software drops into a folder: read when they are complete, recorded once, and moved away.
//!
//! An event without an id gets one from the file's content and the place of the line, so that neither a crash halfway
//! through a file nor the same file again records anything twice. A line that cannot be read is listed as an error, and
//! the others are recorded.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::ops::ControlFlow;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::Intake;
use super::kind::{Kind, Work};
use super::view::SharedView;

mod again;
mod away;
mod breaks;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod broken_json;
mod code_pages;
mod content;
mod depth;
mod encoding;
mod errors;
mod evidence;
mod files;
mod found;
mod json;
mod line;
mod line_ends;
mod line_events;
mod lines;
mod listing;
mod notes;
mod opened;
mod rounds;
mod rules;
mod search;
mod seen;
mod table;
mod taking;
mod text_lines;
mod verified;
mod wait;
mod watch_folder;

pub use encoding::{Encoding, text_of};
pub use rules::{FolderReading, FolderRules, FolderView};
pub use table::{Column, Field, TableRules, is_time_format};
pub use wait::FolderWait;

use away::Away;
use breaks::{Breaks, WithBreaks};
use content::{Content, Segment};
use encoding::Whole;
use files::Files;
use found::{Found, Look};
use opened::{FAILED, Identity, Opened};
use taking::{Counted, Outcome, Taking};
use verified::{Known, Verified, is_written_anew, written_anew};
use watch_folder::Watch;

/// Interval of the search for files that were changed in `failed`, where they are not read again.
const CHANGED_INTERVAL: Duration = Duration::from_secs(30);

/// Time between two searches for old files.
const PURGE_INTERVAL: Duration = Duration::from_secs(60 * 60);

impl Kind for FolderRules {
    const SECTION: &'static str = "[intake.folder]";

    type View = FolderView;

    fn open(self, intake: Intake, stop: watch::Receiver<bool>) -> (SharedView<FolderView>, Work) {
        let view = SharedView::default();
        let folder = Folder { rules: Arc::new(self), intake, view: view.clone() };
        (view, Box::pin(folder.run(stop)))
    }
}

/// The part of a file that was read before, with the number of its events.
#[derive(Default)]
struct Earlier {
    segments: Vec<Segment>,
    known: u64,
    /// Digest of that part.
    digest: Option<String>,
}

impl Earlier {
    /// Returns true if that part is the beginning of what was read now.
    fn begins(&self, content: &Content) -> bool {
        let last = self.segments.len().checked_sub(1).and_then(|last| content.part(&self.segments, last));
        last.map(|(_, digest)| digest) == self.digest
    }
}

/// The reader of a folder, which works as long as the agent runs.
struct Folder {
    rules: Arc<FolderRules>,
    intake: Intake,
    view: SharedView<FolderView>,
}

impl Folder {
    /// Reads until `stop` turns true. Events recorded by then are not recorded again.
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut files = Files::default();
        let (mut watch, mut purged, mut was_there): (Option<Watch>, _, _) = (None, None, false);
        let mut looked: Option<Instant> = None;
        while !*stop.borrow() {
            let path = &this.rules.path;
            // A directory that disappears later is not created again: it may be a share that comes back.
            was_there = was_there || opened::make(path).is_ok();
            watch = watch.filter(|watch| watch.is_of(path)).or_else(|| Watch::begin(path, this.rules.poll));
            let (folder, seen, stopping) = (this.clone(), std::mem::take(&mut files), stop.clone());
            let changed_is_due = looked.is_none_or(|at| at.elapsed() >= CHANGED_INTERVAL);
            if changed_is_due {
                looked = Some(Instant::now());
            }
            let round = tokio::task::spawn_blocking(move || folder.round(seen, changed_is_due, &stopping));
            let Ok((round, is_unsettled)) = round.await else { return };
            files = round;
            if purged.is_none_or(|at: Instant| at.elapsed() >= PURGE_INTERVAL) {
                purged = Some(Instant::now());
                this.purge();
            }
            let quiet = this.rules.quiet;
            let interval = watch.as_ref().map_or(quiet, Watch::interval);
            let wait = if is_unsettled { interval.min(quiet) } else { interval };
            let wait = files.next(quiet, Instant::now()).map_or(wait, |next| wait.min(next));
            let news = async {
                match &mut watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                news = timeout(wait, news) => files.moved_in(news.unwrap_or_default()),
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn purge(&self) {
        if let Err(error) = away::purge(&self.rules.path, self.rules.keep_done) {
            tracing::warn!(%error, "old files of the folder could not be deleted");
        }
    }

    fn shown(&self) -> MutexGuard<'_, FolderView> {
        self.view.lock()
    }

    /// Reads one file, and moves it away.
    fn take(&self, files: &RefCell<Files>, (opened, found): (&Opened, &Found), breaks: Breaks<'_>) -> io::Result<()> {
        let mut file = opened.file(&found.place)?;
        let metadata = file.metadata()?;
        let identity = Identity::of(&metadata);
        if is_left(files, (opened, found), (breaks.of(&file), identity))? {
            return Ok(());
        }
        let earlier = self.earlier(files, (opened, found), (&mut file, identity), breaks)?;
        let Some(earlier) = earlier else { return Ok(()) };
        let content = content_of(found, &file, &earlier, breaks)?;
        let Earlier { segments, known, .. } = earlier;
        let begun = files.borrow_mut().note((opened, found), identity, (&content, &segments));
        let reading = FolderReading { file: found.shown(), lines: 0, bytes: 0, total_bytes: content.bytes };
        self.shown().reading = Some(reading);
        let is_table = found.kind == lines::Kind::Table;
        let mut taking =
            Taking::new(&self.rules, &self.intake, &self.view, (&content, is_table), (known, begun), breaks.stop);
        let known_file = Known { file: &file, content: &content, breaks };
        if !self.read(known_file, (opened, found), &segments, &mut taking)? {
            // The agent stops; the file will be read again, and recorded events recognised.
            return Ok(());
        }
        let outcome = taking.finish();
        let Outcome { lines, fresh, duplicates, ahead, unconsented, ref errors } = outcome;
        let Some(look) = known_file.look()? else { return self.replaced(&outcome) };
        let segment = Segment { bytes: content.bytes, events: lines };
        files.borrow_mut().taken((identity, &found.place), segments, (segment, content.digest()), Instant::now());
        {
            let mut view = self.shown();
            view.lines += fresh;
            view.failed_lines += errors.fresh_lines();
            view.ahead_lines += ahead;
        }
        let text = errors.text(lines, unconsented);
        let away = match &text {
            Some(errors) => Away::Failed(errors),
            None if fresh > 0 && duplicates == fresh => Away::Duplicate,
            None => Away::Done,
        };
        let now = opened.metadata(&found.place);
        let is_grown = now.is_ok_and(|now| Identity::of(&now) == identity && now.len() > content.bytes);
        if is_grown {
            // Rows that came since are read when they are complete.
            return Ok(());
        }
        if let Some(place) = away::put_away(opened, found, (identity, known_file, look), away)? {
            files.borrow_mut().moved(identity, place);
        }
        tell_read(&outcome, known, away);
        let is_first = found.place.kept.is_none();
        let mut view = self.shown();
        view.reading = None;
        // At once, so that no file is shown both as read and as waiting.
        view.waiting = view.waiting.saturating_sub(1);
        view.files += u64::from(is_first);
        view.failed_files += u64::from(text.is_some() && (is_first || errors.fresh > 0));
        view.duplicate_files += u64::from(away == Away::Duplicate);
        Ok(())
    }

    /// Returns what was read before of a file: by this run, by an earlier one, or of a shorter file of that name.
    /// `None` if the agent stops.
    fn earlier(
        &self,
        files: &RefCell<Files>,
        (opened, found): (&Opened, &Found),
        (file, identity): (&mut File, Identity),
        breaks: Breaks<'_>,
    ) -> io::Result<Option<Earlier>> {
        let bytes = file.metadata()?.len();
        let segments = files.borrow().segments(identity, &found.place, bytes);
        if let Some(last) = segments.last() {
            let digest = files.borrow().read_of(identity).map(|(_, digest)| digest);
            return Ok(Some(Earlier { known: last.events, segments, digest }));
        }
        let notes = files.borrow().notes_of(identity, found);
        let digests = content::digests(breaks.of(&*file), &notes.iter().map(|note| note.bytes).collect::<Vec<_>>())?;
        let fitting = notes.into_iter().zip(digests).rev().find(|(note, digest)| note.digest == *digest);
        let Some((note, digest)) = fitting else { return Ok(Some(Earlier::default())) };
        let mut segments = note.segments;
        if segments.last().is_none_or(|last| last.bytes != note.bytes) {
            let ends: Vec<u64> = segments.iter().map(|segment| segment.bytes).chain([note.bytes]).collect();
            let Some(events) = self.count((opened, found), (file, &ends), breaks)? else { return Ok(None) };
            segments.push(Segment { bytes: note.bytes, events });
        }
        // A complete file that is dropped again is reported as such; one that a kill has left here is counted.
        let is_new = found.place.kept.is_none() && (note.bytes == bytes || files.borrow().is_noted(identity));
        let known = segments.last().filter(|_| !is_new).map_or(0, |segment| segment.events);
        Ok(Some(Earlier { segments, known, digest: Some(digest) }))
    }

    /// Counts what was recorded of a file that was written anew since, and was read to its end.
    fn replaced(&self, outcome: &Outcome) -> io::Result<()> {
        let mut view = self.shown();
        view.lines += outcome.fresh;
        view.failed_lines += outcome.errors.fresh_lines();
        view.ahead_lines += outcome.ahead;
        drop(view);
        tell_anew(outcome.lines);
        Err(written_anew())
    }

    /// Counts the events that were read of a file, whose reading ended at these places, the first first. None when the agent
    /// stops.
    fn count(
        &self,
        (opened, found): (&Opened, &Found),
        (file, ends): (&mut File, &[u64]),
        breaks: Breaks<'_>,
    ) -> io::Result<Option<u64>> {
        let FolderRules { encoding, table, .. } = &*self.rules;
        let open = || Ok(Box::new(breaks.of(opened.file(&found.place)?)) as Box<dyn io::Read + '_>);
        let (mut events, mut is_stopped) = (0, false);
        let count = |_: line::Line| {
            events += 1;
            is_stopped = breaks.is_stopping();
            if is_stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let bytes = ends.last().copied().unwrap_or_default();
        // A table that cannot be read at all has no events.
        let _ = lines::read(
            breaks.of(&*file).take(bytes),
            found.kind,
            *encoding,
            table,
            Whole { open: &open, ends },
            count,
        )?;
        file.rewind()?;
        Ok((!is_stopped).then_some(events))
    }

    /// Hands over what a file holds, of which parts were read before. Tells whether it was read to its end.
    fn read(
        &self,
        Known { file, content, breaks }: Known<'_>,
        (opened, found): (&Opened, &Found),
        segments: &[Segment],
        taking: &mut Taking<'_>,
    ) -> io::Result<bool> {
        let (encoding, table) = (self.rules.encoding, self.rules.table_for(&self.intake.mappings()));
        let counted = Counted::new(Verified::new(breaks.of(file), content), &self.view);
        let open = || {
            let file = breaks.of(opened.file(&found.place)?);
            Ok(Box::new(Verified::new(file, content)) as Box<dyn io::Read + '_>)
        };
        let ends: Vec<u64> = segments.iter().map(|segment| segment.bytes).collect();
        let mut ended = Ok(());
        let take = |line| match taking.line(line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                ended = Err(error);
                ControlFlow::Break(())
            }
        };
        let read = match lines::read(counted, found.kind, encoding, &table, Whole { open: &open, ends: &ends }, take) {
            Err(error) if is_written_anew(&error) => {
                // What was read before is as it was written.
                tell_anew(taking.count());
                return if ended.and_then(|()| taking.record()).is_ok() { Err(error) } else { Ok(false) };
            }
            read => read?,
        };
        if let Err(unreadable) = read {
            taking.unreadable(unreadable);
        }
        // A look at the whole file that the stop broke off says nothing of it.
        if taking.is_stopping() {
            return Ok(false);
        }
        Ok(ended.and_then(|()| taking.record()).is_ok())
    }
}

/// Returns the content of a file that is as it was found, or has grown since.
///
/// # Errors
/// Also of a file that was written otherwise since: it may be written to at this moment.
fn content_of(found: &Found, mut file: &File, earlier: &Earlier, breaks: Breaks<'_>) -> io::Result<Content> {
    if Look::of(&file.metadata()?) != found.look {
        return Err(io::Error::other("it is written to at this moment"));
    }
    file.rewind()?;
    let content = Content::of(breaks.of(file), &earlier.segments)?;
    let look = Look::of(&file.metadata()?);
    let is_grown = look.bytes > found.look.bytes && content.bytes >= found.look.bytes;
    if !earlier.begins(&content) || (look != found.look && !is_grown) { Err(written_anew()) } else { Ok(content) }
}

/// Writes to the log that a file was written anew while it was read.
fn tell_anew(lines: u64) {
    tracing::warn!(lines, "a file was written anew while it was read; these lines of what was there before were taken");
}

/// Writes to the log what came of a file. The log does not name files.
fn tell_read(outcome: &Outcome, known: u64, away: Away<'_>) {
    let Outcome { lines, ahead, errors, .. } = outcome;
    tracing::info!(lines, known_lines = known, failed_lines = errors.fresh, "file recorded");
    if *ahead > 0 {
        tracing::warn!(lines = ahead, "lines of a file have a time in the future, and count as of now");
    }
    if outcome.unconsented > 0 {
        let words = "lines of a file were not stored: consent in [privacy] is not true of them";
        tracing::info!(lines = outcome.unconsented, "{words}");
    }
    match away {
        Away::Done if *lines == 0 => tracing::warn!("a file has no rows; nothing of it was recorded"),
        Away::Duplicate => {
            tracing::warn!(lines, "every line of a file had been recorded before; nothing of it was recorded now");
        }
        Away::Done | Away::Failed(_) => {}
    }
}

/// Returns true if a file was changed in `failed`, where it is not read again but reported. Elsewhere a file that was
/// written again has not been read yet.
fn is_left(
    files: &RefCell<Files>,
    (opened, found): (&Opened, &Found),
    (file, identity): (WithBreaks<'_, &File>, Identity),
) -> io::Result<bool> {
    let read = files.borrow().read_of(identity);
    let Some((bytes, digest)) = read else { return Ok(false) };
    if content::digests(file, &[bytes])? == [digest] {
        return Ok(false);
    }
    files.borrow_mut().leave(identity);
    if found.place.kept != Some(FAILED) {
        return Ok(false);
    }
    away::tell_changed(opened, &found.place.name).map(|()| true)
}
