//! The books of one store: one method a question, and one document an answer, whoever keeps them.
//!
//! A running agent keeps them with what only it knows. At rest nobody does: questions that only look open the store for
//! reading, and the first that changes something opens it for writing. All methods but [`Books::verify`] read from disk or
//! wait for it: not for an async thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::forwarding::quota::QuotaClock;
use crate::core::identity::{Identity, StoredForms};
use crate::core::limits::REJECTED_LISTED_MAX;
use crate::core::mapping::Mappings;
use crate::core::timestamp::Timestamp;
use crate::core::words::Said;
use crate::device::clock::Clock;
use crate::device::live::Live;
use crate::forward::shown::Bounds;
use crate::inspect::Unanswered;
use crate::inspect::forget::{Forgetting, Forgotten, ForgottenTogether};
use crate::inspect::history::{History, HistoryMoment};
use crate::inspect::rejected::{RejectedItem, RejectedList, Retried, Retry};
use crate::inspect::status::{RetriedNow, Status};
use crate::inspect::verify::Verification;
use crate::store::{ProfileRow, Reader, RejectedRow, Store, StoreError, StoreFile};

mod keeper;
mod profile;
mod status;

pub use keeper::{Keeper, Running, StoreAtRest};

/// Period of the history.
const HISTORY_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Answers to questions about a store.
pub struct Books {
    /// The store's file.
    pub store_file: StoreFile,
    /// A connection of its own.
    pub reader: Mutex<Reader>,
    /// The device's name.
    pub device_id: String,
    /// The device's clock.
    pub clock: Arc<Clock>,
    /// The quota's clock.
    pub quota_clock: QuotaClock,
    /// The configured bounds, which may change.
    pub bounds: Live<Bounds>,
    /// The mappings, which also know how identities are stored.
    pub mappings: Live<Mappings>,
    /// Keeper of the books.
    pub keeper: Keeper,
}

impl Books {
    /// Opens the books of a store that no agent runs on. The caller holds the data directory.
    ///
    /// # Errors
    /// As for [`Reader::open`], and [`StoreError::Read`].
    pub fn at_rest(store: StoreAtRest) -> Result<Self, StoreError> {
        let StoreAtRest { store_file, device_id, mappings, bounds, limits, target } = store;
        let mut reader = Reader::open(&store_file)?;
        if !reader.is_current()? {
            // The program was updated and has not run since.
            drop(Store::open_within(&store_file, limits)?);
            reader = Reader::open(&store_file)?;
        }
        let counters = reader.counters()?;
        let clock = Arc::new(Clock::new(counters.recorded_at));
        let quota_clock = QuotaClock::new(counters.totals.quota_time(Clock::system()).at, clock.elapsed());
        Ok(Self {
            store_file,
            reader: Mutex::new(reader),
            device_id,
            clock,
            quota_clock,
            bounds: Live::new(bounds),
            mappings: Live::new(mappings),
            keeper: Keeper::nobody(target, limits),
        })
    }

    /// The device's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns why new events are refused, if they are; checks that the store answers a query, too.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn readiness(&self) -> Result<Option<String>, StoreError> {
        self.reader().oldest_pending()?;
        Ok(self.refuses().as_ref().map(Said::document))
    }

    /// Has updates that wait tried now: the answer of `POST /v1/retry-now`.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn retry_now(&self) -> Result<RetriedNow, StoreError> {
        let Status { pending, next_try_at, is_told_to_wait, quota, receiver, .. } = self.status()?;
        if let Keeper::Agent(agent) = &self.keeper {
            agent.try_now.notify_one();
        }
        let (waits_until, reason) = match (next_try_at.filter(|_| is_told_to_wait), quota.opens_at) {
            (Some(at), _) => (Some(at), Some(format!("{} asked this device to wait", receiver.name()))),
            (None, Some(at)) => (Some(at), Some("The quota of single updates is used up".to_owned())),
            (None, None) => (None, None),
        };
        Ok(RetriedNow { pending_profiles: pending.profiles, waits_until, reason })
    }

    /// The document of `GET /v1/history`.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn history(&self) -> Result<History, StoreError> {
        let now = self.clock.now();
        let moments = self.reader().history(now.minus(HISTORY_TIME))?;
        let mut moments: Vec<HistoryMoment> = moments.into_iter().map(HistoryMoment::from).collect();
        let counters = self.counters()?;
        moments.push(HistoryMoment {
            at: now.to_string(),
            recorded: counters.recorded,
            delivered: counters.totals.updates,
            pending: Some(self.pending(counters)?.profiles),
        });
        Ok(History { moments })
    }

    /// The document of `GET /v1/rejected`: what is kept as rejected, after that number.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn rejected(&self, after: i64) -> Result<RejectedList, StoreError> {
        let rows = self.reader().rejected(after, REJECTED_LISTED_MAX)?;
        Ok(RejectedList { rejected: rows.iter().map(RejectedItem::listed).collect() })
    }

    /// The newest of it, newest first.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn rejected_newest(&self, limit: usize) -> Result<Vec<RejectedItem>, StoreError> {
        Ok(self.reader().rejected_newest(limit)?.iter().map(RejectedItem::listed).collect())
    }

    /// The document of `GET /v1/rejected/{id}`: one of them whole.
    ///
    /// # Errors
    /// [`Unanswered::NotFound`] or [`Unanswered::Store`].
    pub fn rejected_item(&self, id: i64) -> Result<RejectedItem, Unanswered> {
        self.rejected_row(id).map(|row| RejectedItem::shown(&row))
    }

    fn rejected_row(&self, id: i64) -> Result<RejectedRow, Unanswered> {
        self.reader().rejected_row(id)?.ok_or_else(|| Unanswered::not_rejected(id))
    }

    /// Tries a rejected event or update again, with the mappings of now.
    ///
    /// # Errors
    /// As for [`Self::rejected_item`]; then nothing has changed.
    pub fn retry_rejected(&self, id: i64) -> Result<Retried, Unanswered> {
        let retry = Retry::prepare(&self.rejected_row(id)?, &self.mappings.now(), &self.clock);
        let retry = retry.map_err(Unanswered::NotFound)?;
        let retried = self.writer()?.act_blocking(move |store| retry.run(store))?;
        retried.ok_or_else(Unanswered::gone)
    }

    /// Tries all that is rejected now again. Returns how many were tried, and how many of them are rejected still.
    ///
    /// # Errors
    /// [`StoreError`]; then what was tried before is done.
    pub fn retry_all_rejected(&self) -> Result<(usize, usize), StoreError> {
        let (mut tried, mut still, mut after) = (0, 0, 0);
        let Some(last) = self.reader().rejected_newest(1)?.first().map(|row| row.id) else { return Ok((0, 0)) };
        loop {
            let ids: Vec<i64> = self.reader().rejected(after, REJECTED_LISTED_MAX)?.iter().map(|row| row.id).collect();
            let Some(end) = ids.last() else { return Ok((tried, still)) };
            after = *end;
            for id in ids.into_iter().filter(|id| *id <= last) {
                match self.retry_rejected(id) {
                    Ok(retried) => (tried, still) = (tried + 1, still + usize::from(retried.is_rejected())),
                    Err(Unanswered::Store(error)) => return Err(error),
                    // It was retried or dropped meanwhile, or cannot be read any more and stays as it is.
                    Err(_) => still += 1,
                }
            }
        }
    }

    /// Drops a rejected event or update for good.
    ///
    /// # Errors
    /// As for [`Self::rejected_item`]; then nothing has changed.
    pub fn drop_rejected(&self, id: i64) -> Result<(), Unanswered> {
        self.rejected_row(id)?;
        let is_dropped = self.writer()?.act_blocking(move |store| store.drop_rejected(id))?;
        if is_dropped { Ok(()) } else { Err(Unanswered::gone()) }
    }

    /// Erases all that the device holds of an identity: the answer of `DELETE /v1/profiles/{kind}/{key}`.
    ///
    /// # Errors
    /// As for [`Forgetting::forget`].
    pub fn forget(&self, identity: &Identity) -> Result<Forgotten, StoreError> {
        self.forget_together(std::slice::from_ref(identity)).map(|together| together.all())
    }

    /// Erases all that the device holds of several identities: the answer of `POST /v1/forget`.
    ///
    /// # Errors
    /// As for [`Forgetting::forget`].
    pub fn forget_together(&self, identities: &[Identity]) -> Result<ForgottenTogether, StoreError> {
        let forgetting = Forgetting {
            writer: self.writer()?,
            // Of its own: it reads the whole journal, and others shall not wait for it.
            reader: Reader::open(&self.store_file)?,
            store_file: self.store_file.clone(),
            in_flight: self.in_flight(),
            mappings: self.mappings.now(),
            now: self.clock.now(),
        };
        forgetting.forget(identities)
    }

    /// Reads a profile back from Target: the document of `POST /v1/profiles/{kind}/{key}/verify`. What has not arrived
    /// becomes pending again, if `resends` says so.
    ///
    /// # Errors
    /// [`Unanswered`]; then nothing was written down.
    pub async fn verify(self: &Arc<Self>, identity: Identity, resends: bool) -> Result<Verification, Unanswered> {
        let books = self.clone();
        let prepare = move || {
            let row = books.row(&books.forms(&identity))?.ok_or_else(Unanswered::no_profile)?;
            Ok((row, books.verifier()?))
        };
        let prepared = tokio::task::spawn_blocking(prepare).await;
        let (row, verifier) = prepared.unwrap_or(Err(Unanswered::Store(StoreError::Stopped)))?;
        verifier.verify(row, resends).await
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The forms in which the store may hold an identity.
    fn forms(&self, identity: &Identity) -> StoredForms {
        self.mappings.now().stored_forms(identity)
    }

    /// All that the store holds of an identity, as it stands there.
    fn row(&self, forms: &StoredForms) -> Result<Option<ProfileRow>, StoreError> {
        self.reader().profile(forms)
    }
}
