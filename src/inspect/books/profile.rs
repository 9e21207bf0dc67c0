//! Everything that the device has about a person.

use std::collections::VecDeque;

use super::{Books, Keeper, Running};
use crate::core::forwarding::link::LinkState;
use crate::core::identity::Identity;
use crate::core::timestamp::Timestamp;
use crate::forward::shown::{LinkView, ProfileWait};
use crate::inspect::Unanswered;
use crate::inspect::forget::Search;
use crate::inspect::profile::{Profile, ProfileEventView, ProfileWaitView, WithoutEffectView, profile};
use crate::store::{ProfileEvent, Reader};

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
        let without_effect = reader.without_effect(&forms, EVENTS_SHOWN)?;
        let without_effect = without_effect.into_iter().map(WithoutEffectView::from).collect();
        let Some(row) = reader.profile(&forms)? else {
            drop(reader);
            return self.without_profile(identity, without_effect);
        };
        let events = reader.profile_events(row.id, EVENTS_SHOWN)?;
        drop(reader);
        let (id, now, in_flight) = (row.id, self.clock.now(), self.in_flight().newest_version(row.id));
        let found = profile(row, events, in_flight, now);
        let is_pending = found.attributes.iter().any(|attribute| attribute.state == "pending");
        Ok(Profile {
            waits: if is_pending { self.waits(id, now) } else { None },
            without_effect,
            receiver: self.receiver(),
            ..found
        })
    }

    /// The document of a person who has no profile here: of what forgetting would find in the journal. That looks through all of it.
    fn without_profile(
        &self,
        identity: &Identity,
        without_effect: Vec<WithoutEffectView>,
    ) -> Result<Profile, Unanswered> {
        // Of its own: others shall not wait for it.
        let reader = Reader::open(&self.store_file)?;
        let is_shown = |seq: i64| without_effect.iter().any(|shown| shown.seq == seq);
        let mut events: VecDeque<ProfileEvent> = VecDeque::new();
        Search::new(self.mappings.now(), std::slice::from_ref(identity)).run(&reader, |about| {
            let others = about.iter().filter(|(row, _)| !is_shown(row.seq));
            events.extend(others.map(|(row, _)| ProfileEvent::of(&row.json, row.time)));
            events.drain(..events.len().saturating_sub(EVENTS_SHOWN));
            Ok(())
        })?;
        if events.is_empty() && without_effect.is_empty() {
            return Err(Unanswered::nothing(reader.forgotten_at(&self.forms(identity))?));
        }
        let events = events.into_iter().rev().map(ProfileEventView::from).collect();
        Ok(Profile { receiver: self.receiver(), events, without_effect, ..Profile::without_attributes(identity) })
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
            let why = reason.map(|why| format!(": {}", why.words)).unwrap_or_default();
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
