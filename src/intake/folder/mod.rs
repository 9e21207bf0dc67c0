//! Files that other software drops into a folder: read when they are complete, recorded once, and put away.
//!
//! What has no id gets one from the file's content and the place of the line, so that a crash in the midst of a file, or
//! the same file once more, records nothing twice. A line that cannot be read is named and the others are recorded.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::timeout;

use super::cloudevents::{self, Invalid, Parsed};
use super::view::SharedView;
use super::{Intake, StoreError};
use crate::limits::{FOLDER_BATCH_EVENTS, FOLDER_ERRORS_MAX};

mod bounded;
mod files;
mod lines;
mod table;
mod watch_folder;

pub use lines::Encoding;
pub use table::{Column, Field, TableRules};

use files::{Files, Found};
use lines::Line;
use watch_folder::Watch;

/// How long the store may be full before the same lines are tried again.
const FULL_WAIT: Duration = Duration::from_secs(5);

/// How often old files are looked for.
const PURGE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How a folder is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRules {
    /// The folder.
    pub path: PathBuf,
    /// How long a file stays as it is before it counts as complete, unless it was moved in.
    pub quiet: Duration,
    /// How often to look, where that is set.
    pub poll: Option<Duration>,
    /// How long files are kept that were read.
    pub keep_done: Duration,
    /// The source of events that name none.
    pub source: String,
    /// The type of events that name none.
    pub event_type: Option<String>,
    /// How characters are written.
    pub encoding: Encoding,
    /// How tables are written.
    pub table: TableRules,
}

impl FolderRules {
    /// Files that were read and are still there.
    #[must_use]
    pub fn files_kept(&self) -> usize {
        files::count_kept(&self.path)
    }
}

/// How a folder is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderView {
    /// Files that wait to be complete, or to be read.
    pub waiting: usize,
    /// The file that is being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<FolderReading>,
    /// Files that were read since the start, and files among them with a line that could not be.
    pub files: u64,
    /// See `files`.
    pub failed_files: u64,
    /// Lines that were read since the start, and lines among them that could not be recorded.
    pub lines: u64,
    /// See `lines`.
    pub failed_lines: u64,
    /// What keeps the folder from being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct FolderReading {
    pub file: String,
    pub lines: u64,
    pub bytes: u64,
    pub total_bytes: u64,
}

/// Reads a folder as long as the agent runs.
pub struct Folder {
    rules: Arc<FolderRules>,
    intake: Intake,
    view: SharedView<FolderView>,
}

impl Folder {
    /// A folder, and where its events go.
    #[must_use]
    pub fn new(rules: FolderRules, intake: Intake) -> Self {
        Self { rules: Arc::new(rules), intake, view: SharedView::default() }
    }

    /// How it is doing, for whoever shows it.
    #[must_use]
    pub fn view(&self) -> SharedView<FolderView> {
        self.view.clone()
    }

    /// Reads until `stop` turns true: what was recorded until then is not recorded again.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
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
                self.trouble(format!("the folder {} cannot be read: {error}", self.rules.path.display()));
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
                self.trouble(format!("the file {} cannot be read or put away: {error}", found.name));
                files.stuck(found);
            }
            self.shown().reading = None;
        }
        self.shown().waiting = incomplete;
        (files, incomplete == 0)
    }

    /// Shows what is in the way, and writes it to the log once. The log does not name files.
    fn trouble(&self, problem: String) {
        let mut view = self.shown();
        let is_new = view.problem.as_ref() != Some(&problem);
        view.problem = Some(problem);
        if is_new {
            tracing::warn!("the folder or a file in it cannot be used; `outpost status` says which");
        }
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
        let mut taking = Taking {
            folder: self,
            path: &found.path,
            digest: OnceCell::new(),
            events: Vec::new(),
            count: 0,
            errors: Errors::default(),
            stop,
        };
        let counted = Counted { file, view: &self.view };
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
        let Taking { count, mut errors, .. } = taking;
        if !found.is_as_found() {
            // To read it again would record its lines again, since their ids come from the whole content.
            errors
                .push(count + 1, &Invalid::new("the file was still written to: what came after this was not recorded"));
        }
        {
            let mut view = self.shown();
            view.files += 1;
            view.failed_files += u64::from(errors.total > 0);
            view.lines += count;
            view.failed_lines += errors.total;
        }
        tracing::info!(lines = count, failed_lines = errors.total, "file recorded");
        files::put_away(&self.rules.path, found, errors.text(count).as_deref())
    }
}

/// A file that is read, and counted as it is.
struct Counted<'f> {
    file: File,
    view: &'f SharedView<FolderView>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if let Some(reading) = &mut self.view.lock().reading {
            reading.bytes += count as u64;
        }
        Ok(count)
    }
}

/// The lines of one file on their way into the store.
struct Taking<'t> {
    folder: &'t Folder,
    path: &'t Path,
    /// Of the file's content; made when the first event needs an id.
    digest: OnceCell<io::Result<[u8; 32]>>,
    events: Vec<(u64, Parsed)>,
    count: u64,
    errors: Errors,
    stop: &'t watch::Receiver<bool>,
}

impl Taking<'_> {
    fn line(&mut self, Line { number, event }: Line) -> Result<(), StoreError> {
        self.count += 1;
        if let Some(reading) = &mut self.folder.shown().reading {
            reading.lines = self.count;
        }
        match event.and_then(|json| self.complete(&json)) {
            Ok(parsed) => self.events.push((number, parsed)),
            Err(invalid) => self.errors.push(number, &invalid),
        }
        if self.events.len() >= FOLDER_BATCH_EVENTS { self.record() } else { Ok(()) }
    }

    /// An event with what every event has, where the line does not say.
    fn complete(&self, json: &str) -> Result<Parsed, Invalid> {
        let Ok(given) = serde_json::from_str::<Given<'_>>(json) else {
            return cloudevents::structured(json.as_bytes());
        };
        let Given { specversion, id, source, event_type } = given;
        let rules = &self.folder.rules;
        let mut added = String::new();
        let mut add = |name: &str, value: &str| {
            added.push_str(&format!("\"{name}\":{},", serde_json::to_string(value).expect("a text is JSON")));
        };
        if specversion.is_none() {
            add("specversion", "1.0");
        }
        if source.is_none() {
            add("source", &rules.source);
        }
        if let (None, Some(event_type)) = (event_type, &rules.event_type) {
            add("type", event_type);
        }
        if id.is_none() {
            add("id", &self.id()?);
        }
        let rest = json.trim_start().strip_prefix('{').unwrap_or(json);
        let json = match rest.trim_start() {
            "}" => format!("{{{}}}", added.trim_end_matches(',')),
            rest => format!("{{{added}{rest}"),
        };
        cloudevents::structured(json.as_bytes())
    }

    /// The id of the event that is being read: 128 bits of SHA-256 over the file's content and the event's place in it.
    fn id(&self) -> Result<String, Invalid> {
        let digest = self.digest.get_or_init(|| {
            let mut hasher = Sha256::new();
            let mut file = files::open(self.path)?;
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(hasher.finalize().into()),
                    count => hasher.update(&buffer[..count]),
                }
            }
        });
        let digest =
            digest.as_ref().map_err(|error| Invalid::new(format!("the file cannot be read again: {error}")))?;
        let id = Sha256::new().chain_update(digest).chain_update(self.count.to_be_bytes()).finalize();
        Ok(hex::encode(&id[..16]))
    }

    /// Records what was gathered. While there is no room it waits: the file is still there.
    fn record(&mut self) -> Result<(), StoreError> {
        let (numbers, events): (Vec<u64>, Vec<Parsed>) = std::mem::take(&mut self.events).into_iter().unzip();
        if events.is_empty() {
            return Ok(());
        }
        loop {
            if *self.stop.borrow() {
                return Err(StoreError::Stopped);
            }
            match self.folder.intake.record_blocking(events.clone()) {
                Ok(_) => return Ok(()),
                Err(StoreError::Stopped) => return Err(StoreError::Stopped),
                Err(error) => {
                    self.folder.trouble(format!("line {} and those after it wait: {error}", numbers[0]));
                    self.wait();
                }
            }
        }
    }

    fn wait(&self) {
        let mut stop = self.stop.clone();
        let stopped = async move { stop.wait_for(|stop| *stop).await.map(|_| ()) };
        let _ = tokio::runtime::Handle::current().block_on(timeout(FULL_WAIT, stopped));
    }
}

/// The members of an event that a line may leave out.
#[derive(Deserialize)]
struct Given<'g> {
    #[serde(borrow)]
    specversion: Option<&'g RawValue>,
    #[serde(borrow)]
    id: Option<&'g RawValue>,
    #[serde(borrow)]
    source: Option<&'g RawValue>,
    #[serde(borrow, rename = "type")]
    event_type: Option<&'g RawValue>,
}

/// What is wrong with the lines of a file; the first of them in words.
#[derive(Default)]
struct Errors {
    total: u64,
    words: Vec<String>,
}

impl Errors {
    fn push(&mut self, number: u64, invalid: &Invalid) {
        self.total += 1;
        if self.words.len() < FOLDER_ERRORS_MAX {
            self.words.push(format!("line {number}: {invalid}"));
        }
    }

    fn text(&self, count: u64) -> Option<String> {
        if self.total == 0 {
            return None;
        }
        let mut text = format!(
            "{} of {count} were not recorded; the others were. Mend these, and drop them as a file of their own.\n{}\n",
            self.total,
            self.words.join("\n")
        );
        if let Some(more) = self.total.checked_sub(self.words.len() as u64).filter(|more| *more > 0) {
            text.push_str(&format!("and {more} more\n"));
        }
        Some(text)
    }
}
