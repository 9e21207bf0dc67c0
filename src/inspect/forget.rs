//! Forgetting one identity: everywhere on this device, and saying what was erased.
//!
//! Log lines hold nobody's data, so that there is nothing to erase in them. Target keeps what it was sent: it has no way
//! to remove an attribute.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::identity::{Identity, StoredForms};
use crate::core::mapping::Mappings;
use crate::intake::cloudevents;
use crate::store::{
    ErasedProfile, InFlight, JournalRow, Over, Reader, StoreError, StoreFile, Transaction, Writer, checkpoint,
    delete_kept,
};

/// Events that are looked at, and emptied, at a time.
const PART_EVENTS: i64 = 500;

/// Interval at which to check whether the update in flight has ended. It ends within the timeout of a request.
const INTERVAL: Duration = Duration::from_millis(10);

/// What was erased: the answer of `DELETE /v1/profiles/{kind}/{key}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Attributes of the profile.
    pub attributes: usize,
    /// Attributes among them that Target did not have yet.
    pub pending: usize,
    /// Events of the journal, mapped or not.
    pub events: usize,
    /// Rejected events and updates.
    pub rejected: usize,
    /// True if an update was in flight, and was waited for: Target may have it.
    pub was_in_flight: bool,
    /// Damaged stores that were kept beside the store, and were deleted: they may have held more of it.
    #[serde(default)]
    pub damaged_stores: usize,
}

impl Forgotten {
    const fn plus(self, other: Self) -> Self {
        Self {
            attributes: self.attributes + other.attributes,
            pending: self.pending + other.pending,
            events: self.events + other.events,
            rejected: self.rejected + other.rejected,
            was_in_flight: self.was_in_flight || other.was_in_flight,
            damaged_stores: self.damaged_stores + other.damaged_stores,
        }
    }
}

/// Where it is to be forgotten.
pub struct Forgetting {
    /// The store's writer.
    pub writer: Writer,
    /// A connection of its own.
    pub reader: Reader,
    /// The store's file.
    pub store_file: StoreFile,
    /// What is in flight.
    pub in_flight: InFlight,
    /// What says whose an event is that no mapping took.
    pub mappings: Arc<Mappings>,
}

impl Forgetting {
    /// Erases all that the device holds of an identity. It waits for the disk: not for an async thread.
    ///
    /// # Errors
    /// [`StoreError`]; what was erased until then is gone, and the same call goes on with the rest.
    pub fn forget(&self, identity: &Identity) -> Result<Forgotten, StoreError> {
        // Which of the purged events were about this person nobody knows: so nobody shall find out by trying.
        let forget = |store: &mut Transaction<'_>| store.forget_fingerprints();
        self.writer.act_blocking(forget)?;
        let mut forgotten = Forgotten::default();
        for stored in self.mappings.stored_forms(identity).iter() {
            forgotten = forgotten.plus(self.forget_form(stored)?);
        }
        // Some may have been recorded meanwhile, and were erased with the others.
        self.writer.act_blocking(forget)?;
        checkpoint(&self.store_file)?;
        // Nobody can find one person in them.
        let damaged_stores = delete_kept(&self.store_file.path, Over::All)?;
        Ok(Forgotten { damaged_stores, ..forgotten })
    }

    /// Erases what the store holds of one form of an identity.
    fn forget_form(&self, identity: &Identity) -> Result<Forgotten, StoreError> {
        let profile = self.reader.profile(&StoredForms::exactly(identity.clone()))?;
        let profile_id = profile.as_ref().map(|profile| profile.id);
        // Its row leaves a batch that is not sent yet; one that was sent Target may have.
        let was_in_batch = profile.is_some_and(|profile| profile.batch_id.is_some());
        let was_in_flight = match profile_id {
            Some(profile_id) => self.ground(profile_id),
            None => false,
        };
        // The events before the profile: should this be cut off, the profile still says which are its own.
        let (events, rejected) = self.erase_events(identity, profile_id)?;
        let wanted = identity.clone();
        let profile = self.writer.act_blocking(move |store| store.erase_profile(&wanted))?;
        let ErasedProfile { attributes, pending, rejected: updates } = profile.unwrap_or_default();
        let was_in_flight = was_in_flight || was_in_batch;
        let rejected = rejected + updates;
        Ok(Forgotten { attributes, pending, events, rejected, was_in_flight, damaged_stores: 0 })
    }

    /// Keeps the profile from being sent from now on, and waits for what is in flight. Tells whether there was
    /// anything.
    fn ground(&self, profile_id: i64) -> bool {
        self.in_flight.ground(profile_id);
        let was_in_flight = self.in_flight.newest_version(profile_id).is_some();
        while self.in_flight.newest_version(profile_id).is_some() {
            std::thread::sleep(INTERVAL);
        }
        was_in_flight
    }

    fn erase_events(&self, identity: &Identity, profile_id: Option<i64>) -> Result<(usize, usize), StoreError> {
        let (mut after, mut events, mut rejected) = (0, 0, 0);
        loop {
            let part = self.reader.journal_part(after, profile_id, PART_EVENTS)?;
            let Some(last) = part.last() else { return Ok((events, rejected)) };
            after = last.seq;
            let seqs: Vec<i64> =
                part.iter().filter(|row| row.is_of_profile || self.is_of(identity, row)).map(|row| row.seq).collect();
            if !seqs.is_empty() {
                events += seqs.len();
                rejected += self.writer.act_blocking(move |store| store.erase_events(&seqs))?;
            }
        }
    }

    /// Returns whether any mapping would give this identity for an event, whatever its type and condition: an event
    /// that was rejected, or came before its mapping, is as much about a person as another.
    fn is_of(&self, identity: &Identity, row: &JournalRow) -> bool {
        let Ok(parsed) = cloudevents::journalled(&row.json) else { return false };
        self.mappings.identities(&parsed.at(row.time, row.time)).any(|found| found == *identity)
    }
}
