//! A story from a seed.

use std::time::Duration;

use fastrand::Rng;
use outpost::core::operation::Operation;

use super::target::{Nature, SHOWS_MAX, Times, WebWrite};
use super::wire::{Curse, Faults, Weather};
use super::world::{Change, Cut, Step, Story};
use super::{dice, hours, mins, secs};

/// Appended items of one customer, so that lists are not cut.
const ITEMS_MAX: usize = 40;

struct Author {
    rng: Rng,
    devices: usize,
    customers: usize,
    has_web: bool,
    /// Units: per mille of requests, as a whole.
    trouble: u16,
    pace: Pace,
    steps: Vec<Step>,
    number: u64,
    items: Vec<usize>,
    is_down: Vec<bool>,
}

/// How far apart things happen.
#[derive(Clone, Copy)]
enum Pace {
    Brisk,
    Mixed,
    /// Further apart than anything takes to show.
    Apart,
}

impl Story {
    /// The story of a seed. About a third has one device and no web site.
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = dice(seed, "story");
        let is_alone = rng.u32(0..3) == 0;
        let devices = if is_alone { 1 } else { rng.usize(1..4) };
        let customers = rng.usize(2..5);
        let mut author = Author {
            devices,
            customers,
            has_web: !is_alone && (devices == 1 || rng.bool()),
            trouble: [0, 30, 100, 250][rng.usize(0..4)],
            pace: [Pace::Brisk, Pace::Mixed, Pace::Apart][rng.usize(0..3)],
            steps: Vec::new(),
            number: 0,
            items: vec![0; customers],
            is_down: vec![false; devices],
            rng,
        };
        let nature = author.nature();
        let steps = author.rng.usize(15..70);
        author.faults();
        for _ in 0..steps {
            author.some();
        }
        Self { seed, nature, devices, steps: author.steps, quiet: hours(4 * 24) }
    }
}

impl Story {
    /// The story of a seed in which Target itself refuses every update of a device for some hours, once, as it does where the
    /// client code is wrong. Nothing else is a reason to reject anything.
    pub fn of_refusals(seed: u64) -> Self {
        let mut story = Self::of_seed(seed);
        story.steps.retain(|step| !matches!(step, Step::Curse { .. } | Step::Kill { .. } | Step::Weather { .. }));
        for step in &mut story.steps {
            if let Step::Faults(faults) = step {
                faults.stranger = 0;
            }
        }
        let mut rng = dice(seed, "refusals");
        let place = rng.usize(0..=story.steps.len() / 2);
        let device = (rng.u32(0..3) > 0).then(|| rng.usize(0..story.devices));
        let weather = Weather::UpdatesRefused { code: [400, 400, 404, 413, 414, 422][rng.usize(0..6)] };
        story.steps.insert(place, Step::Weather { device, weather, lasts: hours(rng.u64(1..48)) });
        story
    }
}

impl Author {
    fn nature(&mut self) -> Nature {
        let rng = &mut self.rng;
        let shows = [Duration::ZERO, secs(30), mins(10), SHOWS_MAX];
        Nature {
            single_shows_max: shows[rng.usize(0..4)],
            batch_shows_max: shows[rng.usize(0..4)],
            batch_takes_max: [mins(5), mins(20), mins(60)][rng.usize(0..3)],
            times: [Times::Each, Times::Each, Times::Each, Times::Some, Times::Profile][rng.usize(0..5)],
            has_caches: rng.bool(),
            dropped: if rng.u32(0..10) == 0 { 100 } else { 1 },
            failed: if self.trouble > 0 { 20 } else { 0 },
            stuck: if self.trouble > 0 { 50 } else { 0 },
            is_stuck_half_done: false,
            singles_per_day: (rng.u32(0..12) == 0).then(|| rng.usize(3..30)),
        }
    }

    fn some(&mut self) {
        match self.rng.u32(0..100) {
            0..48 => self.event(),
            48..60 if self.has_web => self.visit(),
            60..70 => self.link(),
            70..76 => self.kill(),
            76..79 => self.clock(),
            79..83 if self.trouble > 0 => self.weather(),
            83..86 if self.trouble > 0 => self.faults(),
            86 if self.trouble > 0 => self.curse(),
            87 => {
                let by = hours(self.rng.u64(24..16 * 24));
                self.steps.push(Step::Advance { by });
            }
            88..91 => self.refused_and_met(),
            91..94 => self.late_over_newer(),
            _ => self.event(),
        }
        let by = match self.pace {
            _ if self.rng.u32(0..4) == 0 => secs(self.rng.u64(0..120)),
            Pace::Brisk => secs(self.rng.u64(0..600)),
            Pace::Mixed => secs(self.rng.u64(0..4 * 3_600)),
            Pace::Apart => secs(self.rng.u64(2 * 3_600..8 * 3_600)),
        };
        self.steps.push(Step::Advance { by });
    }

    fn event(&mut self) {
        let (device, customer) = (self.rng.usize(0..self.devices), self.rng.usize(0..self.customers));
        let mut changes: Vec<Change> = Vec::new();
        for _ in 0..self.rng.usize(1..4) {
            let operation = Operation::ALL[self.rng.usize(0..Operation::ALL.len())];
            // Half of the attributes are the device's own.
            let is_own = self.rng.bool();
            let name =
                if is_own { format!("{}_{device}", shared_name(operation)) } else { shared_name(operation).into() };
            if changes.iter().any(|change| change.name == name) {
                continue;
            }
            if let Some(operand) = self.operand(operation, customer, is_own) {
                changes.push(Change { name, operation, operand });
            }
        }
        let late = match self.rng.u32(0..6) {
            0 => secs(self.rng.u64(0..7 * 86_400)),
            1 => secs(self.rng.u64(0..7_200)),
            _ => Duration::ZERO,
        };
        if changes.is_empty() {
            return;
        }
        let id = self.number;
        self.number += 1;
        let event = Step::Event { device, id, customer, changes, late };
        if self.rng.u32(0..12) == 0 {
            // The producer sends it twice.
            self.steps.push(event.clone());
            self.steps.push(Step::Advance { by: secs(self.rng.u64(0..30)) });
        }
        self.steps.push(event);
    }

    fn visit(&mut self) {
        let customer = self.rng.usize(0..self.customers);
        let mut writes = Vec::new();
        for operation in Operation::ALL {
            if self.rng.u32(0..5) == 0
                && let Some(operand) = self.operand(operation, customer, false)
            {
                writes.push(WebWrite { name: shared_name(operation).into(), operation, operand });
            }
        }
        self.steps.push(Step::Visit { customer, writes });
    }

    /// A total is read, and refused for hours; somebody else writes meanwhile. What comes by itself too seldom is made to happen.
    fn refused_and_met(&mut self) {
        let (device, customer) = (self.rng.usize(0..self.devices), self.rng.usize(0..self.customers));
        let code = [403, 429, 500, 503][self.rng.usize(0..4)];
        // The profile is known, or an update would not be sent at all.
        self.total(device, customer);
        self.wait(mins(150));
        let lasts = hours(self.rng.u64(3..6));
        self.steps.push(Step::Weather { device: Some(device), weather: Weather::UpdatesRefused { code }, lasts });
        self.total(device, customer);
        self.wait(mins(70));
        if self.has_web {
            let operand = self.rng.u32(1..4).to_string();
            let write = WebWrite { name: "visits".into(), operation: Operation::Add, operand };
            self.steps.push(Step::Visit { customer, writes: vec![write] });
        } else {
            self.total((device + 1) % self.devices, customer);
        }
        self.wait(hours(6));
    }

    fn total(&mut self, device: usize, customer: usize) {
        let operand = self.rng.u32(1..4).to_string();
        self.change(device, customer, Operation::Add, "visits".into(), operand);
    }

    fn change(&mut self, device: usize, customer: usize, operation: Operation, name: String, operand: String) {
        self.number += 1;
        let (id, changes) = (self.number, vec![Change { name, operation, operand }]);
        self.steps.push(Step::Event { device, id, customer, changes, late: Duration::ZERO });
    }

    fn wait(&mut self, least: Duration) {
        let by = least + secs(self.rng.u64(0..1_800));
        self.steps.push(Step::Advance { by });
    }

    /// An update is lost, and worked off after the one that follows it.
    fn late_over_newer(&mut self) {
        let (device, customer) = (self.rng.usize(0..self.devices), self.rng.usize(0..self.customers));
        let operation = Operation::ALL[self.rng.usize(0..Operation::ALL.len())];
        let is_own = self.rng.bool();
        let name = if is_own { format!("{}_{device}", shared_name(operation)) } else { shared_name(operation).into() };
        for lost_later in [1_000, 0] {
            self.steps.push(Step::Faults(Faults { lost_later, ..Faults::default() }));
            if let Some(operand) = self.operand(operation, customer, false) {
                self.change(device, customer, operation, name.clone(), operand);
            }
            let by = secs(self.rng.u64(3..60));
            self.steps.push(Step::Advance { by });
        }
        self.wait(hours(2));
        self.faults();
    }

    /// Values of `set`, `first` and `append` are unique, so that it is known where each came from.
    fn operand(&mut self, operation: Operation, customer: usize, is_own: bool) -> Option<String> {
        self.number += 1;
        Some(match operation {
            Operation::Set => format!("s{}", self.number),
            Operation::First => format!("f{}", self.number),
            Operation::Append => {
                self.items[customer] += 1;
                if self.items[customer] > ITEMS_MAX {
                    return None;
                }
                format!("i{}", self.number)
            }
            Operation::Add if is_own && self.rng.u32(0..5) == 0 => format!("-{}", self.rng.u32(1..4)),
            Operation::Add if self.rng.u32(0..5) == 0 => format!("{}.25", self.rng.u32(0..9)),
            Operation::Add => self.rng.u32(1..4).to_string(),
            Operation::Max | Operation::Min => self.rng.i32(-50..200).to_string(),
        })
    }

    fn link(&mut self) {
        let device = self.rng.usize(0..self.devices);
        self.is_down[device] = !self.is_down[device];
        self.steps.push(Step::Link { device, is_up: !self.is_down[device] });
    }

    fn kill(&mut self) {
        let device = self.rng.usize(0..self.devices);
        let cut = [Cut::Kill, Cut::Kill, Cut::Kill, Cut::BeforeCommit, Cut::AfterCommit][self.rng.usize(0..5)];
        self.steps.push(Step::Kill { device, after: self.rng.u32(0..12), cut });
    }

    fn clock(&mut self) {
        let device = self.rng.usize(0..self.devices);
        self.steps.push(Step::Clock { device, off_ms: self.rng.i64(-240_000..240_000) });
    }

    fn weather(&mut self) {
        let weather = match self.rng.u32(0..9) {
            0 => Weather::Portal,
            1 => Weather::Unauthorized,
            2 => Weather::ReadingForbidden,
            3 => Weather::BatchesForbidden,
            4 => Weather::ServerDown,
            5 | 6 => Weather::SinglesRefused { code: [403, 429, 500, 503][self.rng.usize(0..4)] },
            _ => Weather::Gateway {
                code: [404, 405, 413, 414, 421, 425, 451][self.rng.usize(0..7)],
                is_html: self.rng.bool(),
            },
        };
        let device = self.rng.bool().then(|| self.rng.usize(0..self.devices));
        let lasts = secs(self.rng.u64(60..8 * 3_600));
        self.steps.push(Step::Weather { device, weather, lasts });
    }

    fn curse(&mut self) {
        let curse = [Curse::Refused, Curse::Unreadable, Curse::BadRow, Curse::ServerError][self.rng.usize(0..4)];
        self.steps.push(Step::Curse { customer: self.rng.usize(0..self.customers), curse });
    }

    fn faults(&mut self) {
        if self.trouble == 0 {
            return;
        }
        let (rng, most) = (&mut self.rng, self.trouble);
        let faults = Faults {
            lost_after: rng.u16(0..=most),
            lost_before: rng.u16(0..=most / 2),
            lost_later: rng.u16(0..=most / 2),
            unreachable: rng.u16(0..=most / 2),
            server_error: rng.u16(0..=most / 2),
            throttled: rng.u16(0..=most / 4),
            unauthorized: rng.u16(0..=most / 8),
            portal: rng.u16(0..=most / 8),
            stranger: rng.u16(0..=most / 8),
            flapping: rng.u16(0..=most),
        };
        self.steps.push(Step::Faults(faults));
    }
}

const fn shared_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Set => "lastStore",
        Operation::Add => "visits",
        Operation::Max => "largest",
        Operation::Min => "smallest",
        Operation::First => "origin",
        Operation::Append => "topics",
    }
}
