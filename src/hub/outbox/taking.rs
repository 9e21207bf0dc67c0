//! Rows that were claimed, on their way into flight. Those that do not get there are let go again, whatever goes wrong.

use std::collections::HashMap;

use deadpool_postgres::Client;
use tokio_postgres::Row;
use uuid::Uuid;

use super::leases::{Lease, Leases};
use super::loaded::load;
use super::moment::Moment;
use crate::hub::error::HubError;
use crate::store::{Claim, ClaimParts};

/// Rows that are claimed, and not in flight yet.
pub(super) struct Taking<'l> {
    leases: &'l Leases,
    asked_at: Moment,
    /// Number of the claim, and whether it is due because an answer was lost, by profile.
    claimed: HashMap<Uuid, (i64, bool)>,
}

/// Rows that were taken off.
pub(super) struct Taken {
    /// The claims, each with whether it is due because an answer was lost.
    pub(super) claims: Vec<(Claim, bool)>,
    /// Claims that were let go, because this node cannot read their profiles.
    pub(super) unreadable: usize,
}

impl<'l> Taking<'l> {
    /// Returns none yet. They are asked for from now on.
    pub(super) fn begin(leases: &'l Leases) -> Self {
        Self { leases, asked_at: Moment::now(), claimed: HashMap::new() }
    }

    /// Takes note of rows that were just claimed, and reads their profiles on the same connection: there may be no other.
    pub(super) async fn read(&mut self, client: &Client, rows: &[Row]) -> Result<Vec<(Uuid, ClaimParts)>, HubError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let of = |row: &Row| (row.get("profile"), (row.get("fence"), row.get("is_ambiguous")));
        self.claimed = rows.iter().map(of).collect();
        let over = rows.iter().filter(|row| row.get("was_over")).count();
        if over > 0 {
            tracing::warn!(profiles = over, "claims whose time was over are this node's now");
        }
        load(client, self.claimed.keys().copied().collect()).await
    }

    /// Puts in flight what was read. Profiles that this process still has in flight, by a claim that is over, are let go, and those
    /// that it cannot read are set aside too.
    pub(super) fn take_off(mut self, all: Vec<(Uuid, ClaimParts)>) -> Taken {
        let mut claims = Vec::new();
        for (profile, parts) in all {
            let Some((fence, is_ambiguous)) = self.claimed.remove(&profile) else { continue };
            let lease = Lease { profile, fence };
            match Claim::made(parts, self.leases.in_flight()) {
                Some(claim) => {
                    self.leases.add(lease, self.asked_at);
                    claims.push((claim, is_ambiguous));
                }
                None => self.leases.abandon([lease], self.asked_at),
            }
        }
        let unreadable = self.claimed.len();
        if unreadable > 0 {
            tracing::warn!(profiles = unreadable, "profiles cannot be read by this node: update it");
            self.leases.set_aside(self.claimed.keys().copied());
        }
        Taken { claims, unreadable }
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let rest = self.claimed.drain().map(|(profile, (fence, _))| Lease { profile, fence });
        self.leases.abandon(rest, self.asked_at);
    }
}
