//! Errands: each carries out one action of the core and returns one input.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::core::{Action, BatchCame, ForwarderRules, Input, StoreFailed};
use super::handover::{self, CONFIRMED_MAX};
use super::jobs::Jobs;
use super::outbox::{Counted, DeviceOutbox, Outbox};
use crate::adobe::{Client, Handed, Naming, Reply, Request, delivery};
use crate::core::fleet::ProfileParts;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::identity::Identity;
use crate::device::clock::Clock;
use crate::store::{BatchEntry, Claim, Full, StoreError, Transaction};

/// The resources of errands.
pub(super) struct Errands<O> {
    pub(super) outbox: O,
    pub(super) client: Client,
    pub(super) clock: Arc<Clock>,
    /// Key of the hashes that name sessions of the Delivery API.
    pub(super) session_key: Vec<u8>,
    pub(super) property_token: Mutex<Option<String>>,
    pub(super) verify: Mutex<Option<(f64, Duration)>>,
    /// True if a failure of the store has been logged.
    pub(super) is_failing: AtomicBool,
}

/// The result of an errand.
pub(super) struct Done {
    pub(super) input: Input,
    /// Calls of the Fetch API that reached Target.
    pub(super) reads: usize,
}

impl From<Input> for Done {
    fn from(input: Input) -> Self {
        Self { input, reads: 0 }
    }
}

impl<O: Outbox> Errands<O> {
    /// Carries out one action.
    pub(super) async fn run(self: Arc<Self>, action: Action, quota_time: QuotaTime) -> Done {
        match action {
            Action::Claim(ask) => Input::Claimed(self.told(&self.outbox, self.outbox.claim(ask).await)).into(),
            Action::ClaimDue(limit) => {
                Input::Due(self.told(&self.outbox, self.outbox.claim_due(self.clock.now(), limit).await)).into()
            }
            Action::Look(until) => Input::Looked(self.told(&self.outbox, self.outbox.look_again(until).await)).into(),
            Action::Read(profile_id, identity) => self.read(profile_id, identity).await,
            Action::Note(notes) => {
                let profile_ids = notes.iter().map(|(profile_id, _)| *profile_id).collect();
                Input::Noted(profile_ids, self.told(&self.outbox, self.outbox.note_sends(notes).await)).into()
            }
            Action::Send(profile_id, request) => self.send(profile_id, request).await.into(),
            Action::HandOver(profiles) => self.hand_over(profiles).await.into(),
            Action::AddRows { batch, kind, api, entries, claims } => {
                let begin = move |store: &mut Transaction<'_>| batch.map_or_else(|| store.begin_batch(kind, api), Ok);
                self.fill(begin, entries, claims, quota_time).await.into()
            }
            Action::Settle(settles) => {
                Input::Settled(self.told(&self.outbox, self.outbox.settle(settles).await)).into()
            }
            Action::Retract(profile_ids, since) => {
                Input::Retracted(self.told(&self.outbox, self.outbox.retract(profile_ids, since).await)).into()
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
    fn told<T, P: Outbox>(&self, outbox: &P, result: Result<T, P::Error>) -> Result<T, StoreFailed> {
        match result {
            Ok(done) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the store takes deliveries again");
                }
                Ok(done)
            }
            Err(error) => {
                let is_to_be_logged = outbox.report(&error);
                if !self.is_failing.swap(true, Ordering::Relaxed) && is_to_be_logged {
                    tracing::error!(%error, "the store does not take deliveries; forwarding waits");
                }
                Err(StoreFailed::Other)
            }
        }
    }

    async fn read(&self, profile_id: i64, identity: Identity) -> Done {
        if !self.outbox.may_begin(profile_id, Counted::Read).await {
            return Input::Unsent(profile_id).into();
        }
        let exchange = self.client.fetch(&identity).await;
        let reads = match &exchange.answer {
            Reply::Failed(outcome) => usize::from(outcome.reached_target()),
            _ => 1,
        };
        Done { reads, ..Input::Read(profile_id, exchange.answer, exchange.date).into() }
    }

    async fn send(&self, profile_id: i64, request: Request) -> Input {
        let counted = if request.api().facts().is_counted { Counted::Update } else { Counted::Nothing };
        if !self.outbox.may_begin(profile_id, counted).await {
            return Input::Unsent(profile_id);
        }
        let property_token = lock(&self.property_token).clone();
        let naming = Naming {
            property_token: property_token.as_deref(),
            session: &|identity| delivery::session(&self.session_key, identity),
            request_id: &|| uuid::Uuid::new_v4().to_string(),
        };
        let exchange = self.client.send(request, &naming).await;
        Input::Answered(profile_id, exchange.answer, exchange.date)
    }

    /// Returns the store of a device, which has what a core with batches, or with a hub, asks for.
    fn device(&self) -> &DeviceOutbox {
        self.outbox.device().expect("only the core of a device asks for batches, or hands over")
    }

    /// Hands parts over to the hub, and confirms those that it has.
    async fn hand_over(&self, profiles: Vec<ProfileParts>) -> Input {
        let device = self.device().clone();
        let made = tokio::task::spawn_blocking(move || {
            // Confirmed once more if they cannot be read now.
            let confirmed = device.answered_parts(CONFIRMED_MAX);
            let body = handover::body(device.state(), &confirmed, profiles);
            (confirmed, body)
        });
        let (confirmed, body) = made.await.expect("writing a request does not panic");
        let handed = self.client.hand_over(body).await.answer;
        if matches!(handed, Handed::Taken(_)) && !confirmed.is_empty() {
            let forgotten = self.device().writer().act(move |store| store.confirm_parts(&confirmed)).await;
            // They are confirmed once more.
            let _ = self.told(self.device(), forgotten);
        }
        Input::HandedOver(handed)
    }

    /// Adds rows to a batch, without syncing: rows lost in a power cut are pending, as they were before.
    async fn fill(
        &self,
        begin: impl FnOnce(&mut Transaction<'_>) -> Result<i64, StoreError> + Send + 'static,
        entries: Vec<BatchEntry>,
        claims: Vec<Claim>,
        quota_time: QuotaTime,
    ) -> Input {
        let (writer, at) = (self.device().writer().clone(), self.clock.now());
        let filled = tokio::task::spawn_blocking(move || {
            writer.note_blocking(move |store| {
                let id = begin(store)?;
                store.fill_batch(id, &entries, at, quota_time)?;
                store.open_batch(id)
            })
        });
        let head = match filled.await.expect("filling a batch does not panic") {
            Err(StoreError::Full(Full::MaxSize | Full::Disk)) => Err(StoreFailed::NoRoom),
            filled => self.told(self.device(), filled),
        };
        let count = claims.len();
        // The claims are held until the store had the rows.
        drop(claims);
        Input::RowsAdded(count, head)
    }

    fn jobs(&self, quota_time: QuotaTime) -> Jobs {
        Jobs {
            client: self.client.clone(),
            writer: self.device().writer().clone(),
            store_file: self.device().file().clone(),
            clock: self.clock.clone(),
            quota_now: quota_time.at,
            verify: *lock(&self.verify),
        }
    }

    fn batch(&self, id: i64, came: Result<BatchCame, StoreError>) -> Input {
        Input::Batch(id, self.told(self.device(), came).unwrap_or_else(BatchCame::Store))
    }
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The value is consistent even if a holder panicked.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
