//! A seeded simulation of the pure core: the store, the link and the plan, with a simulated Target, in simulated time.
//!
//! Each seed is one story of outages, refusals, changes in flight, duplicates, clock jumps and crashes at any point.
//! At its end the line is good, everything is delivered, and the books are added up against a model that knows
//! nothing of versions. Seeds come from `SIMULATION_SEEDS` (how many) and `SIMULATION_SEED` (one alone).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use fastrand::Rng;
use outpost::attribute::{AttributeName, Change, Operation};
use outpost::event::{Event, EventStatus};
use outpost::forwarder::{Step, plan};
use outpost::identity::{Identity, IdentityKind};
use outpost::limits::APPEND_ITEMS_MAX;
use outpost::link::{Link, Signal};
use outpost::mapping::{Meaning, ProfileChanges};
use outpost::quota::QuotaTime;
use outpost::reason::Reason;
use outpost::store::{Claim, InFlight, Reader, Recording, Refusal, Settlement, Store};
use outpost::timestamp::Timestamp;
use rust_decimal::Decimal;

const SEEDS: u64 = 10_000;
const STEPS: usize = 80;
const CONNECTIONS: usize = 3;
const IDENTITIES: u64 = 4;

#[test]
fn the_books_balance_after_every_story() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SIMULATION_SEED") {
        return story(seed);
    }
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                for seed in (first..seeds).step_by(threads as usize) {
                    let told = std::panic::catch_unwind(|| story(seed));
                    assert!(told.is_ok(), "SIMULATION_SEED={seed} tells this story alone");
                }
            });
        }
    });
}

fn story(seed: u64) {
    let mut story = Story::new(seed);
    for _ in 0..STEPS {
        story.step();
    }
    story.heal();
    story.add_up();
}

/// An event as its producer knows it.
#[derive(Clone)]
struct Sent {
    id: String,
    identity: Identity,
    time: Timestamp,
    changes: Vec<(Operation, String)>,
}

/// What the model knows of an acknowledged event.
struct Acknowledged {
    seq: i64,
    sent: Sent,
}

struct Story {
    rng: Rng,
    store: Option<Store>,
    in_flight: InFlight,
    link: Link,
    /// Monotonic time.
    now: Duration,
    /// The wall clock jumps.
    wall_ms: i64,
    claims: Vec<Claim>,
    target: HashMap<Identity, BTreeMap<String, String>>,
    sent: Vec<Sent>,
    acknowledged: Vec<Acknowledged>,
    duplicates: i64,
    is_healed: bool,
}

impl Story {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            store: Some(Store::open_in_memory().unwrap()),
            in_flight: InFlight::default(),
            link: Link::default(),
            now: Duration::ZERO,
            wall_ms: 1_790_000_000_000,
            claims: Vec::new(),
            target: HashMap::new(),
            sent: Vec::new(),
            acknowledged: Vec::new(),
            duplicates: 0,
            is_healed: false,
        }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(0..20_000));
        self.wall_ms += self.rng.i64(0..20_000);
        match self.rng.u32(0..100) {
            0..45 => self.record(),
            45..70 => self.send(),
            70..93 => self.answer(),
            93..96 => self.wall_ms += self.rng.i64(-86_400_000..86_400_000),
            _ => self.crash(),
        }
    }

    /// Some events in one transaction; it may crash before its commit, and then nobody was told of it.
    fn record(&mut self) {
        let events: Vec<Sent> = (0..self.rng.usize(1..5)).map(|_| self.event()).collect();
        let recorded_at = Timestamp::from_millis(self.wall_ms);
        self.store().begin().unwrap();
        let mut answers = Vec::new();
        for sent in &events {
            answers.push(self.store().record(&recording(sent, recorded_at)).unwrap());
        }
        if self.rng.u32(0..20) == 0 {
            return self.crash();
        }
        self.store().commit().unwrap();
        for (sent, answer) in events.into_iter().zip(answers) {
            match answer.status {
                EventStatus::Recorded => self.acknowledged.push(Acknowledged { seq: answer.seq, sent }),
                EventStatus::Duplicate => self.duplicates += 1,
                status => panic!("no event of the story is {status:?}"),
            }
        }
    }

    fn event(&mut self) -> Sent {
        if !self.sent.is_empty() && self.rng.u32(0..6) == 0 {
            return self.sent[self.rng.usize(0..self.sent.len())].clone();
        }
        let number = self.sent.len();
        let key = format!("customer {}", self.rng.u64(0..IDENTITIES));
        let mut changes = Vec::new();
        for operation in Operation::ALL {
            if self.rng.bool() {
                let value = match operation {
                    Operation::Add | Operation::Max | Operation::Min => {
                        format!("{}.{}", self.rng.i32(-9..99), self.rng.u32(0..100))
                    }
                    Operation::Set if self.rng.u32(0..8) == 0 => String::new(),
                    _ => format!("v{}", self.rng.u32(0..5)),
                };
                changes.push((operation, value));
            }
        }
        if changes.is_empty() {
            changes.push((Operation::Set, format!("n{number}")));
        }
        let late_ms = if self.rng.bool() { 0 } else { self.rng.i64(0..1_000_000) };
        let sent = Sent {
            id: format!("event {number}"),
            identity: Identity::new(IdentityKind::ThirdPartyId, key).unwrap(),
            time: Timestamp::from_millis(self.wall_ms - late_ms),
            changes,
        };
        self.sent.push(sent.clone());
        sent
    }

    /// Claims as many profiles as the plan allows.
    fn send(&mut self) {
        let step = plan(self.link.permit(self.now), self.claims.len(), CONNECTIONS, u64::MAX, self.now);
        if let Step::Send(places) = step {
            let in_flight = self.in_flight.clone();
            let claims = self.store().claim(&in_flight, places, &HashSet::new()).unwrap();
            self.claims.extend(claims);
        }
        let mut profiles = HashSet::new();
        assert!(
            self.claims.iter().all(|claim| profiles.insert(claim.profile_id)),
            "one update in flight for a profile"
        );
    }

    /// One answer comes, or is lost.
    fn answer(&mut self) {
        if self.claims.is_empty() {
            return;
        }
        let claim = self.claims.swap_remove(self.rng.usize(0..self.claims.len()));
        match if self.is_healed { 0 } else { self.rng.u32(0..12) } {
            0..6 => self.deliver(claim),
            6 => self.refuse(claim),
            7 => {
                // Target took it, and the answer was lost.
                self.apply(&claim);
                drop(claim);
                self.observe(Signal::Failing("timeout".into()));
            }
            8 => self.lose(claim, Signal::Unreachable("refused".into())),
            9 => self.lose(claim, Signal::Foreign("portal".into())),
            10 => self.lose(claim, Signal::Unauthorized("401".into())),
            _ => self.lose(claim, Signal::Throttled(Some(Duration::from_secs(3)))),
        }
    }

    fn deliver(&mut self, claim: Claim) {
        self.apply(&claim);
        self.observe(Signal::Answered);
        let delivered = (0..claim.attributes.len()).collect();
        let at = Timestamp::from_millis(self.wall_ms);
        self.settle(Settlement::of_update(claim, delivered, Vec::new(), at, self.quota_time()));
    }

    fn refuse(&mut self, claim: Claim) {
        self.observe(Signal::Answered);
        let attributes = (0..claim.attributes.len()).collect();
        let refused = vec![Refusal { attributes, reason: Reason::RefusedByTarget, detail: "400: no".into() }];
        let at = Timestamp::from_millis(self.wall_ms);
        self.settle(Settlement::of_update(claim, Vec::new(), refused, at, self.quota_time()));
    }

    fn quota_time(&self) -> QuotaTime {
        let wall = Timestamp::from_millis(self.wall_ms);
        QuotaTime { at: wall, wall }
    }

    fn settle(&mut self, settlement: Settlement) {
        self.store().begin().unwrap();
        self.store().settle(&settlement).unwrap();
        if !self.is_healed && self.rng.u32(0..10) == 0 {
            drop(settlement);
            return self.crash();
        }
        self.store().commit().unwrap();
    }

    fn apply(&mut self, claim: &Claim) {
        let profile = self.target.entry(claim.identity.clone()).or_default();
        for attribute in &claim.attributes {
            assert!(!attribute.value.is_empty(), "an empty value is never sent");
            profile.insert(attribute.name.clone(), attribute.value.clone());
        }
    }

    fn lose(&mut self, claim: Claim, signal: Signal) {
        drop(claim);
        self.observe(signal);
    }

    fn observe(&mut self, signal: Signal) {
        let chance = self.rng.f64();
        self.link.observe(signal, self.now, chance);
    }

    /// Power is cut: what was not committed is gone, and nothing is in flight.
    fn crash(&mut self) {
        self.claims.clear();
        self.in_flight = InFlight::default();
        self.link = Link::default();
        let store = self.store.take().unwrap();
        self.store = Some(store.restart().unwrap());
    }

    /// The line is good from now on. In a bounded number of steps everything must be delivered.
    fn heal(&mut self) {
        self.is_healed = true;
        for _ in 0..10_000 {
            self.now += Duration::from_secs(60);
            self.send();
            if self.claims.is_empty() && self.now > Duration::from_secs(600) {
                let in_flight = InFlight::default();
                if self.store().claim(&in_flight, 1, &HashSet::new()).unwrap().is_empty() {
                    return;
                }
            }
            self.answer();
        }
        panic!("the outbox does not become empty");
    }

    fn add_up(mut self) {
        let counters = self.store().counters();
        assert_eq!(counters.recorded, self.acknowledged.len() as i64, "each acknowledged event counts once");
        let mut ids = HashSet::new();
        assert!(self.acknowledged.iter().all(|event| ids.insert(&event.sent.id)), "and none twice");
        let duplicates = counters.totals.duplicate;
        assert_eq!(duplicates, self.duplicates);

        let reader = Reader::of_memory(self.store.take().unwrap());
        let pending = reader.count_pending().unwrap();
        assert_eq!((pending.profiles, pending.attributes), (0, 0));
        for (identity, expected) in model(&self.acknowledged) {
            let held = reader.profile(&identity).unwrap().expect("the profile is there");
            let names: Vec<&str> = held.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
            assert_eq!(names, expected.keys().map(String::as_str).collect::<Vec<_>>());
            let empty = BTreeMap::new();
            let target = self.target.get(&identity).unwrap_or(&empty);
            for attribute in &held.attributes {
                let expected = &expected[&attribute.name];
                assert_eq!(&attribute.value, expected, "{} in the store", attribute.name);
                if attribute.refused_version != attribute.version {
                    assert_eq!(target.get(&attribute.name), Some(expected), "{} in Target", attribute.name);
                } else if expected.is_empty() {
                    assert_ne!(target.get(&attribute.name), Some(expected), "an empty value is never sent");
                }
            }
        }
    }
}

fn recording(sent: &Sent, recorded_at: Timestamp) -> Recording {
    let change = |(operation, value): &(Operation, String)| Change {
        name: AttributeName::new(operation.name()).unwrap(),
        operation: *operation,
        value: value.clone(),
        mapping: "story".into(),
        is_own: false,
        is_urgent: false,
    };
    let changes = sent.changes.iter().map(change).collect();
    let event = Event {
        id: sent.id.clone(),
        source: "/story".to_owned(),
        event_type: "story".to_owned(),
        subject: None,
        time: sent.time,
        data: minijinja::Value::UNDEFINED,
        json: format!(r#"{{"id":"{}","source":"/story"}}"#, sent.id),
        hashes: Default::default(),
    };
    Recording {
        event,
        recorded_at,
        meaning: Meaning::Changes(vec![ProfileChanges { identity: sent.identity.clone(), changes }]),
    }
}

/// What each profile must hold in the end, from the acknowledged events alone.
fn model(events: &[Acknowledged]) -> BTreeMap<Identity, BTreeMap<String, String>> {
    type Operand<'e> = (Timestamp, i64, &'e str);
    let mut operands: BTreeMap<(Identity, &'static str), Vec<Operand<'_>>> = BTreeMap::new();
    for Acknowledged { seq, sent } in events {
        for (operation, value) in &sent.changes {
            let key = (sent.identity.clone(), operation.name());
            operands.entry(key).or_default().push((sent.time, *seq, value));
        }
    }
    let mut profiles: BTreeMap<Identity, BTreeMap<String, String>> = BTreeMap::new();
    for ((identity, name), mut values) in operands {
        values.sort_unstable();
        let texts: Vec<&str> = values.iter().map(|(_, _, value)| *value).collect();
        let numbers = || texts.iter().map(|text| text.parse::<Decimal>().unwrap());
        let value = match name {
            "set" => (*texts.last().unwrap()).to_owned(),
            "first" => (*texts.first().unwrap()).to_owned(),
            "add" => numbers().sum::<Decimal>().normalize().to_string(),
            "max" => numbers().max().unwrap().normalize().to_string(),
            "min" => numbers().min().unwrap().normalize().to_string(),
            _ => texts[texts.len().saturating_sub(APPEND_ITEMS_MAX)..].join(","),
        };
        profiles.entry(identity).or_default().insert(name.to_owned(), value);
    }
    profiles
}
