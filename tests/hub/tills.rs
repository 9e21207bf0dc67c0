//! Tills as simple as can be: what each knows, what it hands over, and what becomes of its disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use outpost::core::attribute::AttributeName;
use outpost::core::fleet::{AttributePart, Handover, PartId, ProfileParts};
use outpost::core::identity::{Identity, IdentityKind};
use outpost::core::operation::{Held, Operation, Stamp, sum};
use outpost::core::timestamp::Timestamp;

pub const OPERATIONS: [Operation; 6] = Operation::ALL;

/// A part of a sum on a till's disk.
#[derive(Clone)]
struct Growing {
    id: PartId,
    value: String,
    version: i64,
    /// The process that began it; no other lets it grow.
    process: u64,
    /// Newest version that the hub has answered.
    answered: i64,
}

/// What is on a till's disk.
#[derive(Clone, Default)]
struct Disk {
    seq: i64,
    /// By customer and number of the operation.
    states: BTreeMap<(usize, i64), Held>,
    sums: BTreeMap<usize, Vec<Growing>>,
    confirmed: Vec<PartId>,
}

/// One till, or one of several that go on from the same disk.
#[derive(Clone)]
pub struct Till {
    pub token: String,
    name: Arc<str>,
    disk: Disk,
    process: u64,
}

/// An event that a till has acknowledged: who, by which operation, with what.
#[derive(Clone, Debug)]
pub struct Happened {
    pub customer: usize,
    pub operation: Operation,
    pub operand: String,
    pub time: i64,
}

impl Till {
    pub fn new(name: &str, token: &str, random: &mut Rng) -> Self {
        Self { token: token.to_owned(), name: name.into(), disk: Disk::default(), process: random.u64(..) }
    }

    /// Records an event. Like a device, it takes the next number of its journal.
    pub fn record(&mut self, event: &Happened, random: &mut Rng) {
        self.disk.seq += 1;
        let seq = self.disk.seq;
        if event.operation == Operation::Add {
            let parts = self.disk.sums.entry(event.customer).or_default();
            let process = self.process;
            let grows = parts.last_mut().filter(|part| part.process == process && part.answered < part.version);
            match grows {
                Some(part) => {
                    part.value = sum([part.value.as_str(), &event.operand]).unwrap();
                    part.version = seq;
                }
                None => parts.push(Growing {
                    id: PartId::of_bits(random.u128(..)),
                    value: event.operand.clone(),
                    version: seq,
                    process,
                    answered: 0,
                }),
            }
            return;
        }
        let stamp = Stamp { time: Timestamp::from_millis(event.time), seq };
        let held = self.disk.states.get(&(event.customer, event.operation.number()));
        if let Some(next) = event.operation.change(held, &event.operand, stamp).unwrap() {
            self.disk.states.insert((event.customer, event.operation.number()), next);
        }
    }

    /// Starts again, as after a power cut: what was begun grows no more.
    pub fn restart(&mut self, random: &mut Rng) {
        self.process = random.u64(..);
    }

    /// Another machine with a copy of this one's disk, which it starts from; or wrongly goes on with as if it had not.
    pub fn copy(&self, random: &mut Rng, freezes: bool) -> Self {
        let mut copy = self.clone();
        if freezes {
            copy.restart(random);
        }
        copy
    }

    /// What it has, at least as much as is pending.
    pub fn handover(&self) -> Handover {
        let mut profiles: BTreeMap<usize, Vec<AttributePart>> = BTreeMap::new();
        for ((customer, operation), held) in &self.disk.states {
            let operation = Operation::of_number(*operation).unwrap();
            let part = self.part(operation, held, None, self.disk.seq.max(1));
            profiles.entry(*customer).or_default().push(part);
        }
        for (customer, parts) in &self.disk.sums {
            for part in parts.iter().filter(|part| part.answered < part.version) {
                let stamp = Stamp { time: Timestamp::from_millis(part.version), seq: part.version };
                let held = Held { value: part.value.clone(), stamp, items: None };
                let part = self.part(Operation::Add, &held, Some(part.id), part.version);
                profiles.entry(*customer).or_default().push(part);
            }
        }
        let profiles = profiles.into_iter().map(|(customer, attributes)| ProfileParts {
            place: customer,
            identity: identity(customer),
            attributes,
        });
        let mut handover = Handover { confirmed: self.disk.confirmed.clone(), ..Handover::default() };
        handover.state.process = Some(self.process.to_string());
        handover.profiles = profiles.collect();
        // As it travels.
        Handover::read(handover.write().as_bytes()).unwrap()
    }

    fn part(&self, operation: Operation, held: &Held, id: Option<PartId>, version: i64) -> AttributePart {
        AttributePart {
            name: AttributeName::new(operation.name()).unwrap(),
            operation,
            part: operation.part(held, &self.name),
            id,
            version,
            event: format!("{} {version}", self.name),
            mapping: "visits".to_owned(),
        }
    }

    /// Takes the hub's answer to a handover: its parts are answered as far as they were in it.
    pub fn answered(&mut self, handover: &Handover) {
        for attribute in handover.profiles.iter().flat_map(|profile| &profile.attributes) {
            let parts = self.disk.sums.values_mut().flatten();
            for part in parts.filter(|part| Some(part.id) == attribute.id) {
                part.answered = part.answered.max(attribute.version);
                if part.answered == part.version {
                    self.disk.confirmed.push(part.id);
                }
            }
        }
    }
}

pub fn identity(customer: usize) -> Identity {
    Identity::new(IdentityKind::ThirdPartyId, format!("customer {customer}")).unwrap()
}

pub fn event(random: &mut Rng, customers: usize) -> Happened {
    let operation = OPERATIONS[random.usize(..OPERATIONS.len())];
    let operand = match operation {
        Operation::Set | Operation::First | Operation::Append => format!("shop {}", random.u32(..9)),
        _ => ["1", "2", "-1", "0.25", "30"][random.usize(..5)].to_owned(),
    };
    Happened { customer: random.usize(..customers), operation, operand, time: 1_000_000 + random.i64(0..40) }
}
