//! How the device stands, in numbers.

use std::path::Path;
use std::time::Duration;

use super::{Books, Keeper};
use crate::core::timestamp::Timestamp;
use crate::forward::shown::LinkView;
use crate::inspect::status::{
    BatchView, DeliveredCounts, EventCounts, PendingCounts, QuotaCounts, ReadCounts, RejectedCounts, RouteCount,
    Status, StoreCounts,
};
use crate::intake::kinds::KindViews;
use crate::store::{Pending, Reader, Room, StoreError, Totals};

/// Time for which a change of the destination is told.
const DESTINATION_SHOWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Batches at their end that the status shows.
const BATCHES_SHOWN: usize = 3;

/// What only a running agent knows, or what is said instead.
struct Present {
    link: LinkView,
    uptime: Duration,
    routes: Vec<RouteCount>,
    intake: KindViews,
    is_full: bool,
    /// Requests that count as made, since whoever had reserved them has ended.
    abandoned: u64,
}

impl Books {
    /// The document of `GET /v1/status`.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn status(&self) -> Result<Status, StoreError> {
        let (counters, now) = (self.counters()?, self.clock.now());
        let pending = self.pending(counters)?;
        let (totals, bounds) = (counters.totals, self.bounds.now());
        let Present { link, uptime, routes, intake, is_full, abandoned } = self.present(totals, now);
        let quota_now = self.quota_clock.at(self.clock.elapsed());
        let reader = self.reader();
        let (rejected_events, rejected_updates) = reader.count_rejected()?;
        let used = reader.quota_used(quota_now)? + abandoned;
        Ok(Status {
            link: link.state.name().to_owned(),
            link_reason: link.reason,
            link_since: link.since.to_string(),
            events: EventCounts::from(&counters),
            pending: pending_counts(&reader, pending, now)?,
            delivered: DeliveredCounts::from(&totals),
            rejected: RejectedCounts { events: rejected_events, updates: rejected_updates },
            quota: QuotaCounts {
                updates_per_day: bounds.updates_per_day,
                used,
                remaining: bounds.updates_per_day.saturating_sub(used),
                opens_at: link.quota_opens_at.map(|at| at.to_string()),
            },
            routes,
            intake,
            batches: reader.batches(BATCHES_SHOWN)?.into_iter().map(BatchView::from).collect(),
            reads: ReadCounts {
                total: totals.reads,
                reads_per_day: bounds.reads_per_day,
                used: reader.reads_used(quota_now)?,
                verified: totals.verified,
                lost: totals.lost,
                denied: link.reads_denied,
            },
            store: self.store_counts(&reader, totals, now, is_full)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device_id: self.device_id.clone(),
            uptime_seconds: uptime.as_secs(),
            totals,
        })
    }

    fn present(&self, totals: Totals, now: Timestamp) -> Present {
        match &self.keeper {
            Keeper::Agent(agent) => Present {
                link: agent.link.borrow().clone(),
                uptime: self.clock.elapsed(),
                routes: agent.route_counts.counted().into_iter().map(RouteCount::from).collect(),
                intake: agent.intake.now(),
                is_full: matches!(*agent.writer.room().borrow(), Room::Full(_)),
                abandoned: 0,
            },
            Keeper::Nobody(_) => {
                let reason = "the agent is not running; these are the numbers of its store".to_owned();
                Present {
                    link: LinkView { reason: Some(reason), ..LinkView::unknown(now) },
                    uptime: Duration::ZERO,
                    routes: Vec::new(),
                    intake: KindViews::default(),
                    is_full: false,
                    abandoned: u64::try_from(totals.quota_reserved).unwrap_or(0),
                }
            }
        }
    }

    fn store_counts(
        &self,
        reader: &Reader,
        totals: Totals,
        now: Timestamp,
        is_full: bool,
    ) -> Result<StoreCounts, StoreError> {
        let changed_at = Some(Timestamp::from_millis(totals.destination_changed_at_ms));
        let changed_at = changed_at.filter(|at| now.since(*at) < DESTINATION_SHOWN && *at > Timestamp::default());
        let data_dir = self.store_file.path.parent().unwrap_or(Path::new(""));
        Ok(StoreCounts {
            bytes: reader.size_bytes(),
            max_bytes: self.bounds.now().max_bytes,
            log_bytes: reader.log_bytes(),
            is_full,
            disk_free_bytes: fs4::available_space(data_dir).ok(),
            purged_profiles: totals.profiles_purged,
            salvage: reader.last_salvage()?.map(|salvage| salvage.to_string()),
            destination_changed_at: changed_at.map(|at| at.to_string()),
        })
    }
}

fn pending_counts(reader: &Reader, pending: Pending, now: Timestamp) -> Result<PendingCounts, StoreError> {
    Ok(PendingCounts {
        profiles: pending.profiles,
        attributes: pending.attributes,
        oldest_seconds: reader.oldest_pending()?.map_or(0, |oldest| now.since(oldest).as_secs()),
        missing_profiles: reader.count_missing()?,
    })
}
