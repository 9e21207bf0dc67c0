//! The jobs of a batch: submitting it, polling it, and ending its rows. Each returns the input for the core's next
//! decision.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::mpsc;

use super::core::BatchCame;
use crate::adobe::{BatchOutcome, Client, bulk};
use crate::core::limits::QUOTA_WINDOW;
use crate::core::short_hash::short_hash;
use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;
use crate::store::{
    BatchHead, BatchState, Ending, PART_ROWS, Reader, SettledRows, StoreError, StoreFile, Transaction, Writer,
};

/// Part of a file that is encoded at once. Units: bytes.
const CHUNK_BYTES: usize = 32 * 1024;

/// Chunks that may wait to be sent.
const CHUNKS_WAITING: usize = 4;

/// The resources of jobs.
pub(super) struct Jobs {
    pub(super) client: Client,
    pub(super) writer: Writer,
    pub(super) store_file: StoreFile,
    pub(super) clock: Arc<Clock>,
    /// The quota's clock at the start of the job.
    pub(super) quota_now: Timestamp,
    /// Fraction of profiles that is read back, and the delay.
    pub(super) verify: Option<(f64, Duration)>,
}

impl Jobs {
    /// Submits a batch. This is recorded before sending, because after a crash it is unknown whether Target accepted
    /// it.
    pub(super) async fn submit(self, head: BatchHead, names: Vec<String>) -> Result<BatchCame, StoreError> {
        let (id, at, sent_at) = (head.id, self.quota_now, head.sent_at);
        self.writer.act(move |store| store.submitting_batch(id, at, sent_at)).await?;
        let file = File { store_file: self.store_file.clone(), head: head.clone(), names };
        let measured = file.clone();
        let (bytes, rows) =
            tokio::task::spawn_blocking(move || measured.measure()).await.expect("no panic in reading")?;
        if rows == 0 {
            // Everybody in it was forgotten.
            return Ok(BatchCame::Empty);
        }
        let (chunks, sending) = mpsc::channel(CHUNKS_WAITING);
        let reading = tokio::task::spawn_blocking(move || file.send(&chunks));
        let exchange = self.client.submit(head.api, bytes, sending).await;
        let read = reading.await.expect("no panic in reading");
        match exchange.answer {
            BatchOutcome::Submitted(path) => {
                let target_id = path.clone();
                // Target has the batch even if this cannot be recorded: after a crash the answer counts as lost.
                let noted = self.writer.act(move |store| store.submitted_batch(id, (&target_id, rows), at)).await;
                self.report(noted);
                Ok(BatchCame::Submitted(path, rows))
            }
            BatchOutcome::Failed(outcome) if outcome.is_lost() => {
                self.report(read);
                Ok(BatchCame::Failed(outcome))
            }
            BatchOutcome::Failed(outcome) => {
                let noted = self.writer.act(move |store| store.unsubmitted_batch(id)).await;
                self.report(noted);
                // A file that was cut off says nothing about the batch.
                read?;
                Ok(BatchCame::Failed(outcome))
            }
        }
    }

    /// Reports a failure of the store, which says nothing about what Target did.
    fn report(&self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.writer.report(&error);
            tracing::warn!(%error, "what became of a batch could not be written down");
        }
    }

    /// Polls a batch; once Target has finished with it, reads the list of failed rows.
    pub(super) async fn poll(self, id: i64, path: &str) -> Result<BatchCame, StoreError> {
        let status = match self.client.batch_status(path, false).await.answer {
            Ok(status) => status,
            Err(outcome) => return Ok(BatchCame::Failed(outcome)),
        };
        match status.status.as_str() {
            "complete" => {}
            "stuck" => return Ok(BatchCame::Stuck),
            _ => return Ok(BatchCame::Incomplete),
        }
        let mut status = match self.client.batch_status(path, true).await.answer {
            Ok(status) => status,
            Err(outcome) => return Ok(BatchCame::Failed(outcome)),
        };
        if status.named > 0 {
            let (failed, store_file) = (status.failed.clone(), self.store_file);
            let count = tokio::task::spawn_blocking(move || count_rows(&store_file, id, &failed));
            status.named_in_batch(count.await.expect("no panic in reading")?);
        }
        Ok(BatchCame::Complete(status))
    }

    /// Ends all rows in small parts, so that recording never waits long; in smaller ones if a nearly full store has no
    /// room for more, since each ended part frees room.
    pub(super) async fn end(self, id: i64, ending: Ending, state: BatchState) -> Result<BatchCame, StoreError> {
        let mut settled = SettledRows::default();
        let mut part_rows = PART_ROWS;
        let ending = Arc::new(ending);
        loop {
            let (ending, at, verify) = (ending.clone(), self.clock.now(), self.verify);
            let part = move |store: &mut Transaction<'_>| {
                let sampled = || verify.filter(|(part, _)| fastrand::f64() < *part);
                store.end_rows((id, part_rows), &ending, at, &mut || sampled().map(|(_, after)| at.plus(after)))
            };
            let SettledRows { is_more, delivered, failed } = match self.writer.act(part).await {
                Err(StoreError::Full(_)) if part_rows > 1 => {
                    part_rows /= 2;
                    continue;
                }
                ended => ended?,
            };
            settled.delivered += delivered;
            settled.failed += failed;
            if !is_more {
                break;
            }
        }
        let at = self.quota_now;
        self.writer.act(move |store| store.end_batch(id, state, at, at.minus(QUOTA_WINDOW))).await?;
        Ok(BatchCame::Ended(settled))
    }
}

/// Counts the rows of a batch whose keys are among some, by their hashes.
fn count_rows(store_file: &StoreFile, id: i64, keys: &HashSet<u64>) -> Result<u64, StoreError> {
    let reader = Reader::open(store_file)?;
    let (mut after, mut count) = (0, 0);
    loop {
        let part = reader.batch_rows(id, after)?;
        let Some(last) = part.last() else { return Ok(count) };
        after = last.profile_id;
        count += part.iter().filter(|row| keys.contains(&short_hash(&row.key))).count() as u64;
    }
}

/// The file of a batch, read from the store piece by piece. The content is frozen, so the file is the same each time.
#[derive(Clone)]
struct File {
    store_file: StoreFile,
    head: BatchHead,
    /// Names in its first line, in order.
    names: Vec<String>,
}

impl File {
    /// Returns the size in bytes and the number of rows.
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

    /// Sends the file until the receiver is gone.
    fn send(&self, chunks: &mpsc::Sender<Bytes>) -> Result<(), StoreError> {
        self.each(|lines, _| {
            let chunk = std::mem::replace(lines, String::with_capacity(CHUNK_BYTES));
            chunks.blocking_send(Bytes::from(chunk)).is_ok()
        })
    }

    fn each(&self, mut take: impl FnMut(&mut String, usize) -> bool) -> Result<(), StoreError> {
        let reader = Reader::open(&self.store_file)?;
        let mut lines = bulk::head(self.head.kind, &self.names);
        let (mut after, mut rows) = (0, 0);
        loop {
            let part = reader.batch_rows(self.head.id, after)?;
            let Some(last) = part.last() else { break };
            after = last.profile_id;
            for row in &part {
                bulk::append_row(&mut lines, &self.names, &row.key, &row.attributes);
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
