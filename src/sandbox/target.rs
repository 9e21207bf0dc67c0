//! The sandbox's Target: the effect of each call, its answer, and the log of requests.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use serde_json::json;

use super::batches::{self, Batches};
use super::delivery;
use super::exchange::{Handled, LoggedRequest, Reply, Request};
use super::faults::{Fault, Faults};
use super::profiles::{HeldProfile, Profiles, Write};
use super::wire::{self, Api, Wrong};
use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::QUOTA_WINDOW;
use crate::core::timestamp::Timestamp;

/// Target's text for a success. Source: Target Single Profile Update API.
pub(super) const SUCCESS: &str = "trueRequest successfully submitted";

/// The treatment of an update for an identity that Target does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Unknown {
    /// The update is answered like any other but has no effect, as at the real Target.
    #[default]
    Vanish,
    /// The profile is created.
    Accept,
}

/// The sandbox's Target.
#[derive(Debug)]
pub struct Target {
    profiles: Profiles,
    batches: Batches,
    requests: VecDeque<LoggedRequest>,
    requests_kept: usize,
    number: u64,
    in_progress: HashSet<Identity>,
    updates: VecDeque<Timestamp>,
    reads: VecDeque<Timestamp>,
    /// Treatment of unknown identities.
    pub unknown: Unknown,
    /// Armed faults.
    pub faults: Faults,
    /// Bearer token that calls must have, if any.
    pub token: Option<String>,
    /// Single updates accepted in any 24 hours, if limited.
    pub updates_per_day: Option<usize>,
    /// Fetches accepted in any 24 hours, if limited.
    pub reads_per_day: Option<usize>,
    /// Lead of its clock over the device's.
    pub clock_ahead: Duration,
}

impl Target {
    /// Returns a Target that knows these identities, and keeps that many requests.
    #[must_use]
    pub fn new(
        known: impl IntoIterator<Item = Identity>,
        unknown: Unknown,
        faults: Faults,
        requests_kept: usize,
    ) -> Self {
        let mut profiles = Profiles::default();
        known.into_iter().for_each(|identity| profiles.learn(&identity));
        Self {
            profiles,
            batches: Batches::default(),
            requests: VecDeque::new(),
            requests_kept,
            number: 0,
            in_progress: HashSet::new(),
            updates: VecDeque::new(),
            reads: VecDeque::new(),
            unknown,
            faults,
            token: None,
            updates_per_day: None,
            reads_per_day: None,
            clock_ahead: Duration::ZERO,
        }
    }

    /// Returns the profile of an identity as it will show once every write has come through, if it is known.
    #[must_use]
    pub fn profile(&self, kind: IdentityKind, key: &str) -> Option<&HeldProfile> {
        self.profiles.latest(kind, key)
    }

    /// Returns all profiles.
    pub fn profiles(&self) -> impl Iterator<Item = (IdentityKind, &str, &HeldProfile)> {
        self.profiles.all()
    }

    /// Makes an identity known.
    pub fn learn(&mut self, identity: &Identity) {
        self.profiles.learn(identity);
    }

    /// Forgets an identity. Returns false if it was not known.
    pub fn expire(&mut self, identity: &Identity) -> bool {
        self.profiles.expire(identity)
    }

    /// Writes attributes as the web site does, in a visit. Returns false if the profile would get too large.
    pub fn visit(&mut self, identity: &Identity, attributes: &BTreeMap<String, String>, at: Timestamp) -> bool {
        self.profiles.learn(identity);
        self.profiles.write(identity, attributes, Write::Visit, at)
    }

    /// Sets the time until a write shows.
    pub const fn set_delay(&mut self, delay: Duration) {
        self.profiles.delay = delay;
    }

    /// Returns the sandbox's own time when the device's clock shows `wall`.
    #[must_use]
    pub fn now(&self, wall: Timestamp) -> Timestamp {
        wall.plus(self.clock_ahead)
    }

    /// Returns the last requests, oldest first.
    #[must_use]
    pub const fn requests(&self) -> &VecDeque<LoggedRequest> {
        &self.requests
    }

    /// Returns the total number of requests.
    #[must_use]
    pub const fn requests_total(&self) -> u64 {
        self.number
    }

    /// Does the work that has become due.
    pub fn advance(&mut self, now: Timestamp) {
        self.batches.advance(&mut self.profiles, now);
    }

    /// Starts a request. Until its answer is sent, its identity counts as being updated: see [`Self::end`].
    pub fn begin(&mut self, request: &Request<'_>, now: Timestamp) -> (Reply, Option<Identity>) {
        self.advance(now);
        let update = (request.api == Api::Single).then(|| read_single(request)).and_then(Result::ok);
        let fault = self
            .faults
            .strike(request.api, |name| update.as_ref().is_some_and(|update| update.attributes.contains_key(name)));
        let mut handled = match &fault {
            Some(fault) if !fault.is_done() => Handled::struck(fault),
            _ => self.handle(request, now),
        };
        self.advance(now);
        handled.reply.fault = fault;
        self.log(request, &handled, now);
        let begun = handled.identity.filter(|_| handled.applied && request.api == Api::Single);
        if let Some(identity) = &begun {
            self.in_progress.insert(identity.clone());
        }
        (handled.reply, begun)
    }

    /// Ends a request whose answer was sent.
    pub fn end(&mut self, begun: Option<Identity>) {
        begun.map(|identity| self.in_progress.remove(&identity));
    }

    fn handle(&mut self, request: &Request<'_>, now: Timestamp) -> Handled {
        let given = request.authorization.and_then(|header| header.strip_prefix("Bearer "));
        if self.token.is_some() && self.token.as_deref() != given {
            let problem = "the token is missing, has expired or was reset".to_owned();
            return Handled::wrong(Wrong { status: 401, problem });
        }
        let handled = match request.api {
            Api::Single => self.single(request, now),
            Api::BulkV1 | Api::BulkV2 => self.bulk(request, now),
            Api::BatchStatus => Ok(self.batch_status(request)),
            Api::Fetch => self.fetch(request, now),
            Api::Delivery => self.deliver(request, now),
        };
        handled.unwrap_or_else(Handled::wrong)
    }

    fn single(&mut self, request: &Request<'_>, now: Timestamp) -> Result<Handled, Wrong> {
        if let Some(seconds) = spend(&mut self.updates, self.updates_per_day, now) {
            return Ok(Handled::spent(seconds, "updates"));
        }
        let update = read_single(request)?;
        if self.in_progress.contains(&update.identity) {
            return wire::wrong(400, "two updates of one profile at once");
        }
        if self.unknown == Unknown::Accept {
            self.profiles.learn(&update.identity);
        }
        let is_known = self.profiles.knows(&update.identity);
        if !self.profiles.write(&update.identity, &update.attributes, Write::Update, now) {
            return wire::wrong(400, "the profile would hold more than 64 KB");
        }
        let verdict = if is_known { "applied" } else { "vanished: Target does not know the identity" };
        let reply = Reply::new(200, "text/plain; charset=utf-8", SUCCESS);
        Ok(Handled {
            identity: Some(update.identity),
            attributes: update.attributes,
            applied: is_known,
            ..Handled::done(reply, verdict)
        })
    }

    fn bulk(&mut self, request: &Request<'_>, now: Timestamp) -> Result<Handled, Wrong> {
        if !self.batches.call(now) {
            return wire::wrong(503, "more than 50 calls in a minute");
        }
        let rows = match batches::read(request.body) {
            Ok(rows) => rows,
            Err(wrong) if wrong.status == 400 => {
                let body = format!("<response><success>false</success><message>{}</message></response>", wrong.problem);
                let handled = Handled::wrong(wrong);
                return Ok(Handled { reply: Reply::new(200, "application/xml", body), ..handled });
            }
            Err(wrong) => return Err(wrong),
        };
        let count = rows.len();
        let faults = self.faults.strike_batch();
        let id = self.batches.submit(request.client, request.api, rows, &faults, now);
        // The real one names another host, without TLS.
        let body = format!(
            "<response><success>true</success>\n<batchStatus>http://mboxedge45.sandbox.invalid/m2/{}/profile/batchStatus?\
             batchId={id}</batchStatus>\n<message>Batch submitted for processing</message></response>",
            request.client
        );
        Ok(Handled {
            rows: count,
            ..Handled::done(Reply::new(200, "application/xml", body), format!("submitted as {id}"))
        })
    }

    fn batch_status(&self, request: &Request<'_>) -> Handled {
        let id = delivery::parameter(request.query, "batchId").unwrap_or_default();
        let has_details = delivery::parameter(request.query, "showDetails").as_deref() == Some("true");
        match self.batches.status(&id, has_details) {
            Some(body) => Handled::done(Reply::new(200, "application/xml", body), "told"),
            None => Handled::wrong(Wrong { status: 404, problem: "there is no such batch".to_owned() }),
        }
    }

    fn fetch(&mut self, request: &Request<'_>, now: Timestamp) -> Result<Handled, Wrong> {
        let Some(identity) = request.fetched.clone() else { return wire::wrong(400, "the path names no identity") };
        if let Some(seconds) = spend(&mut self.reads, self.reads_per_day, now) {
            return Ok(Handled::spent(seconds, "calls"));
        }
        let client = request.client;
        let (kind, key) = (identity.kind(), identity.key());
        let pc_id = self.profiles.pc_id(kind, key);
        let third = match kind {
            IdentityKind::ThirdPartyId => Some(key.to_owned()),
            IdentityKind::PcId => self.profiles.third_party_id(key).map(str::to_owned),
        };
        let Some(profile) = self.profiles.shown(kind, key, now) else {
            let named = if kind == IdentityKind::PcId { "tnt id" } else { "third party id" };
            let message = format!("No profile found for client {client} with {named}={key}");
            let status = if self.faults.strike_missing() { 200 } else { 404 };
            let reply = Reply::json(status, &json!({ "status": 404, "message": message }));
            return Ok(Handled { identity: Some(identity), applied: false, ..Handled::done(reply, "not found") });
        };
        let attributes: serde_json::Map<String, serde_json::Value> = profile
            .iter()
            .map(|(name, held)| {
                let modified_at = local_time(held.modified_at);
                (name.clone(), json!({ "value": held.value, "modifiedAt": modified_at }))
            })
            .collect();
        let modified_at = profile.values().map(|held| held.modified_at).max().unwrap_or(now);
        let mut document = json!({
            "mboxPC": pc_id,
            "client": client,
            "modifiedAt": local_time(modified_at),
            "profileAttributes": attributes,
        });
        if let Some(third) = third {
            document["thirdPartyId"] = json!(third);
        }
        Ok(Handled { identity: Some(identity), ..Handled::done(Reply::json(200, &document), "told") })
    }

    fn deliver(&mut self, request: &Request<'_>, now: Timestamp) -> Result<Handled, Wrong> {
        let call = match delivery::read(request.query, request.content_type, request.body) {
            Ok(call) => call,
            Err(wrong) => {
                let document = json!({ "status": wrong.status, "message": wrong.problem });
                let reply = Reply::json(wrong.status, &document);
                return Ok(Handled { reply, ..Handled::wrong(wrong) });
            }
        };
        let made = || format!("sandbox-{}", now.as_millis());
        let tnt_id = match (&call.tnt_id, &call.third_party_id) {
            (Some(tnt_id), third) => {
                third.as_ref().inspect(|third| self.profiles.join(tnt_id, third));
                tnt_id.clone()
            }
            (None, Some(third)) => self.profiles.pc_id(IdentityKind::ThirdPartyId, third),
            (None, None) => made(),
        };
        let identity = call.identity().or_else(|| Identity::new(IdentityKind::PcId, tnt_id.as_str()).ok());
        let Some(identity) = identity else { return wire::wrong(400, "there is no usable id") };
        self.profiles.learn(&identity);
        if !self.profiles.write(&identity, &call.attributes, Write::Visit, now) {
            return wire::wrong(400, "the profile would hold more than 64 KB");
        }
        let reply = Reply::json(200, &call.answer(request.client, &tnt_id));
        Ok(Handled {
            identity: Some(identity),
            attributes: call.attributes,
            ..Handled::done(reply, "applied, as a visit")
        })
    }

    fn log(&mut self, request: &Request<'_>, handled: &Handled, at: Timestamp) {
        self.number += 1;
        if self.requests.len() == self.requests_kept {
            self.requests.pop_front();
        }
        let fault = handled.reply.fault.as_ref();
        self.requests.push_back(LoggedRequest {
            number: self.number,
            at,
            api: request.api.name(),
            method: request.method.to_owned(),
            bytes: request.query.len() + request.body.len(),
            identity: handled.identity.as_ref().map(|identity| (identity.kind().name(), identity.key().to_owned())),
            attributes: handled.attributes.clone(),
            rows: handled.rows,
            applied: handled.applied,
            verdict: handled.verdict.clone(),
            status: if fault.is_some_and(Fault::is_silent) { 0 } else { handled.reply.status },
            wrong: handled.wrong.clone(),
            fault: fault.map(ToString::to_string),
        });
    }
}

fn read_single(request: &Request<'_>) -> Result<wire::Update, Wrong> {
    let Request { method, query, content_type, body, .. } = *request;
    wire::read(wire::Request { method, query, content_type, body })
}

/// Counts a use within a rolling day. If the limit is reached, returns the seconds until the next one is allowed.
fn spend(uses: &mut VecDeque<Timestamp>, per_day: Option<usize>, now: Timestamp) -> Option<u64> {
    let per_day = per_day?;
    let day_ago = now.minus(QUOTA_WINDOW);
    uses.retain(|at| *at > day_ago);
    if uses.len() < per_day {
        uses.push_back(now);
        return None;
    }
    let opens = uses.front().map_or(QUOTA_WINDOW, |oldest| oldest.plus(QUOTA_WINDOW).since(now));
    Some(opens.as_secs() + 1)
}

/// Returns a time as Target writes it: UTC, in whole seconds, without an offset. Source: Target Fetch profile API,
/// example.
fn local_time(time: Timestamp) -> String {
    let whole = Timestamp::from_millis(time.as_millis().div_euclid(1_000) * 1_000).to_string();
    whole.trim_end_matches('Z').to_owned()
}
