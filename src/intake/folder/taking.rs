//! One file on its way into the store: its events completed, gathered, recorded, and its bad lines named.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::timeout;

use super::files;
use super::line::Line;
use super::rules::{FolderRules, FolderView, trouble};
use crate::core::limits::{FOLDER_BATCH_EVENTS, FOLDER_ERRORS_MAX};
use crate::intake::Intake;
use crate::intake::cloudevents::{self, Invalid, Parsed};
use crate::intake::view::SharedView;
use crate::store::StoreError;

/// How long the store may be full before the same lines are tried again.
const FULL_WAIT: Duration = Duration::from_secs(5);

/// A file that is read, and counted as it is.
pub(super) struct Counted<'f> {
    file: File,
    view: &'f SharedView<FolderView>,
}

impl<'f> Counted<'f> {
    pub(super) const fn new(file: File, view: &'f SharedView<FolderView>) -> Self {
        Self { file, view }
    }
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
pub(super) struct Taking<'t> {
    rules: &'t FolderRules,
    intake: &'t Intake,
    view: &'t SharedView<FolderView>,
    path: &'t Path,
    /// Of the file's content; made when the first event needs an id.
    digest: OnceCell<io::Result<[u8; 32]>>,
    events: Vec<(u64, Parsed)>,
    count: u64,
    errors: Errors,
    stop: &'t watch::Receiver<bool>,
}

impl<'t> Taking<'t> {
    pub(super) fn new(
        rules: &'t FolderRules,
        intake: &'t Intake,
        view: &'t SharedView<FolderView>,
        path: &'t Path,
        stop: &'t watch::Receiver<bool>,
    ) -> Self {
        let (digest, events, errors) = (OnceCell::new(), Vec::new(), Errors::default());
        Self { rules, intake, view, path, digest, events, count: 0, errors, stop }
    }

    /// Takes a line in; now and then what was gathered is recorded.
    ///
    /// # Errors
    /// [`StoreError::Stopped`], when the agent stops.
    pub(super) fn line(&mut self, Line { number, event }: Line) -> Result<(), StoreError> {
        self.count += 1;
        if let Some(reading) = &mut self.view.lock().reading {
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
        let rules = self.rules;
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
    ///
    /// # Errors
    /// [`StoreError::Stopped`], when the agent stops.
    pub(super) fn record(&mut self) -> Result<(), StoreError> {
        let (numbers, events): (Vec<u64>, Vec<Parsed>) = std::mem::take(&mut self.events).into_iter().unzip();
        if events.is_empty() {
            return Ok(());
        }
        loop {
            if *self.stop.borrow() {
                return Err(StoreError::Stopped);
            }
            match self.intake.record_blocking(events.clone()) {
                Ok(_) => return Ok(()),
                Err(StoreError::Stopped) => return Err(StoreError::Stopped),
                Err(error) => {
                    trouble(self.view, format!("line {} and those after it wait: {error}", numbers[0]));
                    self.wait();
                }
            }
        }
    }

    /// How many lines there were, and what is wrong with some, when all is recorded.
    pub(super) fn finish(mut self, is_as_found: bool) -> (u64, Errors) {
        if !is_as_found {
            // To read it again would record its lines again, since their ids come from the whole content.
            let words = "the file was still written to: what came after this was not recorded";
            self.errors.push(self.count + 1, &Invalid::new(words));
        }
        (self.count, self.errors)
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
pub(super) struct Errors {
    pub(super) total: u64,
    words: Vec<String>,
}

impl Errors {
    fn push(&mut self, number: u64, invalid: &Invalid) {
        self.total += 1;
        if self.words.len() < FOLDER_ERRORS_MAX {
            self.words.push(format!("line {number}: {invalid}"));
        }
    }

    /// The text that names them; none where nothing is wrong.
    pub(super) fn text(&self, count: u64) -> Option<String> {
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
