//! What a device is told by Target, or by what stands between; and the luck that decides it.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use outpost::core::timestamp::Timestamp;

use super::{hours, ms, secs};

/// How long a device waits for an answer.
pub const TIMEOUT: Duration = secs(10);
/// How long it waits for a connection.
pub const CONNECT_TIMEOUT: Duration = secs(3);

/// An answer, or the lack of one, and when the device knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<T> {
    pub answer: T,
    /// `Date` of the answer, in whole seconds, by the clock of whoever answered; none without an answer.
    pub date: Option<Timestamp>,
    /// When the device hears it, or gives up. The request is on its way until then.
    pub at: Timestamp,
}

/// A status other than success, with what may come with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: u16,
    pub retry_after: Option<String>,
    pub is_html: bool,
}

impl Status {
    pub const fn plain(code: u16) -> Self {
        Self { code, retry_after: None, is_html: false }
    }
}

/// What a single update is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 and a body that says true.
    Yes,
    /// Anything else that is an answer.
    Status(Status),
    /// Sent, and no answer came.
    Lost,
    /// Not connected: nothing was sent.
    Unreachable,
}

/// What Target shows of an attribute: its value, and when it was written, if that is told and can be read.
pub type Shown = BTreeMap<String, (String, Option<Timestamp>)>;

#[derive(Clone, Debug, PartialEq)]
pub enum FetchTold {
    Found { attributes: Shown, modified_at: Option<Timestamp> },
    Missing,
    Status(Status),
    Lost,
    Unreachable,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SubmitTold {
    /// Submitted; the batch's name, to ask after it.
    Accepted(String),
    /// 200 and `success` false.
    Refused,
    Status(Status),
    Lost,
    Unreachable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    Complete,
    Incomplete,
    Stuck,
}

/// A batch's status with details.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatus {
    pub state: BatchState,
    pub batch_size: u64,
    pub consumed: Option<u64>,
    pub failed_updates: Option<u64>,
    /// Keys of failed rows, raw or percent-encoded.
    pub failed: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StatusTold {
    State(BatchStatus),
    /// Target has no such batch, or says so for a moment.
    NotFound,
    Status(Status),
    Lost,
    Unreachable,
}

/// How often a request meets what. Units: per mille of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Target does it, and the answer is lost.
    pub lost_after: u16,
    /// The request is lost.
    pub lost_before: u16,
    /// The answer is lost, and Target does it up to an hour later.
    pub lost_later: u16,
    pub unreachable: u16,
    pub server_error: u16,
    /// 429 or 503 with any `Retry-After`.
    pub throttled: u16,
    pub unauthorized: u16,
    /// A portal's page or a redirect.
    pub portal: u16,
    /// 4xx of somebody in between.
    pub stranger: u16,
    /// A batch's status that is known already is incomplete, 404 or an error again.
    pub flapping: u16,
}

/// What everybody meets for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// A gateway answers with this status, perhaps with HTML.
    Gateway {
        code: u16,
        is_html: bool,
    },
    Portal,
    Unauthorized,
    /// Reading alone is refused.
    ReadingForbidden,
    /// Batches alone are refused.
    BatchesForbidden,
    /// Reading goes well, and every update is answered with this status.
    UpdatesRefused {
        code: u16,
    },
    /// Singles alone are answered with this status.
    SinglesRefused {
        code: u16,
    },
    ServerDown,
}

/// What always happens to one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curse {
    /// Its single is answered 400, and its row 400 for the whole batch.
    Refused,
    /// Its fetch is answered 400.
    Unreadable,
    /// A batch that holds it is refused as a whole.
    BadRow,
    /// Its single is answered 500, until all heals.
    ServerError,
}

/// What becomes of a request before it comes to what it asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Served,
    LostBefore,
    LostAfter,
    LostLater(Duration),
    Unreachable,
    Answered(Status),
}

impl Fate {
    /// Where nothing is to be done, nothing is done late: what is lost is lost, and what would come late is answered.
    pub fn of_reading(self) -> Self {
        match self {
            Self::LostAfter => Self::LostBefore,
            Self::LostLater(_) => Self::Served,
            fate => fate,
        }
    }
}

impl Faults {
    pub fn fate(&self, rng: &mut Rng, now: Timestamp) -> Fate {
        let mut left = rng.u16(0..1_000);
        let mut is = |rate: u16| {
            let hit = left < rate;
            left = if hit { u16::MAX } else { left - rate.min(left) };
            hit
        };
        if is(self.lost_after) {
            Fate::LostAfter
        } else if is(self.lost_before) {
            Fate::LostBefore
        } else if is(self.lost_later) {
            Fate::LostLater(ms(rng.u64(60_000..3_600_000)))
        } else if is(self.unreachable) {
            Fate::Unreachable
        } else if is(self.server_error) {
            Fate::Answered(Status::plain([500, 502, 503, 504][rng.usize(0..4)]))
        } else if is(self.throttled) {
            Fate::Answered(throttled(rng, now))
        } else if is(self.unauthorized) {
            Fate::Answered(Status::plain([401, 403][rng.usize(0..2)]))
        } else if is(self.portal) {
            Fate::Answered(portal(rng))
        } else if is(self.stranger) {
            let code = [404, 405, 421, 425, 431, 451, 511][rng.usize(0..7)];
            Fate::Answered(Status { code, retry_after: None, is_html: rng.bool() })
        } else {
            Fate::Served
        }
    }
}

/// 429 or 503, with any `Retry-After` that was ever seen.
pub fn throttled(rng: &mut Rng, now: Timestamp) -> Status {
    let date = |at: Timestamp| {
        let since_1970 = ms(u64::try_from(at.as_millis()).unwrap());
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_1970)
    };
    let retry_after = match rng.u32(0..9) {
        0 => None,
        1 => Some("0".to_owned()),
        2 => Some("-5".to_owned()),
        3 => Some(date(now.minus(hours(3)))),
        4 => Some(date(now.plus(secs(90)))),
        5 => Some("86400".to_owned()),
        6 => Some("soon".to_owned()),
        7 => Some("120".to_owned()),
        _ => Some("5".to_owned()),
    };
    Status { code: if retry_after.is_some() && rng.bool() { 503 } else { 429 }, retry_after, is_html: false }
}

/// A portal's page, or its redirect.
pub fn portal(rng: &mut Rng) -> Status {
    Status { code: [200, 302, 511][rng.usize(0..3)], retry_after: None, is_html: true }
}

/// The wait that a device was told, from when it heard it. `None` where there is none to keep.
pub fn told_wait(status: &Status, date: Timestamp) -> Option<Duration> {
    let text = status.retry_after.as_deref().filter(|_| matches!(status.code, 429 | 503))?;
    let asked = match text.parse::<u64>() {
        Ok(seconds) => secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            Timestamp::from_millis(i64::try_from(until.as_millis()).ok()?).since(date)
        }
    };
    Some(asked.min(hours(1)))
}
