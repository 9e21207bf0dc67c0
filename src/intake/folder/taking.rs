//! One file on its way into the store: its events are completed, gathered and recorded, and its invalid lines listed.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::timeout;

use super::content::Content;
use super::errors::Errors;
use super::line::{Line, Unreadable};
use super::rules::{FolderRules, FolderView, trouble};
use crate::core::event::EventStatus;
use crate::core::limits::FOLDER_BATCH_EVENTS;
use crate::core::timestamp::Timestamp;
use crate::intake::cloudevents::{self, Invalid, Parsed};
use crate::intake::view::SharedView;
use crate::intake::{Answer, Begun, Intake, Prepared};
use crate::store::StoreError;

/// Time between two tries while the store is full.
const FULL_WAIT: Duration = Duration::from_secs(5);

/// A file that counts the bytes read.
pub(super) struct Counted<'f, R> {
    file: R,
    view: &'f SharedView<FolderView>,
}

impl<'f, R> Counted<'f, R> {
    pub(super) const fn new(file: R, view: &'f SharedView<FolderView>) -> Self {
        Self { file, view }
    }
}

impl<R: Read> Read for Counted<'_, R> {
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
    content: &'t Content,
    /// True if the file is a table.
    is_table: bool,
    /// Events of it that were read before.
    known: u64,
    /// Time of events without one.
    begun: Timestamp,
    events: Vec<Event>,
    /// Events that the writer is recording while the next are read.
    under_way: Option<UnderWay>,
    count: u64,
    errors: Errors,
    duplicates: u64,
    /// New events whose time was in the future, and was replaced by the present.
    ahead: u64,
    /// Events that were not stored, since the person did not agree.
    unconsented: u64,
    stop: &'t watch::Receiver<bool>,
}

/// An event to be recorded.
struct Event {
    line: u64,
    /// Place in the file, from 1.
    place: u64,
    parsed: Parsed,
}

/// Events on their way through the writer.
struct UnderWay {
    events: Vec<Event>,
    begun: Result<Begun, StoreError>,
}

/// The result of reading a file.
pub(super) struct Outcome {
    /// Events in the file, including those that could not be recorded.
    pub(super) lines: u64,
    /// Events that are new since the last reading; `duplicates` counts those recorded before.
    pub(super) fresh: u64,
    /// See `fresh`.
    pub(super) duplicates: u64,
    /// Events whose time was in the future, and was replaced by the present.
    pub(super) ahead: u64,
    /// Events that were not stored, since the person did not agree.
    pub(super) unconsented: u64,
    pub(super) errors: Errors,
}

impl<'t> Taking<'t> {
    pub(super) const fn new(
        rules: &'t FolderRules,
        intake: &'t Intake,
        view: &'t SharedView<FolderView>,
        (content, is_table): (&'t Content, bool),
        (known, begun): (u64, Timestamp),
        stop: &'t watch::Receiver<bool>,
    ) -> Self {
        Self {
            rules,
            intake,
            view,
            content,
            is_table,
            known,
            begun,
            events: Vec::new(),
            under_way: None,
            count: 0,
            errors: Errors::NONE,
            duplicates: 0,
            ahead: 0,
            unconsented: 0,
            stop,
        }
    }

    /// Takes a line; from time to time the gathered events are handed to the writer.
    ///
    /// # Errors
    /// [`StoreError::Stopped`], if the agent stops.
    pub(super) fn line(&mut self, Line { number, column, index, is_unread, event }: Line) -> Result<(), StoreError> {
        self.count += 1;
        if let Some(reading) = &mut self.view.lock().reading {
            reading.lines = self.count;
        }
        let [at, column] = [number, column].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        match event.and_then(|json| self.complete(&json, Place { number: at, column })) {
            Ok(parsed) => {
                let parsed = Parsed { may_be_of_table: self.is_table, ..parsed };
                self.events.push(Event { line: number, place: self.count, parsed });
            }
            Err(invalid) => self.error(number, self.count, &Invalid { index, ..invalid }),
        }
        if is_unread {
            self.errors.unread();
        }
        if self.events.len() >= FOLDER_BATCH_EVENTS { self.hand_over() } else { Ok(()) }
    }

    /// Returns a complete event, with defaults for the members that the line leaves out.
    fn complete(&self, json: &str, place: Place) -> Result<Parsed, Invalid> {
        // The error's place is in the file, without the added members.
        let read = |json: &str, added: &str| {
            let in_file = |invalid: Invalid| invalid.without(added).in_file(place.number, place.column);
            cloudevents::structured(json.as_bytes()).map_err(in_file)
        };
        let Ok(given) = serde_json::from_str::<Given<'_>>(json) else { return read(json, "") };
        if given.specversion.is_none() && given.data.is_none() && given.data_base64.is_none() {
            check_members(json)?;
        }
        let Given { specversion, id, source, event_type, .. } = given;
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
            add("id", &self.content.id(self.count));
        }
        let rest = json.trim_start().strip_prefix('{').unwrap_or(json);
        if rest.trim() == "}" {
            added.truncate(added.trim_end_matches(',').len());
        }
        read(&format!("{{{added}{rest}"), &added)
    }

    fn error(&mut self, line: u64, place: u64, invalid: &Invalid) {
        self.errors.push(line, invalid, place > self.known);
    }

    /// Records the gathered events, and returns once they are on disk.
    ///
    /// # Errors
    /// [`StoreError::Stopped`], if the agent stops.
    pub(super) fn record(&mut self) -> Result<(), StoreError> {
        self.hand_over()?;
        self.settle().map(|_| ())
    }

    /// Hands the gathered events to the writer, once those before them are recorded; the next are read meanwhile.
    fn hand_over(&mut self) -> Result<(), StoreError> {
        let events = std::mem::take(&mut self.events);
        let mut prepared = self.prepare(&events);
        if self.settle()? {
            // Mappings may be others since then.
            prepared = self.prepare(&events);
        }
        if !events.is_empty() {
            self.under_way = Some(UnderWay { events, begun: self.begin(prepared) });
        }
        Ok(())
    }

    fn prepare(&self, events: &[Event]) -> Prepared {
        self.intake.prepare(events.iter().map(|event| event.parsed.clone()).collect(), self.begun)
    }

    fn begin(&self, prepared: Prepared) -> Result<Begun, StoreError> {
        if self.is_stopping() { Err(StoreError::Stopped) } else { self.intake.begin_record(prepared) }
    }

    /// Waits for the events under way. If there is no room they are tried again: the file stays where it is. Returns true if they
    /// had to be.
    fn settle(&mut self) -> Result<bool, StoreError> {
        let Some(UnderWay { events, mut begun }) = self.under_way.take() else { return Ok(false) };
        let mut had_to_wait = false;
        loop {
            match begun.and_then(Begun::wait) {
                Ok(answers) => {
                    events.iter().zip(answers).for_each(|(event, answer)| self.answered(event, &answer));
                    return Ok(had_to_wait);
                }
                Err(StoreError::Stopped) => return Err(StoreError::Stopped),
                Err(error) => {
                    let first = events.first().map_or(0, |event| event.line);
                    trouble(self.view, format!("line {first} and those after it wait: {error}"));
                    self.wait();
                    had_to_wait = true;
                    begun = self.begin(self.prepare(&events));
                }
            }
        }
    }

    fn answered(&mut self, event: &Event, answer: &Answer) {
        self.ahead += u64::from(answer.was_ahead);
        if let (true, Some(reason)) = (answer.has_no_known_consent, &answer.reason) {
            self.error(event.line, event.place, &Invalid::new(reason.as_str()));
        } else {
            self.unconsented += u64::from(answer.status == EventStatus::Unconsented);
        }
        if answer.status != EventStatus::Duplicate {
            return;
        }
        self.duplicates += u64::from(event.place > self.known);
        // A different event with the same id would be lost without a message.
        if let Some(reason) = &answer.reason {
            self.error(event.line, event.place, &Invalid::at("id", reason.as_str()));
        }
    }

    /// Returns the number of events that were read.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Records why nothing of the file can be read.
    pub(super) fn unreadable(&mut self, Unreadable { number, problem }: Unreadable) {
        self.errors.whole(number, &problem);
    }

    /// Returns the result, once everything is recorded.
    pub(super) fn finish(self) -> Outcome {
        let fresh = self.count.saturating_sub(self.known);
        let Self { count: lines, duplicates, ahead, unconsented, errors, .. } = self;
        Outcome { lines, fresh, duplicates, ahead, unconsented, errors }
    }

    /// Returns true if the agent is stopping.
    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    fn wait(&self) {
        let mut stop = self.stop.clone();
        let stopped = async move { stop.wait_for(|stop| *stop).await.map(|_| ()) };
        let _ = tokio::runtime::Handle::current().block_on(timeout(FULL_WAIT, stopped));
    }
}

/// The place in its file where an event begins.
#[derive(Clone, Copy)]
struct Place {
    number: usize,
    column: usize,
}

/// Refuses an object without `data` whose members are none of an event: nothing could be done with them, and nobody would see that.
fn check_members(json: &str) -> Result<(), Invalid> {
    const KNOWN: [&str; 7] = ["id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];
    let members: BTreeMap<String, IgnoredAny> = serde_json::from_str(json).unwrap_or_default();
    let Some(name) = members.into_keys().find(|name| !KNOWN.contains(&name.as_str())) else { return Ok(()) };
    let words = format!(
        "it is missing, and {name} is no member of an event; an event is as in {{\"data\": {{\"{name}\": …}}}}"
    );
    Err(Invalid::at("data", words))
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
    data: Option<IgnoredAny>,
    data_base64: Option<IgnoredAny>,
}
