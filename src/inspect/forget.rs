//! Forgetting people: everywhere on this device, and saying what was erased. What would be erased of one is found here, too.
//!
//! Log lines hold nobody's data, so that there is nothing to erase in them. Target keeps what it was sent: it has no way
//! to remove an attribute.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::identity::{Identity, StoredForms};
use crate::core::limits::BATCH_INCOMPLETE_MAX;
use crate::core::mapping::Mappings;
use crate::core::operation::LATE_MAX;
use crate::core::timestamp::Timestamp;
use crate::intake::cloudevents;
use crate::store::{
    ErasedProfile, InFlight, JournalRow, Over, ProfileRow, Reader, StoreError, StoreFile, Transaction, Writer,
    checkpoint, delete_kept, note_erasure,
};

/// Events that are looked at, and emptied, at a time.
const PART_EVENTS: i64 = 500;

/// Forms of identities that one transaction erases.
const PART_FORMS: usize = 50;

/// Interval at which to check whether the update in flight has ended. It ends within the timeout of a request.
const INTERVAL: Duration = Duration::from_millis(10);

/// Numbers of what was erased: the answer of `DELETE /v1/profiles/{kind}/{key}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Attributes of the profile.
    pub attributes: usize,
    /// Attributes among them that Target did not have yet.
    pub pending: usize,
    /// Events of the journal, mapped or not.
    pub events: usize,
    /// Rejected events and updates.
    pub rejected: usize,
    /// Notes of repeated events.
    #[serde(default)]
    pub duplicates: usize,
    /// True if an update was in flight, and was waited for: Target may have it.
    pub was_in_flight: bool,
    /// Damaged stores that were kept beside the store, and were deleted: they may have held more of it.
    #[serde(default)]
    pub damaged_stores: usize,
    /// Why the list of erasures does not hold this one, which was done all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<String>,
}

impl Forgotten {
    /// Returns the sum of two results, for several people.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            attributes: self.attributes + other.attributes,
            pending: self.pending + other.pending,
            events: self.events + other.events,
            rejected: self.rejected + other.rejected,
            duplicates: self.duplicates + other.duplicates,
            was_in_flight: self.was_in_flight || other.was_in_flight,
            damaged_stores: self.damaged_stores + other.damaged_stores,
            unlisted: self.unlisted.or(other.unlisted),
        }
    }

    /// Returns whether there was nothing of the identity in the store.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.attributes + self.events + self.rejected + self.duplicates == 0
    }
}

/// Numbers of what was erased of several identities: the answer of `POST /v1/forget`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenTogether {
    /// Of each, in the order in which they were asked for.
    pub forgotten: Vec<Forgotten>,
    /// Damaged stores that were kept beside the store, and were deleted: they may have held more of them.
    pub damaged_stores: usize,
    /// Why the list of erasures does not hold this one, which was done all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<String>,
}

impl ForgottenTogether {
    /// All of them as one.
    #[must_use]
    pub fn all(&self) -> Forgotten {
        let all = self.forgotten.iter().cloned().fold(Forgotten::default(), Forgotten::plus);
        Forgotten { damaged_stores: self.damaged_stores, unlisted: self.unlisted.clone(), ..all }
    }
}

/// Events about each of several people.
pub struct Search {
    mappings: Arc<Mappings>,
    /// By each form under which somebody may be stored: the place among those who are asked for.
    forms: HashMap<Identity, usize>,
    profiles: HashMap<i64, usize>,
    /// Events that were noted as about somebody when they came.
    noted: HashMap<i64, Vec<usize>>,
}

impl Search {
    /// Begins a search for people.
    #[must_use]
    pub fn new(mappings: Arc<Mappings>, identities: &[Identity]) -> Self {
        let mut forms = HashMap::new();
        for (place, identity) in identities.iter().enumerate() {
            forms.extend(mappings.stored_forms(identity).iter().map(|form| (form.clone(), place)));
        }
        Self { mappings, forms, profiles: HashMap::new(), noted: HashMap::new() }
    }

    /// Returns whom an event is about. Any mapping tells, whatever its type and condition: an event that was rejected, or came before
    /// its mapping, is as much about a person as another.
    #[must_use]
    pub fn whom(&self, row: &JournalRow) -> BTreeSet<usize> {
        let mut whom: BTreeSet<usize> =
            row.profile_ids.iter().filter_map(|id| self.profiles.get(id).copied()).collect();
        whom.extend(self.noted.get(&row.seq).into_iter().flatten());
        if let Ok(parsed) = cloudevents::journalled(&row.json) {
            let about = self.mappings.about(&parsed.at(row.time, row.time));
            whom.extend(about.iter().filter_map(|identity| self.forms.get(identity)));
        }
        whom
    }

    /// Looks through the whole journal, and hands each part over with whom each event in it is about, where that is anybody.
    ///
    /// # Errors
    /// [`StoreError::Read`], and that of `found`.
    pub fn run(
        &self,
        reader: &Reader,
        mut found: impl FnMut(Vec<(JournalRow, BTreeSet<usize>)>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let part = reader.journal_part(after, PART_EVENTS)?;
            let Some(last) = part.last() else { return Ok(()) };
            after = last.seq;
            let about: Vec<(JournalRow, BTreeSet<usize>)> = part
                .into_iter()
                .map(|row| {
                    let whom = self.whom(&row);
                    (row, whom)
                })
                .filter(|(_, whom)| !whom.is_empty())
                .collect();
            if !about.is_empty() {
                found(about)?;
            }
        }
    }
}

/// Store and journal in which people are to be forgotten.
pub struct Forgetting {
    /// The store's writer.
    pub writer: Writer,
    /// A connection of its own.
    pub reader: Reader,
    /// The store's file.
    pub store_file: StoreFile,
    /// Claims in flight.
    pub in_flight: InFlight,
    /// Mappings that tell whose an unmapped event is.
    pub mappings: Arc<Mappings>,
    /// This device's time.
    pub now: Timestamp,
}

impl Forgetting {
    /// Erases all that the device holds of identities, with one look through the journal. It waits for the disk: not for an
    /// async thread.
    ///
    /// # Errors
    /// [`StoreError`]; what was erased until then is gone, and the same call goes on with the rest.
    pub fn forget(&self, identities: &[Identity]) -> Result<ForgottenTogether, StoreError> {
        // Which of the purged events were about these people nobody knows: so nobody shall find out by trying.
        let forget = |store: &mut Transaction<'_>| store.forget_fingerprints();
        self.writer.act_blocking(forget)?;
        let mut search = Search::new(self.mappings.clone(), identities);
        let mut forgotten = vec![Forgotten::default(); identities.len()];
        let profiles = self.profiles(&mut search)?;
        for (place, profile) in &profiles {
            // Its row leaves a batch that is not sent yet; one that was sent Target may have.
            forgotten[*place].was_in_flight |= profile.batch_id.is_some() | self.ground(profile.id);
        }
        // The events before the profiles: should this be cut off, the profiles still say which are their own.
        self.erase_events(&search, &mut forgotten)?;
        let batched: BTreeSet<usize> =
            profiles.iter().filter(|(_, profile)| profile.batch_id.is_some()).map(|(place, _)| *place).collect();
        // What was sent before may be applied, or show, after.
        let late = |place: &usize| if batched.contains(place) { BATCH_INCOMPLETE_MAX + LATE_MAX } else { LATE_MAX };
        let forms: Vec<(Identity, usize, Timestamp)> =
            search.forms.iter().map(|(form, place)| (form.clone(), *place, self.now.plus(late(place)))).collect();
        for part in forms.chunks(PART_FORMS) {
            for (place, erased) in self.erase_forms(part)? {
                forgotten[place] = std::mem::take(&mut forgotten[place]).plus(erased);
            }
        }
        // Some may have been recorded meanwhile, and were erased with the others.
        self.writer.act_blocking(move |store| forget(store).and_then(|()| store.bound_forgotten()))?;
        checkpoint(&self.store_file)?;
        // Nobody can find one person in them.
        let damaged_stores = delete_kept(&self.store_file.path, Over::All)?;
        let mut together = ForgottenTogether { forgotten, damaged_stores, unlisted: None };
        together.unlisted = self.tell(&together).err();
        Ok(together)
    }

    /// The profiles of those who are searched for, each with its place among them.
    fn profiles(&self, search: &mut Search) -> Result<Vec<(usize, ProfileRow)>, StoreError> {
        let mut profiles = Vec::new();
        for (form, place) in &search.forms {
            if let Some(profile) = self.reader.profile(&StoredForms::exactly(form.clone()))? {
                search.profiles.insert(profile.id, *place);
                profiles.push((*place, profile));
            }
            for seq in self.reader.noted_events(form)? {
                search.noted.entry(seq).or_default().push(*place);
            }
        }
        Ok(profiles)
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

    fn erase_events(&self, search: &Search, forgotten: &mut [Forgotten]) -> Result<(), StoreError> {
        search.run(&self.reader, |about| {
            let seqs: Vec<i64> = about.iter().map(|(row, _)| row.seq).collect();
            let rejected = self.writer.act_blocking(move |store| store.erase_events(&seqs))?;
            for (row, whom) in about {
                for place in whom {
                    forgotten[place].events += 1;
                    forgotten[place].rejected += usize::from(rejected.contains(&row.seq));
                }
            }
            Ok(())
        })
    }

    /// Erases the profiles of some forms of identities, and notes that they were forgotten.
    fn erase_forms(&self, forms: &[(Identity, usize, Timestamp)]) -> Result<Vec<(usize, Forgotten)>, StoreError> {
        let (forms, now) = (forms.to_vec(), self.now);
        self.writer.act_blocking(move |store| {
            let mut all = Vec::new();
            for (form, place, until) in &forms {
                let erased = store.erase_profile(form)?.unwrap_or_default();
                let ErasedProfile { attributes, pending, rejected } = erased;
                let duplicates = store.forget_person(form, now, *until)?;
                all.push((*place, Forgotten { attributes, pending, rejected, duplicates, ..Forgotten::default() }));
            }
            Ok(all)
        })
    }

    /// Says it in the log and in the list of erasures, without whom it was about.
    ///
    /// # Errors
    /// A clause about the list, which cannot be written.
    fn tell(&self, together: &ForgottenTogether) -> Result<(), String> {
        let identities = together.forgotten.len();
        let Forgotten { attributes, events, rejected, .. } = together.all();
        tracing::info!(identities, attributes, events, rejected, "identities were forgotten");
        let line = format!(
            "{} identities={identities} attributes={attributes} events={events} rejected={rejected} damaged_stores={}",
            self.now, together.damaged_stores
        );
        note_erasure(&self.store_file.path, &line)
            .inspect_err(|why| tracing::error!(why, "identities were forgotten, which is not in the list of erasures"))
    }
}
