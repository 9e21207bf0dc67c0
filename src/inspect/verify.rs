//! Reading a profile back from Target: what is there beside what was sent.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::adobe::{Client, FetchedProfile, Reply};
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::quota::{QuotaClock, QuotaTime};
use crate::core::timestamp::Timestamp;
use crate::core::words::counted;
use crate::device::clock::Clock;
use crate::forward::judge::{By, Skew, judge};
use crate::forward::shown::ReadQuota;
use crate::inspect::Unanswered;
use crate::inspect::profile::{ProfileIdentity, Standing};
use crate::store::{ProfileRow, ReadBack, Verified, Writer};

/// The document of `POST /v1/profiles/{kind}/{key}/verify`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Verification {
    pub identity: ProfileIdentity,
    /// True if Target has the profile.
    pub exists: bool,
    pub attributes: Vec<VerifiedAttribute>,
    /// Values that had not arrived, and are pending again.
    pub resent: usize,
}

impl Verification {
    /// Says what Target does not have of what this device sends; `None` if it has everything.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        let own = || self.attributes.iter().map(|attribute| attribute.verdict).filter(|it| *it != Verdict::Others);
        let (all, missing) = (own().count(), own().filter(|it| it.is_missing()).count());
        let in_flight = own().filter(|it| *it == Verdict::InFlight).count();
        let (all, have) = (counted(all, "value"), if missing == 1 { "has" } else { "have" });
        let are = if in_flight == 1 { "is" } else { "are" };
        match (missing, in_flight) {
            (0, 0) => None,
            (_, 0) => Some(format!("{missing} of {all} {have} not arrived")),
            (0, _) => Some(format!("{in_flight} of {all} {are} in flight")),
            (..) => Some(format!("{missing} of {all} {have} not arrived, and {in_flight} {are} in flight")),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct VerifiedAttribute {
    pub name: String,
    /// The value that this device holds now; none of an attribute that it does not write.
    pub here: Option<String>,
    /// Value that Target should show, if it includes others' part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    pub there: Option<String>,
    pub modified_at: Option<String>,
    pub verdict: Verdict,
}

/// Result for one attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Target has the value that this device holds now.
    Arrived,
    /// Somebody else has written it since.
    ChangedByOthers,
    /// Target does not have it, or has something older. A write may take a day to show.
    NotArrived,
    /// It was not sent yet.
    NotSent,
    /// It is in a batch that Target has not completed.
    InFlight,
    /// Target refused it: it is kept as rejected.
    Refused,
    /// It is never sent, since it is empty or carries another device's name.
    Withheld,
    /// This device does not write it.
    Others,
}

impl Verdict {
    /// As a clause for a person.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::ChangedByOthers => "changed by others since",
            Self::NotArrived => "not there (yet)",
            Self::NotSent => "not sent yet",
            Self::InFlight => "in flight",
            Self::Refused => "refused; see `outpost explain`",
            Self::Withheld => "not sent; see `outpost explain`",
            Self::Others => "not of this device",
        }
    }

    /// Returns true if Target should have a value of this device, and nothing is on its way there.
    #[must_use]
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::NotArrived | Self::NotSent | Self::Refused)
    }
}

/// Client by which profiles are read back.
#[derive(Clone)]
pub struct Verifier {
    /// The way to Target.
    pub client: Client,
    /// Writer that notes it.
    pub writer: Writer,
    /// The device's clock.
    pub clock: Arc<Clock>,
    /// The quota's clock.
    pub quota_clock: QuotaClock,
    /// Calls of the Fetch API in the last 24 hours.
    pub reads: ReadQuota,
}

impl Verifier {
    /// Reads a profile back. What has not arrived becomes pending again, if `resends` says so.
    ///
    /// # Errors
    /// [`Unanswered`]; then nothing was written down.
    pub async fn verify(&self, row: ProfileRow, resends: bool) -> Result<Verification, Unanswered> {
        let now = self.quota_clock.at(self.clock.elapsed());
        if let Some(wait) = self.reads.opens(now) {
            let reason = format!("the reads of 24 hours are spent; there is one again in {} s", wait.as_secs());
            return Err(Unanswered::NotRead(reason));
        }
        self.reads.spend(now);
        let destination = self.client.destination();
        let exchange = self.client.fetch(&row.identity).await;
        let found = match exchange.answer {
            Reply::Found(profile) => Some(profile),
            Reply::Missing => None,
            Reply::Denied(reason) | Reply::Unreadable(reason) => return Err(Unanswered::NotRead(reason)),
            Reply::Failed(outcome) => return Err(Unanswered::NotRead(outcome.reason())),
        };
        let wall = self.clock.now();
        let skew = exchange.date.map_or(Skew::None, |date| Skew::between(date, wall));
        let (attributes, lost) = compare(&row, found.as_ref(), skew, wall);
        let count = |verdict| attributes.iter().filter(|attribute| attribute.verdict == verdict).count();
        let lost = if resends { lost } else { Vec::new() };
        let resent = lost.len();
        let verified = Verified {
            arrived: i64::try_from(count(Verdict::Arrived) + count(Verdict::ChangedByOthers)).unwrap_or(0),
            lost,
            existence: if found.is_some() { Existence::Yes } else { Existence::No },
            at: wall,
            // A read-back that is due stays so: what was lost may still be applied.
            again_at: row.read_back.filter(|(_, why)| *why == ReadBack::Ambiguous).map(|(at, _)| at),
            sends: None,
            reads: 1,
        };
        let (id, quota_time) = (row.id, QuotaTime { at: now, wall: Clock::system() });
        let noted = self.writer.act(move |store| {
            // What another client's Target has says nothing of this one's.
            let is_there = store.goes_to(&destination)?;
            if is_there {
                store.spend_reads(verified.reads, quota_time);
                store.verified(id, &verified)?;
            }
            Ok(is_there)
        });
        if !noted.await? {
            let reason = "what the store delivered went to another client_code or endpoint than it was read from; ask again \
                          when the agent runs with the new configuration";
            return Err(Unanswered::NotRead(reason.to_owned()));
        }
        let identity = ProfileIdentity::from(&row.identity);
        Ok(Verification { identity, exists: found.is_some(), attributes, resent })
    }
}

/// Compares what is here with what is there, by name; and gives the delivered values that have not arrived, with their
/// versions: the same decision as before a delivery.
#[must_use]
pub fn compare(
    row: &ProfileRow,
    found: Option<&FetchedProfile>,
    skew: Skew,
    now: Timestamp,
) -> (Vec<VerifiedAttribute>, Vec<(String, i64)>) {
    let nothing = FetchedProfile::default();
    let found = found.unwrap_or(&nothing);
    let (_, lost) = judge(row.basis.clone(), &row.sends, By::Reading(found), skew, now).arrived();
    let is_lost = |name: &str| lost.iter().any(|(lost, _)| lost == name);
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let mut all: Vec<VerifiedAttribute> = row
        .attributes
        .iter()
        .map(|own| {
            let there = found.attributes.get(&own.name);
            // Of a total, what was sent with others' part of it; if that is of the value that is held now.
            let sent = own.sends.last().filter(|sent| sent.own == own.value).map(|sent| &sent.value);
            let is_there = sent.is_some_and(|sent| there.is_some_and(|there| *sent == there.value));
            let verdict = match Standing::of(own, None) {
                _ if is_there => Verdict::Arrived,
                Standing::Refused if own.is_withheld() => Verdict::Withheld,
                Standing::Refused => Verdict::Refused,
                Standing::Superseded => Verdict::ChangedByOthers,
                Standing::Pending => Verdict::NotSent,
                Standing::InFlight => Verdict::InFlight,
                Standing::Delivered if found.unreadable.contains(&own.name) => Verdict::ChangedByOthers,
                Standing::Delivered if there.is_none() || is_lost(&own.name) => Verdict::NotArrived,
                Standing::Delivered => Verdict::ChangedByOthers,
            };
            VerifiedAttribute {
                name: own.name.clone(),
                here: Some(own.value.clone()),
                sent: sent.filter(|sent| **sent != own.value).cloned(),
                there: there.map(|there| there.value.clone()),
                modified_at: there.and_then(|there| text(there.modified_at)),
                verdict,
            }
        })
        .collect();
    for (name, there) in &found.attributes {
        if !row.attributes.iter().any(|own| own.name == *name) {
            all.push(VerifiedAttribute {
                name: name.clone(),
                here: None,
                sent: None,
                there: Some(there.value.clone()),
                modified_at: text(there.modified_at),
                verdict: Verdict::Others,
            });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    (all, lost)
}
