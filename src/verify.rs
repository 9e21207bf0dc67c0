//! Reading a profile back from Target: what is there beside what was sent.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::existence::Existence;
use crate::identity::Identity;
use crate::merge::{Sent, Shown};
use crate::quota::{QuotaClock, QuotaTime};
use crate::status::{ProfileIdentity, ReadQuota};
use crate::store::{AttributeRow, ProfileRow, StoreError, Verified, Writer};
use crate::target::{Client, FetchedProfile, Reply};
use crate::timestamp::Timestamp;

/// The document of `POST /v1/profiles/{kind}/{key}/verify`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Verification {
    pub identity: ProfileIdentity,
    /// Whether Target has the profile.
    pub exists: bool,
    pub attributes: Vec<VerifiedAttribute>,
    /// Values that had not arrived, and are pending again.
    pub resent: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct VerifiedAttribute {
    pub name: String,
    /// What was sent last, or what is pending; none of an attribute that this device does not write.
    pub here: Option<String>,
    pub there: Option<String>,
    pub modified_at: Option<String>,
    pub verdict: Verdict,
}

/// What is to be said of one attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Target has what was sent.
    Arrived,
    /// Somebody else has written it since.
    ChangedByOthers,
    /// Target does not have it, or has something older. A write may take a day to show.
    NotArrived,
    /// Nothing was sent yet.
    NotSent,
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
            Self::Others => "not of this device",
        }
    }
}

/// Judges one attribute: what was sent last, and what Target shows.
#[must_use]
pub fn judge(sent: Option<&Sent>, shown: Option<&Shown>) -> Verdict {
    match (sent, shown) {
        (None, _) => Verdict::NotSent,
        (Some(sent), Some(shown)) if sent.value == shown.value => Verdict::Arrived,
        (Some(sent), Some(shown)) if shown.modified_at.is_none_or(|at| at > sent.at) => Verdict::ChangedByOthers,
        _ => Verdict::NotArrived,
    }
}

/// Why a profile could not be read back.
#[derive(Debug)]
pub enum VerifyError {
    /// Target did not show it.
    NotRead(String),
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRead(reason) => write!(f, "the profile cannot be read from Target: {reason}"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotRead(_) => None,
            Self::Store(error) => error.source(),
        }
    }
}

/// Where profiles are read back.
#[derive(Clone)]
pub struct Verifier {
    /// The way to Target.
    pub client: Client,
    /// Where it is written down.
    pub writer: Writer,
    /// The device's clock.
    pub clock: Arc<Clock>,
    /// The quota's clock.
    pub quota_clock: QuotaClock,
    /// What the last 24 hours have used of the Fetch API.
    pub reads: ReadQuota,
}

impl Verifier {
    /// Reads a profile back. What has not arrived becomes pending again, if `resends` says so.
    ///
    /// # Errors
    /// [`VerifyError`]; then nothing was written down.
    pub async fn verify(
        &self,
        identity: &Identity,
        row: ProfileRow,
        resends: bool,
    ) -> Result<Verification, VerifyError> {
        let now = self.quota_clock.at(self.clock.elapsed());
        if let Some(wait) = self.reads.opens(now) {
            let reason = format!("the reads of 24 hours are spent; there is one again in {} s", wait.as_secs());
            return Err(VerifyError::NotRead(reason));
        }
        self.reads.spend(now);
        let found = match self.client.fetch(identity).await.answer {
            Reply::Found(profile) => Some(profile),
            Reply::Missing => None,
            Reply::Denied(reason) | Reply::Unreadable(reason) => return Err(VerifyError::NotRead(reason)),
            Reply::Failed(outcome) => return Err(VerifyError::NotRead(outcome.reason())),
        };
        let attributes = compare(&row, found.as_ref());
        let count = |verdict| attributes.iter().filter(|attribute| attribute.verdict == verdict).count();
        let is_lost = |row: &&AttributeRow| {
            let verdict = attributes.iter().find(|attribute| attribute.name == row.name).map(|it| it.verdict);
            verdict == Some(Verdict::NotArrived) && row.delivered_version == row.version
        };
        let lost = row.attributes.iter().filter(is_lost).map(|row| (row.name.clone(), row.version));
        let lost: Vec<(String, i64)> = if resends { lost.collect() } else { Vec::new() };
        let resent = lost.len();
        let verified = Verified {
            arrived: i64::try_from(count(Verdict::Arrived) + count(Verdict::ChangedByOthers)).unwrap_or(0),
            lost,
            existence: if found.is_some() { Existence::Yes } else { Existence::No },
            at: self.clock.now(),
        };
        let (id, quota_time) = (row.id, QuotaTime { at: now, wall: Clock::system() });
        let noted = self.writer.act(move |store| {
            store.spend_reads(1, quota_time);
            store.verified(id, &verified)
        });
        noted.await.map_err(VerifyError::Store)?;
        let identity = ProfileIdentity { kind: identity.kind().name().to_owned(), key: identity.key().to_owned() };
        Ok(Verification { identity, exists: found.is_some(), attributes, resent })
    }
}

/// What is here beside what is there, by name.
#[must_use]
pub fn compare(row: &ProfileRow, found: Option<&FetchedProfile>) -> Vec<VerifiedAttribute> {
    let shown = |name: &str| found.and_then(|found| found.0.get(name));
    let text = |at: Timestamp| at.to_string();
    let mut all: Vec<VerifiedAttribute> = row
        .attributes
        .iter()
        .map(|own| {
            let there = shown(&own.name);
            VerifiedAttribute {
                name: own.name.clone(),
                here: Some(own.sent.as_ref().map_or_else(|| own.value.clone(), |sent| sent.value.clone())),
                there: there.map(|there| there.value.clone()),
                modified_at: there.and_then(|there| there.modified_at).map(text),
                verdict: judge(own.sent.as_ref(), there),
            }
        })
        .collect();
    for (name, there) in found.iter().flat_map(|found| &found.0) {
        if !row.attributes.iter().any(|own| own.name == *name) {
            all.push(VerifiedAttribute {
                name: name.clone(),
                here: None,
                there: Some(there.value.clone()),
                modified_at: there.modified_at.map(text),
                verdict: Verdict::Others,
            });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let sent = Sent { value: "7".to_owned(), own: "7".to_owned(), version: 1, at: at(100) };
        let shown = |value: &str, seconds| Shown { value: value.to_owned(), modified_at: Some(at(seconds)) };
        assert_eq!(judge(None, None), Verdict::NotSent);
        assert_eq!(judge(Some(&sent), None), Verdict::NotArrived);
        assert_eq!(judge(Some(&sent), Some(&shown("7", 100))), Verdict::Arrived);
        assert_eq!(judge(Some(&sent), Some(&shown("5", 99))), Verdict::NotArrived);
        assert_eq!(judge(Some(&sent), Some(&shown("9", 101))), Verdict::ChangedByOthers);
        let unknown = Shown { value: "9".to_owned(), modified_at: None };
        assert_eq!(judge(Some(&sent), Some(&unknown)), Verdict::ChangedByOthers);
    }
}
