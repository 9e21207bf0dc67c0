//! What goes into the core, and what comes out of it.

use std::collections::HashSet;
use std::time::Duration;

use crate::adobe::{BatchStatus, Outcome, Reply};
use crate::core::forwarding::quota::QuotaTime;
use crate::core::forwarding::route::{Route, RouteRules};
use crate::core::identity::{Identity, IdentityKind};
use crate::core::timestamp::Timestamp;
use crate::store::{
    BatchEntry, BatchHead, BatchState, Claim, ClaimRules, Claims, Ending, ReadBacks, SendLog, SettledRows, Settlement,
    Verified,
};

/// What an operator decides of forwarding.
#[derive(Clone, Debug, Default)]
pub struct ForwarderRules {
    /// Which way updates go.
    pub routes: RouteRules,
    /// Since when a value counts as late, where profiles are shared with other devices; none where they are not.
    pub late_after: Option<Duration>,
    /// The property that calls of the Delivery API are for.
    pub property_token: Option<String>,
    /// The part of profiles that is read back, and how long after their delivery.
    pub verify: Option<(f64, Duration)>,
}

/// What an operator may change of forwarding while the agent runs.
#[derive(Clone, Debug)]
pub struct ForwarderSettings {
    /// What is decided.
    pub rules: ForwarderRules,
    /// Requests in flight at once.
    pub connections: usize,
    /// The device's share of Target's quota.
    pub updates_per_day: u64,
    /// Time that one request may take.
    pub request_timeout: Duration,
    /// Where updates go: client code and endpoint. With another one, nothing that was heard of the last one counts.
    pub destination: (String, String),
}

/// A moment, on all clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic time.
    pub elapsed: Duration,
    /// This device's time, which never runs backwards.
    pub wall: Timestamp,
    /// The quota's clock, beside the system's.
    pub quota: QuotaTime,
    /// Time until a profile may be read again, when the reads of a day are spent.
    pub reads_open_in: Option<Duration>,
}

/// The store did not do it. The courier has said why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailed {
    /// There is no room for more rows of batches, until what was sent is delivered.
    NoRoom,
    /// Anything else: it is tried again.
    Other,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Something was put into the outbox.
    OutboxChanged,
    /// The network of the device changed.
    NetworkChanged,
    /// Somebody wants it tried now.
    TryNow,
    /// There is another token.
    TokenChanged,
    /// An operator has changed the settings.
    Settings(Box<ForwarderSettings>),
    /// Profiles were claimed.
    Claimed(Result<Claims, StoreFailed>),
    /// Profiles were claimed that are to be read back.
    Due(Result<ReadBacks, StoreFailed>),
    /// Profiles that wait for Target to have them are claimed again; when the next are.
    Looked(Result<Option<Timestamp>, StoreFailed>),
    /// A profile was read, with the time that Target told.
    Read(i64, Reply, Option<Timestamp>),
    /// What is about to be sent of these profiles is noted.
    Noted(Vec<i64>, Result<(), StoreFailed>),
    /// A request was answered, with the time that Target told.
    Answered(i64, Outcome, Option<Timestamp>),
    /// Profiles were put in a batch.
    RowsAdded(usize, Result<BatchHead, StoreFailed>),
    /// What came of deliveries is written down.
    Settled(Result<(), StoreFailed>),
    /// Refusals are void.
    Retracted(Result<(), StoreFailed>),
    /// Something was done with a batch.
    Batch(i64, BatchCame),
}

/// What came of doing something with a batch.
#[derive(Debug)]
pub enum BatchCame {
    /// Target took it; its status is asked for under this path.
    Submitted(String, usize),
    /// Nobody is left in it.
    Empty,
    /// Target is not done with it.
    Incomplete,
    /// Target is stuck with it.
    Stuck,
    /// Target is done with it.
    Complete(BatchStatus),
    /// Another answer, or none.
    Failed(Outcome),
    /// The store has ended it, with these rows.
    Ended(SettledRows),
    /// The store failed.
    Store(StoreFailed),
}

/// A request for an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The body of a single update.
    Single(String),
    /// A call of the Delivery API: identity, and names with values.
    Delivery(Identity, Vec<(String, String)>),
}

/// What is to be claimed.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Most profiles.
    pub limit: usize,
    /// Profiles that are passed over.
    pub aside: HashSet<i64>,
    /// Up to how many pending profiles are counted.
    pub backlog_max: usize,
    /// Before when a value counts as late, where profiles are shared.
    pub late_before: Option<Timestamp>,
    /// True if all that is claimed will go in a batch.
    pub goes_in_batch: bool,
    /// True if a profile that Target may not have goes in a batch.
    pub can_batch: bool,
    /// True if it is for a probe, after which nobody knows whether there is more to send.
    pub is_probe: bool,
}

impl Ask {
    /// As the outbox is asked.
    #[must_use]
    pub const fn rules(&self) -> ClaimRules<'_> {
        let Self { limit, aside, backlog_max, late_before, goes_in_batch, can_batch, .. } = self;
        ClaimRules {
            limit: *limit,
            aside,
            backlog_max: *backlog_max,
            late_before: *late_before,
            goes_in_batch: *goes_in_batch,
            can_batch: *can_batch,
        }
    }
}

/// What is written down of profiles.
#[derive(Debug)]
pub enum Settle {
    /// What came of a delivery.
    Delivery(Box<Settlement>),
    /// What reading back has shown.
    ReadBack(Claim, Verified, QuotaTime),
    /// A profile could not be read back now.
    Postpone(Claim, Timestamp),
}

/// Something that is said once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Link, or its reason, changed.
    Link,
    /// A probe was brought forward, for that reason.
    Probing(&'static str),
    /// The quota of single updates is spent, for so long; or it has room again.
    Quota(Option<Duration>),
    /// Profiles are not read, for that reason; or are again.
    Reads(Option<String>),
    /// A delivery came to its end.
    Delivery {
        /// Name of the last outcome.
        outcome: &'static str,
        /// Attributes that Target took.
        delivered: usize,
        /// Attributes that were refused.
        refused: usize,
    },
    /// An update went that way.
    Routed(Route),
    /// A batch was submitted, of so many rows.
    BatchSubmitted(usize),
    /// A batch of so many rows was refused as a whole.
    BatchRefused(usize),
    /// A batch of so many rows was given up, for that reason: they are pending again.
    BatchGivenUp(usize, &'static str),
    /// So many rows failed that Target does not name.
    RowsUnnamed(u64),
    /// A batch came to its end.
    BatchEnded {
        /// Rows that were delivered.
        delivered: i64,
        /// Rows that failed.
        failed: i64,
    },
    /// The rows of batches of a day are spent.
    RowsSpent,
    /// Values had not arrived, and are pending again.
    NotArrived(usize),
}

/// What the courier is to do. Each action but a wait is answered by one input.
#[derive(Debug)]
pub enum Action {
    /// Claim profiles.
    Claim(Ask),
    /// Claim up to so many profiles that are to be read back.
    ClaimDue(usize),
    /// Have profiles claimed again that wait for Target to have them, and are due.
    Look(Timestamp),
    /// Read a profile.
    Read(i64, Identity),
    /// Note what is about to be sent.
    Note(Vec<(i64, SendLog)>),
    /// Send a request of that profile.
    Send(i64, Request),
    /// Put profiles in a batch, or in a new one. Their claims are held until that is done.
    AddRows {
        /// The batch; none for a new one.
        batch: Option<i64>,
        /// Which key its rows have.
        kind: IdentityKind,
        /// Version of the API.
        api: i64,
        /// The profiles.
        entries: Vec<BatchEntry>,
        /// Their claims.
        claims: Vec<Claim>,
    },
    /// Write down what came of deliveries.
    Settle(Vec<Settle>),
    /// Make refusals of these profiles since that time void.
    Retract(Vec<i64>, Timestamp),
    /// Submit a batch, whose first line has these names.
    Submit(BatchHead, Vec<String>),
    /// Poll a batch under that path.
    Poll(i64, String),
    /// End a batch.
    End(i64, Ending, BatchState),
    /// Nothing until something happens, or until that much of the monotonic time has passed.
    Wait(Option<Duration>),
}
