//! The invariants of the store, for any sequence of events, deliveries, refusals and crashes.

use std::collections::{BTreeMap, HashSet};

use outpost::core::attribute::AttributeName;
use outpost::core::event::{Event, EventStatus};
use outpost::core::forwarding::quota::QuotaTime;
use outpost::core::identity::{Identity, IdentityKind, StoredForms};
use outpost::core::mapping::{MappingError, Meaning, ProfileChanges};
use outpost::core::operation::{Change, Operation};
use outpost::core::reason::Reason;
use outpost::core::timestamp::Timestamp;
use outpost::store::{Claim, ClaimRules, InFlight, Reader, Recorded, Recording, Refusal, Settlement, Store};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

#[derive(Clone, Debug)]
enum Step {
    /// An event of a card at a time; its mapping may fail.
    Record { card: u8, time: i64, fails: bool },
    /// Target takes the oldest updates, or refuses them.
    Answer { count: usize, is_refused: bool },
    /// The power is cut.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u8..4, 0_i64..20, any::<bool>(), 0_u8..4)
            .prop_map(|(card, time, fails, chance)| Step::Record { card, time, fails: fails && chance == 0 }),
        3 => (1_usize..4, 0_u8..4).prop_map(|(count, chance)| Step::Answer { count, is_refused: chance == 0 }),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..60)
}

/// An acknowledged event.
struct Acknowledged {
    card: u8,
    time: i64,
    recorded: Recorded,
}

#[derive(Default)]
struct World {
    store: Option<Store>,
    target: BTreeMap<String, String>,
    acknowledged: Vec<Acknowledged>,
}

impl World {
    fn after(steps: &[Step]) -> Self {
        let mut world = Self { store: Some(Store::open_in_memory().unwrap()), ..Self::default() };
        for step in steps {
            match step {
                Step::Record { card, time, fails } => world.record(*card, *time, *fails),
                Step::Answer { count, is_refused } => world.answer(*count, *is_refused),
                Step::Crash => world.store = Some(world.store.take().unwrap().restart().unwrap()),
            }
        }
        world
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn record(&mut self, card: u8, time: i64, fails: bool) {
        let id = self.acknowledged.len().to_string();
        let event = Event {
            json: format!(r#"{{"id":"{id}","source":"/"}}"#),
            hashes: Default::default(),
            may_be_of_table: false,
            source: "/".to_owned(),
            event_type: "t".to_owned(),
            subject: None,
            time: Timestamp::from_millis(time),
            ordered_at: Timestamp::from_millis(time),
            data: minijinja::Value::UNDEFINED,
            id: id.clone(),
        };
        let change = Change {
            name: AttributeName::new("last").unwrap(),
            operation: Operation::Set,
            value: format!("event {id}"),
            mapping: "m".into(),
            is_own: false,
            is_urgent: false,
        };
        let identity = Identity::new(IdentityKind::ThirdPartyId, format!("card {card}")).unwrap();
        let meaning = match fails {
            false => Meaning::Changes(vec![ProfileChanges { identity, changes: vec![change] }]),
            true => Meaning::Failed(MappingError {
                mapping: "m".into(),
                field: "set.last".to_owned(),
                expression: String::new(),
                problem: "told to fail".to_owned(),
            }),
        };
        let recording =
            Recording { event, recorded_at: Timestamp::from_millis(1_000), meaning, digest: None, about: Vec::new() };
        let recorded = self.store().transact(|store| store.record(&recording)).unwrap();
        self.acknowledged.push(Acknowledged { card, time, recorded });
    }

    fn claims(&mut self, count: usize) -> Vec<Claim> {
        self.store().claim(&InFlight::default(), ClaimRules::alone(count, &HashSet::new())).unwrap().claims
    }

    fn answer(&mut self, count: usize, is_refused: bool) {
        for claim in self.claims(count) {
            let all: Vec<usize> = (0..claim.attributes.len()).collect();
            let refusal = |attributes| Refusal { attributes, reason: Reason::RefusedByTarget, detail: "no".to_owned() };
            let (delivered, refused) = if is_refused { (Vec::new(), vec![refusal(all)]) } else { (all, Vec::new()) };
            for index in &delivered {
                self.target.insert(claim.identity.key().to_owned(), claim.attributes[*index].value.clone());
            }
            let at = Timestamp::from_millis(2_000);
            let quota_time = QuotaTime { at, wall: at };
            let settlement = Settlement::of_update(claim, delivered, refused, at, quota_time);
            self.store().transact(|store| store.settle(&settlement)).unwrap();
        }
    }

    fn reader(&mut self) -> Reader {
        Reader::of_memory(self.store.take().unwrap())
    }

    /// The newest value of each card, by the time when it happened, then by the order of recording.
    fn newest(&self) -> BTreeMap<String, String> {
        let mut newest = BTreeMap::new();
        for (index, event) in self.acknowledged.iter().enumerate() {
            if event.recorded.status == EventStatus::Recorded {
                let stamp = (event.time, event.recorded.seq, format!("event {index}"));
                let held = newest.entry(format!("card {}", event.card)).or_insert_with(|| stamp.clone());
                *held = stamp.max(held.clone());
            }
        }
        newest.into_iter().map(|(card, (_, _, value))| (card, value)).collect()
    }
}

proptest! {
    #[test]
    fn acknowledged_means_delivered_or_pending_or_rejected(steps in steps()) {
        let mut world = World::after(&steps);
        let (newest, target) = (world.newest(), world.target.clone());
        let pending: HashSet<String> = world.claims(usize::MAX).iter().map(|claim| claim.identity.key().to_owned()).collect();
        let acknowledged = std::mem::take(&mut world.acknowledged);
        let reader = world.reader();
        let rejected = reader.rejected(0, usize::MAX).unwrap();
        let is_kept = |event: &Acknowledged| rejected.iter().any(|row| matches!(
            row.subject, outpost::store::RejectedSubject::Event { seq, .. } if seq == event.recorded.seq
        ));
        for event in &acknowledged {
            if event.recorded.status == EventStatus::Rejected {
                prop_assert!(is_kept(event));
                continue;
            }
            let card = format!("card {}", event.card);
            let identity = Identity::new(IdentityKind::ThirdPartyId, card.clone()).unwrap();
            let held = reader.profile(&StoredForms::exactly(identity)).unwrap().unwrap().attributes.remove(0);
            prop_assert_eq!(&held.value, &newest[&card]);
            let is_delivered = target.get(&card) == Some(&held.value);
            let is_refused = held.refused_version == held.version;
            prop_assert!(is_delivered || pending.contains(&card) || is_refused);
        }
    }

    #[test]
    fn per_profile_the_last_value_wins(steps in steps()) {
        let steps: Vec<Step> = steps.into_iter().filter(|step| !matches!(step, Step::Answer { is_refused: true, .. })).collect();
        let mut world = World::after(&steps);
        world.answer(usize::MAX, false);
        let newest = world.newest();
        prop_assert_eq!(world.target, newest);
    }

    #[test]
    fn the_books_balance(steps in steps()) {
        let mut world = World::after(&steps);
        let count = |status: EventStatus| world.acknowledged.iter().filter(|event| event.recorded.status == status).count() as i64;
        let (recorded, rejected) = (count(EventStatus::Recorded), count(EventStatus::Rejected));
        let counters = world.store().counters();
        prop_assert_eq!((counters.recorded, counters.totals.rejected), (recorded, rejected));
        let claimed = world.claims(usize::MAX).len() as i64;
        let reader = world.reader();
        let pending = reader.count_pending().unwrap();
        prop_assert_eq!((pending.profiles, pending.attributes), (claimed, claimed));
        let (events, _) = reader.count_rejected().unwrap();
        prop_assert_eq!(events, rejected);
    }
}
