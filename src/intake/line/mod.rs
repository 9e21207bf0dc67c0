//! Devices that send lines: a card reader or a scanner on a serial port, or anything that writes to standard input.
//!
//! Each line that matches the pattern is one event. If a device is unplugged, the intake waits for it. Nobody at the
//! device can be told that the store is full, so lines wait in memory for a while.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_serial::{SerialPortBuilderExt, SerialStream};
use uuid::Uuid;

use super::Intake;
use super::cloudevents::{self, Parsed};
use super::kind::{Kind, Work};
use super::view::{Figure, SharedView, Shown, Trouble, sentence};
use crate::core::limits::LINES_WAITING_MAX;
use crate::core::words::{With, counted, figures, verdicts};
use crate::device::clock::Clock;
use crate::store::StoreError;

mod rules;

pub use rules::{Checksum, LineRules, LineSource, Parity, PortSettings};

use rules::{Framer, NoEvent, Recent};

/// Time between two looks for a missing device, and between two tries while the store is full.
const RETRY: Duration = Duration::from_millis(500);

/// Part that is read at once. Units: bytes.
const CHUNK: usize = 1_024;

/// The state of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineView {
    /// Name of the device.
    pub name: String,
    /// True if it is connected.
    pub connected: bool,
    /// Lines that became events since the start.
    pub events: u64,
    /// Lines that were repeated within a moment.
    pub repeated: u64,
    /// Lines that do not match the pattern, are too long, or lack the character before or after them.
    pub unmatched: u64,
    /// Lines with a wrong check digit.
    pub wrong_checksum: u64,
    /// Lines that were lost because the store was full for too long.
    pub lost: u64,
    /// Problem with the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Shown for LineView {
    fn line(&self) -> String {
        let Self { name, connected, events, repeated, unmatched, wrong_checksum, lost, problem } = self;
        let state = if *connected { "connected" } else { "not there" };
        let problem = problem.as_deref().map(|problem| format!("; {problem}")).unwrap_or_default();
        format!(
            "{:<10}{name} {state}; {}, {repeated} repeated, {unmatched} unmatched, {wrong_checksum} with a wrong check digit, \
             {lost} lost{problem}",
            "device",
            counted(*events, "event")
        )
    }

    fn figure(&self) -> Figure {
        let figure = if self.connected { figures::CONNECTED } else { figures::ABSENT };
        let mut words = vec![figures::LINE_EVENTS.with([With::count(self.events), self.name.as_str().into()])];
        words.extend(sentence(self.problem.as_deref()));
        Figure { name: figures::DEVICE, figure: figure.said(), words, part: None }
    }

    fn trouble(&self) -> Option<Trouble> {
        let name = || With::from(self.name.as_str());
        if let (false, problem) | (true, problem @ Some(_)) = (self.connected, self.problem.as_deref()) {
            let problem = problem.map_or(With::Said(verdicts::NOT_THERE.said()), With::from);
            return Some(Trouble::Needs(verdicts::DEVICE_PROBLEM.with([name(), problem]), verdicts::PLUG_IN));
        }
        let text = || verdicts::LINES_LOST.with([With::count(self.lost), name()]);
        (self.lost > 0).then(|| Trouble::Needs(text(), verdicts::MORE_ROOM))
    }
}

impl Kind for LineRules {
    const SECTION: &'static str = "[[intake.line]]";

    type View = LineView;

    fn open(self, intake: Intake, stop: watch::Receiver<bool>) -> (SharedView<LineView>, Work) {
        let view = SharedView::new(LineView { name: self.name.clone(), ..LineView::default() });
        let device = LineDevice { rules: self, intake, view: view.clone() };
        (view, Box::pin(device.run(stop)))
    }
}

/// The reader of one device, which works as long as the agent runs.
struct LineDevice {
    rules: LineRules,
    intake: Intake,
    view: SharedView<LineView>,
}

impl LineDevice {
    /// Takes lines until `stop` turns true. Lines received by then are recorded.
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let Self { rules, intake, view } = self;
        let (lines, waiting) = mpsc::channel(LINES_WAITING_MAX);
        let recording = tokio::spawn(record(intake, waiting, view.clone(), stop.clone()));
        let from = rules.from.clone();
        let mut taking =
            Taking { framer: rules.framer(), rules, recent: Recent::default(), begun: Instant::now(), lines, view };
        let take = async {
            match from {
                LineSource::Stdin => taking.stdin().await,
                LineSource::Port { path, settings } => taking.port(&path, settings).await,
            }
        };
        tokio::select! {
            () = take => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // Dropping the sender ends the channel after the last line.
        drop(taking);
        let _ = recording.await;
    }
}

/// Received bytes on their way to events.
struct Taking {
    rules: LineRules,
    framer: Framer,
    recent: Recent,
    begun: Instant,
    lines: mpsc::Sender<Parsed>,
    view: SharedView<LineView>,
}

impl Taking {
    /// Reads a port, and waits for it while it is unplugged.
    async fn port(&mut self, path: &Path, settings: PortSettings) {
        loop {
            match open(path, settings) {
                Ok(mut port) => {
                    self.connected(None);
                    let mut chunk = [0; CHUNK];
                    let problem = loop {
                        match AsyncReadExt::read(&mut port, &mut chunk).await {
                            Ok(0) => break "it was unplugged".to_owned(),
                            Ok(count) => self.take(&chunk[..count]),
                            Err(error) => break format!("it was unplugged, or cannot be read: {error}"),
                        }
                    };
                    self.connected(Some(problem));
                    self.framer.cut();
                    self.count_dropped();
                    self.framer = self.rules.framer();
                }
                Err(error) => self.connected(Some(format!("{} cannot be opened: {error}", path.display()))),
            }
            sleep(RETRY).await;
        }
    }

    /// Reads standard input to its end.
    async fn stdin(&mut self) {
        // On a separate thread: its read could not be cancelled when the agent stops.
        let (sender, mut chunks) = mpsc::channel::<Vec<u8>>(1);
        let read = move || {
            let (mut stdin, mut chunk) = (std::io::stdin(), [0; CHUNK]);
            while let Ok(count @ 1..) = stdin.read(&mut chunk) {
                if sender.blocking_send(chunk[..count].to_vec()).is_err() {
                    return;
                }
            }
        };
        if std::thread::Builder::new().name("stdin".to_owned()).spawn(read).is_err() {
            self.connected(Some("the system has no more threads".to_owned()));
            return;
        }
        self.connected(None);
        while let Some(chunk) = chunks.recv().await {
            self.take(&chunk);
        }
        self.finish();
        self.connected(Some("standard input has ended".to_owned()));
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(line) = self.framer.push(*byte) {
                self.line(&line);
            }
        }
        self.count_dropped();
    }

    /// Takes the last line.
    fn finish(&mut self) {
        if let Some(line) = self.framer.finish() {
            self.line(&line);
        }
        self.count_dropped();
    }

    fn count_dropped(&mut self) {
        self.view.lock().unmatched += std::mem::take(&mut self.framer.dropped);
    }

    fn line(&mut self, line: &str) {
        let mut view = self.view.lock();
        match self.rules.data(line) {
            Err(NoEvent::Unmatched) => view.unmatched += 1,
            Err(NoEvent::WrongChecksum) => view.wrong_checksum += 1,
            Ok(data) if self.recent.is_repeated(&data, self.rules.debounce, self.begun.elapsed()) => view.repeated += 1,
            Ok(data) => {
                let event = self.rules.event(&Uuid::now_v7().to_string(), &Clock::system().to_string(), &data);
                match cloudevents::structured(event.as_bytes()).map(|event| self.lines.try_send(event).is_ok()) {
                    Ok(true) => {}
                    Ok(false) => {
                        view.lost += 1;
                        tracing::error!(device = self.rules.name, "a line was lost: the store has been full for long");
                    }
                    // It contains a character that an event cannot have.
                    Err(_) => view.unmatched += 1,
                }
            }
        }
    }

    /// Notes whether the device is connected, and logs a change of that.
    fn connected(&self, problem: Option<String>) {
        let mut view = self.view.lock();
        let is_connected = problem.is_none();
        if is_connected && !view.connected {
            tracing::info!(device = self.rules.name, "device connected");
        } else if !is_connected && (view.connected || view.problem.is_none()) {
            tracing::warn!(device = self.rules.name, problem, "device not there");
        }
        view.connected = is_connected;
        view.problem = problem;
    }
}

fn open(path: &Path, settings: PortSettings) -> tokio_serial::Result<SerialStream> {
    let data_bits = match settings.data_bits {
        5 => tokio_serial::DataBits::Five,
        6 => tokio_serial::DataBits::Six,
        7 => tokio_serial::DataBits::Seven,
        _ => tokio_serial::DataBits::Eight,
    };
    let parity = match settings.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let stop_bits = if settings.stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One };
    let port = tokio_serial::new(path.to_string_lossy(), settings.baud);
    port.data_bits(data_bits).parity(parity).stop_bits(stop_bits).open_native_async()
}

/// Records lines one after another. While the store has no room they wait.
async fn record(
    intake: Intake,
    mut waiting: mpsc::Receiver<Parsed>,
    view: SharedView<LineView>,
    mut stop: watch::Receiver<bool>,
) {
    while let Some(event) = waiting.recv().await {
        loop {
            match intake.record(vec![event.clone()]).await {
                Ok(_) => {
                    let mut view = view.lock();
                    view.events += 1;
                    if view.connected {
                        view.problem = None;
                    }
                    break;
                }
                Err(StoreError::Stopped) => return,
                Err(error) => view.lock().problem = Some(format!("lines wait: {error}")),
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}
