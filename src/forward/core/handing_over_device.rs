//! A device with the real store and the real core, and a hub in memory, for tests of handing over.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::{Action, Core, CoreParts, ForwarderRules, ForwarderSettings, Input, Moment, Settle};
use crate::adobe::Handed;
use crate::core::attribute::AttributeName;
use crate::core::event::{Event, Hashes};
use crate::core::fleet::{PartId, ProfileParts, Refused, Taken};
use crate::core::forwarding::destination::Destination;
use crate::core::forwarding::link::Link;
use crate::core::forwarding::quota::{Quota, QuotaTime};
use crate::core::identity::{Identity, IdentityKind};
use crate::core::mapping::{Meaning, ProfileChanges};
use crate::core::operation::{Change, Operation, sum};
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::store::{ClaimRules, InFlight, Pending, Recording, Refusal, Settlement, Store, Transaction};

/// A device with its store, and what it sent.
pub(super) struct Device {
    pub(super) store: Store,
    pub(super) in_flight: InFlight,
    pub(super) core: Core,
    pub(super) now: Duration,
    pub(super) recorded: usize,
}

/// The parts that the hub has: by customer and attribute, the newest version of each.
#[derive(Default)]
pub(super) struct Hub {
    pub(super) parts: BTreeMap<(String, String, Option<PartId>), (i64, String)>,
    /// Number of profiles in each request.
    pub(super) requests: Vec<usize>,
}

impl Hub {
    pub(super) fn take(&mut self, profiles: &[ProfileParts]) {
        for profile in profiles {
            for part in &profile.attributes {
                let key = (profile.identity.key().to_owned(), part.name.as_str().to_owned(), part.id);
                let held = self.parts.entry(key).or_default();
                if part.version > held.0 {
                    *held = (part.version, part.part.value.clone());
                }
            }
        }
    }

    pub(super) fn total(&self, customer: &str) -> String {
        let parts = self.parts.iter().filter(|((whose, name, _), _)| whose == customer && name == "visits");
        sum(parts.map(|(_, (_, value))| value.as_str())).expect("numbers")
    }
}

pub(super) fn rules() -> ForwarderRules {
    ForwarderRules { hands_over: Some(Duration::from_secs(300)), ..ForwarderRules::default() }
}

impl Device {
    pub(super) fn new() -> Self {
        let mut device = Self::of_target();
        device.turn();
        device
    }

    /// Turns to the hub.
    pub(super) fn turn(&mut self) {
        self.store.transact(|store: &mut Transaction<'_>| store.hand_over_from_now()).expect("written");
    }

    /// Has Target take what is pending, or refuse it.
    pub(super) fn send_to_target(&mut self, is_taken: bool) {
        let claims = self.store.claim(&self.in_flight, ClaimRules::alone(10, &HashSet::new())).expect("read");
        for claim in claims.claims {
            let all: Vec<usize> = (0..claim.attributes.len()).collect();
            let no = || Refusal { attributes: all.clone(), reason: Reason::RefusedByTarget, detail: "no".to_owned() };
            let refused = if is_taken { Vec::new() } else { vec![no()] };
            let delivered = if is_taken { all.clone() } else { Vec::new() };
            let Moment { wall, quota, .. } = moment(self.now);
            let settlement = Settlement::of_update(claim, delivered, refused, wall, quota);
            self.store.transact(|store| store.settle(&settlement)).expect("written");
        }
    }

    pub(super) fn of_target() -> Self {
        let store = Store::open_in_memory().expect("a store");
        let settings = ForwarderSettings {
            rules: rules(),
            connections: 4,
            updates_per_day: 10,
            request_timeout: Duration::from_secs(10),
            destination: Destination::Hub { url: "https://hub".to_owned() },
        };
        let now = Duration::from_secs(1_000);
        let parts =
            CoreParts { settings, link: Link::default(), quota: Quota::new(10, []), batches: Vec::new(), rows_sent: 0 };
        let core = Core::new(parts, moment(now));
        Self { store, in_flight: InFlight::default(), core, now, recorded: 0 }
    }

    pub(super) fn record(&mut self, customer: usize, operation: Operation, name: &str, value: &str) {
        self.recorded += 1;
        let (id, at) = (format!("event {}", self.recorded), moment(self.now).wall);
        let change = Change {
            name: AttributeName::new(name).expect("a name"),
            operation,
            value: value.to_owned(),
            mapping: "visits".into(),
            is_own: false,
            is_urgent: false,
        };
        let identity = Identity::new(IdentityKind::ThirdPartyId, format!("customer {customer}")).expect("valid");
        let recording = Recording {
            event: Event {
                json: format!(r#"{{"id":"{id}","source":"/till"}}"#),
                id,
                source: "/till".to_owned(),
                event_type: "visit".to_owned(),
                subject: None,
                time: at,
                ordered_at: at,
                data: minijinja::Value::UNDEFINED,
                hashes: Hashes::default(),
                may_be_of_table: false,
            },
            recorded_at: at,
            meaning: Meaning::Changes(vec![ProfileChanges { identity, changes: vec![change] }]),
            digest: None,
            about: Vec::new(),
        };
        self.store.transact(|store| store.record(&recording)).expect("recorded");
        self.core.take(Input::OutboxChanged, moment(self.now), 0.5);
    }

    pub(super) fn visit(&mut self, customer: usize) {
        self.record(customer, Operation::Add, "visits", "1");
    }

    /// Does what the core says until it makes a request, or has nothing to do at this moment.
    pub(super) fn request(&mut self) -> Option<Vec<ProfileParts>> {
        loop {
            let at = moment(self.now);
            let input = match self.core.next(at) {
                Action::Claim(ask) => Input::Claimed(Ok(self.store.claim(&self.in_flight, ask.rules()).expect("read"))),
                Action::HandOver(profiles) => return Some(profiles),
                Action::Settle(settles) => {
                    for settle in settles {
                        let Settle::Delivery(settlement) = settle else { panic!("{settle:?}") };
                        self.store.transact(|store| store.settle(&settlement)).expect("written");
                    }
                    Input::Settled(Ok(()))
                }
                Action::Wait(until) => match until {
                    Some(until) if until <= self.now + Duration::from_millis(30) => {
                        self.now = until;
                        continue;
                    }
                    _ => return None,
                },
                action => panic!("{action:?}"),
            };
            self.core.take(input, at, 0.5);
        }
    }

    pub(super) fn answer(&mut self, handed: Handed) {
        self.core.take(Input::HandedOver(handed), moment(self.now), 0.5);
    }

    /// Goes on for a time, with a hub that answers each request as it is told.
    pub(super) fn run(
        &mut self,
        hub: &mut Hub,
        time: Duration,
        mut answer: impl FnMut(&mut Hub, &[ProfileParts]) -> Handed,
    ) {
        let end = self.now + time;
        while self.now < end {
            if let Some(profiles) = self.request() {
                hub.requests.push(profiles.len());
                let handed = answer(hub, &profiles);
                self.answer(handed);
            } else {
                self.now += Duration::from_secs(1);
            }
        }
    }

    pub(super) fn rejected(&self) -> Vec<(String, String)> {
        let rows = self.store.rejected(0, 100).expect("read");
        rows.into_iter().map(|row| (row.reason, row.detail)).collect()
    }

    pub(super) fn pending(&self) -> Pending {
        self.store.counters().pending_change
    }
}

pub(super) fn moment(elapsed: Duration) -> Moment {
    let wall = Timestamp::from_millis(1_800_000_000_000).plus(elapsed);
    Moment { elapsed, wall, quota: QuotaTime { at: wall, wall }, reads_open_in: None }
}

pub(super) fn taken(refused: Vec<Refused>) -> Handed {
    let time = Timestamp::from_millis(1_800_000_000_000);
    Handed::Taken(Taken { refused, mappings: 0, next_in_seconds: 0, time })
}

pub(super) fn all(hub: &mut Hub, profiles: &[ProfileParts]) -> Handed {
    hub.take(profiles);
    taken(Vec::new())
}
