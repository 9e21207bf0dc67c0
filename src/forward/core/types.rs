//! Inputs and outputs of the core.

use std::collections::HashSet;
use std::time::Duration;

use crate::adobe::{BatchStatus, Handed, Outcome, Reply, Request};
use crate::core::fleet::ProfileParts;
use crate::core::forwarding::destination::Destination;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::forwarding::route::{Route, RouteRules};
use crate::core::identity::{Identity, IdentityKind};
use crate::core::timestamp::Timestamp;
use crate::store::{
    BatchEntry, BatchHead, BatchState, Claim, ClaimRules, Claims, Ending, ReadBacks, SendLog, SettledRows, Settlement,
    Verified,
};

/// The operator's rules for forwarding.
#[derive(Clone, Debug, Default)]
pub struct ForwarderRules {
    /// Rules for the choice of routes.
    pub routes: RouteRules,
    /// Age from which a value counts as late, if profiles are shared with other devices; `None` if they are not.
    pub late_after: Option<Duration>,
    /// Property for calls of the Delivery API.
    pub property_token: Option<String>,
    /// Fraction of profiles that is read back, and the delay after delivery.
    pub verify: Option<(f64, Duration)>,
    /// Longest time between two requests to the hub, if this device hands over to one instead of Target.
    pub hands_over: Option<Duration>,
}

impl ForwarderRules {
    /// Returns true if profiles are shared with other devices.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.late_after.is_some()
    }
}

/// The settings of forwarding that an operator may change while the agent runs.
#[derive(Clone, Debug)]
pub struct ForwarderSettings {
    /// Rules for forwarding.
    pub rules: ForwarderRules,
    /// Most requests in flight.
    pub connections: usize,
    /// This device's share of Target's quota.
    pub updates_per_day: u64,
    /// Longest time for one request.
    pub request_timeout: Duration,
    /// Destination of updates. If it changes, everything learned about the last one is dropped.
    pub destination: Destination,
}

/// One moment on all clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic time.
    pub elapsed: Duration,
    /// Time on this device's clock, which never runs backwards.
    pub wall: Timestamp,
    /// Time on the quota's clock, with the system's.
    pub quota: QuotaTime,
    /// Time until a profile may be read again, if the reads of a day are used up.
    pub reads_open_in: Option<Duration>,
}

/// A failure of the store. The courier has logged the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFailed {
    /// There is no room for more rows of batches until others are delivered.
    NoRoom,
    /// Any other failure; it is tried again.
    Other,
}

/// Something that happened, as the courier tells the core.
#[derive(Debug)]
pub enum Input {
    /// The outbox has a new entry.
    OutboxChanged,
    /// The device's network changed.
    NetworkChanged,
    /// Somebody asked for a try now.
    TryNow,
    /// The token changed.
    TokenChanged,
    /// An operator changed the settings.
    Settings(Box<ForwarderSettings>),
    /// Profiles were claimed.
    Claimed(Result<Claims, StoreFailed>),
    /// Profiles to be read back were claimed.
    Due(Result<ReadBacks, StoreFailed>),
    /// Profiles that wait for Target to have them are pending again; with the time of the next ones.
    Looked(Result<Option<Timestamp>, StoreFailed>),
    /// A profile was read, with the time of Target's clock.
    Read(i64, Reply, Option<Timestamp>),
    /// The values about to be sent of these profiles were recorded.
    Noted(Vec<i64>, Result<(), StoreFailed>),
    /// A request was answered, with the time of Target's clock.
    Answered(i64, Outcome, Option<Timestamp>),
    /// A request was not made, because the outbox does not let it be made now.
    Unsent(i64),
    /// The hub answered.
    HandedOver(Handed),
    /// Profiles were added to a batch.
    RowsAdded(usize, Result<BatchHead, StoreFailed>),
    /// Results of deliveries were recorded.
    Settled(Result<(), StoreFailed>),
    /// Refusals were made void.
    Retracted(Result<(), StoreFailed>),
    /// A job on a batch has finished.
    Batch(i64, BatchCame),
}

/// The result of a job on a batch.
#[derive(Debug)]
pub enum BatchCame {
    /// Target accepted the batch, with this path of its status and this number of rows.
    Submitted(String, usize),
    /// The batch has no profiles left.
    Empty,
    /// Target has not finished with it.
    Incomplete,
    /// Target is stuck with it.
    Stuck,
    /// Target has finished with it.
    Complete(BatchStatus),
    /// Another answer, or none.
    Failed(Outcome),
    /// The store has ended these rows.
    Ended(SettledRows),
    /// The store failed.
    Store(StoreFailed),
}

/// The request for a claim.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Largest number of profiles.
    pub limit: usize,
    /// Profiles to skip.
    pub aside: HashSet<i64>,
    /// Largest number of pending profiles to count.
    pub backlog_max: usize,
    /// Time before which a value counts as late, if profiles are shared.
    pub late_before: Option<Timestamp>,
    /// True if everything claimed will go in a batch.
    pub goes_in_batch: bool,
    /// True if a profile that Target may not have can go in a batch.
    pub can_batch: bool,
    /// True if the claims go to a hub.
    pub hands_over: bool,
    /// True for a probe, after which it is unknown whether there is more to send.
    pub is_probe: bool,
}

impl Ask {
    /// Returns the rules for the outbox.
    #[must_use]
    pub const fn rules(&self) -> ClaimRules<'_> {
        let Self { limit, aside, backlog_max, late_before, goes_in_batch, can_batch, hands_over, .. } = self;
        ClaimRules {
            limit: *limit,
            aside,
            backlog_max: *backlog_max,
            late_before: *late_before,
            goes_in_batch: *goes_in_batch,
            can_batch: *can_batch,
            hands_over: *hands_over,
        }
    }
}

/// A result to record.
#[derive(Debug)]
pub enum Settle {
    /// Result of a delivery.
    Delivery(Box<Settlement>),
    /// Findings of reading a profile back.
    ReadBack(Claim, Verified, QuotaTime),
    /// A read-back that is not possible now.
    Postpone(Claim, Timestamp),
}

/// A change to report once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The link or its reason changed.
    Link,
    /// A probe was brought forward, for that reason.
    Probing(&'static str),
    /// The quota of single updates is used up for that long; or has room again.
    Quota(Option<Duration>),
    /// Profiles are not read, for that reason; or are read again.
    Reads(Option<String>),
    /// A delivery has ended.
    Delivery {
        /// Name of the last outcome.
        outcome: &'static str,
        /// Attributes that Target accepted.
        delivered: usize,
        /// Attributes that were refused.
        refused: usize,
    },
    /// An update took that route.
    Routed(Route),
    /// A batch of that many rows was submitted.
    BatchSubmitted(usize),
    /// A batch of that many rows was refused as a whole.
    BatchRefused(usize),
    /// A batch of that many rows was given up for that reason, and they are pending again.
    BatchGivenUp(usize, &'static str),
    /// Number of rows that failed without Target naming them.
    RowsUnnamed(u64),
    /// A batch has ended.
    BatchEnded {
        /// Rows that were delivered.
        delivered: i64,
        /// Rows that failed.
        failed: i64,
    },
    /// The rows of batches of a day are used up for that long; none once some are sent again.
    Rows(Option<Duration>),
    /// Number of values that had not arrived, and are pending again.
    NotArrived(usize),
}

/// An action for the courier. Each except a wait is answered by one input.
#[derive(Debug)]
pub enum Action {
    /// Claim profiles.
    Claim(Ask),
    /// Claim up to that many profiles to read back.
    ClaimDue(usize),
    /// Make profiles pending again that wait for Target to have them and are due.
    Look(Timestamp),
    /// Read a profile.
    Read(i64, Identity),
    /// Record what is about to be sent.
    Note(Vec<(i64, SendLog)>),
    /// Send a request for that profile.
    Send(i64, Request),
    /// Hand parts over to the hub; without any it is a sign of life.
    HandOver(Vec<ProfileParts>),
    /// Add profiles to a batch or to a new one. Their claims are held until that is done.
    AddRows {
        /// Number of the batch; `None` for a new one.
        batch: Option<i64>,
        /// Kind of identity of its rows.
        kind: IdentityKind,
        /// Version of the bulk API.
        api: i64,
        /// Profiles to add.
        entries: Vec<BatchEntry>,
        /// Claims of the profiles.
        claims: Vec<Claim>,
    },
    /// Record the results of deliveries.
    Settle(Vec<Settle>),
    /// Make the refusals of these profiles since that time void.
    Retract(Vec<i64>, Timestamp),
    /// Submit a batch whose first line has these names.
    Submit(BatchHead, Vec<String>),
    /// Poll a batch at that path.
    Poll(i64, String),
    /// End a batch.
    End(i64, Ending, BatchState),
    /// Do nothing until an input arrives or the monotonic clock reaches that time.
    Wait(Option<Duration>),
}
