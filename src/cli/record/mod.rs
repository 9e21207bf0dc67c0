//! `outpost record`: records events from the command line, through the running agent or directly in its store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::{RawValue, to_raw_value};

use super::connect::Connection;
use super::failure::Failure;
use super::load::Loaded;
use super::output::{print, print_line, warn};
use super::reach::{AgentArgs, Reached, check_same};
use super::runtime::small_runtime;
use crate::agent::data_dir::Lock;
use crate::agent::{Course, Settings};
use crate::core::event::EventStatus;
use crate::core::limits::INTAKE_BODY_BYTES_MAX;
use crate::core::mapping::Mappings;
use crate::core::visible::one_line;
use crate::core::words::counted;
use crate::device::clock::Clock;
use crate::intake::{self, Answer, Answers, cloudevents};
use crate::store::Store;

mod parts;

use parts::read_parts;

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
        if let (Some(reason), EventStatus::Duplicate) = (&answer.reason, answer.status) {
            return Err(Failure::because(format!("event {}: {}", one_line(&answer.id), one_line(reason))));
        }
        if let Some(reason) = &answer.reason {
            warn(&one_line(&format!("{}: {reason}", answer.status.name())));
        } else if answer.status != EventStatus::Recorded {
            warn(answer.status.name());
        }
        print_line(&answer.id)?;
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
    let read = |input: Box<dyn Read>| io::read_to_string(input.take(INTAKE_BODY_BYTES_MAX as u64 + 1));
    let text = match data.strip_prefix('@') {
        Some(path) => File::open(path)
            .and_then(|file| read(Box::new(file)))
            .map_err(|error| Failure::usage(format!("the file {path} of --data cannot be read: {error}")))?,
        None if data == "-" => read(Box::new(io::stdin())).map_err(|error| Failure::failed(&error))?,
        None => data.to_owned(),
    };
    match text.len() > INTAKE_BODY_BYTES_MAX {
        true => Err(Failure::usage(format!("--data must be at most {INTAKE_BODY_BYTES_MAX} bytes"))),
        false => Ok(text),
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
        progress.set_message(counted(counts.total(), "event"));
        Ok(())
    });
    progress.finish_and_clear();
    if let Err(failure) = result {
        let message = format!(
            "{}\nrecorded before it: {}; fix it and run the same command again: duplicates are skipped",
            failure.message,
            counted(counts.total(), "event")
        );
        return Err(Failure { message, ..failure });
    }
    let Counts { recorded, duplicate, unmapped, unconsented, rejected, differing, changed } = counts;
    if let (count @ 1.., first) = changed {
        warn(&format!("{count} of the events were recorded with a change: {first}"));
    }
    let mut without = String::new();
    if let (count @ 1.., first) = unconsented {
        warn(&format!("{count} of the events were not stored: {first}"));
        without = format!(", without consent and not stored {count}");
    }
    print(&format!("recorded {recorded}, duplicate {duplicate}, unmapped {unmapped}, rejected {rejected}{without}"))?;
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

#[derive(Default)]
struct Counts {
    recorded: u64,
    duplicate: u64,
    unmapped: u64,
    /// Events that were not stored, and the reason of the first.
    unconsented: (u64, String),
    rejected: u64,
    /// Duplicates with different content, and the reason why the first of them was not recorded.
    differing: (u64, String),
    /// Recorded events that were changed, such as one with a time in the future, and the first of them.
    changed: (u64, String),
}

impl Counts {
    fn add(&mut self, answers: &[Answer]) {
        for answer in answers {
            match answer.status {
                EventStatus::Recorded => {
                    self.recorded += 1;
                    note(&mut self.changed, answer);
                }
                EventStatus::Duplicate => {
                    self.duplicate += 1;
                    note(&mut self.differing, answer);
                }
                EventStatus::Unmapped => self.unmapped += 1,
                EventStatus::Unconsented => note(&mut self.unconsented, answer),
                EventStatus::Rejected => self.rejected += 1,
            }
        }
    }

    fn total(&self) -> u64 {
        self.recorded + self.duplicate + self.unmapped + self.unconsented.0 + self.rejected
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

/// The recorder of events: the agent, or the store, locked against other writers.
enum Recorder {
    Agent { connection: Connection, runtime: tokio::runtime::Runtime },
    Store { store: Box<Store>, clock: Clock, mappings: Arc<Mappings>, _lock: Lock },
}

impl Recorder {
    fn open(args: &AgentArgs) -> Result<Self, Failure> {
        match args.reach_or_make()? {
            Reached::Agent(connection) => Ok(Self::Agent { connection, runtime: small_runtime()? }),
            Reached::AtRest(data_dir, lock) => {
                let Loaded { config, .. } = args.config.load_and_name_device()?;
                check_same(&config, &data_dir)?;
                let store_file = super::at_rest::store_file(&config);
                let opened = Course::open(Settings::of(config), &store_file);
                let (Course { settings, .. }, store) = opened.map_err(|error| Failure::failed(&error))?;
                let clock = Clock::new(store.counters().recorded_at);
                Ok(Self::Store { store: Box::new(store), clock, mappings: settings.mappings, _lock: lock })
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
            Self::Store { store, clock, mappings, .. } => {
                let parsed = cloudevents::batch(body.as_bytes()).map_err(|invalid| Failure::failed(&invalid))?;
                intake::record_directly(store, parsed, mappings, clock).map_err(|error| Failure::failed(&error))
            }
        }
    }
}
