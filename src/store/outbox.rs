//! The outbox: claiming pending profiles, the longest waiting first.
//!
//! That a profile is in flight is a fact about the process, not about the disk: after a crash everything that was
//! not acknowledged is simply pending.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::{StoreError, profiles, schema};
use crate::identity::Identity;

/// The profiles that are claimed, shared with whoever shows them.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<Flights>>);

#[derive(Debug, Default)]
struct Flights {
    /// The newest version that is in flight of each profile.
    claimed: HashMap<i64, i64>,
    /// Profiles that are erased, and are not claimed from an older view of the store. Their numbers are not given again
    /// in the life of the process.
    grounded: HashSet<i64>,
}

impl InFlight {
    /// The newest version that is in flight of a profile, if one is.
    #[must_use]
    pub fn newest_version(&self, profile_id: i64) -> Option<i64> {
        self.with(|flights| flights.claimed.get(&profile_id).copied())
    }

    /// Lets no claim take this profile from now on.
    pub fn ground(&self, profile_id: i64) {
        self.with(|flights| flights.grounded.insert(profile_id));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Flights) -> T) -> T {
        // The map is whole even if a holder panicked: each act is one call on it.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One profile, taken for one delivery. It cannot be cloned; dropping it releases the profile, so that what was not
/// settled is pending again.
pub struct Claim {
    /// The profile's number in the store.
    pub profile_id: i64,
    /// Whose profile.
    pub identity: Identity,
    /// What is pending, by name.
    pub attributes: Vec<ClaimedAttribute>,
    /// None until it is in flight.
    in_flight: Option<InFlight>,
}

/// One pending attribute, as it will be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimedAttribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The version of that value.
    pub version: i64,
}

impl Claim {
    /// Puts the profile in flight, unless it is already.
    fn take_off(&mut self, in_flight: &InFlight) -> bool {
        let newest = self.attributes.iter().map(|attribute| attribute.version).max().unwrap_or(0);
        let is_first = in_flight.with(|flights| match flights.claimed.entry(self.profile_id) {
            Entry::Vacant(place) if !flights.grounded.contains(&self.profile_id) => {
                place.insert(newest);
                true
            }
            _ => false,
        });
        self.in_flight = is_first.then(|| in_flight.clone());
        is_first
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.with(|flights| flights.claimed.remove(&self.profile_id));
        }
    }
}

// Neither identity nor values may reach a log.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("attributes", &self.attributes.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClaimedAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimedAttribute").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Where claims come from. There is one, so that no profile is claimed twice.
pub struct Outbox {
    connection: Connection,
    in_flight: InFlight,
}

impl Outbox {
    /// An outbox over the store's file, which a writer has opened before.
    ///
    /// # Errors
    /// [`StoreError::Open`] or [`StoreError::NewerSchema`].
    pub fn open(path: &Path, in_flight: InFlight) -> Result<Self, StoreError> {
        Ok(Self { connection: schema::open_reader(path)?, in_flight })
    }

    /// Claims up to `limit` profiles that are neither in flight nor in `aside`.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn claim(&mut self, limit: usize, aside: &HashSet<i64>) -> Result<Vec<Claim>, StoreError> {
        claim(&self.connection, &self.in_flight, limit, aside).map_err(StoreError::Read)
    }
}

impl super::Store {
    /// As [`Outbox::claim`], on the writing connection: for simulations, which have no second one.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn claim(&self, in_flight: &InFlight, limit: usize, aside: &HashSet<i64>) -> Result<Vec<Claim>, StoreError> {
        claim(&self.connection, in_flight, limit, aside).map_err(StoreError::Read)
    }
}

fn claim(
    connection: &Connection,
    in_flight: &InFlight,
    limit: usize,
    aside: &HashSet<i64>,
) -> rusqlite::Result<Vec<Claim>> {
    // Taken before the snapshot is: a profile that is released in between may be older in the snapshot than what
    // was acknowledged, and must not be sent again from it.
    let busy: HashSet<i64> =
        in_flight.with(|flights| flights.claimed.keys().chain(&flights.grounded).copied().collect());
    // One statement for all: a query for each profile would cost as much again. A profile without attributes, which there
    // should not be, is claimed too, so that its settlement takes it out.
    let mut pending = connection.prepare_cached(
        "SELECT id, kind, key, name, value, version
         FROM profile LEFT JOIN attribute ON profile_id = id AND version > max(delivered_version, refused_version)
         WHERE pending_seq IS NOT NULL ORDER BY pending_seq, id",
    )?;
    let mut rows = pending.query([])?;
    let mut claims: Vec<Claim> = Vec::new();
    let mut passed_over = None;
    while let Some(row) = rows.next()? {
        let profile_id: i64 = row.get(0)?;
        if passed_over == Some(profile_id) {
            continue;
        }
        if claims.last().is_none_or(|claim| claim.profile_id != profile_id) {
            if claims.len() == limit {
                break;
            }
            if busy.contains(&profile_id) || aside.contains(&profile_id) {
                passed_over = Some(profile_id);
                continue;
            }
            claims.push(Claim {
                profile_id,
                identity: profiles::identity(row, 1)?,
                attributes: Vec::new(),
                in_flight: None,
            });
        }
        if let Some(name) = row.get(3)? {
            let attribute = ClaimedAttribute { name, value: row.get(4)?, version: row.get(5)? };
            claims.last_mut().expect("pushed above").attributes.push(attribute);
        }
    }
    claims.retain_mut(|claim| claim.take_off(in_flight));
    Ok(claims)
}
