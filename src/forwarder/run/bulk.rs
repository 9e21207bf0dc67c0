//! What goes in bulk: putting profiles in batches, and sending and asking after those.

use std::time::Duration;

use tokio::task::JoinError;

use super::Forwarder;
use crate::forwarder::batches::{Next, ROWS_MAX, api_version};
use crate::forwarder::jobs::{Done, Jobs, Settled};
use crate::identity::IdentityKind;
use crate::link::{LinkState, Permit};
use crate::quota::QuotaTime;
use crate::store::{BatchHead, Candidate, Claim, StoreError, Writer};
use crate::target::{Outcome, bulk};
use crate::timestamp::Timestamp;

impl Forwarder {
    /// Puts what waits for it in a batch.
    pub(super) fn fill(&mut self) {
        if self.candidates.is_empty() || !self.filling.is_empty() {
            return;
        }
        let all = std::mem::take(&mut self.candidates);
        let kind = all[0].0.identity.kind();
        let (these, others) = all.into_iter().partition(|(claim, _)| claim.identity.kind() == kind);
        self.candidates = others;
        let filling = Filling {
            kind,
            api: api_version(kind, self.rules.has_ecid),
            batch_id: self.batches.filling(kind),
            rows_max: self.batches.rows_max.unwrap_or(ROWS_MAX),
            at: self.clock.now(),
            quota_time: self.quota_time(),
            candidates: these,
        };
        let writer = self.writer.clone();
        self.filling.spawn_blocking(move || filling.run(&writer));
    }

    pub(super) fn filled(&mut self, filled: Result<Result<Filled, StoreError>, JoinError>) {
        match filled.expect("filling a batch does not panic") {
            Ok(Filled { head, is_full, claims }) => {
                self.pages.give_back(claims);
                self.may_have_more |= is_full;
                self.batches.filled(head, is_full, self.clock.elapsed());
            }
            Err(error) => self.store_failed(&error),
        }
    }

    /// Begins what is due with a batch. Says when to look again.
    pub(super) fn start_batch(&mut self, now: Duration) -> Option<Duration> {
        if !self.batch_job.is_empty() {
            return None;
        }
        let is_read = !self.may_have_more
            && !self.pages.is_reading()
            && self.claims.is_empty()
            && self.candidates.is_empty()
            && self.filling.is_empty();
        let is_probe = self.link.permit(now) == Permit::Probe;
        if is_probe && !self.sends.is_empty() {
            return None;
        }
        match self.batches.next(now, is_read, self.rules.routes.bulk_above) {
            Next::Now(id) => {
                let head = self.batches.head(id)?.clone();
                let given_up = self.batches.given_up(id);
                self.batches.begun(id, now);
                self.link.sent(now);
                let jobs = Jobs {
                    client: self.way.client.clone(),
                    writer: self.writer.clone(),
                    store_file: self.store_file.clone(),
                    clock: self.clock.clone(),
                    quota_now: self.quota_clock.at(now),
                    verify: self.rules.verify,
                };
                self.batch_job.spawn(async move { (id, jobs.run(head, given_up).await) });
                None
            }
            Next::WaitUntil(time) => Some(time),
            Next::Nothing => None,
        }
    }

    pub(super) fn batch_done(&mut self, done: Result<(i64, Done), JoinError>) {
        let (id, done) = done.expect("a job of a batch does not panic");
        let now = self.clock.elapsed();
        match &done {
            Done::Submitted(_) | Done::Incomplete | Done::Ended(_) | Done::TooLarge => {
                self.heard(&Outcome::Delivered, now);
            }
            // That batches fail says nothing of the rest, as long as that goes on.
            Done::Failed(Outcome::Failing(_) | Outcome::Lost(_)) if self.link.state() == LinkState::Online => {}
            Done::Failed(outcome) => self.heard(outcome, now),
            Done::Store(error) => self.store_failed(error),
            Done::RowsSpent => tracing::info!("the rows of batches of a day are spent; what is left waits"),
        }
        if let Done::Ended(settled) = &done {
            batch_ended(*settled);
        }
        self.batches.ended(id, &done, now, fastrand::f64());
        self.may_have_more = true;
    }
}

fn batch_ended(settled: Settled) {
    if settled.failed > 0 {
        tracing::warn!(rows = settled.failed, "rows of a batch failed");
    }
}

/// Profiles on their way into a batch. Their claims are held until the store has them there.
struct Filling {
    kind: IdentityKind,
    api: i64,
    batch_id: Option<i64>,
    rows_max: usize,
    at: Timestamp,
    quota_time: QuotaTime,
    candidates: Vec<(Claim, Candidate)>,
}

/// What came of it.
pub(super) struct Filled {
    head: BatchHead,
    is_full: bool,
    /// Claims that were held for it.
    claims: usize,
}

impl Filling {
    /// Not synced: what a power cut takes out of a batch is pending, as it was before.
    fn run(self, writer: &Writer) -> Result<Filled, StoreError> {
        let Self { kind, api, batch_id, rows_max, at, quota_time, candidates } = self;
        let (claims, candidates): (Vec<Claim>, Vec<Candidate>) = candidates.into_iter().unzip();
        let (head, is_full) = writer.note_blocking(move |store| {
            let id = match batch_id {
                Some(id) => id,
                None => store.begin_batch(kind, api)?,
            };
            let reads = candidates.iter().map(|candidate| candidate.reads).sum::<i64>();
            if reads > 0 {
                store.spend_reads(reads, quota_time);
            }
            let filled = store.fill_batch(id, &candidates, at, (rows_max, bulk::encoded_bytes))?;
            let head = store.batch(id)?.expect("it was begun before");
            Ok((head, filled.is_full))
        })?;
        Ok(Filled { head, is_full, claims: claims.len() })
    }
}
