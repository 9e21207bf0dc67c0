//! Handing over to a hub instead of Target: one request at a time, with the parts of many profiles.
//!
//! A part is a state, which the hub may have twice: after a lost answer it is simply handed over again. A request that fails is
//! halved, so that a part on which a hub fails ends up alone; then it waits by itself, and the others go on.

use std::time::Duration;

use super::flight::{Flight, Plan, Purpose};
use super::{Action, Ask, Core, Moment};
use crate::adobe::{Handed, Outcome};
use crate::core::fleet::{ATTRIBUTES_MAX, AttributePart, BODY_BYTES_MAX, PROFILES_MAX, ProfileParts, Refused, Taken};
use crate::core::forwarding::link::{LinkState, Permit};
use crate::core::forwarding::route::Route;
use crate::core::reason::Reason;
use crate::forward::judge::fresh;
use crate::store::{Claim, Refusal};

/// Most bytes of parts in one request; the rest of a body is for the device's state and confirmed parts.
const PARTS_BYTES_MAX: usize = BODY_BYTES_MAX - 96 * 1024;

/// Fewest bytes of parts below which a request is not halved further.
const PARTS_BYTES_MIN: usize = 8 * 1024;

/// Longest wait that the hub may ask for before more is handed over. Source: our choice; it may answer 503 for longer.
const NEXT_MAX: Duration = Duration::from_secs(15 * 60);

/// Time for which a profile waits that an older hub cannot take.
const HOLD: Duration = Duration::from_secs(15 * 60);

/// Why such a profile waits.
const HELD: &str = "the hub does not know an operation of its attributes; update the hub";

/// Pause after a request that was too large.
const TOO_LARGE_PAUSE: Duration = Duration::from_secs(1);

/// Why a profile waits by itself.
const FAILED: &str = "the hub failed on it, or did not answer";

/// A profile in the request, with the attributes of its claim that are in it.
struct InRequest {
    profile_id: i64,
    attributes: Vec<usize>,
}

/// The state of handing over.
pub(super) struct HandingOver {
    /// The request in progress.
    request: Option<Vec<InRequest>>,
    /// Bytes of parts in it.
    bytes: usize,
    /// Largest number of profiles and bytes of parts in the next request.
    profiles_max: usize,
    bytes_max: usize,
    /// Time of the last request; `None` before the first.
    sent_at: Option<Duration>,
    /// Time before which the hub wants no more.
    not_before: Duration,
    /// True if the last request failed: the next probe carries nothing that could be the cause.
    has_failed: bool,
}

impl Default for HandingOver {
    fn default() -> Self {
        Self {
            request: None,
            bytes: 0,
            profiles_max: PROFILES_MAX,
            bytes_max: PARTS_BYTES_MAX,
            sent_at: None,
            not_before: Duration::ZERO,
            has_failed: false,
        }
    }
}

impl HandingOver {
    fn grow(&mut self) {
        self.profiles_max = (self.profiles_max * 2).min(PROFILES_MAX);
        self.bytes_max = (self.bytes_max * 2).min(PARTS_BYTES_MAX);
    }
}

impl Core {
    /// Decides the next step towards a hub, which hears of this device at least that often.
    pub(super) fn hand_over_step(&mut self, permit: Permit, every: Duration, moment: Moment) -> Action {
        let now = moment.elapsed;
        if self.handing.request.is_some() || self.busy.is_claiming {
            return Action::Wait(self.settle_at);
        }
        if permit == Permit::Probe && self.handing.has_failed {
            return self.hand_over(Vec::new(), now);
        }
        if now >= self.handing.not_before {
            if !self.claims.is_empty() {
                let claims = self.next_claims();
                return self.hand_over(claims, now);
            }
            // There are too many profiles waiting each by itself to remember more.
            if self.may_have_more && !self.setbacks.is_full(now) {
                self.may_have_more = false;
                self.busy.is_claiming = true;
                self.asked = self.handing.profiles_max;
                return Action::Claim(self.ask_for_hub(now));
            }
        }
        let sign_at = self.handing.sent_at.map_or(now, |at| at + every);
        if sign_at <= now {
            return self.hand_over(Vec::new(), now);
        }
        let paced = Some(self.handing.not_before).filter(|at| *at > now && self.may_have_more);
        self.wake_at = self.setbacks.next(now).into_iter().chain(paced).min();
        Action::Wait(self.wake_at.into_iter().chain([sign_at]).chain(self.settle_at).min())
    }

    fn ask_for_hub(&mut self, now: Duration) -> Ask {
        // A profile on which the hub failed has its turn when no other is pending.
        self.is_careful = !self.probes_failed;
        Ask {
            limit: self.handing.profiles_max,
            aside: if self.is_careful { self.setbacks.all() } else { self.setbacks.waiting(now) },
            backlog_max: 0,
            late_before: None,
            goes_in_batch: false,
            can_batch: false,
            hands_over: true,
            is_probe: false,
        }
    }

    /// Returns the claims of the next request. A profile that has failed goes alone.
    fn next_claims(&mut self) -> Vec<Claim> {
        let has_failed = |core: &Self, claim: &Claim| core.setbacks.failures(claim.profile_id) > 0;
        let mut claims = Vec::new();
        while let Some(claim) = self.claims.pop_front() {
            let is_alone = has_failed(self, &claim);
            if is_alone && !claims.is_empty() {
                self.claims.push_front(claim);
                break;
            }
            claims.push(claim);
            if is_alone || claims.len() >= self.handing.profiles_max {
                break;
            }
        }
        claims
    }

    /// Makes one request of claims, of as much as it may hold. What has no room is claimed again.
    fn hand_over(&mut self, claims: Vec<Claim>, now: Duration) -> Action {
        let (mut profiles, mut request, mut bytes) = (Vec::new(), Vec::new(), 0);
        for claim in claims {
            let mut profile =
                ProfileParts { place: profiles.len(), identity: claim.identity.clone(), attributes: Vec::new() };
            let mut included = Vec::new();
            for (index, attribute) in claim.attributes.iter().enumerate() {
                let more = profile.head_bytes() + attribute.parts.iter().map(AttributePart::bytes).sum::<usize>();
                let count = profile.attributes.len() + attribute.parts.len();
                let is_first = profiles.is_empty() && included.is_empty();
                if !is_first && (bytes + more > self.handing.bytes_max || count > ATTRIBUTES_MAX) {
                    break;
                }
                bytes += more;
                profile.attributes.extend(attribute.parts.iter().cloned());
                included.push(index);
            }
            if included.is_empty() && !claim.attributes.is_empty() {
                self.released += 1;
                self.may_have_more = true;
                continue;
            }
            self.may_have_more |= included.len() < claim.attributes.len();
            let mut flight = Flight::new(claim, Purpose::Deliver, Plan::unsent(Route::Hub));
            flight.update = fresh(&flight.claim, false);
            let profile_id = flight.claim.profile_id;
            request.push(InRequest { profile_id, attributes: included });
            self.flights.insert(profile_id, flight);
            self.sending.insert(profile_id);
            profiles.push(profile);
        }
        (self.handing.bytes, self.handing.sent_at, self.handing.request) = (bytes, Some(now), Some(request));
        self.link.sent(now);
        Action::HandOver(profiles)
    }

    /// Takes the hub's answer.
    pub(super) fn handed_over(&mut self, handed: Handed, moment: Moment, chance: f64) {
        let Some(request) = self.handing.request.take() else { return };
        request.iter().for_each(|it| _ = self.sending.remove(&it.profile_id));
        match handed {
            Handed::Taken(taken) => self.taken(request, &taken, moment, chance),
            Handed::Failed(outcome) => self.not_handed_over(request, &outcome, moment, chance),
        }
    }

    fn taken(&mut self, request: Vec<InRequest>, taken: &Taken, moment: Moment, chance: f64) {
        self.told_time(Some(taken.time), moment);
        self.handing.has_failed = false;
        if !request.is_empty() {
            self.handing.grow();
        }
        if self.may_have_more || !self.claims.is_empty() {
            self.handing.not_before = moment.elapsed + Duration::from_secs(taken.next_in_seconds).min(NEXT_MAX);
        }
        for (place, InRequest { profile_id, attributes }) in request.into_iter().enumerate() {
            self.refusals.accepted();
            self.setbacks.remove(profile_id);
            let Some(flight) = self.flights.get_mut(&profile_id) else { continue };
            let (held, refused): (Vec<&Refused>, Vec<&Refused>) =
                taken.refused.iter().filter(|refused| refused.profile == place).partition(|refused| refused.hold);
            let has_none = flight.claim.attributes.iter().all(|attribute| attribute.parts.is_empty());
            flight.handed_over(&attributes, (&held, &refused), place == 0);
            if !held.is_empty() || has_none && !flight.claim.attributes.is_empty() {
                self.setbacks.rest(profile_id, moment.elapsed + HOLD, HELD);
            }
            self.end(profile_id, moment, chance);
        }
        self.heard(&Outcome::Delivered, moment, chance);
    }

    fn not_handed_over(&mut self, request: Vec<InRequest>, outcome: &Outcome, moment: Moment, chance: f64) {
        let is_too_large = *outcome == Outcome::TooLarge;
        let may_be_its = is_too_large || matches!(outcome, Outcome::Failing(_) | Outcome::Lost(_));
        // An attribute alone that a hub finds too large will not become smaller.
        let is_smallest = |it: &InRequest| it.attributes.len() <= 1 || self.handing.bytes <= PARTS_BYTES_MIN;
        let is_refused = is_too_large && request.len() == 1 && request.first().is_some_and(is_smallest);
        if is_too_large {
            self.handing.bytes_max = (self.handing.bytes / 2).max(PARTS_BYTES_MIN);
            self.handing.not_before = moment.elapsed + TOO_LARGE_PAUSE;
        }
        if may_be_its && !request.is_empty() {
            self.handing.profiles_max = (request.len() / 2).max(1);
        }
        self.handing.has_failed = !is_too_large;
        let is_alone = request.len() == 1;
        let accepted = self.refusals.accepted_count();
        // Others were taken since it failed before: that says nothing about the link.
        let is_its_alone = is_alone && request.iter().all(|it| self.setbacks.is_alone(it.profile_id, accepted));
        for (place, InRequest { profile_id, attributes }) in request.into_iter().enumerate() {
            if is_alone && may_be_its && !is_refused && !is_too_large {
                self.setbacks.put(profile_id, moment.elapsed, chance, accepted, FAILED);
            }
            let Some(flight) = self.flights.get_mut(&profile_id) else { continue };
            flight.outcome = Some(outcome.clone());
            flight.requests = i64::from(place == 0 && outcome.reached_target());
            if is_refused {
                flight.refuse(
                    attributes,
                    Reason::TooLarge,
                    "the hub, or what stands before it, takes no request of this size",
                );
            }
            self.end(profile_id, moment, chance);
        }
        if !(is_its_alone && may_be_its && self.link.state() == LinkState::Online) {
            self.heard(outcome, moment, chance);
        }
    }
}

impl Flight {
    /// Applies the hub's answer to the attributes that were handed over. Requests count once, with the first profile.
    fn handed_over(&mut self, attributes: &[usize], (held, refused): (&[&Refused], &[&Refused]), is_first: bool) {
        self.outcome = Some(Outcome::Delivered);
        self.requests = i64::from(is_first);
        let mut place = 0;
        for index in attributes {
            let attribute = &self.claim.attributes[*index];
            let (mut is_held, mut reason) = (false, None);
            for part in &attribute.parts {
                let is_of = |name: &Option<String>| name.as_ref().is_none_or(|name| *name == attribute.name);
                let is_its = |it: &&&Refused| it.place.map_or_else(|| is_of(&it.attribute), |its| its == place);
                is_held |= held.iter().any(|held| is_its(&held));
                let no = refused.iter().find(is_its);
                if let (None, false, Some(id)) = (no, is_held, part.id) {
                    self.answered.push((attribute.name.clone(), id, part.version));
                }
                reason = reason.or(no.map(|no| no.reason.clone()));
                place += 1;
            }
            match reason {
                Some(detail) => {
                    let reason = Reason::RefusedByHub;
                    self.refused.push(Refusal { attributes: vec![*index], reason, detail });
                }
                // With parts left it stays pending.
                None if attribute.has_all_parts && !is_held => self.delivered.push(*index),
                None => {}
            }
        }
        self.updates = i64::from(!self.answered.is_empty() || !self.delivered.is_empty());
    }
}
