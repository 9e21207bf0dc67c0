//! What the device holds of a person.

use super::{Books, Keeper, Running};
use crate::core::forwarding::link::LinkState;
use crate::core::identity::Identity;
use crate::core::timestamp::Timestamp;
use crate::forward::shown::{LinkView, ProfileWait};
use crate::inspect::Unanswered;
use crate::inspect::profile::{Profile, ProfileWaitView, profile};

/// Events of a profile that are shown with it.
const EVENTS_SHOWN: usize = 20;

impl Books {
    /// The document of `GET /v1/profiles/{kind}/{key}`.
    ///
    /// # Errors
    /// [`Unanswered::NotFound`] or [`Unanswered::Store`].
    pub fn profile(&self, identity: &Identity) -> Result<Profile, Unanswered> {
        let forms = self.forms(identity);
        let reader = self.reader();
        let row = reader.profile(&forms)?.ok_or_else(Unanswered::no_profile)?;
        let events = reader.profile_events(row.id, EVENTS_SHOWN)?;
        drop(reader);
        let (id, now, in_flight) = (row.id, self.clock.now(), self.in_flight().newest_version(row.id));
        let found = profile(row, events, in_flight, now);
        let is_pending = found.attributes.iter().any(|attribute| attribute.state == "pending");
        Ok(Profile { waits: if is_pending { self.waits(id, now) } else { None }, ..found })
    }

    /// Why a profile that is pending waits: with all others, or it alone.
    fn waits(&self, profile_id: i64, now: Timestamp) -> Option<ProfileWaitView> {
        match &self.keeper {
            Keeper::Agent(agent) => agent.waits(profile_id, now),
            Keeper::Nobody(_) => Some(ProfileWaitView { reason: "the agent is not running".to_owned(), until: None }),
        }
    }
}

impl Running {
    fn waits(&self, profile_id: i64, now: Timestamp) -> Option<ProfileWaitView> {
        let LinkView { state, reason, quota_opens_at, .. } = self.link.borrow().clone();
        if !matches!(state, LinkState::Online | LinkState::Unknown) {
            let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            return Some(ProfileWaitView { reason: format!("the link is {}{why}", state.name()), until: None });
        }
        let alone = self.waits.of(profile_id).filter(|wait| wait.until > now);
        if let Some(ProfileWait { reason, until }) = alone {
            return Some(ProfileWaitView { reason: reason.to_owned(), until: Some(until.to_string()) });
        }
        let until = quota_opens_at.filter(|at| *at > now)?.to_string();
        Some(ProfileWaitView { reason: "the quota of 24 hours is spent".to_owned(), until: Some(until) })
    }
}
