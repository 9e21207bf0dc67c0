//! What the sandbox holds: profiles, the log of requests, and the faults that are armed.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde::Serialize;

use super::faults::{Fault, Faults};
use super::wire::{self, Request, Update, Wrong};
use crate::identity::{Identity, IdentityKind};
use crate::timestamp::Timestamp;

/// All external data of one profile together. Units: bytes. Source: Target limits page.
const PROFILE_BYTES_MAX: usize = 64 * 1024;

/// What becomes of an update for an identity that Target does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Unknown {
    /// It is answered like any other and vanishes, as the real one does.
    #[default]
    Vanish,
    /// The profile is made.
    Accept,
}

/// One attribute as the sandbox holds it.
#[derive(Clone, Debug, Serialize)]
pub struct HeldAttribute {
    /// Its value.
    pub value: String,
    /// When it was last written.
    #[serde(rename = "modifiedAt")]
    pub modified_at: Timestamp,
}

/// A profile's attributes by name.
pub type HeldProfile = BTreeMap<String, HeldAttribute>;

/// One request as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedRequest {
    /// Its number, from 1.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    /// `GET` or `POST`.
    pub method: String,
    /// Bytes of query and body.
    pub bytes: usize,
    /// Kind and key, as far as the request could be read.
    pub identity: Option<(&'static str, String)>,
    /// What it wrote.
    pub attributes: BTreeMap<String, String>,
    /// Whether the profile has it now.
    pub applied: bool,
    /// The status of the answer; 0 when there was none.
    pub status: u16,
    /// What was wrong with the request.
    pub wrong: Option<String>,
    /// The fault that struck it.
    pub fault: Option<String>,
}

/// What the sandbox answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Target's success.
    True,
    /// A refusal, with Target's words.
    Wrong(Wrong),
    /// What a fault makes of it.
    Fault(Fault),
}

/// The sandbox's Target.
#[derive(Debug)]
pub struct Target {
    profiles: BTreeMap<(IdentityKind, String), HeldProfile>,
    requests: VecDeque<LoggedRequest>,
    requests_kept: usize,
    number: u64,
    in_progress: HashSet<Identity>,
    /// What happens to unknown identities.
    pub unknown: Unknown,
    /// What fails.
    pub faults: Faults,
}

impl Target {
    /// A Target that knows these identities, and keeps that many requests.
    #[must_use]
    pub fn new(
        known: impl IntoIterator<Item = Identity>,
        unknown: Unknown,
        faults: Faults,
        requests_kept: usize,
    ) -> Self {
        let profiles = known
            .into_iter()
            .map(|identity| ((identity.kind(), identity.key().to_owned()), HeldProfile::new()))
            .collect();
        Self {
            profiles,
            requests: VecDeque::new(),
            requests_kept,
            number: 0,
            in_progress: HashSet::new(),
            unknown,
            faults,
        }
    }

    /// The profile of an identity, if it is known.
    #[must_use]
    pub fn profile(&self, kind: IdentityKind, key: &str) -> Option<&HeldProfile> {
        self.profiles.get(&(kind, key.to_owned()))
    }

    /// All profiles.
    pub fn profiles(&self) -> impl Iterator<Item = (IdentityKind, &str, &HeldProfile)> {
        self.profiles.iter().map(|((kind, key), profile)| (*kind, key.as_str(), profile))
    }

    /// Makes an identity known.
    pub fn learn(&mut self, identity: &Identity) {
        self.profiles.entry((identity.kind(), identity.key().to_owned())).or_default();
    }

    /// The last requests, oldest first.
    #[must_use]
    pub const fn requests(&self) -> &VecDeque<LoggedRequest> {
        &self.requests
    }

    /// How many requests came in all.
    #[must_use]
    pub const fn requests_total(&self) -> u64 {
        self.number
    }

    /// Takes a request in. While its answer is on the way, its identity counts as being updated: see [`Self::end`].
    pub fn begin(&mut self, request: Request<'_>, at: Timestamp) -> (Reply, Option<Identity>) {
        let read = wire::read(request);
        let update = read.as_ref().ok();
        let fault = self.faults.strike(|name| update.is_some_and(|update| update.attributes.contains_key(name)));
        let reply = match (&fault, &read) {
            (Some(Fault::Refuse(attribute)), _) => {
                Reply::Wrong(Wrong { status: 400, problem: format!("the attribute {attribute} is refused") })
            }
            (Some(Fault::Slow(_) | Fault::Reset) | None, Err(wrong)) => Reply::Wrong(wrong.clone()),
            (Some(fault), _) => Reply::Fault(fault.clone()),
            (None, Ok(_)) => Reply::True,
        };
        let is_taken = matches!(reply, Reply::True | Reply::Fault(Fault::Slow(_) | Fault::Reset));
        let (reply, applied) = match update.filter(|_| is_taken) {
            Some(update) => self.apply(update, reply, at),
            None => (reply, false),
        };
        let wrong = match &reply {
            Reply::Wrong(wrong) => Some(wrong.problem.clone()),
            _ => None,
        };
        self.log(request, &read, at, LoggedParts { applied, status: status(&reply), wrong, fault });
        let begun = update.filter(|_| applied).map(|update| update.identity.clone());
        if let Some(identity) = &begun {
            self.in_progress.insert(identity.clone());
        }
        (reply, begun)
    }

    /// The answer is out.
    pub fn end(&mut self, begun: Option<Identity>) {
        begun.map(|identity| self.in_progress.remove(&identity));
    }

    fn apply(&mut self, update: &Update, reply: Reply, at: Timestamp) -> (Reply, bool) {
        let refuse = |problem: &str| (Reply::Wrong(Wrong { status: 400, problem: problem.to_owned() }), false);
        if self.in_progress.contains(&update.identity) {
            return refuse("two updates of one profile at once");
        }
        let key = (update.identity.kind(), update.identity.key().to_owned());
        if self.unknown == Unknown::Accept {
            self.profiles.entry(key.clone()).or_default();
        }
        let Some(profile) = self.profiles.get_mut(&key) else { return (reply, false) };
        let mut next = profile.clone();
        for (name, value) in update.attributes.iter().filter(|(_, value)| !value.is_empty()) {
            next.insert(name.clone(), HeldAttribute { value: value.clone(), modified_at: at });
        }
        if next.iter().map(|(name, held)| name.len() + held.value.len()).sum::<usize>() > PROFILE_BYTES_MAX {
            return refuse("the profile would hold more than 64 KB");
        }
        *profile = next;
        (reply, true)
    }

    fn log(&mut self, request: Request<'_>, read: &Result<Update, Wrong>, at: Timestamp, parts: LoggedParts) {
        let LoggedParts { applied, status, wrong, fault } = parts;
        self.number += 1;
        let update = read.as_ref().ok();
        if self.requests.len() == self.requests_kept {
            self.requests.pop_front();
        }
        self.requests.push_back(LoggedRequest {
            number: self.number,
            at,
            method: request.method.to_owned(),
            bytes: request.query.len() + request.body.len(),
            identity: update.map(|update| (update.identity.kind().name(), update.identity.key().to_owned())),
            attributes: update.map(|update| update.attributes.clone()).unwrap_or_default(),
            applied,
            status,
            wrong,
            fault: fault.map(|fault| fault.to_string()),
        });
    }
}

struct LoggedParts {
    applied: bool,
    status: u16,
    wrong: Option<String>,
    fault: Option<Fault>,
}

const fn status(reply: &Reply) -> u16 {
    match reply {
        Reply::True | Reply::Fault(Fault::Slow(_) | Fault::Portal | Fault::Reset) => 200,
        Reply::Wrong(Wrong { status, .. }) | Reply::Fault(Fault::Status(status, _)) => *status,
        Reply::Fault(Fault::Redirect) => 302,
        Reply::Fault(Fault::Refuse(_)) => 400,
        Reply::Fault(Fault::Outage) => 0,
    }
}
