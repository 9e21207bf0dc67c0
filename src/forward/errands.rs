//! Errands: each carries out one action of the core and returns one input.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::core::{Action, Ask, BatchCame, ForwarderRules, Input, Request, Settle, StoreFailed};
use super::handover::{self, CONFIRMED_MAX, ToldState};
use super::jobs::Jobs;
use crate::adobe::{Client, Handed, Reply, delivery};
use crate::core::fleet::ProfileParts;
use crate::core::forwarding::quota::QuotaTime;
use crate::device::clock::Clock;
use crate::store::{BatchEntry, Claim, Claims, Full, Outbox, StoreError, StoreFile, Transaction, Writer};

/// Pages for which quota is reserved at once while there is much to send: waiting for the writer each time would leave
/// the line idle.
const RESERVED_AHEAD: usize = 2;

/// The resources of errands.
pub(super) struct Errands {
    pub(super) outbox: Mutex<Outbox>,
    pub(super) writer: Writer,
    pub(super) client: Client,
    pub(super) store_file: StoreFile,
    pub(super) clock: Arc<Clock>,
    /// Key of the hashes that name sessions of the Delivery API.
    pub(super) session_key: Vec<u8>,
    pub(super) property_token: Mutex<Option<String>>,
    pub(super) verify: Mutex<Option<(f64, Duration)>>,
    /// The state of the device, for a hub.
    pub(super) state: ToldState,
    /// True if a failure of the store has been logged.
    pub(super) is_failing: AtomicBool,
}

/// The result of an errand.
pub(super) struct Done {
    pub(super) input: Input,
    /// Quota reserved beyond that of the claims.
    pub(super) spare: usize,
    /// Calls of the Fetch API that reached Target.
    pub(super) reads: usize,
}

impl From<Input> for Done {
    fn from(input: Input) -> Self {
        Self { input, spare: 0, reads: 0 }
    }
}

impl Errands {
    /// Carries out one action. `spare` is the quota reserved beyond the claims.
    pub(super) async fn run(self: Arc<Self>, action: Action, quota_time: QuotaTime, spare: usize) -> Done {
        match action {
            Action::Claim(ask) => self.claim(ask, spare).await,
            Action::ClaimDue(limit) => self.claim_due(limit).await.into(),
            Action::Look(until) => {
                let looked = self.writer.act(move |store| store.look_again(until)).await;
                Input::Looked(self.told(looked)).into()
            }
            Action::Read(profile_id, identity) => {
                let exchange = self.client.fetch(&identity).await;
                let reads = match &exchange.answer {
                    Reply::Failed(outcome) => usize::from(outcome.reached_target()),
                    _ => 1,
                };
                Done { reads, ..Input::Read(profile_id, exchange.answer, exchange.date).into() }
            }
            Action::Note(notes) => {
                let profile_ids = notes.iter().map(|(profile_id, _)| *profile_id).collect();
                let noted = self.writer.act(move |store| store.note_sends(&notes)).await;
                Input::Noted(profile_ids, self.told(noted)).into()
            }
            Action::Send(profile_id, request) => self.send(profile_id, request).await.into(),
            Action::HandOver(profiles) => self.hand_over(profiles).await.into(),
            Action::AddRows { batch, kind, api, entries, claims } => {
                let begin = move |store: &mut Transaction<'_>| batch.map_or_else(|| store.begin_batch(kind, api), Ok);
                self.fill(begin, entries, claims, quota_time).await.into()
            }
            Action::Settle(settles) => Input::Settled(self.settle(settles).await).into(),
            Action::Retract(profile_ids, since) => {
                let retracted = self.writer.act(move |store| store.retract_refusals(&profile_ids, since)).await;
                Input::Retracted(self.told(retracted).map(|_| ())).into()
            }
            Action::Submit(head, names) => {
                let id = head.id;
                let came = self.jobs(quota_time).submit(head, names).await;
                self.batch(id, came).into()
            }
            Action::Poll(id, path) => self.batch(id, self.jobs(quota_time).poll(id, &path).await).into(),
            Action::End(id, ending, state) => {
                let came = self.jobs(quota_time).end(id, ending, state).await;
                self.batch(id, came).into()
            }
            Action::Wait(_) => Input::OutboxChanged.into(),
        }
    }

    /// Puts other rules into effect.
    pub(super) fn set_rules(&self, rules: &ForwarderRules) {
        (*lock(&self.property_token)).clone_from(&rules.property_token);
        *lock(&self.verify) = rules.verify;
    }

    /// Logs a failure of the store once, and its recovery once.
    fn told<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreFailed> {
        match result {
            Ok(done) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the store takes deliveries again");
                }
                Ok(done)
            }
            Err(error) => {
                self.writer.report(&error);
                if !self.is_failing.swap(true, Ordering::Relaxed) && !matches!(error, StoreError::Stopped) {
                    tracing::error!(%error, "the store does not take deliveries; forwarding waits");
                }
                Err(StoreFailed::Other)
            }
        }
    }

    async fn claim(self: Arc<Self>, ask: Ask, spare: usize) -> Done {
        let errands = self.clone();
        let claimed = tokio::task::spawn_blocking(move || {
            let claims: Claims = lock(&errands.outbox).claim(ask.rules())?;
            // After a probe it is unknown whether there is more to send.
            let may_have_more = claims.claims.len() == ask.limit && !ask.is_probe;
            let spare = reserve(&errands.writer, claims.claims.len(), spare, may_have_more)?;
            Ok((claims, spare))
        });
        match self.told(claimed.await.expect("claiming does not panic")) {
            Ok((claims, spare)) => Done { spare, ..Input::Claimed(Ok(claims)).into() },
            Err(failed) => Done { spare, ..Input::Claimed(Err(failed)).into() },
        }
    }

    async fn claim_due(self: Arc<Self>, limit: usize) -> Input {
        let (errands, now) = (self.clone(), self.clock.now());
        let due = tokio::task::spawn_blocking(move || lock(&errands.outbox).claim_due(now, limit));
        Input::Due(self.told(due.await.expect("claiming does not panic")))
    }

    async fn send(&self, profile_id: i64, request: Request) -> Input {
        let exchange = match request {
            Request::Single(body) => self.client.send(body).await,
            Request::Delivery(identity, attributes) => {
                let session = delivery::session(&self.session_key, &identity);
                let property_token = lock(&self.property_token).clone();
                let pairs = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).enumerate();
                let request_id = || uuid::Uuid::new_v4().to_string();
                let mut calls = delivery::encode(&identity, property_token.as_deref(), pairs, request_id);
                let call = calls.pop().expect("a request holds an attribute, and no more than one call may");
                self.client.deliver(&session, call.body).await
            }
        };
        Input::Answered(profile_id, exchange.answer, exchange.date)
    }

    /// Hands parts over to the hub, and confirms those that it has.
    async fn hand_over(self: Arc<Self>, profiles: Vec<ProfileParts>) -> Input {
        let errands = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            // Confirmed once more if they cannot be read now.
            let confirmed = lock(&errands.outbox).answered_parts(CONFIRMED_MAX).unwrap_or_default();
            let body = handover::body(&errands.state, &confirmed, profiles);
            (confirmed, body)
        });
        let (confirmed, body) = made.await.expect("writing a request does not panic");
        let handed = self.client.hand_over(body).await.answer;
        if matches!(handed, Handed::Taken(_)) && !confirmed.is_empty() {
            let forgotten = self.writer.act(move |store| store.confirm_parts(&confirmed)).await;
            // They are confirmed once more.
            let _ = self.told(forgotten);
        }
        Input::HandedOver(handed)
    }

    /// Adds rows to a batch, without syncing: rows lost in a power cut are pending, as they were before.
    async fn fill(
        self: Arc<Self>,
        begin: impl FnOnce(&mut Transaction<'_>) -> Result<i64, StoreError> + Send + 'static,
        entries: Vec<BatchEntry>,
        claims: Vec<Claim>,
        quota_time: QuotaTime,
    ) -> Input {
        let (writer, at) = (self.writer.clone(), self.clock.now());
        let filled = tokio::task::spawn_blocking(move || {
            writer.note_blocking(move |store| {
                let id = begin(store)?;
                store.fill_batch(id, &entries, at, quota_time)?;
                store.open_batch(id)
            })
        });
        let head = match filled.await.expect("filling a batch does not panic") {
            Err(StoreError::Full(Full::MaxSize | Full::Disk)) => Err(StoreFailed::NoRoom),
            filled => self.told(filled),
        };
        let count = claims.len();
        // The claims are held until the store had the rows.
        drop(claims);
        Input::RowsAdded(count, head)
    }

    async fn settle(&self, settles: Vec<Settle>) -> Result<(), StoreFailed> {
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
            let noted = self.writer.act(move |store| {
                for (profile_id, verified, quota_time) in &read_backs {
                    store.spend_reads(verified.reads, *quota_time);
                    store.verified(*profile_id, verified)?;
                }
                postponed.iter().try_for_each(|(profile_id, until)| store.postpone_read_back(*profile_id, *until))
            });
            let noted = noted.await;
            drop(claims);
            self.told(noted)?;
        }
        if deliveries.is_empty() { Ok(()) } else { self.told(self.writer.settle(deliveries).await) }
    }

    fn jobs(&self, quota_time: QuotaTime) -> Jobs {
        Jobs {
            client: self.client.clone(),
            writer: self.writer.clone(),
            store_file: self.store_file.clone(),
            clock: self.clock.clone(),
            quota_now: quota_time.at,
            verify: *lock(&self.verify),
        }
    }

    fn batch(&self, id: i64, came: Result<BatchCame, StoreError>) -> Input {
        Input::Batch(id, self.told(came).unwrap_or_else(BatchCame::Store))
    }

    /// Returns the quota that is still reserved.
    pub(super) async fn give_back(&self, spare: usize) {
        let writer = self.writer.clone();
        let reserved = tokio::task::spawn_blocking(move || reserve(&writer, 0, spare, false)).await;
        if !matches!(reserved, Ok(Ok(_))) {
            tracing::debug!("what was reserved of the quota counts as used after the next start");
        }
    }
}

/// Reserves quota for claims before they are sent, so that a crash cannot hide them. Returns what is spare afterwards:
/// some while there is more to send, otherwise nothing.
fn reserve(writer: &Writer, claims: usize, spare: usize, may_have_more: bool) -> Result<usize, StoreError> {
    if may_have_more && spare >= claims {
        return Ok(spare - claims);
    }
    let left = if may_have_more { claims * RESERVED_AHEAD } else { 0 };
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let requests = signed(claims + left) - signed(spare);
    if requests != 0 {
        writer.note_blocking(move |store| {
            store.reserve(requests);
            Ok(())
        })?;
    }
    Ok(left)
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The value is consistent even if a holder panicked.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
