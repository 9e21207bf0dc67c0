//! Several devices and the web site write one attribute, and Target shows writes late: the pure merge, in simulated time.

use outpost::core::operation::{Decision, Operation, Own, Sent, Shown};
use outpost::core::timestamp::Timestamp;
use proptest::prelude::{Just, Strategy, prop, prop_oneof, proptest};

/// How long a write takes to show. Units: seconds.
const DELAY: i64 = 3_600;

/// Target: every write, with when it was made.
#[derive(Default)]
struct Target(Vec<(i64, String)>);

impl Target {
    fn shown(&self, now: i64) -> Option<Shown> {
        let (at, value) = self.0.iter().rfind(|(at, _)| at + DELAY <= now)?;
        Some(Shown { value: value.clone(), modified_at: Some(time(*at)), is_whole: false })
    }

    fn newest(&self) -> Option<&str> {
        self.0.last().map(|(_, value)| value.as_str())
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// A device, as far as one attribute goes.
#[derive(Default)]
struct Device {
    value: Option<String>,
    event_time: i64,
    version: i64,
    delivered_version: i64,
    sends: Vec<Sent>,
}

impl Device {
    fn add(&mut self, step: i64, now: i64) {
        let held: i64 = self.value.as_deref().map_or(0, |value| value.parse().unwrap());
        self.change((held + step).to_string(), now);
    }

    fn set(&mut self, value: &str, now: i64) {
        self.change(value.to_owned(), now);
    }

    fn change(&mut self, value: String, now: i64) {
        (self.value, self.event_time, self.version) = (Some(value), now, self.version + 1);
    }

    /// Reads, merges and writes what is pending. The answer may be lost, and then it is pending still.
    fn sync(&mut self, operation: Operation, target: &mut Target, now: i64, answer_is_lost: bool) {
        let Some(value) = self.value.clone().filter(|_| self.version > self.delivered_version) else { return };
        let own = Own { value: &value, version: self.version, event_time: time(self.event_time), items: None };
        let shown = target.shown(now);
        let (decision, sent) = operation.merge(own, &self.sends, shown.as_ref(), None, time(now));
        if decision == Decision::Superseded {
            self.delivered_version = self.version;
            return;
        }
        // Noted before it is sent, as the forwarder does.
        let (value, own) = (sent.clone(), value);
        let seen_at = shown.and_then(|shown| shown.modified_at);
        self.sends.push(Sent {
            value,
            own,
            version: self.version,
            at: time(now),
            is_noted: true,
            seen_at,
            is_lost: answer_is_lost,
        });
        target.0.push((now, sent));
        if !answer_is_lost {
            self.delivered_version = self.version;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// An event at a device.
    Event { device: usize, number: i64 },
    /// A device delivers; perhaps the answer is lost.
    Sync { device: usize, answer_is_lost: bool },
}

const DEVICES: usize = 3;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = (0..DEVICES, 1..100_i64).prop_map(|(device, number)| Step::Event { device, number });
    let sync = (0..DEVICES, prop_oneof![4 => Just(false), 1 => Just(true)])
        .prop_map(|(device, answer_is_lost)| Step::Sync { device, answer_is_lost });
    prop::collection::vec(prop_oneof![event, sync], 1..60)
}

proptest! {
    /// When writes are further apart than the time they take to show, totals are exact: whatever the order, whatever answers
    /// are lost.
    #[test]
    fn totals_are_exact_when_writes_are_apart(steps in steps()) {
        let (mut target, mut devices, mut now, mut total) = (Target::default(), <[Device; DEVICES]>::default(), 0, 0);
        for step in &steps {
            match *step {
                Step::Event { device, number } => {
                    now += 1;
                    devices[device].add(number, now);
                    total += number;
                }
                Step::Sync { device, answer_is_lost } => {
                    now += DELAY + 1;
                    devices[device].sync(Operation::Add, &mut target, now, answer_is_lost);
                }
            }
        }
        for device in &mut devices {
            now += DELAY + 1;
            device.sync(Operation::Add, &mut target, now, false);
        }
        let expected = (total > 0).then(|| total.to_string());
        assert_eq!(target.newest(), expected.as_deref());
    }

    /// One device alone is exact however slowly Target shows its writes.
    #[test]
    fn one_device_alone_is_exact_at_any_pace(steps in steps(), pace in 1..DELAY) {
        let (mut target, mut device, mut now, mut total) = (Target::default(), Device::default(), 0, 0);
        for step in &steps {
            now += pace;
            match *step {
                Step::Event { number, .. } => {
                    device.add(number, now);
                    total += number;
                }
                Step::Sync { answer_is_lost, .. } => device.sync(Operation::Add, &mut target, now, answer_is_lost),
            }
        }
        device.sync(Operation::Add, &mut target, now + pace, false);
        let expected = (total > 0).then(|| total.to_string());
        assert_eq!(target.newest(), expected.as_deref());
    }

    /// Of `set` the newest event stays, whichever device it came from, when those that are online deliver at once and one that
    /// was offline comes last. The web site is one of those that are online.
    #[test]
    fn the_newest_set_stays(events in prop::collection::vec((0..DEVICES, 0..5_u8), 1..40)) {
        let (mut target, mut devices, mut now) = (Target::default(), <[Device; DEVICES]>::default(), 0);
        let mut newest = String::new();
        for (device, value) in events {
            now += DELAY + 1;
            newest = format!("v{value}");
            devices[device].set(&newest, now);
            // The first is offline until the end.
            if device > 0 {
                devices[device].sync(Operation::Set, &mut target, now, false);
            }
        }
        now += DELAY + 1;
        devices[0].sync(Operation::Set, &mut target, now, false);
        assert_eq!(target.newest(), Some(newest.as_str()));
    }
}
