//! A small agent that does it right, one request at a time, and the same with one thing done wrong. They show that the oracle
//! finds something; they are no model of how Outpost works.

use std::collections::{BTreeMap, BTreeSet};

use outpost::core::identity::Identity;
use outpost::core::operation::{Held, Operation, Stamp, append_list, decimal_text, number};
use outpost::core::timestamp::Timestamp;

use super::oracle::{BookRow, State};
use super::target::Target;
use super::wire::{Answer, BatchState, FetchTold, Shown, Status, StatusTold, SubmitTold, told_wait};
use super::world::{Agent, Cut, DeviceEvent, Moment, Recorded};
use super::{customer, hours, mins, secs};

/// What an agent does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// A lost answer is taken for a no, so what Target shows of it is taken for somebody else's.
    CountsTwice,
    /// What is about to be sent is marked as delivered.
    SendIsDelivery,
    /// A no leaves the attempt standing, as if it had been made.
    AttemptStands,
    /// A batch that could not be submitted is sent later as it was.
    FrozenBatch,
    /// Nothing is read.
    Blind,
    /// A row holds only what is pending.
    NarrowRow,
    /// What ended unknown is never read back.
    NeverLooksBack,
    /// No waiting, whatever was told.
    Hammers,
    /// A `set` is sent over whatever is there.
    SetsBlindly,
    /// A single goes to whoever, known or not.
    SinglesOnly,
    /// What is refused stays pending without a reason.
    NeverRejects,
}

#[derive(Clone, Debug)]
struct Attempt {
    value: String,
    own: String,
    /// The items of `append` that it held of ours, by their number.
    seq: i64,
    at: Timestamp,
    /// What Target shows is new if it is newer than this: the attempt itself once it is definite, and until then what was
    /// known before it, for it may never have been.
    known_until: Timestamp,
    number: u64,
}

#[derive(Clone, Debug)]
struct Attribute {
    operation: Operation,
    held: Held,
    version: i64,
    delivered: i64,
    is_superseded: bool,
    refused: Option<String>,
    /// The newest last; what was answered no is taken out.
    attempts: Vec<Attempt>,
}

impl Attribute {
    fn is_pending(&self) -> bool {
        self.version > self.delivered && self.refused.is_none()
    }
}

#[derive(Clone, Debug, Default)]
struct Profile {
    attributes: BTreeMap<String, Attribute>,
    /// When it is to be read back, since something ended unknown.
    checks: Vec<Timestamp>,
    cannot_be_read: Option<Timestamp>,
    /// Others' values that we wrote again in a row, with the time that they had before: what we carried is not newer for that.
    carried: Vec<(String, String, Option<Timestamp>)>,
}

impl Profile {
    fn seen(&self, name: &str, shows: &Shown) -> Option<(String, Option<Timestamp>)> {
        let (value, at) = shows.get(name)?;
        let carried = self.carried.iter().find(|(held, carried, _)| held == name && carried == value);
        Some((value.clone(), carried.map_or(*at, |(_, _, at)| *at)))
    }

    fn carries(&mut self, name: &str, value: &str, at: Option<Timestamp>) {
        let own = self.attributes.get(name).map_or(&[][..], |attribute| &attribute.attempts);
        let is_own = own.iter().any(|attempt| attempt.value == value);
        if !is_own && !self.carried.iter().any(|(held, carried, _)| held == name && carried == value) {
            self.carried.push((name.to_owned(), value.to_owned(), at));
        }
    }
}

type Row = Vec<(String, String)>;

#[derive(Clone, Debug)]
struct OpenBatch {
    name: String,
    identity: Identity,
    number: u64,
    versions: BTreeMap<String, i64>,
    poll_at: Timestamp,
    since: Timestamp,
}

/// What survives a kill.
#[derive(Clone, Debug, Default)]
struct Disk {
    profiles: BTreeMap<Identity, Profile>,
    batches: Vec<OpenBatch>,
    frozen: Option<(Identity, Row, u64, BTreeMap<String, i64>)>,
    ids: BTreeSet<u64>,
    seq: i64,
    attempts: u64,
    /// Target's clock, less the device's.
    off_ms: i64,
}

#[derive(Clone, Debug)]
struct Sending {
    identity: Identity,
    number: u64,
    versions: BTreeMap<String, i64>,
}

#[derive(Clone, Debug)]
enum Heard {
    Fetched(Identity, FetchTold),
    Updated(Sending, Answer),
    Submitted(Sending, Row, SubmitTold),
    Status(String, StatusTold),
}

#[derive(Debug, Default)]
struct Memory {
    waiting: Option<(Timestamp, Option<Timestamp>, Heard)>,
    reading: Option<(Identity, Option<Shown>)>,
    quiet_until: Option<Timestamp>,
    refusals: u32,
    failures: BTreeMap<Identity, u32>,
}

pub struct Small {
    device: usize,
    flaw: Flaw,
    disk: Disk,
    memory: Memory,
}

impl Small {
    pub fn new(device: usize, flaw: Flaw) -> Self {
        Self { device, flaw, disk: Disk::default(), memory: Memory::default() }
    }

    fn on_target_clock(&self, wall: Timestamp) -> Timestamp {
        Timestamp::from_millis(wall.as_millis() + self.disk.off_ms)
    }

    /// Whose turn it is: who failed least. And when.
    fn work(&self, now: Timestamp) -> Option<(Timestamp, &Identity)> {
        let in_batch = |identity: &Identity| self.disk.batches.iter().any(|batch| batch.identity == *identity);
        self.disk
            .profiles
            .iter()
            .filter(|(identity, _)| !in_batch(identity))
            .filter_map(|(identity, profile)| {
                let pending = profile.attributes.values().any(Attribute::is_pending);
                let pending_at = pending.then(|| profile.cannot_be_read.unwrap_or(now));
                let at = pending_at.into_iter().chain(profile.checks.iter().copied()).min()?;
                let failures = self.memory.failures.get(identity).copied().unwrap_or(0);
                Some((at.max(now), failures, identity))
            })
            .min()
            .map(|(at, _, identity)| (at, identity))
    }

    fn setback(&mut self, now: Timestamp, status: Option<&Status>, date: Option<Timestamp>) {
        if self.flaw == Flaw::Hammers {
            return;
        }
        self.memory.refusals += 1;
        let own = secs(2 << self.memory.refusals.min(7));
        let told = status.zip(date).and_then(|(status, date)| told_wait(status, date)).unwrap_or_default();
        let until = now.plus(own.max(told));
        self.memory.quiet_until = self.memory.quiet_until.max(Some(until));
    }

    fn fetch(&mut self, target: &mut Target, identity: Identity, now: Timestamp) {
        let told = target.fetch(self.device, &identity, now);
        self.memory.waiting = Some((told.at, told.date, Heard::Fetched(identity, told.answer)));
    }

    /// Sends what is pending of a profile that was read; or nothing, when nothing is left to be sent.
    #[allow(clippy::needless_pass_by_value)]
    fn send(&mut self, target: &mut Target, identity: Identity, shown: Option<Shown>, moment: Moment) {
        let (at, flaw) = (self.on_target_clock(moment.wall), self.flaw);
        let off_ms = self.disk.off_ms;
        self.disk.attempts += 1;
        let number = self.disk.attempts;
        let is_batch = flaw != Flaw::SinglesOnly && (shown.is_none() || number.is_multiple_of(4));
        let empty = Shown::new();
        let shows = shown.as_ref().unwrap_or(&empty);
        let profile = self.disk.profiles.get_mut(&identity).unwrap();
        let is_check = profile.checks.iter().any(|check| *check <= moment.now);
        profile.checks.retain(|check| *check > moment.now);
        let (mut row, mut versions) = (Row::new(), BTreeMap::new());
        let shows: Shown = shows.keys().map(|name| (name.clone(), profile.seen(name, shows).unwrap())).collect();
        if is_batch && flaw != Flaw::NarrowRow {
            for (name, (value, at)) in &shows {
                profile.carries(name, value, *at);
                if !profile.attributes.contains_key(name) {
                    row.push((name.clone(), value.clone()));
                }
            }
        }
        let looks_back = flaw != Flaw::NeverLooksBack;
        for (name, attribute) in &mut profile.attributes {
            let seen = shows.get(name).filter(|_| flaw != Flaw::Blind);
            let event_at = Timestamp::from_millis(attribute.held.stamp.time.as_millis() + off_ms);
            // Something of ours that came late may have put back or wiped what was sent after it: our own, or what we carried.
            let is_gone = |attribute: &Attribute| {
                let (value, is_theirs) = decide(attribute, seen, event_at, flaw);
                !attribute.attempts.is_empty() && !is_theirs && seen.is_none_or(|(seen, _)| *seen != value)
            };
            if looks_back && ((is_check && is_gone(attribute)) || has_gone_back(attribute, seen)) {
                attribute.delivered = attribute.version - 1;
            }
            let is_pending = attribute.is_pending();
            if let (true, false, Some((value, _))) = (is_batch && attribute.refused.is_some(), is_pending, seen) {
                // Refused here, and there all the same: what somebody wrote is carried along.
                row.push((name.clone(), value.clone()));
            }
            let is_wanted = is_pending || (is_batch && flaw != Flaw::NarrowRow && attribute.refused.is_none());
            if !is_wanted {
                continue;
            }
            let (value, is_theirs) = decide(attribute, seen, event_at, flaw);
            if is_pending {
                attribute.is_superseded = is_theirs;
            }
            if is_theirs {
                if is_pending {
                    attribute.delivered = attribute.version;
                }
                if !is_batch {
                    continue;
                }
            } else {
                let before = attribute.attempts.last().map_or(Timestamp::from_millis(0), |last| last.known_until);
                let known_until = seen.and_then(|(_, at)| *at).map_or(before, |at| at.max(before));
                attribute.attempts.push(Attempt {
                    value: value.clone(),
                    own: attribute.held.value.clone(),
                    seq: self.disk.seq,
                    at,
                    known_until,
                    number,
                });
                versions.insert(name.clone(), attribute.version);
            }
            row.push((name.clone(), value));
        }
        if versions.is_empty() {
            return;
        }
        if flaw == Flaw::SendIsDelivery {
            self.mark(&identity, &versions);
        }
        self.dispatch(target, Sending { identity, number, versions }, row, is_batch, moment.now);
    }

    fn dispatch(&mut self, target: &mut Target, sending: Sending, row: Row, is_batch: bool, now: Timestamp) {
        if is_batch {
            let told = target.submit(self.device, &[(sending.identity.clone(), row.clone())], now);
            self.memory.waiting = Some((told.at, told.date, Heard::Submitted(sending, row, told.answer)));
        } else {
            let told = target.single(self.device, &sending.identity, &row, now);
            self.memory.waiting = Some((told.at, told.date, Heard::Updated(sending, told.answer)));
        }
    }

    fn mark(&mut self, identity: &Identity, versions: &BTreeMap<String, i64>) {
        let profile = self.disk.profiles.get_mut(identity).unwrap();
        for (name, version) in versions {
            let attribute = profile.attributes.get_mut(name).unwrap();
            attribute.delivered = attribute.delivered.max(*version);
        }
    }

    /// A definite yes.
    fn is_sure(&mut self, identity: &Identity, number: u64) {
        let profile = self.disk.profiles.get_mut(identity).unwrap();
        for attribute in profile.attributes.values_mut() {
            for attempt in attribute.attempts.iter_mut().filter(|attempt| attempt.number == number) {
                attempt.known_until = attempt.at;
            }
        }
    }

    /// A definite no: what was attempted was not.
    fn undo(&mut self, identity: &Identity, number: u64) {
        if self.flaw == Flaw::AttemptStands {
            return;
        }
        let profile = self.disk.profiles.get_mut(identity).unwrap();
        for attribute in profile.attributes.values_mut() {
            attribute.attempts.retain(|attempt| attempt.number != number);
        }
    }

    /// No answer: it may come about, and late.
    fn unknown(&mut self, sending: &Sending, now: Timestamp, is_batch: bool) {
        if self.flaw == Flaw::CountsTwice {
            self.undo(&sending.identity, sending.number);
        }
        self.look_back(&sending.identity, now, is_batch);
    }

    fn look_back(&mut self, identity: &Identity, now: Timestamp, is_batch: bool) {
        if self.flaw == Flaw::NeverLooksBack {
            return;
        }
        let after = if is_batch { [mins(70), mins(190)] } else { [mins(65), mins(130)] };
        self.disk.profiles.get_mut(identity).unwrap().checks.extend(after.map(|after| now.plus(after)));
    }

    fn refuse(&mut self, sending: &Sending, reason: &str) {
        if self.flaw == Flaw::NeverRejects {
            return;
        }
        let profile = self.disk.profiles.get_mut(&sending.identity).unwrap();
        for name in sending.versions.keys() {
            profile.attributes.get_mut(name).unwrap().refused = Some(reason.to_owned());
        }
    }

    fn hear(&mut self, heard: Heard, date: Option<Timestamp>, moment: Moment) {
        let now = moment.now;
        match heard {
            Heard::Fetched(identity, told) => match told {
                FetchTold::Found { attributes, .. } => {
                    self.well(date, moment);
                    self.disk.profiles.get_mut(&identity).unwrap().cannot_be_read = None;
                    self.memory.reading = Some((identity, Some(attributes)));
                }
                FetchTold::Missing => {
                    self.well(date, moment);
                    self.disk.profiles.get_mut(&identity).unwrap().cannot_be_read = None;
                    self.memory.reading = Some((identity, None));
                }
                FetchTold::Status(Status { code: 400, .. }) => {
                    let profile = self.disk.profiles.get_mut(&identity).unwrap();
                    profile.cannot_be_read = Some(now.plus(hours(1)));
                    profile.checks.clear();
                }
                FetchTold::Status(status) => self.setback(now, Some(&status), date),
                FetchTold::Lost | FetchTold::Unreachable => self.setback(now, None, None),
            },
            Heard::Updated(sending, answer) => match answer {
                Answer::Yes => {
                    self.well(date, moment);
                    self.memory.failures.remove(&sending.identity);
                    self.mark(&sending.identity, &sending.versions);
                    self.is_sure(&sending.identity, sending.number);
                }
                Answer::Status(Status { code: 400, .. }) => {
                    self.undo(&sending.identity, sending.number);
                    self.refuse(&sending, "400");
                }
                Answer::Status(status) => {
                    *self.memory.failures.entry(sending.identity.clone()).or_default() += 1;
                    self.undo(&sending.identity, sending.number);
                    self.setback(now, Some(&status), date);
                }
                Answer::Lost => {
                    self.unknown(&sending, now, false);
                    self.setback(now, None, None);
                }
                Answer::Unreachable => {
                    self.undo(&sending.identity, sending.number);
                    self.setback(now, None, None);
                }
            },
            Heard::Submitted(sending, row, told) => self.submitted(sending, row, told, date, moment),
            Heard::Status(name, told) => self.polled(&name, told, date, moment),
        }
    }

    fn submitted(&mut self, sending: Sending, row: Row, told: SubmitTold, date: Option<Timestamp>, moment: Moment) {
        let now = moment.now;
        match told {
            SubmitTold::Accepted(name) => {
                self.well(date, moment);
                let Sending { identity, number, versions } = sending;
                let (poll_at, since) = (now.plus(mins(5)), now);
                self.disk.batches.push(OpenBatch { name, identity, number, versions, poll_at, since });
                return;
            }
            SubmitTold::Refused | SubmitTold::Status(Status { code: 400, .. }) => {
                self.undo(&sending.identity, sending.number);
                return self.refuse(&sending, "refused as a whole");
            }
            SubmitTold::Lost => {
                self.unknown(&sending, now, true);
                self.setback(now, None, None);
            }
            SubmitTold::Status(ref status) => {
                self.undo(&sending.identity, sending.number);
                self.setback(now, Some(status), date);
            }
            SubmitTold::Unreachable => {
                self.undo(&sending.identity, sending.number);
                self.setback(now, None, None);
            }
        }
        if self.flaw == Flaw::FrozenBatch {
            let Sending { identity, number, versions } = sending;
            self.disk.frozen = Some((identity, row, number, versions));
        }
    }

    fn polled(&mut self, name: &str, told: StatusTold, date: Option<Timestamp>, moment: Moment) {
        let now = moment.now;
        let Some(place) = self.disk.batches.iter().position(|batch| batch.name == name) else { return };
        let batch = &mut self.disk.batches[place];
        batch.poll_at = now.plus(mins(5));
        let is_over = now.since(batch.since) > hours(24);
        let state = match told {
            StatusTold::State(status) if status.state != BatchState::Incomplete => status,
            StatusTold::State(_) | StatusTold::NotFound if !is_over => return,
            StatusTold::Status(status) if !is_over => return self.setback(now, Some(&status), date),
            StatusTold::Lost | StatusTold::Unreachable if !is_over => return self.setback(now, None, None),
            _ => {
                let batch = self.disk.batches.remove(place);
                return self.look_back(&batch.identity, now, true);
            }
        };
        let batch = self.disk.batches.remove(place);
        let is_whole = state.failed_updates == Some(0) && state.consumed == Some(state.batch_size);
        if state.state == BatchState::Stuck || !state.failed.is_empty() {
            self.undo(&batch.identity, batch.number);
        } else if is_whole {
            self.mark(&batch.identity, &batch.versions);
            self.is_sure(&batch.identity, batch.number);
        } else {
            self.look_back(&batch.identity, now, true);
        }
    }

    fn well(&mut self, date: Option<Timestamp>, moment: Moment) {
        (self.memory.refusals, self.memory.quiet_until) = (0, None);
        if let Some(date) = date {
            self.disk.off_ms = date.as_millis() - moment.wall.as_millis();
        }
    }
}

impl Agent for Small {
    fn record(&mut self, event: &DeviceEvent, cut: Option<Cut>, moment: Moment) -> Recorded {
        if cut == Some(Cut::BeforeCommit) {
            self.kill(moment);
            return Recorded::Unanswered;
        }
        if !self.disk.ids.insert(event.id) {
            return Recorded::Duplicate;
        }
        self.disk.seq += 1;
        let seq = self.disk.seq;
        let profile = self.disk.profiles.entry(customer(event.customer)).or_default();
        for change in &event.changes {
            let stamp = Stamp { time: event.time, seq };
            let held = profile.attributes.get(&change.name);
            let next = change.operation.change(held.map(|held| &held.held), &change.operand, stamp).unwrap();
            let Some(next) = next else { continue };
            match profile.attributes.get_mut(&change.name) {
                Some(attribute) => {
                    attribute.version = seq;
                    attribute.held = next;
                    attribute.is_superseded = false;
                }
                None => {
                    let attribute = Attribute {
                        operation: change.operation,
                        held: next,
                        version: seq,
                        delivered: 0,
                        is_superseded: false,
                        refused: None,
                        attempts: Vec::new(),
                    };
                    profile.attributes.insert(change.name.clone(), attribute);
                }
            }
        }
        if cut.is_some() {
            self.kill(moment);
            return Recorded::Unanswered;
        }
        Recorded::Acknowledged
    }

    fn next(&self, moment: Moment) -> Option<Timestamp> {
        if let Some((at, ..)) = &self.memory.waiting {
            return Some(*at);
        }
        let polls = self.disk.batches.iter().map(|batch| batch.poll_at);
        let frozen = self.disk.frozen.as_ref().map(|_| moment.now);
        let reading = self.memory.reading.as_ref().map(|_| moment.now);
        let work = self.work(moment.now).map(|(at, _)| at);
        let wanted = polls.chain(frozen).chain(reading).chain(work).min()?;
        Some(wanted.max(self.memory.quiet_until.unwrap_or(wanted)))
    }

    fn act(&mut self, target: &mut Target, moment: Moment) {
        let now = moment.now;
        if let Some((_, date, heard)) = self.memory.waiting.take() {
            return self.hear(heard, date, moment);
        }
        if let Some((identity, shown)) = self.memory.reading.take() {
            return self.send(target, identity, shown, moment);
        }
        if let Some((identity, row, number, versions)) = self.disk.frozen.take() {
            return self.dispatch(target, Sending { identity, number, versions }, row, true, now);
        }
        if let Some(batch) = self.disk.batches.iter().find(|batch| batch.poll_at <= now) {
            let name = batch.name.clone();
            let told = target.status(self.device, &name, now);
            self.memory.waiting = Some((told.at, told.date, Heard::Status(name, told.answer)));
            return;
        }
        let Some((at, identity)) = self.work(now) else { return };
        if at <= now {
            let identity = identity.clone();
            match self.flaw {
                Flaw::Blind => self.memory.reading = Some((identity, Some(Shown::new()))),
                _ => self.fetch(target, identity, now),
            }
        }
    }

    /// What was on its way is unknown: it is found in the attempts, and looked for.
    fn kill(&mut self, moment: Moment) {
        if let Some((_, _, Heard::Updated(sending, _) | Heard::Submitted(sending, _, _))) = self.memory.waiting.take() {
            // A real one notes this before it sends.
            self.unknown(&sending, moment.now, true);
        }
        self.memory = Memory::default();
    }

    fn heal(&mut self, _moment: Moment) -> usize {
        let attributes = self.disk.profiles.values_mut().flat_map(|profile| profile.attributes.values_mut());
        attributes.filter_map(|attribute| attribute.refused.take()).count()
    }

    fn rows(&self) -> Vec<BookRow> {
        let mut rows = Vec::new();
        for (identity, profile) in &self.disk.profiles {
            for (name, attribute) in &profile.attributes {
                let state = match attribute {
                    Attribute { refused: Some(_), .. } if attribute.version > attribute.delivered => State::Refused,
                    _ if attribute.is_pending() => State::Pending,
                    Attribute { is_superseded: true, .. } => State::Superseded,
                    _ => State::Delivered,
                };
                let unread = profile.cannot_be_read.map(|_| "cannot be read".to_owned());
                rows.push(BookRow {
                    device: self.device,
                    identity: identity.clone(),
                    name: name.clone(),
                    version: attribute.version,
                    delivered_version: Some(attribute.delivered),
                    state,
                    reason: attribute.refused.clone().or(unread),
                });
            }
        }
        rows
    }
}

fn second(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1_000)
}

type Seen<'a> = Option<&'a (String, Option<Timestamp>)>;

/// Whether Target holds an old value of ours, written after the last one.
fn has_gone_back(attribute: &Attribute, seen: Seen<'_>) -> bool {
    let (Some(last), Some((value, at))) = (attribute.attempts.last(), seen) else { return false };
    let is_old = *value != last.value && attribute.attempts.iter().any(|attempt| attempt.value == *value);
    is_old && at.is_none_or(|at| second(at) >= second(last.at))
}

/// What Target shall hold, and whether that is theirs, so that ours is left out.
fn decide(attribute: &Attribute, seen: Seen<'_>, event_at: Timestamp, flaw: Flaw) -> (String, bool) {
    let last = attribute.attempts.last();
    let theirs = seen.filter(|(value, at)| {
        let is_ours = attribute.attempts.iter().any(|attempt| attempt.value == *value);
        // To what counts, only what came after our last update is new. The others go by the event, whatever we sent since: a lost
        // update is no reason to take what is there for older. Without a time nothing is known, if we ever sent something.
        let counts = matches!(attribute.operation, Operation::Add | Operation::Append);
        let is_newer = match (at, last) {
            (_, None) => true,
            (Some(_), _) if !counts => true,
            (None, Some(_)) => false,
            (Some(at), Some(last)) => second(*at) > second(last.known_until),
        };
        !is_ours && is_newer
    });
    let own = attribute.held.value.clone();
    let Some((value, at)) = theirs else { return (from_last(attribute, flaw), false) };
    let compared = || number(value).zip(number(&own)).map(|(theirs, ours)| theirs.cmp(&ours));
    let is_theirs = match attribute.operation {
        Operation::Set => flaw != Flaw::SetsBlindly && at.is_some_and(|at| at > event_at),
        Operation::First => at.is_some_and(|at| at <= event_at),
        Operation::Max => compared().is_some_and(std::cmp::Ordering::is_ge),
        Operation::Min => compared().is_some_and(std::cmp::Ordering::is_le),
        Operation::Add | Operation::Append => return (on_top(attribute, value, *at, flaw), false),
    };
    if is_theirs { (value.clone(), true) } else { (own, false) }
}

fn from_last(attribute: &Attribute, flaw: Flaw) -> String {
    match (attribute.operation, attribute.attempts.last()) {
        (Operation::Add | Operation::Append, Some(last)) => on_top(attribute, &last.value, None, flaw),
        _ => attribute.held.value.clone(),
    }
}

/// That value, with what of ours is not in it: it holds at most what was attempted before it was written.
fn on_top(attribute: &Attribute, base: &str, written_at: Option<Timestamp>, flaw: Flaw) -> String {
    let is_before = |attempt: &&Attempt| written_at.is_none_or(|at| second(attempt.at) <= second(at));
    let last = attribute.attempts.iter().rfind(is_before);
    if attribute.operation == Operation::Add {
        let of = |text: &str| number(text).unwrap_or_default();
        let delivered = last.map(|last| of(&last.own)).unwrap_or_default();
        return decimal_text(of(base) + of(&attribute.held.value) - delivered);
    }
    let after = last.map_or(0, |last| last.seq);
    let items: Vec<(i64, i64, String)> = serde_json::from_str(attribute.held.items.as_deref().unwrap()).unwrap();
    let held: Vec<&str> = base.split(',').filter(|item| !item.is_empty()).collect();
    let new = items
        .iter()
        .filter(|(_, seq, item)| *seq > after && (flaw == Flaw::CountsTwice || !held.contains(&item.as_str())));
    append_list(held.iter().copied().chain(new.map(|(_, _, item)| item.as_str())).collect())
}
