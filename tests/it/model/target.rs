//! Target, as its documentation leaves room to fear it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use outpost::core::identity::Identity;
use outpost::core::operation::{Operation, append_list, decimal_text, number};
use outpost::core::timestamp::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::journal::{Expiry, Journal, Misdeed, MisdeedKind, Outcome, Reading, ReadingTold, Request, Who, Write};
use super::wire::{
    Answer, BatchState, BatchStatus, CONNECT_TIMEOUT, Curse, Fate, Faults, FetchTold, Shown, Status, StatusTold,
    SubmitTold, TIMEOUT, Told, Weather, portal, told_wait,
};
use super::{dice, hours, mins, ms, secs};

/// The longest that a write takes to show.
pub const SHOWS_MAX: Duration = mins(60);
/// How long a profile lives without activity.
pub const LIFE: Duration = hours(14 * 24);
/// Outcomes of the last moment before a process ends, which it may not have written down.
const HEARD_AND_FORGOTTEN: Duration = ms(50);
/// More requests than this in ten seconds are too many for anyone with few customers.
const REQUESTS_IN_TEN_SECONDS_MAX: usize = 300;
const VALUE_CHARS_MAX: usize = 5_000;

/// What of times Target shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Each,
    /// Of each attribute with a chance, else none.
    Some,
    /// The profile's alone.
    Profile,
}

/// How this Target is, from a story's beginning to its end.
#[derive(Clone, Copy, Debug)]
pub struct Nature {
    /// Longest time until a single shows; each draws its own, a third of them none.
    pub single_shows_max: Duration,
    pub batch_shows_max: Duration,
    /// Longest time until a batch is worked off.
    pub batch_takes_max: Duration,
    pub times: Times,
    /// Reads come from caches, up to three seconds old.
    pub has_caches: bool,
    /// Per mille of rows.
    pub dropped: u16,
    pub failed: u16,
    /// Per mille of batches.
    pub stuck: u16,
    /// Of a stuck batch, rows were applied all the same. Documented is neither.
    pub is_stuck_half_done: bool,
    /// Singles that the client may send in a rolling day.
    pub singles_per_day: Option<usize>,
}

impl Default for Nature {
    fn default() -> Self {
        Self {
            single_shows_max: SHOWS_MAX,
            batch_shows_max: SHOWS_MAX,
            batch_takes_max: mins(60),
            times: Times::Each,
            has_caches: true,
            dropped: 1,
            failed: 5,
            stuck: 10,
            is_stuck_half_done: false,
            singles_per_day: None,
        }
    }
}

#[derive(Debug)]
struct Profile {
    /// When Target first shows that it has it.
    shows_at: Timestamp,
    active_at: Timestamp,
    /// What the last v2 batch set, since the last visit.
    by_batch: BTreeSet<String>,
    /// Each attribute's writes, as places in the journal.
    attributes: BTreeMap<String, Vec<usize>>,
}

/// How a batch's status names the rows that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Raw,
    Encoded,
    Counted,
    ConsumedLess,
}

#[derive(Debug)]
struct Batch {
    name: String,
    device: usize,
    /// The rows, as places among the journal's requests.
    rows: Vec<usize>,
    /// None until it was taken.
    done_at: Option<Timestamp>,
    is_stuck: bool,
    failed: BTreeSet<usize>,
    naming: Naming,
}

/// What an answer lets a device know, once it hears it.
#[derive(Debug)]
enum News {
    Outcomes(Vec<(usize, Outcome)>),
    Read(Identity, Reading),
    Wait(Timestamp),
}

#[derive(Debug)]
enum Coming {
    Apply { request: usize },
    Take { batch: usize },
    Process { batch: usize },
    Heard { device: usize, life: u64, news: News },
}

/// What the web site does to an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebWrite {
    pub name: String,
    pub operation: Operation,
    pub operand: String,
}

#[derive(Debug)]
pub struct Target {
    seed: u64,
    pub nature: Nature,
    pub journal: Journal,
    profiles: BTreeMap<Identity, Profile>,
    batches: Vec<Batch>,
    coming: BTreeMap<(Timestamp, usize), Coming>,
    scheduled: usize,
    now: Timestamp,
    faults: Faults,
    weather: BTreeMap<Option<usize>, (Weather, Timestamp)>,
    is_down: BTreeSet<usize>,
    curses: BTreeMap<Identity, Curse>,
    /// Updates on their way, until they are answered.
    on_the_way: BTreeMap<(usize, Identity), Timestamp>,
    waits: BTreeMap<usize, Timestamp>,
    /// How often a device's process was started.
    lives: BTreeMap<usize, u64>,
    recent: BTreeMap<usize, VecDeque<Timestamp>>,
    recent_batches: BTreeMap<usize, VecDeque<Timestamp>>,
    singles: VecDeque<Timestamp>,
    asked: u64,
}

impl Target {
    pub fn new(seed: u64, nature: Nature, start: Timestamp) -> Self {
        Self {
            seed,
            nature,
            journal: Journal::default(),
            profiles: BTreeMap::new(),
            batches: Vec::new(),
            coming: BTreeMap::new(),
            scheduled: 0,
            now: start,
            faults: Faults::default(),
            weather: BTreeMap::new(),
            is_down: BTreeSet::new(),
            curses: BTreeMap::new(),
            on_the_way: BTreeMap::new(),
            waits: BTreeMap::new(),
            lives: BTreeMap::new(),
            recent: BTreeMap::new(),
            recent_batches: BTreeMap::new(),
            singles: VecDeque::new(),
            asked: 0,
        }
    }

    // What the story does to it.

    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub fn set_weather(&mut self, device: Option<usize>, weather: Weather, until: Timestamp) {
        self.weather.insert(device, (weather, until));
    }

    pub fn set_link(&mut self, device: usize, is_up: bool) {
        if is_up {
            self.is_down.remove(&device)
        } else {
            self.is_down.insert(device)
        };
    }

    pub fn curse(&mut self, identity: Identity, curse: Curse) {
        self.curses.insert(identity, curse);
    }

    pub fn is_cursed(&self, identity: &Identity) -> Option<Curse> {
        self.curses.get(identity).copied()
    }

    /// The device's process is gone: it hears no answer any more, but what it sent is on its way.
    pub fn kill(&mut self, device: usize, noted: Vec<(Identity, Vec<(String, String)>)>, now: Timestamp) {
        self.pass(now);
        for (identity, attributes) in noted {
            let request = self.request(device, &identity, &attributes, None);
            self.journal.requests[request].outcome = Outcome::Lost;
        }
        *self.lives.entry(device).or_default() += 1;
        // What was heard in the last moment was perhaps not yet on the disk: whoever starts again does not know it.
        let moment_ago = now.minus(HEARD_AND_FORGOTTEN);
        for request in self.journal.requests.iter_mut().filter(|request| request.device == device) {
            if request.outcome == Outcome::No && request.heard_at.is_some_and(|at| at >= moment_ago) {
                request.outcome = Outcome::Lost;
            }
        }
        self.on_the_way.retain(|(held, _), _| *held != device);
        self.waits.remove(&device);
    }

    /// From now on all goes well: no faults, no weather, nothing dropped, no quota.
    pub fn heal(&mut self, now: Timestamp) {
        self.pass(now);
        self.faults = Faults::default();
        self.weather.clear();
        self.is_down.clear();
        self.curses.retain(|_, curse| *curse != Curse::ServerError);
        self.nature = Nature { dropped: 0, failed: 0, stuck: 0, singles_per_day: None, ..self.nature };
    }

    /// Lets time pass: what is due happens.
    pub fn pass(&mut self, now: Timestamp) {
        while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), coming) = entry.remove_entry();
            self.now = at;
            match coming {
                Coming::Apply { request } => self.apply_single(request),
                Coming::Take { batch } => self.take(batch),
                Coming::Process { batch } => self.process(batch),
                Coming::Heard { device, life, news } => self.heard(device, life, news),
            }
        }
        self.now = self.now.max(now);
    }

    // What devices ask.

    pub fn single(
        &mut self,
        device: usize,
        identity: &Identity,
        attributes: &[(String, String)],
        now: Timestamp,
    ) -> Told<Answer> {
        let (fate, mut rng) = self.begin(device, identity, now, "single");
        let fate = self.fate_of_single(device, fate, identity);
        self.check(device, identity, attributes);
        let request = self.request(device, identity, attributes, None);
        let told = self.told(device, &fate, &mut rng, now, |fate| match fate {
            Fate::Unreachable => Answer::Unreachable,
            Fate::Answered(status) => Answer::Status(status.clone()),
            Fate::Served => Answer::Yes,
            _ => Answer::Lost,
        });
        self.on_the_way.insert((device, identity.clone()), told.at);
        match fate {
            Fate::Served | Fate::LostAfter => self.later(now.plus(told.at.since(now) / 2), Coming::Apply { request }),
            Fate::LostLater(after) => self.later(now.plus(after), Coming::Apply { request }),
            _ => {}
        }
        let outcome = match told.answer {
            Answer::Yes => Outcome::Yes,
            Answer::Lost => Outcome::Lost,
            _ => Outcome::No,
        };
        self.tell(device, told.at, News::Outcomes(vec![(request, outcome)]));
        told
    }

    pub fn fetch(&mut self, device: usize, identity: &Identity, now: Timestamp) -> Told<FetchTold> {
        let (mut fate, mut rng) = self.begin(device, identity, now, "fetch");
        fate = fate.of_reading();
        if fate == Fate::Served && self.weather_for(device) == Some(Weather::ReadingForbidden) {
            fate = Fate::Answered(Status::plain(403));
        }
        if fate == Fate::Served && self.is_cursed(identity) == Some(Curse::Unreadable) {
            fate = Fate::Answered(Status::plain(400));
        }
        let told = self.told(device, &fate, &mut rng, now, std::clone::Clone::clone);
        let age = if self.nature.has_caches { ms([0, 0, 300, 1_000, 3_000][rng.usize(0..5)]) } else { Duration::ZERO };
        // What is shown is what was there before the request came, in the same millisecond or some seconds earlier.
        let as_of = now.minus(age).minus(ms(1));
        self.expire(identity, now);
        let answer = match told.answer {
            Fate::Served => self.show(identity, as_of, &mut rng),
            Fate::Answered(status) => FetchTold::Status(status),
            Fate::Unreachable => FetchTold::Unreachable,
            _ => FetchTold::Lost,
        };
        let reading = match &answer {
            FetchTold::Found { .. } => ReadingTold::Found { has_times: self.nature.times == Times::Each },
            FetchTold::Missing => ReadingTold::Missing,
            FetchTold::Status(Status { code: 401 | 403, .. }) => ReadingTold::Forbidden,
            _ => ReadingTold::Failed,
        };
        let (asked_at, heard_at) = (now, told.at);
        let reading = Reading { asked_at, as_of, heard_at, told: reading };
        self.tell(device, told.at, News::Read(identity.clone(), reading));
        Told { answer, date: told.date, at: told.at }
    }

    /// A v2 batch: one row for each profile.
    pub fn submit(
        &mut self,
        device: usize,
        rows: &[(Identity, Vec<(String, String)>)],
        now: Timestamp,
    ) -> Told<SubmitTold> {
        let Some((first, _)) = rows.first() else { panic!("a batch without rows is never sent") };
        let (mut fate, mut rng) = self.begin(device, first, now, "submit");
        self.count_batch(device);
        let bad = |curse: &Curse| matches!(curse, Curse::BadRow | Curse::Refused);
        if fate == Fate::Served && self.weather_for(device) == Some(Weather::BatchesForbidden) {
            fate = Fate::Answered(Status::plain(403));
        }
        if let (Fate::Served, Some(Weather::UpdatesRefused { code })) = (&fate, self.weather_for(device)) {
            fate = Fate::Answered(Status::plain(code));
        }
        let is_refused = rows.iter().any(|(identity, _)| self.curses.get(identity).is_some_and(bad));
        if is_refused && !matches!(fate, Fate::Unreachable | Fate::Answered(_) | Fate::LostBefore) {
            fate = Fate::Answered(Status::plain(400));
        }
        let mut seen = BTreeSet::new();
        let mut requests = Vec::new();
        let batch = self.batches.len();
        for (identity, attributes) in rows {
            if !seen.insert(identity) {
                self.misdeed(MisdeedKind::Twice, device, Some(identity));
            }
            self.check(device, identity, attributes);
            requests.push(self.request(device, identity, attributes, Some(batch)));
        }
        let is_success_false = is_refused && rng.bool();
        let name = format!("acme-{}-{}", now.as_millis(), batch);
        let told = self.told(device, &fate, &mut rng, now, |fate| match fate {
            Fate::Unreachable => SubmitTold::Unreachable,
            Fate::Answered(Status { code: 400, .. }) if is_success_false => SubmitTold::Refused,
            Fate::Answered(status) => SubmitTold::Status(status.clone()),
            Fate::Served => SubmitTold::Accepted(name.clone()),
            _ => SubmitTold::Lost,
        });
        for (identity, _) in rows {
            self.on_the_way.insert((device, identity.clone()), told.at);
        }
        match fate {
            Fate::Served | Fate::LostAfter => self.later(now.plus(told.at.since(now) / 2), Coming::Take { batch }),
            Fate::LostLater(after) => self.later(now.plus(after), Coming::Take { batch }),
            _ => {}
        }
        let outcome = match told.answer {
            SubmitTold::Accepted(_) => Outcome::Open,
            SubmitTold::Lost => Outcome::Lost,
            _ => Outcome::No,
        };
        self.tell(device, told.at, News::Outcomes(requests.iter().map(|request| (*request, outcome)).collect()));
        self.batches.push(self.new_batch(name, device, requests, &mut rng));
        told
    }

    pub fn status(&mut self, device: usize, name: &str, now: Timestamp) -> Told<StatusTold> {
        let place = self.batches.iter().position(|batch| batch.name == name && batch.device == device);
        let place = place.expect("a device asks after its own batches");
        let identity = self.journal.requests[self.batches[place].rows[0]].identity.clone();
        let (mut fate, mut rng) = self.begin(device, &identity, now, "status");
        fate = fate.of_reading();
        let told = self.told(device, &fate, &mut rng, now, std::clone::Clone::clone);
        let is_flapping = rng.u16(0..1_000) < self.faults.flapping;
        let answer = match told.answer {
            Fate::Served if is_flapping => match rng.u32(0..3) {
                0 => StatusTold::NotFound,
                1 => StatusTold::Status(Status::plain(500)),
                _ => StatusTold::State(self.state(place, BatchState::Incomplete)),
            },
            Fate::Served => {
                let batch = &self.batches[place];
                let is_done = batch.done_at.is_some_and(|done_at| done_at <= now);
                let state = match (is_done, batch.is_stuck) {
                    (false, _) => BatchState::Incomplete,
                    (true, true) => BatchState::Stuck,
                    (true, false) => BatchState::Complete,
                };
                if batch.done_at.is_none() { StatusTold::NotFound } else { StatusTold::State(self.state(place, state)) }
            }
            Fate::Answered(status) => StatusTold::Status(status),
            Fate::Unreachable => StatusTold::Unreachable,
            _ => StatusTold::Lost,
        };
        if let StatusTold::State(status) = &answer {
            let outcomes = self.outcomes(place, status.state);
            self.tell(device, told.at, News::Outcomes(outcomes));
        }
        Told { answer, date: told.date, at: told.at }
    }

    /// The web site is visited by a customer, and writes on top of the latest truth.
    pub fn visit(&mut self, identity: &Identity, writes: &[WebWrite], now: Timestamp) {
        self.pass(now);
        self.expire(identity, now);
        let profile = self.profiles.entry(identity.clone()).or_insert_with(|| Profile::new(now));
        (profile.active_at, profile.shows_at) = (now, profile.shows_at.min(now));
        profile.by_batch.clear();
        for WebWrite { name, operation, operand } in writes {
            let held = self.latest(identity, now).and_then(|mut held| held.remove(name));
            let Some(value) = on_top(held.as_deref(), *operation, operand) else { continue };
            let part = Some((*operation, operand.clone()));
            self.write(identity, name, Some(value), Who::Web, None, part, now, false);
        }
    }

    /// The truth: with every write that was applied, whatever shows. `None` when there is no such profile.
    pub fn latest(&mut self, identity: &Identity, now: Timestamp) -> Option<BTreeMap<String, String>> {
        self.pass(now);
        self.expire(identity, now);
        let value = |places: &Vec<usize>| self.journal.writes[*places.last()?].value.clone();
        let profile = self.profiles.get(identity)?;
        Some(profile.attributes.iter().filter_map(|(name, places)| Some((name.clone(), value(places)?))).collect())
    }

    // How it comes about.

    fn begin(&mut self, device: usize, identity: &Identity, now: Timestamp, what: &str) -> (Fate, Rng) {
        self.pass(now);
        self.asked += 1;
        self.count(device, identity, now);
        let is_again = self.recent.get(&device).map_or(0, |recent| recent.iter().filter(|at| **at == now).count());
        let mut rng = dice(self.seed, (what, device, identity, now, is_again));
        let fate = self.faults.fate(&mut rng, now);
        let status = |code| Fate::Answered(Status::plain(code));
        let fate = match self.weather_for(device) {
            _ if self.is_down.contains(&device) => Fate::Unreachable,
            Some(Weather::Gateway { code, is_html }) => Fate::Answered(Status { code, retry_after: None, is_html }),
            Some(Weather::Portal) => Fate::Answered(portal(&mut rng)),
            Some(Weather::Unauthorized) => status([401, 403][rng.usize(0..2)]),
            Some(Weather::ServerDown) => status([500, 502, 503, 504][rng.usize(0..4)]),
            _ => fate,
        };
        (fate, rng)
    }

    fn weather_for(&self, device: usize) -> Option<Weather> {
        let of = |whom| self.weather.get(&whom).filter(|(_, until)| self.now < *until).map(|(weather, _)| *weather);
        of(Some(device)).or_else(|| of(None))
    }

    fn fate_of_single(&mut self, device: usize, fate: Fate, identity: &Identity) -> Fate {
        let is_answered = matches!(fate, Fate::Served | Fate::LostAfter | Fate::LostLater(_));
        if !is_answered {
            return fate;
        }
        if let Some(Weather::SinglesRefused { code } | Weather::UpdatesRefused { code }) = self.weather_for(device) {
            return Fate::Answered(Status::plain(code));
        }
        let day_ago = self.now.minus(hours(24));
        while self.singles.pop_front_if(|at| *at <= day_ago).is_some() {}
        if self.nature.singles_per_day.is_some_and(|most| self.singles.len() >= most) {
            let retry_after = Some("3600".to_owned()).filter(|_| self.asked.is_multiple_of(2));
            return Fate::Answered(Status { code: 429, retry_after, is_html: false });
        }
        self.singles.push_back(self.now);
        match self.is_cursed(identity) {
            Some(Curse::Refused) => Fate::Answered(Status::plain(400)),
            Some(Curse::ServerError) => Fate::Answered(Status::plain(500)),
            _ => fate,
        }
    }

    /// When the device hears what; and what it was told to wait.
    fn told<T>(
        &mut self,
        device: usize,
        fate: &Fate,
        rng: &mut Rng,
        now: Timestamp,
        answer: impl Fn(&Fate) -> T,
    ) -> Told<T> {
        let at = match fate {
            Fate::Unreachable if rng.bool() => now.plus(CONNECT_TIMEOUT),
            // The network or the host says at once that there is nothing.
            Fate::Unreachable => now.plus(ms(rng.u64(1..50))),
            Fate::Served | Fate::Answered(_) => now.plus(ms(rng.u64(20..1_500))),
            _ if rng.bool() => now.plus(TIMEOUT),
            // The connection is reset.
            _ => now.plus(ms(rng.u64(50..5_000))),
        };
        let clock = match fate {
            // Who stands between has a clock of its own.
            Fate::Answered(Status { is_html: true, .. }) => at.plus(hours(rng.u64(0..48))).minus(hours(24)),
            _ => at,
        };
        let whole = Timestamp::from_millis(clock.as_millis().div_euclid(1_000) * 1_000);
        let date = matches!(fate, Fate::Served | Fate::Answered(_)).then_some(whole);
        self.note_wait(device, fate, (date, at));
        Told { answer: answer(fate), date, at }
    }

    /// What a device hears later, if it lives.
    fn tell(&mut self, device: usize, at: Timestamp, news: News) {
        let life = self.life(device);
        self.later(at, Coming::Heard { device, life, news });
    }

    /// The device was told to wait. Requests that it sends before that is over are impatient.
    fn note_wait(&mut self, device: usize, fate: &Fate, told: (Option<Timestamp>, Timestamp)) {
        let (Fate::Answered(status), (Some(date), at)) = (fate, told) else { return };
        let Some(wait) = told_wait(status, date) else { return };
        // A date is in whole seconds.
        let until = at.plus(wait).minus(secs(2));
        self.tell(device, at, News::Wait(until));
    }

    fn heard(&mut self, device: usize, life: u64, news: News) {
        if life != self.life(device) {
            return;
        }
        match news {
            News::Outcomes(outcomes) => {
                for (request, outcome) in outcomes {
                    let request = &mut self.journal.requests[request];
                    // What was settled once stays so, whatever a flapping status says later.
                    if request.outcome == Outcome::Open && outcome != Outcome::Open {
                        (request.outcome, request.heard_at) = (outcome, Some(self.now));
                    }
                }
            }
            News::Read(identity, reading) => self.journal.readings.entry((device, identity)).or_default().push(reading),
            News::Wait(until) => {
                let held = self.waits.entry(device).or_insert(until);
                *held = (*held).max(until);
            }
        }
    }

    fn life(&self, device: usize) -> u64 {
        self.lives.get(&device).copied().unwrap_or(0)
    }

    fn later(&mut self, at: Timestamp, coming: Coming) {
        self.scheduled += 1;
        self.coming.insert((at.max(self.now), self.scheduled), coming);
    }

    fn request(
        &mut self,
        device: usize,
        identity: &Identity,
        attributes: &[(String, String)],
        batch: Option<usize>,
    ) -> usize {
        self.journal.requests.push(Request {
            device,
            identity: identity.clone(),
            attributes: attributes.to_vec(),
            batch,
            sent_at: self.now,
            outcome: Outcome::Open,
            heard_at: None,
            applied_at: None,
            dropped_at: None,
            vanished_at: None,
        });
        self.journal.requests.len() - 1
    }

    fn apply_single(&mut self, place: usize) {
        let request = self.journal.requests[place].clone();
        let now = self.now;
        self.expire(&request.identity, now);
        let Some(profile) = self.profiles.get_mut(&request.identity) else {
            self.journal.requests[place].vanished_at = Some(now);
            return;
        };
        profile.active_at = now;
        self.journal.requests[place].applied_at = Some(now);
        self.set(&request, place, false);
    }

    fn set(&mut self, request: &Request, place: usize, is_batch: bool) {
        let who = Who::Device(request.device);
        for (name, value) in request.attributes.iter().filter(|(_, value)| !value.is_empty()) {
            let value = Some(value.clone());
            self.write(&request.identity, name, value, who, Some(place), None, request.sent_at, is_batch);
        }
    }

    #[allow(clippy::too_many_arguments)] // All that is to be known of a write.
    fn write(
        &mut self,
        identity: &Identity,
        name: &str,
        value: Option<String>,
        who: Who,
        request: Option<usize>,
        part: Option<(Operation, String)>,
        sent_at: Timestamp,
        is_batch: bool,
    ) {
        let now = self.now;
        let most = if is_batch { self.nature.batch_shows_max } else { self.nature.single_shows_max };
        // The rows and attributes of one request show at one time.
        let mut rng = dice(self.seed, ("shows", identity, now, who));
        let delay = match rng.u32(0..3) {
            0 => Duration::ZERO,
            1 => ms(rng.u64(0..=most.as_millis() as u64 / 10)),
            _ => ms(rng.u64(0..=most.as_millis() as u64)),
        };
        let shows_at = now.plus(delay);
        let place = self.journal.writes.len();
        let (identity, name) = (identity.clone(), name.to_owned());
        let profile = self.profiles.get_mut(&identity).expect("only a known profile is written to");
        profile.shows_at = profile.shows_at.min(shows_at);
        profile.attributes.entry(name.clone()).or_default().push(place);
        self.journal.writes.push(Write { identity, name, value, who, request, part, sent_at, at: now, shows_at });
    }

    fn new_batch(&self, name: String, device: usize, rows: Vec<usize>, rng: &mut Rng) -> Batch {
        let is_stuck = rng.u16(0..1_000) < self.nature.stuck;
        let failed = rows.iter().copied().filter(|_| rng.u16(0..1_000) < self.nature.failed).collect();
        let naming = [Naming::Raw, Naming::Encoded, Naming::Counted, Naming::ConsumedLess][rng.usize(0..4)];
        Batch { name, device, rows, done_at: None, is_stuck, failed, naming }
    }

    fn take(&mut self, place: usize) {
        let mut rng = dice(self.seed, ("take", place, self.now));
        let most = self.nature.batch_takes_max.as_millis() as u64;
        let process_at = self.now.plus(ms(rng.u64(most / 30..=most)));
        self.batches[place].done_at = Some(process_at.plus(secs(rng.u64(0..120))));
        self.later(process_at, Coming::Process { batch: place });
    }

    fn process(&mut self, place: usize) {
        let mut rng = dice(self.seed, ("process", place, self.now));
        let batch = &self.batches[place];
        let (is_stuck, rows) = (batch.is_stuck, batch.rows.clone());
        let is_applied = |row: &usize| !batch.failed.contains(row);
        for row in rows.iter().copied().filter(is_applied).collect::<Vec<_>>() {
            if is_stuck && !(self.nature.is_stuck_half_done && rng.bool()) {
                continue;
            }
            if rng.u16(0..1_000) < self.nature.dropped {
                self.journal.requests[row].dropped_at = Some(self.now);
                continue;
            }
            self.apply_row(row);
        }
    }

    /// A row creates its profile, and overrides what the batch before it set if nobody visited in between.
    fn apply_row(&mut self, place: usize) {
        let request = self.journal.requests[place].clone();
        let (identity, now) = (&request.identity, self.now);
        self.expire(identity, now);
        let profile = self.profiles.entry(identity.clone()).or_insert_with(|| Profile::new(now.plus(SHOWS_MAX)));
        profile.active_at = now;
        let given: BTreeSet<String> =
            request.attributes.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.clone()).collect();
        let gone: Vec<String> = std::mem::replace(&mut profile.by_batch, given.clone())
            .into_iter()
            .filter(|name| !given.contains(name))
            .collect();
        for name in gone {
            let who = Who::Device(request.device);
            self.write(identity, &name, None, who, Some(place), None, request.sent_at, true);
        }
        self.journal.requests[place].applied_at = Some(now);
        self.set(&request, place, true);
    }

    /// What a device knows of a batch's rows once it heard this state.
    fn outcomes(&self, place: usize, state: BatchState) -> Vec<(usize, Outcome)> {
        let batch = &self.batches[place];
        let are_named = batch.failed.is_empty() || matches!(batch.naming, Naming::Raw | Naming::Encoded);
        let outcome = |row: &usize| match state {
            BatchState::Incomplete => Outcome::Open,
            BatchState::Stuck if self.nature.is_stuck_half_done => Outcome::Lost,
            BatchState::Stuck => Outcome::No,
            BatchState::Complete if !are_named => Outcome::Lost,
            BatchState::Complete if batch.failed.contains(row) => Outcome::No,
            BatchState::Complete => Outcome::Yes,
        };
        batch.rows.iter().map(|row| (*row, outcome(row))).collect()
    }

    fn state(&self, place: usize, state: BatchState) -> BatchStatus {
        let batch = &self.batches[place];
        let size = batch.rows.len() as u64;
        let failed = batch.failed.len() as u64;
        let mut status =
            BatchStatus { state, batch_size: size, consumed: None, failed_updates: None, failed: Vec::new() };
        if state != BatchState::Complete {
            return status;
        }
        let keys = batch.failed.iter().map(|row| self.journal.requests[*row].identity.key());
        (status.consumed, status.failed_updates) = (Some(size), Some(failed));
        match batch.naming {
            Naming::Raw => status.failed = keys.map(str::to_owned).collect(),
            Naming::Encoded => {
                status.failed = keys.map(|key| utf8_percent_encode(key, NON_ALPHANUMERIC).to_string()).collect();
            }
            Naming::Counted => {}
            Naming::ConsumedLess => (status.consumed, status.failed_updates) = (Some(size - failed), Some(0)),
        }
        status
    }

    fn show(&self, identity: &Identity, as_of: Timestamp, rng: &mut Rng) -> FetchTold {
        let Some(profile) = self.profiles.get(identity).filter(|profile| profile.shows_at <= as_of) else {
            return FetchTold::Missing;
        };
        let second = |at: Timestamp| Timestamp::from_millis(at.as_millis().div_euclid(1_000) * 1_000);
        let (mut attributes, mut newest) = (Shown::new(), None);
        for (name, places) in &profile.attributes {
            let writes = places.iter().rev().map(|place| &self.journal.writes[*place]);
            let Some(write) = writes.into_iter().find(|write| write.at <= as_of && write.shows_at <= as_of) else {
                continue;
            };
            newest = newest.max(Some(second(write.at)));
            let has_time = match self.nature.times {
                Times::Each => true,
                Times::Some => rng.bool(),
                Times::Profile => false,
            };
            if let Some(value) = &write.value {
                attributes.insert(name.clone(), (value.clone(), has_time.then(|| second(write.at))));
            }
        }
        FetchTold::Found { attributes, modified_at: newest }
    }

    /// A profile without activity for its time is gone.
    fn expire(&mut self, identity: &Identity, now: Timestamp) {
        let Some(profile) = self.profiles.get(identity) else { return };
        let at = profile.active_at.plus(LIFE);
        if at <= now {
            self.profiles.remove(identity);
            self.journal.expiries.push(Expiry { identity: identity.clone(), at });
        }
    }

    // What it holds against a device.

    fn check(&mut self, device: usize, identity: &Identity, attributes: &[(String, String)]) {
        if self.on_the_way.get(&(device, identity.clone())).is_some_and(|until| *until > self.now) {
            self.misdeed(MisdeedKind::TwoAtOnce, device, Some(identity));
        }
        let mut names = BTreeSet::new();
        if !attributes.iter().all(|(name, _)| names.insert(name)) {
            self.misdeed(MisdeedKind::Twice, device, Some(identity));
        }
        if attributes.iter().any(|(_, value)| value.is_empty()) {
            self.misdeed(MisdeedKind::EmptyValue, device, Some(identity));
        }
        let is_large = |value: &String| value.chars().count() > VALUE_CHARS_MAX;
        if attributes.is_empty() || attributes.iter().any(|(_, value)| is_large(value)) {
            self.misdeed(MisdeedKind::Malformed, device, Some(identity));
        }
    }

    fn count(&mut self, device: usize, identity: &Identity, now: Timestamp) {
        if self.waits.get(&device).is_some_and(|until| now < *until) {
            self.misdeed(MisdeedKind::Impatient, device, Some(identity));
        }
        let recent = self.recent.entry(device).or_default();
        recent.push_back(now);
        while recent.pop_front_if(|at| now.since(*at) > secs(10)).is_some() {}
        if recent.len() > REQUESTS_IN_TEN_SECONDS_MAX {
            recent.clear();
            self.misdeed(MisdeedKind::Hammering, device, Some(identity));
        }
    }

    fn count_batch(&mut self, device: usize) {
        let now = self.now;
        let recent = self.recent_batches.entry(device).or_default();
        recent.push_back(now);
        while recent.pop_front_if(|at| now.since(*at) > secs(60)).is_some() {}
        if recent.len() > 50 {
            recent.clear();
            self.misdeed(MisdeedKind::TooManyBatches, device, None);
        }
    }

    fn misdeed(&mut self, kind: MisdeedKind, device: usize, identity: Option<&Identity>) {
        self.journal.misdeeds.push(Misdeed { kind, device, identity: identity.cloned(), at: self.now });
    }
}

impl Profile {
    fn new(at: Timestamp) -> Self {
        Self { shows_at: at, active_at: at, by_batch: BTreeSet::new(), attributes: BTreeMap::new() }
    }
}

/// What the web site makes of the value that is there. `None` leaves it as it is.
fn on_top(held: Option<&str>, operation: Operation, operand: &str) -> Option<String> {
    let better = |is_better: fn(&rust_decimal::Decimal, &rust_decimal::Decimal) -> bool| {
        let (held, new) = (held.and_then(number), number(operand).expect("the web site writes numbers"));
        held.is_none_or(|held| is_better(&new, &held)).then(|| decimal_text(new))
    };
    match operation {
        Operation::Set => Some(operand.to_owned()),
        Operation::First => held.is_none().then(|| operand.to_owned()),
        Operation::Max => better(|new, held| new > held),
        Operation::Min => better(|new, held| new < held),
        Operation::Add => {
            let held = held.and_then(number).unwrap_or_default();
            Some(decimal_text(held + number(operand).expect("the web site adds numbers")))
        }
        Operation::Append => {
            Some(append_list(held.into_iter().flat_map(|held| held.split(',')).chain([operand]).collect()))
        }
    }
}
