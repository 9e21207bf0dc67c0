//! The jobs that send a batch, ask after it, and settle it. Each ends with what `batches` then decides on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::limits::{BATCH_INCOMPLETE_MAX, BATCH_ROWS_A_DAY, QUOTA_WINDOW};
use crate::store::{BatchHead, BatchState, Reader, SettledRows, Store, StoreError, StoreFile, Writer};
use crate::target::{BatchOutcome, BatchStatus, Client, Outcome, bulk};
use crate::timestamp::Timestamp;

/// Bytes of a file that are encoded at a time.
const CHUNK_BYTES: usize = 32 * 1024;

/// Chunks that wait to be sent.
const CHUNKS_WAITING: usize = 4;

/// What came of a job.
#[derive(Debug)]
pub(super) enum Done {
    /// Target took the batch.
    Submitted(BatchHead),
    /// Target is not done with it.
    Incomplete,
    /// It came to its end, with these rows.
    Ended(Settled),
    /// Target finds it too large.
    TooLarge,
    /// The rows of 24 hours are spent.
    RowsSpent,
    /// Another answer, or none.
    Failed(Outcome),
    /// The store failed.
    Store(StoreError),
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) delivered: i64,
    pub(super) failed: i64,
    /// Why it was given up, if it was.
    pub(super) given_up: Option<&'static str>,
}

/// What jobs need.
#[derive(Clone)]
pub(super) struct Jobs {
    pub(super) client: Client,
    pub(super) writer: Writer,
    pub(super) store_file: StoreFile,
    pub(super) clock: Arc<Clock>,
    /// The quota's clock, now.
    pub(super) quota_now: Timestamp,
    /// The part of profiles that is read back, and after how long.
    pub(super) verify: Option<(f64, Duration)>,
}

impl Jobs {
    /// Does what is next with a batch.
    pub(super) async fn run(self, head: BatchHead, given_up: Option<&'static str>) -> Done {
        let done = match (given_up, head.state, &head.target_id) {
            (Some(why), ..) => self.give_up(&head, why).await,
            (None, BatchState::Submitted, Some(path)) => self.poll(&head, path).await,
            _ => self.submit(&head).await,
        };
        done.unwrap_or_else(Done::Store)
    }

    async fn submit(&self, head: &BatchHead) -> Result<Done, StoreError> {
        let (id, since) = (head.id, self.quota_now.minus(QUOTA_WINDOW));
        let today = self
            .writer
            .act(move |store| {
                store.submitting_batch(id)?;
                store.batch_rows_since(since)
            })
            .await?;
        if today + head.rows as u64 > BATCH_ROWS_A_DAY {
            return Ok(Done::RowsSpent);
        }
        let file = File { store_file: self.store_file.clone(), head: head.clone() };
        let measured = file.clone();
        let (bytes, rows) =
            tokio::task::spawn_blocking(move || measured.measure()).await.expect("no panic in reading")?;
        if rows == 0 {
            // Everybody in it was forgotten.
            return self.end(head, BatchState::GivenUp, Settled::default()).await;
        }
        let (chunks, sending) = mpsc::channel(CHUNKS_WAITING);
        let reading = tokio::task::spawn_blocking(move || file.send(&chunks));
        let exchange = self.client.submit(head.api, bytes, sending).await;
        let read = reading.await.expect("no panic in reading");
        match exchange.answer {
            BatchOutcome::Submitted(path) => {
                let (target_id, at) = (path.clone(), self.quota_now);
                self.writer.act(move |store| store.submitted_batch(id, &target_id, at)).await?;
                tracing::info!(rows = head.rows, bytes, "batch submitted");
                let submitted_at = Some(self.quota_now);
                let head = head.clone();
                Ok(Done::Submitted(BatchHead {
                    state: BatchState::Submitted,
                    target_id: Some(path),
                    submitted_at,
                    ..head
                }))
            }
            BatchOutcome::Failed(Outcome::TooLarge) if head.rows > 1 => Ok(Done::TooLarge),
            BatchOutcome::Failed(outcome @ (Outcome::Refused(_) | Outcome::TooLarge)) => {
                // Its words are not logged: they may repeat a row.
                tracing::warn!(
                    outcome = outcome.label(),
                    rows = head.rows,
                    "batch refused; its rows are tried in another"
                );
                let settled = self.settle(head, Some(&Failed::All), "").await?;
                self.end(head, BatchState::GivenUp, settled).await
            }
            BatchOutcome::Failed(outcome) => {
                read?;
                Ok(Done::Failed(outcome))
            }
        }
    }

    async fn poll(&self, head: &BatchHead, path: &str) -> Result<Done, StoreError> {
        let status = match self.client.batch_status(path, false).await.answer {
            Ok(status) => status,
            Err(outcome) => return Ok(Done::Failed(outcome)),
        };
        match status.status.as_str() {
            "complete" => {}
            "stuck" => return self.give_up(head, "Target got stuck with it").await,
            _ if head.submitted_at.is_some_and(|at| self.quota_now.since(at) > BATCH_INCOMPLETE_MAX) => {
                return self.give_up(head, "Target was not done with it within a day").await;
            }
            _ => return Ok(Done::Incomplete),
        }
        let BatchStatus { failed, failed_count, named, .. } = match self.client.batch_status(path, true).await.answer {
            Ok(details) => details,
            Err(outcome) => return Ok(Done::Failed(outcome)),
        };
        if failed_count > named {
            tracing::warn!(counted = failed_count, named, "Target does not name every row that failed");
        }
        let settled = self.settle(head, Some(&Failed::These(failed)), "").await?;
        tracing::info!(delivered = settled.delivered, failed = settled.failed, "batch complete");
        self.end(head, BatchState::Complete, settled).await
    }

    async fn give_up(&self, head: &BatchHead, why: &'static str) -> Result<Done, StoreError> {
        tracing::warn!(rows = head.rows, why, "batch given up; its rows are pending again");
        let settled = self.settle(head, None, why).await?;
        self.end(head, BatchState::GivenUp, settled).await
    }

    /// Settles all rows in small parts, so that recording never waits long. Without `failed` they are pending again.
    async fn settle(
        &self,
        head: &BatchHead,
        failed: Option<&Failed>,
        why: &'static str,
    ) -> Result<Settled, StoreError> {
        let given_up = Some(why).filter(|why| !why.is_empty());
        let mut settled = Settled { given_up, ..Settled::default() };
        let failed = failed.cloned().map(Arc::new);
        loop {
            let (head, failed, at, verify) = (head.clone(), failed.clone(), self.clock.now(), self.verify);
            let part = move |store: &mut Store| settle_part(store, &head, failed.as_deref(), at, verify);
            let SettledRows { next, delivered, failed } = self.writer.act(part).await?;
            settled.delivered += delivered;
            settled.failed += failed;
            if next.is_none() {
                return Ok(settled);
            }
        }
    }

    async fn end(&self, head: &BatchHead, state: BatchState, settled: Settled) -> Result<Done, StoreError> {
        let (id, at) = (head.id, self.quota_now);
        self.writer.act(move |store| store.end_batch(id, state, at, at.minus(QUOTA_WINDOW))).await?;
        Ok(Done::Ended(settled))
    }
}

#[derive(Clone)]
enum Failed {
    All,
    These(HashSet<u64>),
}

fn settle_part(
    store: &mut Store,
    head: &BatchHead,
    failed: Option<&Failed>,
    at: Timestamp,
    verify: Option<(f64, Duration)>,
) -> Result<SettledRows, StoreError> {
    let mut verify_at = || verify.filter(|(part, _)| fastrand::f64() < *part).map(|(_, after)| at.plus(after));
    match failed {
        None => store.release_rows(head, at),
        Some(Failed::All) => store.fail_rows(head, at),
        Some(Failed::These(failed)) => store.settle_rows(head, failed, at, &mut verify_at),
    }
}

/// The file of a batch, read from the store piece by piece: what is in it is frozen, so that it is the same each time.
#[derive(Clone)]
struct File {
    store_file: StoreFile,
    head: BatchHead,
}

impl File {
    /// Its bytes and rows.
    fn measure(&self) -> Result<(u64, usize), StoreError> {
        let (mut bytes, mut rows) = (0, 0);
        self.each(|lines, count| {
            bytes += lines.len() as u64;
            rows += count;
            lines.clear();
            true
        })?;
        Ok((bytes, rows))
    }

    /// Hands it over until nobody takes it any more.
    fn send(&self, chunks: &mpsc::Sender<Bytes>) -> Result<(), StoreError> {
        self.each(|lines, _| {
            let chunk = std::mem::replace(lines, String::with_capacity(CHUNK_BYTES));
            chunks.blocking_send(Bytes::from(chunk)).is_ok()
        })
    }

    fn each(&self, mut take: impl FnMut(&mut String, usize) -> bool) -> Result<(), StoreError> {
        let reader = Reader::open(&self.store_file)?;
        let names = reader.batch_names(self.head.id)?;
        let mut lines = bulk::head(self.head.kind, &names);
        let (mut after, mut rows) = (0, 0);
        loop {
            let part = reader.batch_rows(self.head.id, after)?;
            let Some(last) = part.last() else { break };
            after = last.profile_id;
            for row in &part {
                bulk::append_row(&mut lines, &names, &row.key, &row.attributes);
                rows += 1;
                if lines.len() >= CHUNK_BYTES && !take(&mut lines, std::mem::take(&mut rows)) {
                    return Ok(());
                }
            }
        }
        if !lines.is_empty() {
            take(&mut lines, rows);
        }
        Ok(())
    }
}
