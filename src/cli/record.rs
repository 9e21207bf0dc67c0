//! `outpost record`: records events from the command line, through the running agent or directly in its store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::connect::Connection;
use super::load::Loaded;
use super::reach::{AgentArgs, Reached, check_same};
use super::{Failure, print, small_runtime, store_limits, warn};
use crate::agent::data_dir::Lock;
use crate::config::Config;
use crate::core::limits::{FOLDER_LINE_BYTES_MAX, INTAKE_BODY_BYTES_MAX};
use crate::core::visible::one_line;
use crate::device::clock::Clock;
use crate::intake::cloudevents::Invalid;
use crate::intake::folder::text_of;
use crate::intake::{self, cloudevents};
use crate::store::Store;

/// Most events in one request or transaction.
const PART_EVENTS: usize = 500;

/// Largest size of one request, leaving room for brackets and commas. Units: bytes.
const PART_BYTES: usize = INTAKE_BODY_BYTES_MAX / 2;

/// Records events durably: through the running agent, or else directly in its store
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    outpost record --type com.acme.loyalty.used --data @purchase.json\n  \
    outpost record --batch events.ndjson")]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
    /// The event's type
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "batch", conflicts_with = "batch")]
    event_type: Option<String>,
    /// The event's data: @FILE, - for stdin, or JSON, which other users can see in the process list
    #[arg(long, value_name = "JSON|@FILE|-", conflicts_with = "batch")]
    data: Option<String>,
    /// The event's subject
    #[arg(long, conflicts_with = "batch")]
    subject: Option<String>,
    /// The event's source
    #[arg(long, default_value = "/outpost/record", conflicts_with = "batch")]
    source: String,
    /// The event's id; by default a new one
    #[arg(long, conflicts_with = "batch")]
    id: Option<String>,
    /// The event's time, in RFC 3339; by default now
    #[arg(long, value_name = "RFC3339", conflicts_with = "batch")]
    time: Option<String>,
    /// A CloudEvents JSON batch, or one event per line, in a file or - for stdin
    #[arg(long, value_name = "FILE|-")]
    batch: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut recorder = Recorder::open(&args.agent)?;
    match &args.batch {
        Some(batch) => record_batch(&mut recorder, batch),
        None => record_one(&mut recorder, args),
    }
}

fn record_one(recorder: &mut Recorder, args: &Args) -> Result<(), Failure> {
    let event = event(args)?;
    let answers = recorder.record(&[event])?;
    for answer in answers {
        if let (Some(reason), "duplicate") = (&answer.reason, answer.status.as_str()) {
            return Err(Failure::because(format!("event {}: {}", one_line(&answer.id), one_line(reason))));
        }
        if let Some(reason) = &answer.reason {
            warn(&format!("{}: {}", answer.status, one_line(reason)));
        } else if answer.status != "recorded" {
            warn(&answer.status);
        }
        print(&one_line(&answer.id))?;
    }
    Ok(())
}

fn event(args: &Args) -> Result<String, Failure> {
    let id = args.id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let mut event: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
    let mut put = |name, value: Option<&str>| {
        if let Some(value) = value {
            event.insert(name, to_raw_value(value).expect("a text is JSON"));
        }
    };
    put("specversion", Some("1.0"));
    put("id", Some(&id));
    put("source", Some(&args.source));
    put("type", args.event_type.as_deref());
    put("subject", args.subject.as_deref());
    put("time", args.time.as_deref());
    if let Some(data) = &args.data {
        // As it is written, so that its numbers keep their digits.
        let data = serde_json::from_str(&data_text(data)?)
            .map_err(|error| Failure::usage(format!("--data is not valid JSON: {error}")))?;
        event.insert("data", data);
    }
    Ok(serde_json::to_string(&event).expect("what was read as JSON is JSON"))
}

fn data_text(data: &str) -> Result<String, Failure> {
    match data.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("the file {path} of --data cannot be read: {error}"))),
        None if data == "-" => io::read_to_string(io::stdin()).map_err(|error| Failure::failed(&error)),
        None => Ok(data.to_owned()),
    }
}

fn record_batch(recorder: &mut Recorder, batch: &str) -> Result<(), Failure> {
    let (input, bytes) = open(batch)?;
    let progress = progress(bytes);
    let mut counts = Counts::default();
    let result = read_parts(input, |part| {
        let answers = recorder.record(part.events)?;
        counts.add(&answers);
        progress.inc(part.bytes);
        progress.set_message(format!("{} events", counts.total()));
        Ok(())
    });
    progress.finish_and_clear();
    if let Err(failure) = result {
        let message = format!(
            "{}\n{} events before it were recorded; fix it and run the same command again: duplicates are skipped",
            failure.message,
            counts.total()
        );
        return Err(Failure { message, ..failure });
    }
    let Counts { recorded, duplicate, unmapped, unconsented, rejected, differing, changed } = counts;
    if let (count @ 1.., first) = changed {
        warn(&format!("{count} of the events were recorded with a change: {first}"));
    }
    let unconsented = match unconsented {
        0 => String::new(),
        count => format!(", without consent and not stored {count}"),
    };
    print(&format!(
        "recorded {recorded}, duplicate {duplicate}, unmapped {unmapped}, rejected {rejected}{unconsented}"
    ))?;
    match differing {
        (0, _) => Ok(()),
        (count, first) => {
            Err(Failure::because(format!("{count} of the duplicates differ, and were not recorded: {first}")))
        }
    }
}

fn open(batch: &str) -> Result<(Box<dyn BufRead>, Option<u64>), Failure> {
    if batch == "-" {
        return Ok((Box::new(BufReader::new(io::stdin())), None));
    }
    let file = File::open(Path::new(batch))
        .map_err(|error| Failure::usage(format!("the file {batch} cannot be read: {error}")))?;
    let bytes = file.metadata().ok().map(|metadata| metadata.len());
    Ok((Box::new(BufReader::new(file)), bytes))
}

fn progress(bytes: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    match bytes {
        Some(bytes) => {
            let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg} {eta}");
            ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }
        None => ProgressBar::new_spinner(),
    }
}

/// Some events of a file, with their size in bytes.
struct Part<'p> {
    events: &'p [String],
    bytes: u64,
}

/// Reads a JSON array or one event per line, and passes the events on in parts.
fn read_parts(input: Box<dyn BufRead>, mut take: impl FnMut(Part<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::failed(&error);
    let (input, is_replaced) = text_of(input).map_err(failed)?;
    let mut input = BufReader::new(input);
    let is_array = loop {
        let buffer = input.fill_buf().map_err(failed)?;
        let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank < buffer.len() || buffer.is_empty() {
            break buffer.get(blank) == Some(&b'[');
        }
        input.consume(blank);
    };
    let mut parts = Parts::new(&mut take);
    if is_array {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).map_err(failed)?;
        let text = batch_text(bytes, is_replaced).map_err(Failure::because)?;
        let events: Vec<&RawValue> = serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("the batch is not a JSON array: {error}")))?;
        for (index, event) in events.iter().enumerate() {
            let event = event.get();
            parts.add(&format!("event {index}"), event.to_owned(), event.len(), |invalid| {
                let before = &text[..event.as_ptr() as usize - text.as_ptr() as usize];
                let line = before.rsplit('\n').next().unwrap_or_default();
                invalid.in_file(before.matches('\n').count() + 1, line.chars().count() + 1)
            })?;
        }
    } else {
        for number in 1.. {
            let mut bytes = Vec::new();
            let most = FOLDER_LINE_BYTES_MAX as u64 + 1;
            let count = input.by_ref().take(most).read_until(b'\n', &mut bytes).map_err(failed)?;
            if count == 0 {
                break;
            }
            let name = format!("line {number}");
            let line = line_text(bytes, is_replaced).or_else(|words| parts.refuse(&name, words))?;
            if !line.trim().is_empty() {
                parts.add(&name, line, count, |invalid| invalid.in_file(number, 1))?;
            }
        }
    }
    parts.flush()
}

/// Returns the text of a line, or what is wrong with it.
fn line_text(mut bytes: Vec<u8>, is_replaced: bool) -> Result<String, &'static str> {
    if bytes.pop_if(|last| *last == b'\n').is_none() && bytes.len() > FOLDER_LINE_BYTES_MAX {
        return Err("it is longer than 1 MiB");
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    if is_replaced && text.contains('\u{fffd}') { Err("it holds half a character of UTF-16") } else { Ok(text) }
}

/// Returns the text of a batch, or what is wrong with the first of its lines that cannot be read.
fn batch_text(bytes: Vec<u8>, is_replaced: bool) -> Result<String, String> {
    let named = |before: usize, words: &str| format!("line {}: {words}", before + 1);
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        named(before.iter().filter(|byte| **byte == b'\n').count(), "it is not UTF-8")
    })?;
    match text.find('\u{fffd}').filter(|_| is_replaced) {
        Some(at) => Err(named(text[..at].matches('\n').count(), "it holds half a character of UTF-16")),
        None => Ok(text),
    }
}

struct Parts<'t, T> {
    take: &'t mut T,
    events: Vec<String>,
    bytes: usize,
}

impl<'t, T: FnMut(Part<'_>) -> Result<(), Failure>> Parts<'t, T> {
    const fn new(take: &'t mut T) -> Self {
        Self { take, events: Vec::new(), bytes: 0 }
    }

    /// Adds a valid event. An invalid one is reported once all before it are recorded.
    fn add(
        &mut self,
        name: &str,
        event: String,
        bytes: usize,
        in_file: impl FnOnce(Invalid) -> Invalid,
    ) -> Result<(), Failure> {
        if let Err(invalid) = cloudevents::structured(event.as_bytes()) {
            return self.refuse(name, &in_file(invalid).to_string());
        }
        if self.events.len() == PART_EVENTS || (self.bytes + bytes > PART_BYTES && !self.events.is_empty()) {
            self.flush()?;
        }
        self.events.push(event);
        self.bytes += bytes;
        Ok(())
    }

    /// Reports what cannot be recorded, once all before it are.
    fn refuse<R>(&mut self, name: &str, words: &str) -> Result<R, Failure> {
        self.flush()?;
        Err(Failure::because(format!("{name}: {words}")))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let events = std::mem::take(&mut self.events);
        let bytes = std::mem::take(&mut self.bytes) as u64;
        if events.is_empty() { Ok(()) } else { (self.take)(Part { events: &events, bytes }) }
    }
}

#[derive(Default)]
struct Counts {
    recorded: u64,
    duplicate: u64,
    unmapped: u64,
    unconsented: u64,
    rejected: u64,
    /// Duplicates with different content, and the reason why the first of them was not recorded.
    differing: (u64, String),
    /// Recorded events that were changed, such as one with a time in the future, and the first of them.
    changed: (u64, String),
}

impl Counts {
    fn add(&mut self, answers: &[Answer]) {
        for answer in answers {
            match answer.status.as_str() {
                "recorded" => {
                    self.recorded += 1;
                    note(&mut self.changed, answer);
                }
                "duplicate" => {
                    self.duplicate += 1;
                    note(&mut self.differing, answer);
                }
                "unmapped" => self.unmapped += 1,
                "unconsented" => self.unconsented += 1,
                _ => self.rejected += 1,
            }
        }
    }

    fn total(&self) -> u64 {
        self.recorded + self.duplicate + self.unmapped + self.unconsented + self.rejected
    }
}

/// Counts an answer with a reason, and keeps the first.
fn note((count, first): &mut (u64, String), answer: &Answer) {
    let Some(reason) = &answer.reason else { return };
    if *count == 0 {
        *first = format!("event {}: {}", one_line(&answer.id), one_line(reason));
    }
    *count += 1;
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    status: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Answers {
    events: Vec<Answer>,
}

/// The recorder of events: the agent, or the store, locked against other writers.
enum Recorder {
    Agent { connection: Connection, runtime: tokio::runtime::Runtime },
    Store { store: Box<Store>, clock: Clock, config: Box<Config>, _lock: Lock },
}

impl Recorder {
    fn open(args: &AgentArgs) -> Result<Self, Failure> {
        match args.reach_or_make()? {
            Reached::Agent(connection) => Ok(Self::Agent { connection, runtime: small_runtime()? }),
            Reached::AtRest(data_dir, lock) => {
                let Loaded { config, .. } = args.config.load_and_name_device()?;
                check_same(&config, &data_dir)?;
                let store = Store::open_within(super::store_file(&config), store_limits(&config))
                    .map_err(|error| Failure::failed(&error))?;
                let clock = Clock::new(store.counters().recorded_at);
                Ok(Self::Store { store: Box::new(store), clock, config: Box::new(config), _lock: lock })
            }
        }
    }

    /// Records events: all, or none if any is invalid.
    fn record(&mut self, events: &[String]) -> Result<Vec<Answer>, Failure> {
        let body = format!("[{}]", events.join(","));
        match self {
            Self::Agent { connection, runtime } => {
                let content_type = "application/cloudevents-batch+json";
                let answers: Answers = runtime.block_on(connection.post("/v1/events", content_type, body))?;
                Ok(answers.events)
            }
            Self::Store { store, clock, config, .. } => {
                let parsed = cloudevents::batch(body.as_bytes()).map_err(|invalid| Failure::failed(&invalid))?;
                let answers = intake::record_directly(store, parsed, &config.mappings, clock)
                    .map_err(|error| Failure::failed(&error))?;
                let owned = |answer: intake::Answer| Answer {
                    id: answer.id,
                    status: answer.status.to_owned(),
                    reason: answer.reason,
                };
                Ok(answers.into_iter().map(owned).collect())
            }
        }
    }
}
