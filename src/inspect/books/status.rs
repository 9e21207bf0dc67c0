//! The status of the device, in numbers.

use std::path::Path;
use std::time::Duration;

use super::{Books, Keeper, Running};
use crate::core::limits::EVENT_TIME_AHEAD_MAX;
use crate::core::timestamp::Timestamp;
use crate::core::verdict::Verdict;
use crate::core::words::{Said, verdicts};
use crate::device::clock::Clock;
use crate::device::notices::Notice;
use crate::forward::shown::LinkView;
use crate::inspect::status::{
    BatchView, DamagedStore, DeliveredCounts, EventCounts, PendingCounts, PushView, QuotaCounts, ReadCounts,
    RefusedCount, RejectedCounts, RouteCount, SetAside, Status, StoreCounts,
};
use crate::inspect::verdict::judge;
use crate::intake::kinds::KindViews;
use crate::store::{Full, Pending, Reader, Room, Salvage, StoreError, Totals, kept_stores};

/// Time for which a change of the destination is told.
const DESTINATION_SHOWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Batches at their end that the status shows.
const BATCHES_SHOWN: usize = 3;

/// Knowledge that only a running agent has, or the substitute for it.
struct Present {
    link: LinkView,
    /// Why the link is not online, in words.
    link_reason: Option<String>,
    uptime: Duration,
    routes: Vec<RouteCount>,
    intake: KindViews,
    /// Why new events are refused.
    refuses: Option<Said>,
    not_set_up: Option<String>,
    notices: Vec<Notice>,
    refused: Vec<RefusedCount>,
    push: Option<PushView>,
    set_aside: Option<SetAside>,
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
        let present = self.present(totals, now);
        let link = present.link;
        let quota_now = self.quota_clock.at(self.clock.elapsed());
        let reader = self.reader();
        let rejected = RejectedCounts::from(reader.count_rejected()?);
        let used = reader.quota_used(quota_now)? + present.abandoned;
        let wait = link.wait.filter(|wait| wait.until > now);
        let behind = counters.recorded_at.map_or(Duration::ZERO, |newest| newest.since(Clock::system()));
        let mut status = Status {
            verdict: Verdict::default(),
            next_try_at: wait.map(|wait| wait.until.to_string()),
            is_told_to_wait: wait.is_some_and(|wait| wait.is_told),
            receiver: counters.receiver,
            is_running: matches!(self.keeper, Keeper::Agent(_)),
            mappings: self.mappings.now().count(),
            clock_behind_seconds: if behind > EVENT_TIME_AHEAD_MAX { behind.as_secs() } else { 0 },
            link: link.state.name().to_owned(),
            link_cause: link.reason.as_ref().map(|why| why.cause.name().to_owned()),
            link_reason: present.link_reason,
            link_since: link.since.to_string(),
            not_set_up: present.not_set_up,
            notices: present.notices,
            refused: present.refused,
            events: EventCounts::of(&counters, now),
            pending: pending_counts(&reader, pending, present.set_aside, now)?,
            delivered: DeliveredCounts::from(&totals),
            rejected,
            quota: quota_counts(bounds.updates_per_day, used, &link, now),
            routes: present.routes,
            intake: present.intake,
            metrics_push: present.push,
            batches: reader.batches(BATCHES_SHOWN)?.into_iter().map(BatchView::from).collect(),
            reads: ReadCounts {
                total: totals.reads,
                reads_per_day: bounds.reads_per_day,
                used: reader.reads_used(quota_now)?,
                verified: totals.verified,
                lost: totals.lost,
                denied: link.reads_denied,
            },
            store: self.store_counts(&reader, totals, now, present.refuses)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device_id: self.device_id.clone(),
            uptime_seconds: present.uptime.as_secs(),
            totals,
        };
        status.verdict = judge(&status);
        Ok(status)
    }

    /// Returns why new events are refused, if they are: there is no room, or the last write failed.
    pub(super) fn refuses(&self) -> Option<Said> {
        let Keeper::Agent(Running { writer, .. }) = &self.keeper else { return None };
        match *writer.room().borrow() {
            Room::Full(Full::MaxSize) => Some(verdicts::MAX_SIZE.said()),
            Room::Full(Full::DiskLow) => Some(verdicts::DISK_LOW.said()),
            Room::Full(Full::Disk) => Some(verdicts::DISK_FULL.said()),
            Room::Enough | Room::Low => writer.failure().map(|words| verdicts::WRITE_FAILED.with([words.into()])),
        }
    }

    fn is_full(&self) -> bool {
        matches!(&self.keeper, Keeper::Agent(Running { writer, .. }) if matches!(*writer.room().borrow(), Room::Full(_)))
    }

    fn present(&self, totals: Totals, now: Timestamp) -> Present {
        match &self.keeper {
            Keeper::Agent(agent) => {
                let link = agent.link.borrow().clone();
                Present {
                    link_reason: link.reason.as_ref().map(|why| why.words.clone()),
                    link,
                    uptime: self.clock.elapsed(),
                    routes: agent.route_counts.counted().into_iter().map(RouteCount::from).collect(),
                    intake: agent.intake.now(),
                    refuses: self.refuses(),
                    not_set_up: agent.client.fault().map(|error| error.to_string()),
                    notices: agent.notices.now(),
                    refused: agent.metrics.refusals().into_iter().map(RefusedCount::from).collect(),
                    push: agent.push.now().as_ref().clone(),
                    set_aside: agent.set_aside(now),
                    abandoned: 0,
                }
            }
            Keeper::Nobody(_) => {
                let reason = "the agent is not running; these are the numbers of its store".to_owned();
                Present {
                    link: LinkView::unknown(now),
                    link_reason: Some(reason),
                    uptime: Duration::ZERO,
                    routes: Vec::new(),
                    intake: KindViews::default(),
                    refuses: None,
                    not_set_up: None,
                    notices: Vec::new(),
                    refused: Vec::new(),
                    push: None,
                    set_aside: None,
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
        refuses: Option<Said>,
    ) -> Result<StoreCounts, StoreError> {
        let changed_at = Some(Timestamp::from_millis(totals.destination_changed_at_ms));
        let changed_at = changed_at.filter(|at| now.since(*at) < DESTINATION_SHOWN && *at > Timestamp::default());
        let data_dir = self.store_file.path.parent().unwrap_or(Path::new(""));
        // As long as the damaged file is there, somebody should look at it.
        let kept = kept_stores(&self.store_file.path);
        let is_there = |salvage: &Salvage| kept.iter().any(|kept| kept.name == salvage.kept_as);
        let salvage = reader.last_salvage()?.filter(is_there);
        Ok(StoreCounts {
            bytes: reader.size_bytes(),
            max_bytes: self.bounds.now().max_bytes,
            log_bytes: reader.log_bytes(),
            is_full: self.is_full(),
            refuses: refuses.as_ref().map(Said::document),
            refusal: refuses,
            disk_free_bytes: fs4::available_space(data_dir).ok(),
            purged_profiles: totals.profiles_purged,
            salvage: salvage.map(|salvage| salvage.to_string()),
            damaged_stores: kept.into_iter().map(DamagedStore::from).collect(),
            destination_changed_at: changed_at.map(|at| at.to_string()),
        })
    }
}

impl Running {
    fn set_aside(&self, now: Timestamp) -> Option<SetAside> {
        let (profiles, first) = self.waits.count(now);
        first.map(|wait| SetAside { profiles, reason: wait.reason.to_owned(), until: wait.until.to_string() })
    }
}

fn quota_counts(updates_per_day: u64, used: u64, link: &LinkView, now: Timestamp) -> QuotaCounts {
    QuotaCounts {
        updates_per_day,
        used,
        remaining: updates_per_day.saturating_sub(used),
        opens_at: link.quota_opens_at.map(|at| at.to_string()),
        batches_open_at: link.rows_open_at.filter(|at| *at > now).map(|at| at.to_string()),
    }
}

fn pending_counts(
    reader: &Reader,
    pending: Pending,
    set_aside: Option<SetAside>,
    now: Timestamp,
) -> Result<PendingCounts, StoreError> {
    Ok(PendingCounts {
        profiles: pending.profiles,
        attributes: pending.attributes,
        oldest_seconds: reader.oldest_pending()?.map_or(0, |oldest| now.since(oldest).as_secs()),
        missing_profiles: reader.count_missing()?,
        set_aside,
    })
}
