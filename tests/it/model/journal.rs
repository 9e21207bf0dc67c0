//! What happened at Target, and who was told what: all that the oracle judges by.

use std::collections::BTreeMap;
use std::time::Duration;

use outpost::core::identity::Identity;
use outpost::core::operation::Operation;
use outpost::core::timestamp::Timestamp;

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    Device(usize),
    Web,
}

/// One attribute of one profile was written, or removed by a batch that overrides.
#[derive(Clone, Debug)]
pub struct Write {
    pub identity: Identity,
    pub name: String,
    /// None when it was removed.
    pub value: Option<String>,
    pub who: Who,
    /// The device's request; the web site has none.
    pub request: Option<usize>,
    /// What the web site did.
    pub part: Option<(Operation, String)>,
    pub sent_at: Timestamp,
    /// When it became the truth.
    pub at: Timestamp,
    pub shows_at: Timestamp,
}

/// What a device knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet; for ever so, when it was killed before the answer.
    Open,
    Yes,
    /// A definite no: nothing of it was or will be applied.
    No,
    /// No answer, or one from which nothing follows.
    Lost,
}

/// One update of one profile: a single, or a row of a batch.
#[derive(Clone, Debug)]
pub struct Request {
    pub device: usize,
    pub identity: Identity,
    pub attributes: Vec<(String, String)>,
    pub batch: Option<usize>,
    pub sent_at: Timestamp,
    pub outcome: Outcome,
    /// When the device knew the outcome.
    pub heard_at: Option<Timestamp>,
    pub applied_at: Option<Timestamp>,
    /// The row was dropped without a word, at that time.
    pub dropped_at: Option<Timestamp>,
    /// Target had no such profile, said true, and nothing came of it.
    pub vanished_at: Option<Timestamp>,
}

impl Request {
    pub fn value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingTold {
    /// With a time for each attribute, or not.
    Found {
        has_times: bool,
    },
    Missing,
    /// Refused for all, as 401 and 403 say.
    Forbidden,
    Failed,
}

/// A device read a profile, and heard the answer.
#[derive(Clone, Debug)]
pub struct Reading {
    pub asked_at: Timestamp,
    /// What was shown is as old as this.
    pub as_of: Timestamp,
    pub heard_at: Timestamp,
    pub told: ReadingTold,
}

impl Reading {
    pub fn is_answered(&self) -> bool {
        matches!(self.told, ReadingTold::Found { .. } | ReadingTold::Missing)
    }
}

/// A profile was gone after its time without activity.
#[derive(Clone, Debug)]
pub struct Expiry {
    pub identity: Identity,
    pub at: Timestamp,
}

/// What a device must never do, whatever comes of it.
#[derive(Clone, Debug)]
pub struct Misdeed {
    pub kind: MisdeedKind,
    pub device: usize,
    pub identity: Option<Identity>,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisdeedKind {
    /// Two updates of one profile at once.
    TwoAtOnce,
    /// An attribute twice in a request, or a profile twice in a batch.
    Twice,
    /// An empty value, which Target ignores.
    EmptyValue,
    /// A request or a row without attributes, or with too large a value.
    Malformed,
    /// A request before a told wait was over.
    Impatient,
    /// Too many requests in a short time.
    Hammering,
    /// Batches more often than Target takes them.
    TooManyBatches,
}

#[derive(Debug, Default)]
pub struct Journal {
    /// In the order in which they became the truth.
    pub writes: Vec<Write>,
    /// In the order in which they were sent; rows of a batch one after another.
    pub requests: Vec<Request>,
    /// Of each device and profile, in the order in which they were heard.
    pub readings: BTreeMap<(usize, Identity), Vec<Reading>>,
    pub expiries: Vec<Expiry>,
    pub misdeeds: Vec<Misdeed>,
}

impl Journal {
    /// The writes of one attribute, in order.
    pub fn of<'j>(&'j self, identity: &'j Identity, name: &'j str) -> impl DoubleEndedIterator<Item = &'j Write> {
        self.writes.iter().filter(move |write| write.name == name && write.identity == *identity)
    }

    /// Answered readings of a profile that a device had when it sent something, and that were not older than this.
    pub fn readings_for<'j>(
        &'j self,
        device: usize,
        identity: &'j Identity,
        sent_at: Timestamp,
        age: Duration,
    ) -> impl Iterator<Item = &'j Reading> {
        let oldest = sent_at.minus(age);
        let heard = self.heard_by(device, identity, sent_at);
        heard
            .iter()
            .rev()
            .take_while(move |reading| reading.heard_at >= oldest)
            .filter(move |reading| reading.is_answered() && reading.asked_at >= oldest)
    }

    /// All readings of a profile that a device had at that time.
    pub fn heard_by(&self, device: usize, identity: &Identity, at: Timestamp) -> &[Reading] {
        let readings = self.readings.get(&(device, identity.clone())).map_or(&[][..], Vec::as_slice);
        &readings[..readings.partition_point(|reading| reading.heard_at <= at)]
    }
}
