//! A story: customers, devices and a web site, step by step; and telling it to agents.

use std::fmt::Write as _;
use std::time::Duration;

use outpost::core::identity::Identity;
use outpost::core::operation::Operation;
use outpost::core::timestamp::Timestamp;

use super::oracle::{Acknowledged, BookRow, Finding, Kind, Rules, judge};
use super::target::{Nature, Target, WebWrite};
use super::wire::{Curse, Faults, Weather};
use super::{customer, ms};

/// Where every story begins: the truth's clock, and Target's.
pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// More actions than this in one millisecond do not end.
const ACTIONS_AT_ONCE_MAX: usize = 5_000;
const ACTIONS_MAX: usize = 1_000_000;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// kill -9 between two actions: the store's last commit stays, and nothing else.
    Kill,
    /// Power is cut while the next event is recorded: before its commit, so nobody was told of it.
    BeforeCommit,
    /// After its commit and before its answer: the producer sends it again.
    AfterCommit,
}

/// One attribute of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub name: String,
    pub operation: Operation,
    pub operand: String,
}

/// Each step stands alone: any of them may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Advance {
        by: Duration,
    },
    /// Something happened at a device; `late`: that long ago.
    Event {
        device: usize,
        id: u64,
        customer: usize,
        changes: Vec<Change>,
        late: Duration,
    },
    Visit {
        customer: usize,
        writes: Vec<WebWrite>,
    },
    Link {
        device: usize,
        is_up: bool,
    },
    Faults(Faults),
    Weather {
        device: Option<usize>,
        weather: Weather,
        lasts: Duration,
    },
    Curse {
        customer: usize,
        curse: Curse,
    },
    /// After so many more actions of that device.
    Kill {
        device: usize,
        after: u32,
        cut: Cut,
    },
    /// The device's clock is off by so much from now on. Units: milliseconds.
    Clock {
        device: usize,
        off_ms: i64,
    },
}

#[derive(Clone, Debug)]
pub struct Story {
    pub seed: u64,
    pub nature: Nature,
    pub devices: usize,
    pub steps: Vec<Step>,
    /// How long all is well after it.
    pub quiet: Duration,
}

/// An event as a device gets it.
#[derive(Clone, Debug)]
pub struct DeviceEvent {
    pub id: u64,
    pub customer: usize,
    /// By the device's clock.
    pub time: Timestamp,
    pub changes: Vec<Change>,
}

/// Now, as nobody but the world knows it, and as the device's clock says.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Runs evenly: what a monotonic clock says, and Target's own.
    pub now: Timestamp,
    pub wall: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    Acknowledged,
    Duplicate,
    /// The process ended before it answered.
    Unanswered,
}

/// One device: its store and what forwards.
pub trait Agent {
    /// Records an event; with `cut`, the process ends in the midst of it and starts again.
    fn record(&mut self, event: &DeviceEvent, cut: Option<Cut>, moment: Moment) -> Recorded;
    /// When it wants to act next; at once if that is past. `None` until something is recorded.
    fn next(&self, moment: Moment) -> Option<Timestamp>;
    /// Does one thing: hears what is due, or claims, reads, notes, sends, asks, settles.
    fn act(&mut self, target: &mut Target, moment: Moment);
    /// The process ends and starts again.
    fn kill(&mut self, moment: Moment);
    /// What is written down as being sent, and was not sent yet: after a kill nobody knows that.
    fn noted(&self) -> Vec<(Identity, Vec<(String, String)>)> {
        Vec::new()
    }
    /// All is well from now on; a person retries what was rejected. Gives of how many profiles.
    fn heal(&mut self, moment: Moment) -> usize;
    /// Its books; empty if it keeps none that can be checked.
    fn rows(&self) -> Vec<BookRow>;
    /// Whether the books are checked after each of its actions, which takes time.
    fn is_audited(&self) -> bool {
        false
    }
}

/// What came of a story.
#[allow(dead_code)] // What a driver looks at when it fails.
pub struct Told {
    pub findings: Vec<Finding>,
    pub target: Target,
    pub events: Vec<Acknowledged>,
    pub ended_at: Timestamp,
    pub actions: usize,
    /// Profiles of each device of which an update was rejected when all became well.
    pub rejected: Vec<usize>,
}

struct Telling<A> {
    target: Target,
    agents: Vec<A>,
    offs: Vec<i64>,
    kills: Vec<Option<u32>>,
    cuts: Vec<Option<Cut>>,
    events: Vec<Acknowledged>,
    now: Timestamp,
    actions: usize,
    at_once: usize,
    findings: Vec<Finding>,
}

impl Story {
    /// The rules for this story: how much clocks are off is known from its steps.
    pub fn rules(&self) -> Rules {
        let swing = |device: usize| {
            let offs = || {
                self.steps
                    .iter()
                    .filter_map(|step| match step {
                        Step::Clock { device: held, off_ms } if *held == device => Some(*off_ms),
                        _ => None,
                    })
                    .chain([0])
            };
            ms(offs().max().unwrap_or(0).abs_diff(offs().min().unwrap_or(0)))
        };
        Rules { swings: (0..self.devices).map(swing).collect(), ..Rules::default() }
    }

    /// Tells the story to agents, lets all heal, and judges.
    pub fn tell<A: Agent>(&self, agent: impl Fn(usize) -> A) -> Told {
        let mut telling = Telling {
            target: Target::new(self.seed, self.nature, START),
            agents: (0..self.devices).map(agent).collect(),
            offs: vec![0; self.devices],
            kills: vec![None; self.devices],
            cuts: vec![None; self.devices],
            events: Vec::new(),
            now: START,
            actions: 0,
            at_once: 0,
            findings: Vec::new(),
        };
        for step in &self.steps {
            telling.step(step);
        }
        let rejected = telling.heal();
        telling.advance(self.quiet);
        let rows: Vec<BookRow> = telling.agents.iter().flat_map(A::rows).collect();
        let ended_at = telling.now;
        telling.target.pass(ended_at);
        telling.findings.extend(judge(&mut telling.target, &telling.events, &rows, &self.rules(), ended_at));
        let Telling { findings, target, events, actions, .. } = telling;
        Told { findings, target, events, ended_at, actions, rejected }
    }

    /// The story in readable lines, each with its time.
    pub fn lines(&self) -> String {
        let mut text = format!("seed {}, {} devices, {:?}\n", self.seed, self.devices, self.nature);
        let mut passed = Duration::ZERO;
        for step in &self.steps {
            if let Step::Advance { by } = step {
                passed += *by;
                continue;
            }
            let seconds = passed.as_secs();
            let (day, hour, minute) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
            let _ = writeln!(text, "  day {day} {hour:02}:{minute:02}:{:02}  {}", seconds % 60, step.words());
        }
        let _ = writeln!(text, "  then all is well for {} hours", self.quiet.as_secs() / 3_600);
        text
    }
}

impl Step {
    fn words(&self) -> String {
        match self {
            Self::Event { device, id, customer, changes, late } => {
                let changes: Vec<String> = changes
                    .iter()
                    .map(|change| format!("{} {} {}", change.operation.name(), change.name, change.operand))
                    .collect();
                let late = if late.is_zero() { String::new() } else { format!(", {} s late", late.as_secs()) };
                format!("device {device} records event {id} of customer {customer}: {}{late}", changes.join(", "))
            }
            Self::Visit { customer, writes } => {
                let writes: Vec<String> = writes
                    .iter()
                    .map(|write| format!("{} {} {}", write.operation.name(), write.name, write.operand))
                    .collect();
                format!("customer {customer} visits the web site: {}", writes.join(", "))
            }
            step => format!("{step:?}"),
        }
    }
}

impl<A: Agent> Telling<A> {
    fn moment(&self, device: usize) -> Moment {
        Moment { now: self.now, wall: Timestamp::from_millis(self.now.as_millis() + self.offs[device]) }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Advance { by } => self.advance(*by),
            Step::Event { device, id, customer, changes, late } => self.event(*device, *id, *customer, changes, *late),
            Step::Visit { customer: number, writes } => self.target.visit(&customer(*number), writes, self.now),
            Step::Link { device, is_up } => self.target.set_link(*device, *is_up),
            Step::Faults(faults) => self.target.set_faults(*faults),
            Step::Weather { device, weather, lasts } => {
                self.target.set_weather(*device, *weather, self.now.plus(*lasts));
            }
            Step::Curse { customer: number, curse } => self.target.curse(customer(*number), *curse),
            Step::Kill { device, after, cut: Cut::Kill } => self.kills[*device] = Some(*after),
            Step::Kill { device, cut, .. } => self.cuts[*device] = Some(*cut),
            Step::Clock { device, off_ms } => self.offs[*device] = *off_ms,
        }
    }

    fn event(&mut self, device: usize, id: u64, number: usize, changes: &[Change], late: Duration) {
        let moment = self.moment(device);
        let event = DeviceEvent { id, customer: number, time: moment.wall.minus(late), changes: changes.to_vec() };
        let cut = self.cuts[device].take();
        let noted = self.agents[device].noted();
        let mut recorded = self.agents[device].record(&event, cut, moment);
        if cut.is_some() {
            self.target.kill(device, noted, self.now);
        }
        if cut == Some(Cut::AfterCommit) {
            assert_eq!(recorded, Recorded::Unanswered, "the process ended");
            recorded = self.agents[device].record(&event, None, moment);
            let text = format!("device {device} does not know event {id}, which it had committed");
            if recorded != Recorded::Duplicate {
                self.findings.push(Finding { kind: Kind::Books, at: self.now, text });
            }
            recorded = Recorded::Acknowledged;
        }
        if recorded != Recorded::Acknowledged {
            return;
        }
        for change in changes {
            self.events.push(Acknowledged {
                device,
                identity: customer(number),
                name: change.name.clone(),
                operation: change.operation,
                operand: change.operand.clone(),
                time: event.time,
                happened_at: self.now.minus(late),
                recorded_at: self.now,
                seq: i64::try_from(self.events.len()).unwrap(),
            });
        }
    }

    /// Time passes, and the devices act in it.
    fn advance(&mut self, by: Duration) {
        let until = self.now.plus(by);
        while self.actions < ACTIONS_MAX {
            let wanted = (0..self.agents.len())
                .filter_map(|device| Some((self.agents[device].next(self.moment(device))?.max(self.now), device)))
                .min();
            let Some((at, device)) = wanted.filter(|(at, _)| *at <= until) else { break };
            self.at_once = if at == self.now { self.at_once + 1 } else { 0 };
            if self.at_once > ACTIONS_AT_ONCE_MAX || self.actions + 1 == ACTIONS_MAX {
                let text = format!("device {device} acts without end");
                self.findings.push(Finding { kind: Kind::Endless, at, text });
                self.actions = ACTIONS_MAX;
                break;
            }
            self.now = at;
            self.act(device);
        }
        self.now = until;
        self.target.pass(until);
    }

    fn act(&mut self, device: usize) {
        let moment = self.moment(device);
        self.target.pass(self.now);
        self.agents[device].act(&mut self.target, moment);
        self.actions += 1;
        match self.kills[device] {
            Some(0) => {
                self.kills[device] = None;
                self.ends(device);
                self.agents[device].kill(moment);
            }
            Some(left) => self.kills[device] = Some(left - 1),
            None => {}
        }
        if self.agents[device].is_audited() {
            let own: Vec<Acknowledged> = self.events.iter().filter(|event| event.device == device).cloned().collect();
            self.findings.extend(super::oracle::books(&self.agents[device].rows(), &own, self.now));
        }
    }

    fn ends(&mut self, device: usize) {
        let noted = self.agents[device].noted();
        self.target.kill(device, noted, self.now);
    }

    fn heal(&mut self) -> Vec<usize> {
        self.target.heal(self.now);
        self.kills.fill(None);
        self.cuts.fill(None);
        let devices = 0..self.agents.len();
        let heal = |device| {
            let moment = self.moment(device);
            self.agents[device].heal(moment)
        };
        devices.map(heal).collect()
    }
}
