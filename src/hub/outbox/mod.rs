//! The hub's outbox: the forwarder's work, claimed in the database so that no two nodes have one profile at once.
//!
//! A claim is a row with a number and an end by the database's clock; it is renewed as long as it is in flight. A node that stood
//! still past that end has lost it: it sends no more of it, and settles nothing of it.

mod claims;
mod leases;
mod loaded;
mod moment;
mod quota;
mod results;
mod settling;
mod taking;

use std::sync::Arc;
use std::time::Duration;

use super::database::Database;
use super::error::HubError;
use crate::core::forwarding::quota::{Quota, QuotaClock};
use crate::core::limits::STOP_TIMEOUT;
use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;
use crate::forward::core::{Ask, Settle};
use crate::forward::shown::ReadQuota;
use crate::forward::{Counted, DeviceOutbox, Outbox};
use crate::store::{Claims, ReadBacks, SendLog};
use leases::{Lease, Leases};
use moment::Moment;
use quota::{Kind, Share};

/// Time between two looks for what other nodes have left.
const POLL: Duration = Duration::from_millis(500);

/// Time between two looks for claims to be renewed or ended.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Age from which a claim is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(5);

/// Time for which a claim lasts beyond two requests.
const LEASE_BEYOND: Duration = Duration::from_secs(10);

/// Time from which what is left of the quota is asked for again, if it is used up before it is told again.
const TOLD_AGAIN: Duration = Duration::from_secs(1);

/// Settings of an outbox.
pub(super) struct OutboxOptions {
    pub(super) database: Database,
    pub(super) clock: Arc<Clock>,
    pub(super) quota_clock: QuotaClock,
    /// Told when no profiles may be read for a while.
    pub(super) reads: ReadQuota,
    pub(super) updates_per_day: u64,
    pub(super) reads_per_day: u64,
    /// Most requests in flight.
    pub(super) connections: usize,
    /// Longest time for one request.
    pub(super) request_timeout: Duration,
}

/// A node's outbox. Clones share it.
#[derive(Clone)]
pub(super) struct HubOutbox(Arc<Shared>);

struct Shared {
    database: Database,
    clock: Arc<Clock>,
    quota_clock: QuotaClock,
    reads: ReadQuota,
    request_timeout: Duration,
    leases: Leases,
    updates_share: Share,
    reads_share: Share,
}

impl HubOutbox {
    pub(super) fn new(options: OutboxOptions) -> Self {
        let OutboxOptions { database, clock, quota_clock, reads, request_timeout, .. } = options;
        let lasts = request_timeout * 2 + LEASE_BEYOND;
        let first = u64::try_from(options.connections * 2).unwrap_or(u64::MAX);
        Self(Arc::new(Shared {
            database,
            clock,
            quota_clock,
            reads,
            request_timeout,
            leases: Leases::new(lasts),
            updates_share: Share::new(Kind::Updates, options.updates_per_day, first, request_timeout),
            reads_share: Share::new(Kind::Reads, options.reads_per_day, first, request_timeout),
        }))
    }

    /// Renews claims and ends those that were released, for as long as it is polled.
    pub(super) async fn tend(&self) {
        loop {
            tokio::time::sleep(TEND_EVERY).await;
            // If the database is gone, claims run out, and nothing is sent.
            if let Err(error) = self.tend_once().await {
                tracing::debug!(%error, "claims could not be renewed");
            }
        }
    }

    async fn tend_once(&self) -> Result<(), HubError> {
        self.end_released().await?;
        let leases = &self.0.leases;
        let old = leases.older_than(RENEW_AFTER);
        if !old.is_empty() {
            let asked_at = Moment::now();
            let standing = claims::renew(&self.0.database, &old, leases.lasts()).await?;
            leases.renewed(&old, &standing, asked_at);
        }
        Ok(())
    }

    async fn end_released(&self) -> Result<(), HubError> {
        let released = self.0.leases.released();
        claims::end(&self.0.database, &released).await?;
        self.0.leases.remove(&released);
        Ok(())
    }

    fn quota_now(&self) -> Timestamp {
        self.0.quota_clock.at(self.0.clock.elapsed())
    }

    /// Returns what is left of a share as the forwarder takes it.
    fn told(&self, left: u64, more_in: Duration) -> Quota {
        Quota::told(left, self.quota_now().plus(more_in.max(TOLD_AGAIN)))
    }

    /// Pairs each result with its claim in the database.
    fn with_leases(&self, settles: Vec<Settle>) -> Vec<(Settle, Lease)> {
        let lease_of = |settle: &Settle| {
            let claim = match settle {
                Settle::Delivery(settlement) => &settlement.claim,
                Settle::ReadBack(claim, ..) | Settle::Postpone(claim, _) => claim,
            };
            self.0.leases.of(claim.profile_id).expect("a claim has its lease until it ends")
        };
        settles.into_iter().map(|settle| (lease_of(&settle), settle)).map(|(lease, settle)| (settle, lease)).collect()
    }

    async fn may_send(&self, profile_id: i64, counted: Counted) -> Result<bool, HubError> {
        let Shared { database, leases, request_timeout, .. } = &*self.0;
        let is_taken = match counted {
            Counted::Nothing => true,
            Counted::Update => self.0.updates_share.take(database).await?,
            Counted::Read => {
                let is_taken = self.0.reads_share.take(database).await?;
                if !is_taken {
                    let (left, more_in) = self.0.reads_share.fill(database).await?;
                    self.0.reads.tell(self.told(left, more_in));
                }
                is_taken
            }
        };
        // Last of all: reserving takes its time.
        Ok(is_taken && leases.lasts_for(profile_id, *request_timeout))
    }
}

impl Outbox for HubOutbox {
    type Error = HubError;

    async fn changed(&self) {
        // What other nodes have left behind, or have taken from devices and cannot send, tells nobody.
        let _ = tokio::time::timeout(POLL, self.0.database.outbox_changed.notified()).await;
    }

    async fn claim(&self, ask: Ask) -> Result<Claims, HubError> {
        let Shared { database, leases, updates_share, .. } = &*self.0;
        self.end_released().await?;
        let places = |quota: Option<(u64, Duration)>| {
            quota.map_or(usize::MAX, |(left, _)| usize::try_from(left).unwrap_or(usize::MAX))
        };
        let known = updates_share.left();
        let mut claims = match ask.limit.min(places(known)) {
            0 => Vec::new(),
            limit => claims::claim(database, leases, limit, &ask.aside).await?,
        };
        // A node with nothing to send reserves nothing.
        let quota = if claims.is_empty() { known } else { Some(updates_share.fill(database).await?) };
        claims.truncate(places(quota));
        Ok(Claims { claims, backlog: 0, quota: quota.map(|(left, more_in)| self.told(left, more_in)) })
    }

    fn released(&self, _: usize) {}

    async fn claim_due(&self, now: Timestamp, limit: usize) -> Result<ReadBacks, HubError> {
        claims::claim_due(&self.0.database, &self.0.leases, now, limit).await
    }

    async fn look_again(&self, until: Timestamp) -> Result<Option<Timestamp>, HubError> {
        claims::look_again(&self.0.database, until, self.0.clock.now()).await.map(Some)
    }

    async fn note_sends(&self, notes: Vec<(i64, SendLog)>) -> Result<(), HubError> {
        let leases = &self.0.leases;
        let notes: Vec<(Lease, SendLog)> =
            notes.into_iter().filter_map(|(profile_id, log)| Some((leases.of(profile_id)?, log))).collect();
        let asked_at = Moment::now();
        let standing = claims::note(&self.0.database, &notes).await?;
        let lost = notes.iter().map(|(lease, _)| *lease).filter(|lease| !standing.contains(&lease.profile));
        leases.renewed(&lost.collect::<Vec<_>>(), &standing, asked_at);
        Ok(())
    }

    async fn may_begin(&self, profile_id: i64, counted: Counted) -> bool {
        match self.may_send(profile_id, counted).await {
            Ok(may_send) => may_send,
            Err(error) => {
                tracing::debug!(%error, "a request is not made: whether it may be is not known");
                false
            }
        }
    }

    async fn settle(&self, settles: Vec<Settle>) -> Result<(), HubError> {
        let settles = self.with_leases(settles);
        let ended: Vec<Lease> = settles.iter().map(|(_, lease)| *lease).collect();
        self.0.leases.settling(&ended);
        settling::settle(&self.0.database, &settles).await?;
        // Out of flight before the forwarder hears of it, so that what is still pending can be claimed.
        drop(settles);
        self.0.leases.remove(&ended);
        Ok(())
    }

    async fn retract(&self, profile_ids: Vec<i64>, since: Timestamp) -> Result<(), HubError> {
        settling::retract(&self.0.database, &profile_ids, since).await
    }

    async fn give_back(&self) {
        let Shared { database, updates_share, reads_share, .. } = &*self.0;
        let given = async {
            self.end_released().await?;
            updates_share.give_back(database).await?;
            reads_share.give_back(database).await
        };
        // The part of a stop's time that the forwarder leaves.
        if let Err(error) = database.within(STOP_TIMEOUT / 5, given).await {
            tracing::debug!(%error, "what this node has claimed and reserved is free when its time is over");
        }
    }

    fn report(&self, _: &HubError) -> bool {
        true
    }

    fn device(&self) -> Option<&DeviceOutbox> {
        None
    }
}
