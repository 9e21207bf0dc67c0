//! The outbox: source of the courier's work, and place of its results. It is the store of a device, or that of a hub.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::core::{Ask, Settle};
use super::handover::{StateReader, ToldState};
use crate::core::fleet::PartId;
use crate::core::timestamp::Timestamp;
use crate::store::{self, Claims, ReadBacks, SendLog, StoreError, StoreFile, Writer};

/// Pages for which quota is reserved at once while there is much to send: waiting for the writer each time would leave
/// the line idle.
const RESERVED_AHEAD: usize = 2;

/// Quota that a request to Target counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The quota of single updates.
    Update,
    /// The quota of the Fetch API.
    Read,
    /// Nothing.
    Nothing,
}

/// A place where claims are kept. It has one courier at a time.
pub trait Outbox: Send + Sync + 'static {
    /// A failure; whatever was asked is then undone or will be.
    type Error: Error + Send;

    /// Waits until there may be more to claim.
    fn changed(&self) -> impl Future<Output = ()> + Send;

    /// Claims profiles, and reserves one request of the quota for each.
    fn claim(&self, ask: Ask) -> impl Future<Output = Result<Claims, Self::Error>> + Send;

    /// Takes note that so many claims ended without a settlement.
    fn released(&self, claims: usize);

    /// Claims up to `limit` profiles that are due to be read back.
    fn claim_due(&self, now: Timestamp, limit: usize) -> impl Future<Output = Result<ReadBacks, Self::Error>> + Send;

    /// Makes profiles pending again that wait for Target to have them until that time. Returns when the next is due.
    fn look_again(&self, until: Timestamp) -> impl Future<Output = Result<Option<Timestamp>, Self::Error>> + Send;

    /// Records values before they are sent.
    fn note_sends(&self, notes: Vec<(i64, SendLog)>) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Returns true if a request may be made now for a profile that is claimed.
    fn may_begin(&self, profile_id: i64, counted: Counted) -> impl Future<Output = bool> + Send;

    /// Records results of deliveries and of reading back; the claims in them end with that.
    fn settle(&self, settles: Vec<Settle>) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Makes the refusals of these profiles since that time void.
    fn retract(&self, profile_ids: Vec<i64>, since: Timestamp) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Gives back what is still reserved, at the end.
    fn give_back(&self) -> impl Future<Output = ()> + Send;

    /// Takes note of a failure. Returns true if it should be logged.
    fn report(&self, error: &Self::Error) -> bool;

    /// Returns the store of a device, which alone has batches and hands over to a hub.
    fn device(&self) -> Option<&DeviceOutbox>;
}

/// The store of a device.
#[derive(Clone)]
pub struct DeviceOutbox(Arc<Device>);

struct Device {
    claims: Mutex<store::Outbox>,
    writer: Writer,
    changed: Arc<Notify>,
    file: StoreFile,
    /// Room in the quota that is reserved beyond that of the claims.
    spare: AtomicUsize,
    /// The state of the device, for a hub.
    state: ToldState,
}

impl DeviceOutbox {
    /// Wraps a source of claims with the writer that settles them. `state` reads how the device is and `number` is that of
    /// its store, for a hub.
    #[must_use]
    pub fn new(claims: store::Outbox, writer: Writer, file: StoreFile, state: StateReader, number: PartId) -> Self {
        let (claims, changed) = (Mutex::new(claims), writer.outbox_changed());
        let state = ToldState::new(state, Some(number));
        Self(Arc::new(Device { claims, writer, changed, file, spare: AtomicUsize::new(0), state }))
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.0.writer
    }

    pub(super) fn file(&self) -> &StoreFile {
        &self.0.file
    }

    pub(super) fn state(&self) -> &ToldState {
        &self.0.state
    }

    /// Returns up to a number of parts that the hub has, but may not know to be answered; none if they cannot be read now.
    pub(super) fn answered_parts(&self, limit: usize) -> Vec<PartId> {
        self.claims().answered_parts(limit).unwrap_or_default()
    }

    fn claims(&self) -> std::sync::MutexGuard<'_, store::Outbox> {
        // It is consistent even if a holder panicked.
        self.0.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim_now(&self, ask: &Ask) -> Result<Claims, StoreError> {
        let claims: Claims = self.claims().claim(ask.rules())?;
        // After a probe it is unknown whether there is more to send.
        let may_have_more = claims.claims.len() == ask.limit && !ask.is_probe;
        self.reserve(claims.claims.len(), may_have_more)?;
        Ok(claims)
    }

    /// Reserves quota for claims before they are sent, so that a crash cannot hide them. Some is spare afterwards while
    /// there is more to send, otherwise nothing.
    fn reserve(&self, claims: usize, may_have_more: bool) -> Result<(), StoreError> {
        let spare = self.0.spare.swap(0, Ordering::Relaxed);
        if may_have_more && spare >= claims {
            self.released(spare - claims);
            return Ok(());
        }
        let left = if may_have_more { claims * RESERVED_AHEAD } else { 0 };
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let requests = signed(claims + left) - signed(spare);
        let reserved = if requests == 0 {
            Ok(())
        } else {
            self.0.writer.note_blocking(move |store| {
                store.reserve(requests);
                Ok(())
            })
        };
        self.released(if reserved.is_ok() { left } else { spare });
        reserved
    }
}

impl Outbox for DeviceOutbox {
    type Error = StoreError;

    async fn changed(&self) {
        self.0.changed.notified().await;
    }

    async fn claim(&self, ask: Ask) -> Result<Claims, StoreError> {
        let device = self.clone();
        tokio::task::spawn_blocking(move || device.claim_now(&ask)).await.expect("claiming does not panic")
    }

    fn released(&self, claims: usize) {
        self.0.spare.fetch_add(claims, Ordering::Relaxed);
    }

    async fn claim_due(&self, now: Timestamp, limit: usize) -> Result<ReadBacks, StoreError> {
        let device = self.clone();
        let due = tokio::task::spawn_blocking(move || device.claims().claim_due(now, limit));
        due.await.expect("claiming does not panic")
    }

    async fn look_again(&self, until: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.0.writer.act(move |store| store.look_again(until)).await
    }

    async fn note_sends(&self, notes: Vec<(i64, SendLog)>) -> Result<(), StoreError> {
        self.0.writer.act(move |store| store.note_sends(&notes)).await
    }

    async fn may_begin(&self, _: i64, _: Counted) -> bool {
        true
    }

    async fn settle(&self, settles: Vec<Settle>) -> Result<(), StoreError> {
        let (mut deliveries, mut read_backs, mut postponed, mut claims) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for settle in settles {
            match settle {
                Settle::Delivery(settlement) => deliveries.push(*settlement),
                Settle::ReadBack(claim, verified, quota_time) => {
                    read_backs.push((claim.profile_id, verified, quota_time));
                    claims.push(claim);
                }
                Settle::Postpone(claim, until) => {
                    postponed.push((claim.profile_id, until));
                    claims.push(claim);
                }
            }
        }
        if !claims.is_empty() {
            let noted = self.0.writer.act(move |store| {
                for (profile_id, verified, quota_time) in &read_backs {
                    store.spend_reads(verified.reads, *quota_time);
                    store.verified(*profile_id, verified)?;
                }
                postponed.iter().try_for_each(|(profile_id, until)| store.postpone_read_back(*profile_id, *until))
            });
            let noted = noted.await;
            drop(claims);
            noted?;
        }
        if deliveries.is_empty() { Ok(()) } else { self.0.writer.settle(deliveries).await }
    }

    async fn retract(&self, profile_ids: Vec<i64>, since: Timestamp) -> Result<(), StoreError> {
        self.0.writer.act(move |store| store.retract_refusals(&profile_ids, since)).await.map(|_| ())
    }

    async fn give_back(&self) {
        let device = self.clone();
        let reserved = tokio::task::spawn_blocking(move || device.reserve(0, false)).await;
        if !matches!(reserved, Ok(Ok(()))) {
            tracing::debug!("what was reserved of the quota counts as used after the next start");
        }
    }

    fn report(&self, error: &StoreError) -> bool {
        self.0.writer.report(error);
        !matches!(error, StoreError::Stopped)
    }

    fn device(&self) -> Option<&DeviceOutbox> {
        Some(self)
    }
}
