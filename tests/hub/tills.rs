//! Tills: the real store and the real forwarding core of a device, without its network; and what becomes of their disks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use outpost::adobe::Handed;
use outpost::core::attribute::AttributeName;
use outpost::core::event::Event;
use outpost::core::fleet::{Handover, PartId, Taken};
use outpost::core::forwarding::destination::Destination;
use outpost::core::forwarding::link::{Link, Signal};
use outpost::core::forwarding::quota::{Quota, QuotaTime};
use outpost::core::identity::{Identity, IdentityKind};
use outpost::core::mapping::{Meaning, ProfileChanges};
use outpost::core::operation::{Change, Operation};
use outpost::core::timestamp::Timestamp;
use outpost::forward::core::{Action, Core, CoreParts, Input, Moment, Settle};
use outpost::forward::{ForwarderRules, ForwarderSettings};
use outpost::store::{Deliveries, InFlight, Outbox, Recording, Store, StoreFile};

pub const OPERATIONS: [Operation; 6] = Operation::ALL;

/// The directory of a till's disk.
type Disk = Arc<tempfile::TempDir>;

/// One till, or one of several that go on from copies of one disk.
pub struct Till {
    pub token: String,
    name: String,
    disk: Disk,
    /// None while it is off.
    store: Option<Store>,
    /// The forwarder with the request that is on its way.
    core: Option<Core>,
    in_flight: InFlight,
    recorded: i64,
}

/// A till that is off, with its disk: another may start from a copy of it.
pub struct Copied {
    token: String,
    name: String,
    disk: Disk,
    recorded: i64,
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
    pub fn new(name: &str, token: &str) -> Self {
        let disk = Arc::new(tempfile::tempdir().unwrap());
        let mut till = Self {
            token: token.to_owned(),
            name: name.to_owned(),
            disk,
            store: None,
            core: None,
            in_flight: InFlight::default(),
            recorded: 0,
        };
        till.start();
        till
    }

    fn file(&self) -> StoreFile {
        StoreFile::new(self.disk.path().join("outpost.db"), None)
    }

    fn start(&mut self) {
        let mut store = Store::open(self.file()).unwrap();
        let hub = Deliveries { destination: hub(), device_id: self.name.clone() };
        store.transact(|store| store.adopt_destination(&hub, Timestamp::default())).unwrap();
        self.store = Some(store);
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    /// Records an event.
    pub fn record(&mut self, event: &Happened) {
        self.recorded += 1;
        let recording = recording(event, &format!("{} {}", self.name, self.recorded));
        self.store().transact(|store| store.record(&recording)).unwrap();
    }

    /// Starts again, as after a power cut: what was begun grows no more.
    pub fn restart(&mut self) {
        (self.core, self.in_flight, self.store) = (None, InFlight::default(), None);
        self.start();
    }

    /// A copy of the disk as it is now, while the till goes on.
    pub fn copy(&self) -> Copied {
        let disk = tempfile::tempdir().unwrap();
        for name in ["outpost.db", "outpost.db-wal"] {
            let from: PathBuf = self.disk.path().join(name);
            if from.exists() {
                std::fs::copy(from, disk.path().join(name)).unwrap();
            }
        }
        Copied { token: self.token.clone(), name: self.name.clone(), disk: Arc::new(disk), recorded: self.recorded }
    }

    /// Has the core make the request that hands over what is pending.
    pub fn handover(&mut self) -> Handover {
        self.core = None;
        let mut core = core();
        let (in_flight, mut profiles) = (self.in_flight.clone(), None);
        while profiles.is_none() {
            match core.next(moment()) {
                Action::Claim(ask) => {
                    let claims = self.store().claim(&in_flight, ask.rules()).unwrap();
                    core.take(Input::Claimed(Ok(claims)), moment(), 0.5);
                }
                Action::HandOver(parts) => profiles = Some(parts),
                action => panic!("{action:?}"),
            }
        }
        self.core = Some(core);
        let confirmed = self.confirmed();
        let handover = Handover {
            store: Some(self.number()),
            confirmed,
            profiles: profiles.unwrap_or_default(),
            ..Handover::default()
        };
        // As it travels.
        Handover::read(handover.write().as_bytes()).unwrap()
    }

    /// Number of its store.
    pub fn number(&self) -> PartId {
        self.store.as_ref().unwrap().fleet_number().unwrap()
    }

    fn confirmed(&self) -> Vec<PartId> {
        Outbox::open(&self.file(), InFlight::default()).unwrap().answered_parts(1_000).unwrap()
    }

    /// Takes the hub's answer to the last request.
    pub fn answered(&mut self, handover: &Handover) {
        self.store().transact(|store| store.confirm_parts(&handover.confirmed)).unwrap();
        let Some(mut core) = self.core.take() else { return };
        let taken = Taken { refused: Vec::new(), mappings: 0, next_in_seconds: 0, time: Timestamp::default() };
        core.take(Input::HandedOver(Handed::Taken(taken)), moment(), 0.5);
        let later = Moment { elapsed: Duration::from_secs(1), ..moment() };
        if let Action::Settle(settles) = core.next(later) {
            self.store()
                .transact(|store| {
                    settles.iter().try_for_each(|settle| match settle {
                        Settle::Delivery(settlement) => store.settle(settlement),
                        other => panic!("{other:?}"),
                    })
                })
                .unwrap();
        }
    }
}

impl Copied {
    /// Starts a till from a copy of this disk, which wrongly lets grow what was begun before.
    pub fn start_without_freezing(&self) -> Till {
        let mut till = self.start();
        // Its process is known by a part that it begins.
        let event = Happened { customer: 999, operation: Operation::Add, operand: "1".to_owned(), time: 1 };
        till.record(&event);
        let disk = rusqlite::Connection::open(till.file().path).unwrap();
        disk.execute("UPDATE part SET process = (SELECT process FROM part ORDER BY begun_seq DESC LIMIT 1)", [])
            .unwrap();
        till
    }

    /// Starts a till from a copy of this disk.
    pub fn start(&self) -> Till {
        let off = Till {
            token: self.token.clone(),
            name: self.name.clone(),
            disk: self.disk.clone(),
            store: None,
            core: None,
            in_flight: InFlight::default(),
            recorded: self.recorded,
        };
        let disk = off.copy().disk;
        let mut till = Till { disk, ..off };
        // Its events are others than those of the till that goes on.
        till.recorded += 1_000_000;
        till.start();
        till
    }
}

fn hub() -> Destination {
    Destination::Hub { url: "https://hub".to_owned() }
}

fn core() -> Core {
    let settings = ForwarderSettings {
        rules: ForwarderRules { hands_over: Some(Duration::from_secs(300)), ..ForwarderRules::default() },
        connections: 1,
        updates_per_day: u64::MAX,
        request_timeout: Duration::from_secs(10),
        destination: hub(),
    };
    let mut link = Link::default();
    link.observe(Signal::Answered, Duration::ZERO, 0.5);
    let quota = Quota::new(u64::MAX, []);
    Core::new(CoreParts { settings, link, quota, batches: Vec::new(), rows_sent: 0 }, moment())
}

fn moment() -> Moment {
    let at = Timestamp::from_millis(2_000_000);
    Moment { elapsed: Duration::ZERO, wall: at, quota: QuotaTime { at, wall: at }, reads_open_in: None }
}

fn recording(event: &Happened, id: &str) -> Recording {
    let time = Timestamp::from_millis(event.time);
    let change = Change {
        name: AttributeName::new(event.operation.name()).unwrap(),
        operation: event.operation,
        value: event.operand.clone(),
        mapping: "visits".into(),
        is_own: false,
        is_urgent: false,
    };
    Recording {
        event: Event {
            json: format!(r#"{{"id":"{id}","source":"/till"}}"#),
            id: id.to_owned(),
            source: "/till".to_owned(),
            event_type: "visit".to_owned(),
            subject: None,
            time,
            ordered_at: time,
            data: minijinja::Value::UNDEFINED,
            hashes: Default::default(),
            may_be_of_table: false,
        },
        recorded_at: Timestamp::from_millis(2_000_000),
        meaning: Meaning::Changes(vec![ProfileChanges { identity: identity(event.customer), changes: vec![change] }]),
        digest: None,
        about: Vec::new(),
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
