//! The real core and the real store against the model of Target, in simulated time: the driver does what the courier does.
//!
//! Seeds come from `SIMULATION_SEEDS` (how many), `SIMULATION_FROM` (the first) and `SIMULATION_SEED` (one alone, told in words
//! and made small).

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use outpost::adobe::outcome::{self, Answer as OutcomeAnswer};
use outpost::adobe::{BatchStatus, FetchedProfile, Outcome, Refused, Reply, Request};
use outpost::core::attribute::AttributeName;
use outpost::core::event::{Event, EventStatus};
use outpost::core::forwarding::link::Link;
use outpost::core::forwarding::quota::{QuotaClock, QuotaTime};
use outpost::core::forwarding::route::RouteRules;
use outpost::core::forwarding::why::{Cause, Why};
use outpost::core::identity::{Identity, StoredForms};
use outpost::core::limits::QUOTA_WINDOW;
use outpost::core::mapping::{Meaning, ProfileChanges};
use outpost::core::operation::{Change, Shown};
use outpost::core::short_hash::short_hash;
use outpost::core::timestamp::Timestamp;
use outpost::core::wall_clock::WallClock;
use outpost::forward::core::{Action, BatchCame, Core, CoreParts, Input, Moment as CoreMoment, Settle, Waits};
use outpost::forward::{ForwarderRules, ForwarderSettings};
use outpost::store::{
    BatchHead, BatchState, Ending, InFlight, PART_ROWS, Recording, RejectedSubject, SettledRows, Store, StoreLimits,
};

use crate::model::oracle::{BookRow, Finding, State};
use crate::model::target::Target;
use crate::model::wire::{Answer, BatchState as ToldState, FetchTold, Status, StatusTold, SubmitTold};
use crate::model::world::{Agent, Cut, DeviceEvent, Moment, Recorded, Story, Told};
use crate::model::{customer, dice};
use crate::support::acme;

const SEEDS: u64 = 10_000;
/// Customers that a story may have.
const CUSTOMERS: usize = 8;
const STORE_TAKES_MAX_MS: u64 = 60;
const LATE_AFTER: Duration = Duration::from_secs(15 * 60);

/// A device: the real store and the real core.
struct Real {
    device: usize,
    seed: u64,
    /// None while it is being started.
    store: Option<Store>,
    process: Process,
    is_audited: bool,
}

/// What ends with the process.
struct Process {
    core: Core,
    in_flight: InFlight,
    rng: Rng,
    booted_at: Timestamp,
    clock: WallClock,
    quota_clock: QuotaClock,
    waits: Waits,
    /// Answers on their way, with when they are heard.
    coming: Vec<(Timestamp, Input)>,
    /// What came of what was done at once.
    done: VecDeque<Input>,
    /// Until when the core waits; none until something happens.
    wake: Option<Timestamp>,
    is_waiting: bool,
    asked: Asked,
}

/// What the core asked for and has no answer to: what it says of itself must agree, at each step.
#[derive(Default)]
struct Asked {
    reads: usize,
    sends: Vec<i64>,
    claims: usize,
    /// Notes, and rows of a batch.
    writes: usize,
    settlements: usize,
    batch_jobs: usize,
}

impl Asked {
    fn add(&mut self, action: &Action) {
        match action {
            Action::Read(..) => self.reads += 1,
            Action::Send(profile_id, _) => self.sends.push(*profile_id),
            Action::Claim(_) | Action::ClaimDue(_) => self.claims += 1,
            Action::Note(_) | Action::AddRows { .. } => self.writes += 1,
            Action::Settle(_) => self.settlements += 1,
            Action::Submit(..) | Action::Poll(..) | Action::End(..) => self.batch_jobs += 1,
            Action::HandOver(_) => panic!("there is no hub"),
            Action::Look(_) | Action::Retract(..) | Action::Wait(_) => {}
        }
    }

    fn remove(&mut self, input: &Input) {
        match input {
            Input::Read(..) => self.reads -= 1,
            Input::Answered(profile_id, ..) => self.sends.retain(|sent| sent != profile_id),
            Input::Claimed(_) | Input::Due(_) => self.claims -= 1,
            Input::Noted(..) | Input::RowsAdded(..) => self.writes -= 1,
            Input::Settled(_) => self.settlements -= 1,
            Input::Batch(..) => self.batch_jobs -= 1,
            _ => {}
        }
    }

    fn check(&self, core: &Core) {
        let requests = self.reads + self.sends.len();
        assert_eq!(core.requests_in_flight(), requests + self.claims + self.writes + self.batch_jobs);
        assert_eq!(core.is_busy(), requests + self.writes + self.settlements > 0);
        assert_eq!(core.is_busy_with_batch(), self.batch_jobs > 0);
        assert!(core.is_writing() || self.settlements == 0);
        let (mut sends, mut unanswered) = (self.sends.clone(), core.unanswered());
        sends.sort_unstable();
        unanswered.sort_unstable();
        assert_eq!(sends, unanswered);
    }
}

impl Process {
    fn start(store: &mut Store, device: usize, seed: u64, moment: Moment) -> Self {
        store
            .set_limits(StoreLimits { min_free_disk_bytes: 0, shares_profiles: true, ..StoreLimits::default() })
            .unwrap();
        let mut clock = WallClock::new(store.counters().recorded_at, moment.wall);
        let (quota, quota_time) = store.quota(10_000, moment.wall).unwrap();
        let batches = store.open_batches().unwrap();
        let rows_sent = store.batch_rows_since(quota_time.at.minus(QUOTA_WINDOW)).unwrap();
        let settings = ForwarderSettings {
            rules: ForwarderRules {
                routes: RouteRules { bulk_above: 3, ..RouteRules::default() },
                late_after: Some(LATE_AFTER),
                ..ForwarderRules::default()
            },
            connections: 2,
            updates_per_day: 10_000,
            request_timeout: Duration::from_secs(10),
            destination: acme("https://target"),
        };
        let core_moment = CoreMoment {
            elapsed: Duration::ZERO,
            wall: clock.read(moment.wall, Duration::ZERO),
            quota: quota_time,
            reads_open_in: None,
        };
        let parts = CoreParts { settings, link: Link::default(), quota, batches, rows_sent };
        Self {
            core: Core::new(parts, core_moment),
            in_flight: InFlight::default(),
            rng: dice(seed, (device, moment.now.as_millis())),
            booted_at: moment.now,
            clock,
            quota_clock: QuotaClock::new(quota_time.at, Duration::ZERO),
            waits: Waits::new(),
            coming: Vec::new(),
            done: VecDeque::new(),
            wake: None,
            is_waiting: false,
            asked: Asked::default(),
        }
    }

    fn moment(&mut self, moment: Moment) -> CoreMoment {
        let elapsed = moment.now.since(self.booted_at);
        CoreMoment {
            elapsed,
            wall: self.clock.read(moment.wall, elapsed),
            quota: QuotaTime { at: self.quota_clock.at(elapsed), wall: moment.wall },
            reads_open_in: None,
        }
    }

    fn take(&mut self, input: Input, moment: CoreMoment) {
        if std::env::var_os("SIM_TRACE").is_some() {
            eprintln!("TRACE   input {input:?}");
        }
        let chance = self.rng.f64();
        self.asked.remove(&input);
        self.core.take(input, moment, chance);
        self.asked.check(&self.core);
        self.take_shown();
        self.is_waiting = false;
    }

    /// Takes what the courier would show and count.
    fn take_shown(&mut self) {
        self.core.take_news();
        self.core.take_released();
        if let Some(waits) = self.core.take_waits() {
            self.waits = waits;
        }
    }
}

impl Real {
    fn new(device: usize, seed: u64, is_audited: bool) -> Self {
        let mut store = Store::open_in_memory().unwrap();
        let start = crate::model::world::START;
        let process = Process::start(&mut store, device, seed, Moment { now: start, wall: start });
        Self { device, seed, store: Some(store), process, is_audited }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    /// Does what the core says.
    fn perform(&mut self, action: Action, target: &mut Target, moment: Moment, at: CoreMoment) {
        let now = moment.now;
        let device = self.device;
        self.process.asked.add(&action);
        self.process.asked.check(&self.process.core);
        let done = match action {
            Action::Wait(until) => {
                self.process.is_waiting = true;
                self.process.wake = until.map(|until| self.process.booted_at.plus(until));
                return;
            }
            Action::Claim(ask) => {
                let in_flight = self.process.in_flight.clone();
                Input::Claimed(Ok(self.store().claim(&in_flight, ask.rules()).unwrap()))
            }
            Action::ClaimDue(limit) => {
                let in_flight = self.process.in_flight.clone();
                Input::Due(Ok(self.store().claim_due(&in_flight, at.wall, limit).unwrap()))
            }
            Action::Look(until) => Input::Looked(Ok(self.store().transact(|store| store.look_again(until)).unwrap())),
            Action::Read(profile_id, identity) => {
                let told = target.fetch(device, &identity, now);
                let input = Input::Read(profile_id, reply(told.answer, told.date), told.date);
                return self.process.coming.push((told.at, input));
            }
            Action::Note(notes) => {
                self.store().transact(|store| store.note_sends(&notes)).unwrap();
                Input::Noted(notes.into_iter().map(|(profile_id, _)| profile_id).collect(), Ok(()))
            }
            Action::Send(profile_id, request) => {
                let Request::Single(body) = request else { panic!("the mode is auto, and nothing is urgent") };
                let (identity, attributes) = decode(&body);
                let told = target.single(device, &identity, &attributes, now);
                let input = Input::Answered(profile_id, answer(&told.answer, told.date), told.date);
                return self.process.coming.push((told.at, input));
            }
            Action::AddRows { batch, kind, api, entries, claims } => {
                let head = self.store().transact(|store| {
                    let id = batch.map_or_else(|| store.begin_batch(kind, api), Ok)?;
                    store.fill_batch(id, &entries, at.wall, at.quota)?;
                    Ok(store.open_batches()?.into_iter().find(|head| head.id == id).unwrap())
                });
                Input::RowsAdded(claims.len(), Ok(head.unwrap()))
            }
            Action::Settle(settles) => {
                self.settle(settles);
                Input::Settled(Ok(()))
            }
            Action::Retract(profile_ids, since) => {
                self.store().transact(|store| store.retract_refusals(&profile_ids, since)).unwrap();
                Input::Retracted(Ok(()))
            }
            Action::Submit(head, _) => return self.submit(&head, target, now, at),
            Action::Poll(id, path) => {
                let told = target.status(device, &path, now);
                return self.process.coming.push((told.at, Input::Batch(id, polled(told.answer, told.date))));
            }
            Action::End(id, ending, state) => self.end(id, &ending, state, at),
            Action::HandOver(_) => unreachable!("there is no hub"),
        };
        // The store takes its time now and then, while other things happen.
        let rng = &mut self.process.rng;
        if rng.u8(..4) > 0 {
            return self.process.done.push_back(done);
        }
        let takes = Duration::from_millis(rng.u64(1..STORE_TAKES_MAX_MS));
        self.process.coming.push((now.plus(takes), done));
    }

    /// Takes them: their claims are released when it is written down.
    #[allow(clippy::needless_pass_by_value)]
    fn settle(&mut self, settles: Vec<Settle>) {
        let mut store = self.store().begin().unwrap();
        for settle in &settles {
            match settle {
                Settle::Delivery(settlement) => store.settle(settlement).unwrap(),
                Settle::ReadBack(claim, verified, quota_time) => {
                    store.spend_reads(verified.reads, *quota_time);
                    store.verified(claim.profile_id, verified).unwrap();
                }
                Settle::Postpone(claim, until) => store.postpone_read_back(claim.profile_id, *until).unwrap(),
            }
        }
        store.commit().unwrap();
    }

    fn submit(&mut self, head: &BatchHead, target: &mut Target, now: Timestamp, at: CoreMoment) {
        let id = head.id;
        self.store().transact(|store| store.submitting_batch(id, at.quota.at, head.sent_at)).unwrap();
        let rows = self.store().batch_rows(id, 0).unwrap();
        if rows.is_empty() {
            return self.process.done.push_back(Input::Batch(id, BatchCame::Empty));
        }
        let identity = |key: String| Identity::new(head.kind, key).unwrap();
        let rows: Vec<_> = rows.into_iter().map(|row| (identity(row.key), row.attributes)).collect();
        let told = target.submit(self.device, &rows, now);
        let came = match told.answer {
            SubmitTold::Accepted(name) => BatchCame::Submitted(name, rows.len()),
            SubmitTold::Refused => refused(200, "no"),
            SubmitTold::Status(status) => BatchCame::Failed(classified(&status, told.date)),
            SubmitTold::Lost => BatchCame::Failed(Outcome::Lost("lost".to_owned())),
            SubmitTold::Unreachable => BatchCame::Failed(unreachable()),
        };
        self.process.coming.push((told.at, Input::Batch(id, came)));
    }

    /// What the courier's job notes when the answer to a submission comes.
    fn note_batch(&mut self, id: i64, came: &BatchCame, at: CoreMoment) {
        let noted = self.store().transact(|store| match came {
            BatchCame::Submitted(path, rows) => store.submitted_batch(id, (path, *rows), at.quota.at),
            BatchCame::Failed(outcome) if !outcome.is_lost() => {
                let is_submitting =
                    store.open_batches()?.iter().any(|head| head.id == id && head.state == BatchState::Submitting);
                if is_submitting { store.unsubmitted_batch(id) } else { Ok(()) }
            }
            _ => Ok(()),
        });
        noted.unwrap();
    }

    fn end(&mut self, id: i64, ending: &Ending, state: BatchState, at: CoreMoment) -> Input {
        let mut settled = SettledRows::default();
        loop {
            let part =
                self.store().transact(|store| store.end_rows((id, PART_ROWS), ending, at.wall, &mut || None)).unwrap();
            settled.delivered += part.delivered;
            settled.failed += part.failed;
            if !part.is_more {
                break;
            }
        }
        let since = at.quota.at.minus(QUOTA_WINDOW);
        self.store().transact(|store| store.end_batch(id, state, at.quota.at, since)).unwrap();
        Input::Batch(id, BatchCame::Ended(settled))
    }
}

impl Agent for Real {
    fn record(&mut self, event: &DeviceEvent, cut: Option<Cut>, moment: Moment) -> Recorded {
        let at = self.process.moment(moment);
        let ordered_at = self.process.clock.place(event.time);
        let mut store = self.store().begin().unwrap();
        let recorded = store.record(&recording(event, ordered_at, at.wall)).unwrap();
        if cut == Some(Cut::BeforeCommit) {
            drop(store);
            self.kill(moment);
            return Recorded::Unanswered;
        }
        store.commit().unwrap();
        if cut.is_some() {
            self.kill(moment);
            return Recorded::Unanswered;
        }
        self.process.take(Input::OutboxChanged, at);
        match recorded.status {
            EventStatus::Recorded => Recorded::Acknowledged,
            EventStatus::Duplicate => Recorded::Duplicate,
            status => panic!("no event of a story is {status:?}: {:?}", recorded.reason),
        }
    }

    fn next(&self, moment: Moment) -> Option<Timestamp> {
        if !self.process.is_waiting || !self.process.done.is_empty() {
            return Some(moment.now);
        }
        self.process.coming.iter().map(|(at, _)| *at).chain(self.process.wake).min()
    }

    fn act(&mut self, target: &mut Target, moment: Moment) {
        let at = self.process.moment(moment);
        if let Some(input) = self.process.done.pop_front() {
            return self.process.take(input, at);
        }
        let heard = self.process.coming.iter().enumerate().filter(|(_, (at, _))| *at <= moment.now);
        if let Some((place, _)) = heard.min_by_key(|(_, (at, _))| *at) {
            let (_, input) = self.process.coming.swap_remove(place);
            if let Input::Batch(id, came) = &input {
                self.note_batch(*id, came, at);
            }
            return self.process.take(input, at);
        }
        let action = self.process.core.next(at);
        if std::env::var_os("SIM_TRACE").is_some() {
            eprintln!("TRACE {} d{} {:?}", moment.now, self.device, action);
        }
        self.process.take_shown();
        self.perform(action, target, moment, at);
    }

    fn kill(&mut self, moment: Moment) {
        let mut store = self.store.take().unwrap().restart().unwrap();
        self.process = Process::start(&mut store, self.device, self.seed, moment);
        self.store = Some(store);
    }

    fn noted(&self) -> Vec<(Identity, Vec<(String, String)>)> {
        self.process.core.noted_unsent()
    }

    fn heal(&mut self, moment: Moment) -> usize {
        let at = self.process.moment(moment);
        let mut profiles = HashSet::new();
        for row in self.store().rejected(0, 1_000).unwrap() {
            if let RejectedSubject::Update { identity, .. } = row.subject {
                profiles.insert(identity);
                self.store().transact(|store| store.retry_update(row.id)).unwrap();
            }
        }
        self.process.take(Input::OutboxChanged, at);
        profiles.len()
    }

    fn rows(&self) -> Vec<BookRow> {
        let mut rows = Vec::new();
        let store = self.store.as_ref().unwrap();
        for identity in (0..CUSTOMERS).map(customer) {
            let Some(profile) = store.profile(&StoredForms::exactly(identity.clone())).unwrap() else { continue };
            let in_flight = self.process.in_flight.newest_version(profile.id);
            for attribute in profile.attributes {
                let is_superseded = attribute.refused_reason.as_deref() == Some("superseded");
                let state = if attribute.refused_version == attribute.version {
                    if is_superseded { State::Superseded } else { State::Refused }
                } else if attribute.delivered_version == attribute.version {
                    State::Delivered
                } else if attribute.batched_version == attribute.version
                    || in_flight.is_some_and(|newest| attribute.version <= newest)
                {
                    State::InFlight
                } else {
                    State::Pending
                };
                rows.push(BookRow {
                    device: self.device,
                    identity: identity.clone(),
                    name: attribute.name,
                    version: attribute.version,
                    delivered_version: Some(attribute.delivered_version).filter(|version| *version > 0),
                    state,
                    reason: match state {
                        State::Pending => self.process.waits.get(&profile.id).map(|(why, _)| (*why).to_owned()),
                        _ => attribute.refused_reason.filter(|_| attribute.refused_version == attribute.version),
                    },
                });
            }
        }
        rows
    }

    fn is_audited(&self) -> bool {
        self.is_audited
    }
}

/// Whether a name is a device's own: it carries the device's number.
fn is_own(name: &str) -> bool {
    name.ends_with(|last: char| last.is_ascii_digit())
}

fn recording(event: &DeviceEvent, ordered_at: Timestamp, recorded_at: Timestamp) -> Recording {
    let change = |change: &crate::model::world::Change| Change {
        name: AttributeName::new(&change.name).unwrap(),
        operation: change.operation,
        value: change.operand.clone(),
        mapping: "story".into(),
        is_own: is_own(&change.name),
        is_urgent: false,
    };
    let changes = event.changes.iter().map(change).collect();
    let id = format!("event {}", event.id);
    Recording {
        event: Event {
            json: format!(r#"{{"id":"{id}","source":"/story"}}"#),
            id,
            source: "/story".to_owned(),
            event_type: "story".to_owned(),
            subject: None,
            time: event.time,
            ordered_at,
            data: minijinja::Value::UNDEFINED,
            hashes: Default::default(),
            may_be_of_table: false,
        },
        recorded_at,
        meaning: Meaning::Changes(vec![ProfileChanges { identity: customer(event.customer), changes }]),
        digest: None,
        about: Vec::new(),
    }
}

/// The identity and the attributes of a single update's body.
fn decode(body: &str) -> (Identity, Vec<(String, String)>) {
    let text = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let mut pairs = body.split('&').map(|pair| pair.split_once('=').unwrap());
    let (_, key) = pairs.next().unwrap();
    let identity = format!("third_party_id:{}", text(key)).parse().unwrap();
    let attributes = pairs.map(|(name, value)| (text(name.strip_prefix("profile.").unwrap()), text(value)));
    (identity, attributes.collect())
}

/// What a status means, by the agent's own table.
fn classified(status: &Status, date: Option<Timestamp>) -> Outcome {
    let date = date.map(|date| {
        let since = Duration::from_millis(u64::try_from(date.as_millis()).unwrap());
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since)
    });
    let answer = OutcomeAnswer {
        status: status.code,
        retry_after: status.retry_after.as_deref(),
        date: date.as_deref(),
        content_type: status.is_html.then_some("text/html"),
        location: None,
        body: if status.is_html { b"<html>" } else { b"no" },
    };
    outcome::classify_with(answer, SystemTime::UNIX_EPOCH, |_| None)
}

fn answer(answer: &Answer, date: Option<Timestamp>) -> Outcome {
    match answer {
        Answer::Yes => Outcome::Delivered,
        Answer::Status(status) => classified(status, date),
        Answer::Lost => Outcome::Lost("lost".to_owned()),
        Answer::Unreachable => unreachable(),
    }
}

fn unreachable() -> Outcome {
    Outcome::Unreachable(Why::new(Cause::Connection, "unreachable"))
}

fn reply(told: FetchTold, date: Option<Timestamp>) -> Reply {
    match told {
        FetchTold::Found { attributes, modified_at: whole } => {
            let shown = |(name, (value, own)): (String, (String, Option<Timestamp>))| {
                (name, Shown { value, modified_at: own.or(whole), is_whole: own.is_none() })
            };
            Reply::Found(FetchedProfile::of(attributes.into_iter().map(shown).collect()))
        }
        FetchTold::Missing => Reply::Missing,
        FetchTold::Status(status) => Reply::without_profile(classified(&status, date), "refused".to_owned()),
        FetchTold::Lost => Reply::Failed(Outcome::Lost("lost".to_owned())),
        FetchTold::Unreachable => Reply::Failed(unreachable()),
    }
}

fn refused(status: u16, words: &str) -> BatchCame {
    BatchCame::Failed(Outcome::Refused(Refused { status, words: words.to_owned() }))
}

fn polled(told: StatusTold, date: Option<Timestamp>) -> BatchCame {
    match told {
        StatusTold::State(status) => match status.state {
            ToldState::Incomplete => BatchCame::Incomplete,
            ToldState::Stuck => BatchCame::Stuck,
            ToldState::Complete => {
                let decoded = |key: &str| percent_encoding::percent_decode_str(key).decode_utf8().unwrap().into_owned();
                let failed: HashSet<u64> =
                    status.failed.iter().flat_map(|key| [short_hash(key), short_hash(&decoded(key))]).collect();
                BatchCame::Complete(BatchStatus {
                    status: "complete".to_owned(),
                    failed_count: status.failed_updates.unwrap_or(0),
                    failed,
                    named: status.failed.len() as u64,
                    consumed: status.consumed,
                    successful: None,
                    is_unclear: false,
                })
            }
        },
        StatusTold::NotFound => refused(404, "no such batch"),
        StatusTold::Status(status) => BatchCame::Failed(classified(&status, date)),
        StatusTold::Lost => BatchCame::Failed(Outcome::Lost("lost".to_owned())),
        StatusTold::Unreachable => BatchCame::Failed(unreachable()),
    }
}

pub fn tell(story: &Story, is_audited: bool) -> Told {
    let seed = story.seed;
    story.tell(|device| Real::new(device, seed, is_audited))
}

fn words(story: &Story, told: &Told) -> String {
    let findings: String = told.findings.iter().map(|finding| format!("  {finding}\n")).collect();
    let requests = told.target.journal.requests.iter().enumerate();
    let sent: String = requests.map(|(place, request)| format!("  request {place}: {request:?}\n")).collect();
    format!(
        "{}{findings}{}",
        story.lines(),
        if std::env::var_os("SIMULATION_SHOW").is_some() { sent } else { String::new() }
    )
}

fn first(told: &Told) -> Option<&Finding> {
    told.findings.first()
}

/// The story, made small and told in words.
fn shrunk(story: &Story) -> String {
    let kind = first(&tell(story, false)).map(|finding| finding.kind);
    let small = story.shrunk(600, |story| first(&tell(story, false)).map(|finding| finding.kind) == kind);
    words(&small, &tell(&small, false))
}

#[test]
fn what_target_ends_up_with_is_right_after_every_story() {
    if let Some(seed) = env_number("SIMULATION_SEED") {
        let story = Story::of_seed(seed);
        let told = tell(&story, true);
        assert!(told.findings.is_empty(), "{}\nMADE SMALL\n{}", words(&story, &told), shrunk(&story));
        return;
    }
    let from = env_number("SIMULATION_FROM").unwrap_or(0);
    let seeds = from..from + env_number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let failed = over(seeds, |seed| first(&tell(&Story::of_seed(seed), false)).map(ToString::to_string));
    let list: String = failed.iter().take(60).map(|(seed, finding)| format!("{seed}: {finding}\n")).collect();
    assert!(failed.is_empty(), "{} seeds fail; SIMULATION_SEED tells one alone, made small:\n{list}", failed.len());
}

/// Tells each seed's story, on all cores: what came of those that failed.
fn over(seeds: std::ops::Range<u64>, tell: impl Fn(u64) -> Option<String> + Sync) -> Vec<(u64, String)> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tell = &tell;
    std::thread::scope(|scope| {
        let tellers: Vec<_> = (0..threads)
            .map(|first_of| {
                let seeds = seeds.clone().skip(first_of).step_by(threads);
                scope.spawn(move || seeds.filter_map(|seed| Some((seed, tell(seed)?))).collect::<Vec<_>>())
            })
            .collect();
        tellers.into_iter().flat_map(|teller| teller.join().unwrap()).collect()
    })
}

#[test]
fn a_refusal_of_everybody_rejects_nobody_for_good_in_any_story() {
    // The first two may be refused for what they hold: only the third in a row says that it hits everybody.
    let fails = |story: &Story| {
        let told = tell(story, false);
        let rejects_many = told.rejected.iter().any(|rejected| *rejected > 2);
        let rejected = rejects_many.then(|| format!("updates of {:?} profiles were rejected", told.rejected));
        first(&told).map(ToString::to_string).or(rejected)
    };
    if let Some(seed) = env_number("SIMULATION_SEED") {
        let story = Story::of_refusals(seed);
        let Some(finding) = fails(&story) else { return };
        let small = story.shrunk(600, |story| fails(story).is_some());
        panic!("{finding}\nMADE SMALL\n{}", words(&small, &tell(&small, false)));
    }
    let seeds = 0..env_number("SIMULATION_SEEDS").unwrap_or(500).min(2_000);
    let failed = over(seeds, |seed| fails(&Story::of_refusals(seed)));
    assert!(failed.is_empty(), "{} seeds fail: {:#?}", failed.len(), failed.iter().take(20).collect::<Vec<_>>());
}

fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
