//! Files that other software drops into a folder: read when they are complete, recorded once, and put away.
//!
//! What has no id gets one from the file's content and the place of the line, so that a crash in the midst of a file, or
//! the same file once more, records nothing twice. A line that cannot be read is named and the others are recorded.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::Intake;
use super::kind::{Kind, Work};
use super::view::SharedView;

mod bounded;
mod files;
mod line;
mod lines;
mod rules;
mod table;
mod taking;
mod watch_folder;

pub use lines::Encoding;
pub use rules::{FolderReading, FolderRules, FolderView};
pub use table::{Column, Field, TableRules};

use files::{Files, Found};
use rules::trouble;
use taking::{Counted, Taking};
use watch_folder::Watch;

/// How often old files are looked for.
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

/// Reads a folder as long as the agent runs.
struct Folder {
    rules: Arc<FolderRules>,
    intake: Intake,
    view: SharedView<FolderView>,
}

impl Folder {
    /// Reads until `stop` turns true: what was recorded until then is not recorded again.
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let mut files = Files::default();
        let mut watch = None;
        let mut purged = None;
        while !*stop.borrow() {
            if watch.is_none() && files::make(&this.rules.path).is_ok() {
                watch = Some(Watch::begin(&this.rules.path, this.rules.poll));
            }
            let (folder, seen, stopping) = (this.clone(), std::mem::take(&mut files), stop.clone());
            let round = tokio::task::spawn_blocking(move || folder.round(seen, &stopping));
            let Ok((round, is_settled)) = round.await else { return };
            files = round;
            if purged.is_none_or(|at: Instant| at.elapsed() >= PURGE_INTERVAL) {
                purged = Some(Instant::now());
                this.purge();
            }
            let interval = watch.as_ref().map_or(this.rules.quiet, Watch::interval);
            let wait = if is_settled { interval } else { interval.min(this.rules.quiet) };
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
        if let Err(error) = files::purge(&self.rules.path, self.rules.keep_done) {
            tracing::warn!(%error, "old files of the folder could not be deleted");
        }
    }

    /// Reads the files that are complete. Tells whether none is left that is not.
    fn round(&self, mut files: Files, stop: &watch::Receiver<bool>) -> (Files, bool) {
        let looked = files.look(&self.rules.path, self.rules.quiet, Instant::now());
        let (complete, incomplete) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                trouble(&self.view, format!("the folder {} cannot be read: {error}", self.rules.path.display()));
                return (files, true);
            }
        };
        self.shown().problem = None;
        let count = complete.len();
        for (number, found) in complete.iter().enumerate() {
            self.shown().waiting = incomplete + count - number;
            if *stop.borrow() {
                return (files, true);
            }
            if let Err(error) = self.take(found, stop) {
                trouble(&self.view, format!("the file {} cannot be read or put away: {error}", found.name));
                files.stuck(found);
            }
            self.shown().reading = None;
        }
        self.shown().waiting = incomplete;
        (files, incomplete == 0)
    }

    fn shown(&self) -> MutexGuard<'_, FolderView> {
        self.view.lock()
    }

    /// Reads one file, and puts it away.
    fn take(&self, found: &Found, stop: &watch::Receiver<bool>) -> io::Result<()> {
        let file = files::open(&found.path)?;
        let total_bytes = file.metadata()?.len();
        let reading = FolderReading { file: found.name.clone(), lines: 0, bytes: 0, total_bytes };
        self.shown().reading = Some(reading);
        let mut taking = Taking::new(&self.rules, &self.intake, &self.view, &found.path, stop);
        let counted = Counted::new(file, &self.view);
        let mut ended = Ok(());
        lines::read(counted, found.kind, self.rules.encoding, &self.rules.table, |line| match taking.line(line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                ended = Err(error);
                ControlFlow::Break(())
            }
        })?;
        if ended.and_then(|()| taking.record()).is_err() {
            // The agent stops; the file is read again, and what was recorded is known.
            return Ok(());
        }
        let (lines, errors) = taking.finish(found.is_as_found());
        let failed_lines = errors.total;
        files::put_away(&self.rules.path, found, errors.text(lines).as_deref())?;
        tracing::info!(lines, failed_lines, "file recorded");
        let mut view = self.shown();
        view.reading = None;
        view.files += 1;
        view.failed_files += u64::from(failed_lines > 0);
        view.lines += lines;
        view.failed_lines += failed_lines;
        Ok(())
    }
}
