//! A device with the real store and the real core that sends to Target, for tests: the test answers as Target.

use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::flight::Purpose;
use super::handing_over_device::{Device, moment};
use super::target_told::{end, settle, settled_words};
use super::{
    Action, Ask, BatchCame, Core, CoreParts, ForwarderRules, ForwarderSettings, Input, Moment, News, Settle,
    StoreFailed,
};
use crate::adobe::{FetchedProfile, Outcome, Reply, Request};
use crate::core::forwarding::destination::Destination;
use crate::core::forwarding::link::{Link, LinkState};
use crate::core::forwarding::quota::Quota;
use crate::core::forwarding::route::{Mode, RouteRules};
use crate::core::operation::{Operation, Shown};
use crate::core::timestamp::Timestamp;
use crate::store::{BatchHead, BatchState, Transaction};

/// A device that sends to Target.
pub(super) struct Sender {
    pub(super) device: Device,
    pub(super) settings: ForwarderSettings,
    /// Answers of the store to the next actions; after them it succeeds.
    pub(super) store_fails: Option<StoreFailed>,
    /// Time until profiles may be read again.
    pub(super) reads_open_in: Option<Duration>,
    /// Date in Target's answers.
    pub(super) date: Option<Timestamp>,
    /// Random number of each input.
    pub(super) chance: f64,
    /// Claims asked for.
    pub(super) asks: Vec<Ask>,
    /// Acts of the store, in words.
    pub(super) done: Vec<String>,
    /// Profiles of requests without an answer, the last one last.
    pub(super) asked: Vec<i64>,
    /// Batch of the last job.
    pub(super) batch: i64,
    pub(super) news: Vec<News>,
    /// Claims that the store gave, and those of them that have ended.
    claimed: usize,
    settled: usize,
    pub(super) released: usize,
}

/// Settings of a device with profiles shared with others.
pub(super) fn settings() -> ForwarderSettings {
    ForwarderSettings {
        rules: ForwarderRules { late_after: Some(Duration::from_secs(15 * 60)), ..ForwarderRules::default() },
        connections: 4,
        updates_per_day: 1_000,
        request_timeout: Duration::from_secs(10),
        destination: Destination::Target { client_code: "acme".to_owned(), endpoint: "https://target".to_owned() },
    }
}

/// The same in another mode.
pub(super) fn in_mode(mode: Mode) -> ForwarderSettings {
    let mut settings = settings();
    settings.rules.routes = RouteRules { mode, ..settings.rules.routes };
    settings
}

/// The same with profiles that only this device writes.
pub(super) fn alone(mut settings: ForwarderSettings) -> ForwarderSettings {
    settings.rules.late_after = None;
    settings
}

impl Sender {
    pub(super) fn new(settings: ForwarderSettings) -> Self {
        Self::resuming(settings, Device::of_target())
    }

    /// Starts the core on a store.
    pub(super) fn resuming(settings: ForwarderSettings, mut device: Device) -> Self {
        let quota = Quota::new(settings.updates_per_day, []);
        let batches = device.store.open_batches().expect("read");
        let parts = CoreParts { settings: settings.clone(), link: Link::default(), quota, batches, rows_sent: 0 };
        device.core = Core::new(parts, moment(device.now));
        Self {
            device,
            settings,
            store_fails: None,
            reads_open_in: None,
            date: None,
            chance: 0.5,
            asks: Vec::new(),
            done: Vec::new(),
            asked: Vec::new(),
            batch: 0,
            news: Vec::new(),
            claimed: 0,
            settled: 0,
            released: 0,
        }
    }

    pub(super) fn core(&mut self) -> &mut Core {
        &mut self.device.core
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { reads_open_in: self.reads_open_in, ..moment(self.device.now) }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.device.now += time;
    }

    pub(super) fn visit(&mut self, customer: usize) {
        self.device.visit(customer);
    }

    pub(super) fn set(&mut self, customer: usize, name: &str, value: &str) {
        self.device.record(customer, Operation::Set, name, value);
    }

    pub(super) fn take(&mut self, input: Input) {
        let moment = self.moment();
        self.device.core.take(input, moment, self.chance);
        self.news.extend(self.device.core.take_news());
    }

    /// Checks that each claim ends once: in a settlement, or released.
    fn balance(&mut self) {
        let core = &mut self.device.core;
        self.released += core.take_released();
        let in_flight = core.flights.values().filter(|flight| flight.purpose == Purpose::Deliver).count();
        let ended = core.settlements.iter().filter(|settle| matches!(settle, Settle::Delivery(_))).count();
        let held = core.claims.len() + in_flight + core.candidates.len() + ended;
        assert_eq!(self.claimed, self.settled + self.released + held, "claims given, and those that ended or are held");
    }

    /// Has the store do what the core says, until the core wants something of Target or waits; in words.
    pub(super) fn next(&mut self) -> String {
        loop {
            let moment = self.moment();
            let action = self.device.core.next(moment);
            self.news.extend(self.device.core.take_news());
            match self.in_store(action, moment) {
                Ok(input) => self.take(input),
                Err(action) => {
                    self.balance();
                    return self.told(*action);
                }
            }
        }
    }

    /// As [`Self::next`], through waits until the end of a time: it is over with the words "quiet".
    pub(super) fn next_within(&mut self, time: Duration) -> String {
        let end = self.device.now + time;
        loop {
            let told = self.next();
            if !told.starts_with("wait") {
                return told;
            }
            let Action::Wait(until) = self.device.core.next(self.moment()) else { panic!("it waits") };
            match until.filter(|until| *until <= end) {
                Some(until) => self.device.now = self.device.now.max(until),
                None => {
                    self.device.now = end;
                    return "quiet".to_owned();
                }
            }
        }
    }

    fn told(&mut self, action: Action) -> String {
        match action {
            Action::Read(profile_id, identity) => {
                self.asked.push(profile_id);
                format!("read {}", identity.key())
            }
            Action::Send(profile_id, request) => {
                self.asked.push(profile_id);
                match request {
                    Request::Single(body) => {
                        let body = body.replace("profile.", "");
                        format!("send {}", percent_decode_str(&body).decode_utf8().expect("UTF-8"))
                    }
                    Request::Delivery(identity, pairs) => {
                        let pairs = pairs.iter().map(|(name, value)| format!("&{name}={value}"));
                        format!("deliver {}{}", identity.key(), pairs.collect::<String>())
                    }
                }
            }
            Action::Submit(BatchHead { id, rows, sent_at, .. }, names) => {
                self.batch = id;
                let at = self.moment().quota.at;
                self.device.store.transact(|store| store.submitting_batch(id, at, sent_at)).expect("written");
                format!("submit {rows} {}", names.join(","))
            }
            Action::Poll(id, path) => {
                self.batch = id;
                format!("poll {path}")
            }
            Action::Wait(None) => "wait".to_owned(),
            Action::Wait(Some(until)) => format!("wait {} ms", (until - self.device.now).as_millis()),
            action => panic!("{action:?}"),
        }
    }

    /// Does an action in the store; returns others.
    fn in_store(&mut self, action: Action, at: Moment) -> Result<Input, Box<Action>> {
        // Without room it refuses rows, and nothing else.
        let (rows_fail, failed) = (self.store_fails, self.store_fails.filter(|it| *it == StoreFailed::Other));
        let Device { store, in_flight, .. } = &mut self.device;
        Ok(match action {
            Action::Claim(ask) => {
                let claims = store.claim(in_flight, ask.rules()).expect("read");
                self.asks.push(ask);
                self.claimed += if failed.is_none() { claims.claims.len() } else { 0 };
                Input::Claimed(failed.map_or(Ok(claims), Err))
            }
            Action::ClaimDue(limit) => {
                self.done.push(format!("due {limit}"));
                let due = store.claim_due(in_flight, at.wall, limit).expect("read");
                Input::Due(failed.map_or(Ok(due), Err))
            }
            Action::Look(until) => {
                self.done.push(format!("look {:?}", until.since(at.wall)));
                let next = store.transact(|store| store.look_again(until)).expect("written");
                Input::Looked(failed.map_or(Ok(next), Err))
            }
            Action::Note(notes) => {
                self.done.push(format!("note {}", notes.len()));
                store.transact(|store| store.note_sends(&notes)).expect("written");
                Input::Noted(notes.iter().map(|note| note.0).collect(), failed.map_or(Ok(()), Err))
            }
            Action::AddRows { batch, kind, api, entries, claims } => {
                self.done.push(format!("add {} to {batch:?}", entries.len()));
                let added = |store: &mut Transaction<'_>| {
                    let id = batch.map_or_else(|| store.begin_batch(kind, api), Ok)?;
                    store.fill_batch(id, &entries, at.wall, at.quota)?;
                    Ok(store.open_batches()?.into_iter().find(|head| head.id == id).expect("begun"))
                };
                let result = rows_fail.map_or_else(|| Ok(store.transact(added).expect("written")), Err);
                Input::RowsAdded(claims.len(), result)
            }
            Action::Settle(settles) => {
                if failed.is_none() {
                    settle(store, &settles);
                }
                let words = settles.iter().map(settled_words);
                self.done.extend(words);
                self.settled += settles.iter().filter(|settle| matches!(settle, Settle::Delivery(_))).count();
                Input::Settled(failed.map_or(Ok(()), Err))
            }
            Action::Retract(profile_ids, since) => {
                self.done.push(format!("retract {profile_ids:?}"));
                store.transact(|store| store.retract_refusals(&profile_ids, since)).expect("written");
                Input::Retracted(failed.map_or(Ok(()), Err))
            }
            Action::End(id, ending, state) => {
                let name: String = format!("{ending:?}").chars().take_while(|letter| letter.is_alphabetic()).collect();
                self.done.push(format!("end {name}"));
                let came =
                    failed.map_or_else(|| BatchCame::Ended(end(store, id, &ending, state, at)), BatchCame::Store);
                Input::Batch(id, came)
            }
            action => return Err(Box::new(action)),
        })
    }

    fn replied(&mut self, reply: Reply) {
        let profile_id = self.asked.pop().expect("asked");
        self.take(Input::Read(profile_id, reply, self.date));
    }

    /// Answers the last read with attributes: name, value and their age.
    pub(super) fn found(&mut self, attributes: &[(&str, &str, Duration)]) {
        let wall = self.moment().wall;
        let shown = |(name, value, age): &(&str, &str, Duration)| {
            let modified_at = Some(wall.minus(*age));
            ((*name).to_owned(), Shown { value: (*value).to_owned(), modified_at, is_whole: false })
        };
        let attributes: BTreeMap<String, Shown> = attributes.iter().map(shown).collect();
        self.replied(Reply::Found(FetchedProfile::of(attributes)));
    }

    pub(super) fn missing(&mut self) {
        self.replied(Reply::Missing);
    }

    pub(super) fn denied(&mut self) {
        self.replied(Reply::Denied("no right to read".to_owned()));
    }

    pub(super) fn unreadable(&mut self) {
        self.replied(Reply::Unreadable("400".to_owned()));
    }

    pub(super) fn read_fails(&mut self, outcome: Outcome) {
        self.replied(Reply::Failed(outcome));
    }

    /// Answers the last update.
    pub(super) fn answered(&mut self, outcome: Outcome) {
        let profile_id = self.asked.pop().expect("asked");
        self.take(Input::Answered(profile_id, outcome, self.date));
    }

    pub(super) fn delivered(&mut self) {
        self.answered(Outcome::Delivered);
    }

    /// Answers the last job on a batch.
    pub(super) fn batch(&mut self, came: BatchCame) {
        let id = self.batch;
        let at = self.moment().quota.at;
        let noted = self.device.store.transact(|store| match &came {
            BatchCame::Submitted(path, rows) => store.submitted_batch(id, (path, *rows), at),
            BatchCame::Failed(outcome) if !outcome.is_lost() => {
                let is_submitting =
                    store.open_batches()?.iter().any(|head| head.id == id && head.state == BatchState::Submitting);
                if is_submitting { store.unsubmitted_batch(id) } else { Ok(()) }
            }
            _ => Ok(()),
        });
        noted.expect("written");
        self.take(Input::Batch(id, came));
    }

    pub(super) fn state(&self) -> LinkState {
        self.device.core.link().state()
    }

    /// Returns what the store did since the last call.
    pub(super) fn take_done(&mut self) -> Vec<String> {
        std::mem::take(&mut self.done)
    }

    /// Lets what has ended be recorded, and returns all that was recorded since the last call of deliveries and readings.
    pub(super) fn settled(&mut self) -> Vec<String> {
        let told = self.next_within(Duration::from_millis(25));
        assert_eq!(told, "quiet");
        self.recorded()
    }

    /// Returns what was recorded since the last call of deliveries, batches and readings.
    pub(super) fn recorded(&mut self) -> Vec<String> {
        let is_settled = |it: &String| !["due", "look", "note", "add"].iter().any(|word| it.starts_with(word));
        self.take_done().into_iter().filter(is_settled).collect()
    }
}
