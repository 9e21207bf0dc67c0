//! What each attribute must be in the end, and what must never happen on the way.
//!
//! All is judged from the journal and the acknowledged events, attribute by attribute:
//! - **one writer alone**: exact, whatever faults, kills and late applications there were;
//! - **several, each of whose writes knew all the others'** (the reading before it showed them): exact;
//! - the same, and a foreign write came while an answer was ambiguous: at most that part is missing, and nothing is too much;
//! - **writers who missed each other**: never too much, and no value that nobody wrote.
//!
//! Exempt is only: the last row of all was dropped by Target; the profile expired after everything was delivered; Target refuses
//! that profile for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use outpost::core::identity::Identity;
use outpost::core::operation::Operation;
use outpost::core::timestamp::Timestamp;

use super::journal::{Journal, MisdeedKind, Outcome, Reading, ReadingTold, Request, Who, Write};
use super::target::Target;
use super::wire::Curse;
use super::{hours, mins, secs, sets, totals};

/// Two writes that are closer than this may be taken for one or the other: times are whole seconds, on clocks that are estimated.
const CLOSE: Duration = secs(30);

/// An event's change, as the device acknowledged it.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub device: usize,
    pub identity: Identity,
    pub name: String,
    pub operation: Operation,
    pub operand: String,
    /// The event's time as it was given to the device.
    pub time: Timestamp,
    /// When it happened in truth.
    pub happened_at: Timestamp,
    /// When it was recorded, in truth.
    pub recorded_at: Timestamp,
    /// The order of recording on that device.
    pub seq: i64,
}

/// What the agent promises.
#[derive(Clone, Debug)]
pub struct Rules {
    /// A reading older than this is good for no delivery; with the time that a request takes.
    pub reading_age: Duration,
    /// A `set` older than this is judged before it is sent.
    pub late_after: Duration,
    /// Whether everything but a single of fresh sets needs a reading.
    pub must_read: bool,
    /// A profile counts as known this long after the last delivery.
    pub existence: Duration,
    /// How much each device's clock moved in the story.
    pub swings: Vec<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            reading_age: mins(5).saturating_add(secs(30)),
            late_after: mins(15),
            must_read: true,
            existence: hours(13 * 24 + 1),
            swings: Vec::new(),
        }
    }
}

impl Rules {
    /// How far a device's idea of Target's time may be off.
    pub fn slack(&self, device: usize) -> Duration {
        secs(5).saturating_add(self.swings.get(device).copied().unwrap_or_default())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// More than was counted: something counts twice.
    TooMuch,
    TooLittle,
    ItemTwice,
    ItemMissing,
    /// Not the value that the rules say.
    Wrong,
    /// A value that nobody wrote.
    Unknown,
    /// Target has no value at all.
    Gone,
    /// A write over a newer or better one that the device had seen.
    Undone,
    /// A delivery without a reading of its own that is fresh.
    Unread,
    /// A single for a profile that the device could not know to exist.
    Vanished,
    /// Something is pending or in flight at the end, for no stated reason.
    NotQuiet,
    /// The books of a device do not balance.
    Books,
    /// The agent acts without end.
    Endless,
    Misdeed(MisdeedKind),
}

/// Something that is not right.
#[derive(Clone, Debug)]
pub struct Finding {
    pub kind: Kind,
    pub at: Timestamp,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.kind, self.at, self.text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    InFlight,
    Delivered,
    Superseded,
    Refused,
}

/// One attribute in a device's books.
#[derive(Clone, Debug)]
pub struct BookRow {
    pub device: usize,
    pub identity: Identity,
    pub name: String,
    pub version: i64,
    pub delivered_version: Option<i64>,
    pub state: State,
    /// Why it is refused, or waits.
    pub reason: Option<String>,
}

/// What a finding is about.
pub struct Key<'a> {
    pub identity: &'a Identity,
    pub name: &'a str,
    pub operation: Operation,
    pub events: Vec<&'a Acknowledged>,
    /// In the order in which they became the truth.
    pub writes: Vec<&'a Write>,
    /// Updates that held it, in the order in which they were sent.
    pub requests: Vec<&'a Request>,
    /// What Target holds at the end.
    pub last: Option<String>,
    pub expired_at: Option<Timestamp>,
    pub journal: &'a Journal,
    pub rules: &'a Rules,
    pub end: Timestamp,
}

/// Everything that is wrong, in the order of time.
pub fn judge(
    target: &mut Target,
    events: &[Acknowledged],
    rows: &[BookRow],
    rules: &Rules,
    end: Timestamp,
) -> Vec<Finding> {
    let names = keys(&target.journal, events);
    let latest: BTreeMap<_, _> = names
        .keys()
        .map(|(identity, name)| {
            let value = target.latest(identity, end).and_then(|mut held| held.remove(name));
            ((identity.clone(), name.clone()), value)
        })
        .collect();
    let journal = &target.journal;
    let mut findings: Vec<Finding> = misdeeds(journal);
    findings.extend(books(rows, events, end));
    for ((identity, name), operation) in &names {
        let key = Key {
            identity,
            name,
            operation: *operation,
            events: events.iter().filter(|event| event.name == *name && event.identity == *identity).collect(),
            writes: journal.of(identity, name).collect(),
            requests: journal
                .requests
                .iter()
                .filter(|request| request.identity == *identity && request.value(name).is_some())
                .collect(),
            last: latest[&(identity.clone(), name.clone())].clone(),
            expired_at: journal.expiries.iter().filter(|one| one.identity == *identity).map(|one| one.at).max(),
            journal,
            rules,
            end,
        };
        let waiting = rows.iter().find(|row| {
            row.name == *name && row.identity == *identity && !matches!(row.state, State::Delivered | State::Superseded)
        });
        let curse = target.is_cursed(identity);
        // A cursed profile waits for a stated reason, or is being tried again just now.
        let may_wait = |row: &&BookRow| curse.is_some() && (row.reason.is_some() || row.state == State::InFlight);
        if let Some(row) = waiting.filter(|row| !may_wait(row)) {
            findings.push(key.finding(Kind::NotQuiet, end, format!("{:?} on device {}", row.state, row.device)));
        }
        // What ended unknown and came late is put right by who reads it; this profile cannot be read.
        let is_unclear =
            |one: &&Request| one.identity == *identity && matches!(one.outcome, Outcome::Lost | Outcome::Open);
        let is_exempt = waiting.is_some()
            || matches!(curse, Some(Curse::Refused | Curse::BadRow))
            || (curse == Some(Curse::Unreadable) && journal.requests.iter().any(|one| is_unclear(&one)));
        findings.extend(match operation {
            Operation::Add | Operation::Append => totals::judge(&key, is_exempt),
            _ => sets::judge(&key, is_exempt),
        });
    }
    if rules.must_read {
        // A reading is good for one delivery of an attribute. What is too large goes in parts, all of one reading.
        let mut used_at: BTreeMap<(usize, &Identity, &str), Timestamp> = BTreeMap::new();
        for request in &journal.requests {
            let whose =
                || request.attributes.iter().map(|(name, _)| (request.device, &request.identity, name.as_str()));
            let last = whose().filter_map(|of| used_at.get(&of)).max().copied();
            findings.extend(unread(journal, request, last, events, rules));
            if request.outcome != Outcome::No {
                used_at.extend(whose().map(|of| (of, request.sent_at)));
            }
        }
    }
    findings.extend(journal.requests.iter().filter_map(|request| vanished(journal, request, rules)));
    findings.sort_by_key(|finding| finding.at);
    findings
}

/// All attributes that there ever were, with how they change.
fn keys(journal: &Journal, events: &[Acknowledged]) -> BTreeMap<(Identity, String), Operation> {
    let of_events = events.iter().map(|event| ((event.identity.clone(), event.name.clone()), event.operation));
    let of_web = journal.writes.iter().filter_map(|write| {
        write.part.as_ref().map(|(operation, _)| ((write.identity.clone(), write.name.clone()), *operation))
    });
    of_events.chain(of_web).collect()
}

fn misdeeds(journal: &Journal) -> Vec<Finding> {
    let text = |identity: Option<&Identity>| identity.map_or("a batch".to_owned(), Identity::to_written);
    journal
        .misdeeds
        .iter()
        .map(|misdeed| Finding {
            kind: Kind::Misdeed(misdeed.kind),
            at: misdeed.at,
            text: format!("device {}, {}", misdeed.device, text(misdeed.identity.as_ref())),
        })
        .collect()
}

/// Each version has exactly one fate, and what was acknowledged is in the books.
pub fn books(rows: &[BookRow], events: &[Acknowledged], at: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut finding = |text: String| findings.push(Finding { kind: Kind::Books, at, text });
    let mut seen = BTreeSet::new();
    for row in rows {
        let who = format!("device {}, {} {}", row.device, row.identity.to_written(), row.name);
        if !seen.insert((row.device, &row.identity, row.name.as_str())) {
            finding(format!("{who} stands there twice"));
        }
        let delivered = row.delivered_version.unwrap_or(0);
        let is_right = match row.state {
            State::Delivered => delivered == row.version,
            State::Pending | State::InFlight => delivered < row.version,
            State::Superseded => delivered <= row.version,
            State::Refused => delivered < row.version && row.reason.is_some(),
        };
        if !is_right || row.version <= 0 {
            finding(format!("{who} is {:?}, version {}, delivered {delivered}", row.state, row.version));
        }
    }
    // A driver that feeds no rows checks no books.
    if !rows.is_empty() {
        for event in events {
            if !seen.contains(&(event.device, &event.identity, event.name.as_str())) {
                let (identity, name) = (event.identity.to_written(), &event.name);
                finding(format!("device {}, {identity} {name} was acknowledged and is not there", event.device));
            }
        }
    }
    findings
}

/// For drivers, after each step.
#[allow(dead_code)] // The driver joins later.
pub fn assert_books(rows: &[BookRow], events: &[Acknowledged], at: Timestamp) {
    let findings = books(rows, events, at);
    assert!(findings.is_empty(), "{}", findings.iter().map(|one| format!("{one}\n")).collect::<String>());
}

/// A delivery that needs a reading of its own, and has none.
fn unread(
    journal: &Journal,
    request: &Request,
    last: Option<Timestamp>,
    events: &[Acknowledged],
    rules: &Rules,
) -> Option<Finding> {
    let (device, identity, sent_at) = (request.device, &request.identity, request.sent_at);
    let used_at = last.unwrap_or(Timestamp::from_millis(0));
    let mut readings = journal.readings_for(device, identity, sent_at, rules.reading_age);
    if readings.any(|reading| reading.asked_at >= used_at) || cannot_read(journal, request) {
        return None;
    }
    let is_fresh = |(name, value): &(String, String)| {
        // A name that carries a device's number is its own.
        name.ends_with(|last: char| last.is_ascii_digit())
            || events.iter().any(|event| {
                event.device == device
                    && event.identity == *identity
                    && event.name == *name
                    && event.operation == Operation::Set
                    && event.operand == *value
                    && sent_at.since(event.happened_at) <= rules.late_after + rules.slack(device)
            })
    };
    if request.batch.is_none() && request.attributes.iter().all(is_fresh) {
        return None;
    }
    let text = format!("device {device} sent {} unread: {:?}", identity.to_written(), request.attributes);
    Some(Finding { kind: Kind::Unread, at: sent_at, text })
}

/// Reading this profile, or any, is refused: then updates go on without.
fn cannot_read(journal: &Journal, request: &Request) -> bool {
    let (device, at) = (request.device, request.sent_at);
    let own = journal.heard_by(device, &request.identity, at).last();
    let of_device = journal.readings.keys().filter(|(held, _)| *held == device);
    let all: Vec<&Reading> = of_device.flat_map(|(_, identity)| journal.heard_by(device, identity, at)).collect();
    let newest = |is: fn(&Reading) -> bool| all.iter().filter(|one| is(one)).map(|reading| reading.heard_at).max();
    // Refused since one was answered last, whatever got lost in between.
    let is_refused = newest(|reading| reading.told == ReadingTold::Forbidden) > newest(Reading::is_answered);
    own.is_some_and(|reading| !reading.is_answered()) || is_refused
}

/// A single to a profile that is not there, though nothing had said that it is.
fn vanished(journal: &Journal, request: &Request, rules: &Rules) -> Option<Finding> {
    let at = request.vanished_at.filter(|_| request.outcome == Outcome::Yes)?;
    let oldest = request.sent_at.minus(rules.existence);
    let is_recent = |heard_at: Timestamp| (oldest..=request.sent_at).contains(&heard_at);
    let readings = journal.heard_by(request.device, &request.identity, request.sent_at);
    let was_found =
        readings.iter().any(|reading| matches!(reading.told, ReadingTold::Found { .. }) && is_recent(reading.heard_at));
    let was_delivered = journal.requests.iter().any(|other| {
        other.device == request.device
            && other.identity == request.identity
            && (other.batch.is_some() || other.applied_at.is_some())
            && other.outcome == Outcome::Yes
            && other.heard_at.is_some_and(is_recent)
    });
    let text = format!("device {}, {}: {:?}", request.device, request.identity.to_written(), request.attributes);
    (!was_found && !was_delivered).then_some(Finding { kind: Kind::Vanished, at, text })
}

/// How much is known of what a key must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// One device alone.
    Alone(usize),
    /// Several, and each knew of the others.
    Clean,
    /// They missed each other, or Target lost something between.
    Sanity,
}

impl Key<'_> {
    pub fn finding(&self, kind: Kind, at: Timestamp, text: impl fmt::Display) -> Finding {
        let writes: String = self.writes.iter().map(|write| format!("\n      {}", trace(write))).collect();
        // What did not become a write is a part of the story too.
        let tried: String =
            self.requests.iter().filter(|one| one.outcome != Outcome::Yes).map(|one| tried(one, self.name)).collect();
        let text = format!("{} {}: {text}{writes}{tried}", self.identity.to_written(), self.name);
        Finding { kind, at, text }
    }

    pub fn certainty(&self) -> Certainty {
        let writers: BTreeSet<Who> = self
            .events
            .iter()
            .map(|event| Who::Device(event.device))
            .chain(self.writes.iter().map(|write| write.who))
            .collect();
        let mut devices = writers.iter();
        match (devices.next(), devices.next()) {
            (Some(Who::Device(device)), None) => Certainty::Alone(*device),
            _ if self.is_lossy() || self.is_mistakable() || !self.writes.iter().all(|write| self.is_clean(write)) => {
                Certainty::Sanity
            }
            _ => Certainty::Clean,
        }
    }

    /// Target lost something that was delivered.
    fn is_lossy(&self) -> bool {
        self.expired_at.is_some()
            || self.requests.iter().any(|request| request.dropped_at.is_some() || request.vanished_at.is_some())
    }

    /// Somebody's total is by chance just what a device sent without knowing whether it came, after it or within what clocks may
    /// differ by before it: nobody can tell them apart.
    fn is_mistakable(&self) -> bool {
        let unclear = self.requests.iter().filter(|one| matches!(one.outcome, Outcome::Lost | Outcome::Open));
        let is_same = |write: &&Write, sent: &Request| {
            write.who != Who::Device(sent.device)
                && write.at > sent.sent_at.minus(mins(2))
                && write.value.as_deref() == sent.value(self.name)
        };
        self.operation == Operation::Add
            && unclear.clone().any(|sent| self.writes.iter().any(|write| is_same(write, sent)))
    }

    /// Whether a write knew all the foreign writes before it, and none came so close that times cannot tell.
    fn is_clean(&self, write: &Write) -> bool {
        let Who::Device(device) = write.who else { return true };
        let close = CLOSE + self.rules.slack(device);
        let is_near = |at: Timestamp, other: Timestamp| at.since(other) < close && other.since(at) < close;
        let mut foreign = self.writes.iter().filter(|other| other.who != write.who);
        if foreign.clone().any(|other| is_near(other.at, write.sent_at) || is_near(other.at, write.at)) {
            return false;
        }
        let readings = || self.journal.readings_for(device, self.identity, write.sent_at, self.rules.reading_age);
        let oldest = readings().map(|reading| reading.as_of).min();
        let has_times = readings().all(|reading| reading.told != ReadingTold::Found { has_times: false });
        foreign.all(|other| other.at >= write.at || (has_times && oldest.is_some_and(|as_of| other.shows_at <= as_of)))
    }

    /// The last thing that the device sent of it and that may have come about was dropped by Target, or vanished with the profile.
    pub fn is_last_dropped(&self, device: usize) -> bool {
        let last = self.requests.iter().rfind(|request| request.device == device && request.outcome != Outcome::No);
        last.is_some_and(|last| last.dropped_at.is_some() || last.vanished_at.is_some())
    }

    /// The profile expired, and an update that says all was there by then.
    pub fn is_expired_after(&self, is_all: impl Fn(&Request) -> bool) -> bool {
        let Some(expired_at) = self.expired_at else { return false };
        self.requests.iter().any(|one| one.applied_at.is_some_and(|at| at <= expired_at) && is_all(one))
    }

    /// Whether a device ever read the profile without the times of its attributes.
    pub fn lacks_times(&self, device: usize) -> bool {
        let readings = self.journal.heard_by(device, self.identity, self.end);
        readings.iter().any(|reading| reading.told == ReadingTold::Found { has_times: false })
    }

    /// The newest write that a reading showed.
    pub fn seen(&self, reading: &Reading) -> Option<&Write> {
        let expired_at = self
            .journal
            .expiries
            .iter()
            .filter(|one| one.identity == *self.identity && one.at <= reading.as_of)
            .map(|one| one.at)
            .max();
        self.writes.iter().copied().rfind(|write| {
            write.at <= reading.as_of
                && write.shows_at <= reading.as_of
                && expired_at.is_none_or(|expired_at| write.at > expired_at)
        })
    }

    /// Whether whatever a device read before a write showed a foreign write that this says is better.
    pub fn always_saw_better(&self, write: &Write, is_better: impl Fn(&Write) -> bool) -> bool {
        let Who::Device(device) = write.who else { return false };
        let mut readings =
            self.journal.readings_for(device, self.identity, write.sent_at, self.rules.reading_age).peekable();
        readings.peek().is_some()
            && readings.all(|reading| {
                reading.told == ReadingTold::Found { has_times: true }
                    && self.seen(reading).is_some_and(|seen| seen.who != write.who && is_better(seen))
            })
    }
}

/// A write in one line.
fn trace(write: &Write) -> String {
    let value = write.value.as_deref().unwrap_or("(removed)");
    let how = write.request.map_or(String::new(), |request| format!(", request {request} of {}", write.sent_at));
    format!("{} {:?} wrote {value}{how}, shows {}", write.at, write.who, write.shows_at)
}

/// An attempt that was not answered with yes, in one line.
fn tried(request: &Request, name: &str) -> String {
    let value = request.value(name).unwrap_or_default();
    let applied = request.applied_at.map_or("never".to_owned(), |at| at.to_string());
    let batch = request.batch.map_or(String::new(), |batch| format!(" in batch {batch}"));
    let Request { device, sent_at, outcome, .. } = request;
    format!(
        "\n      {sent_at} Device({device}) tried {value}{batch}, which ended as {outcome:?} and was applied {applied}"
    )
}
