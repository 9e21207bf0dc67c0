//! The consequences of a finished job on a batch.

use super::answers::update_fails;
use super::batches::NotTaken;
use super::refusals::No;
use super::rows::CANDIDATES_MAX;
use super::setbacks::NO_BATCH;
use super::{Adding, BatchCame, Core, Moment, News, StoreFailed};
use crate::adobe::{BatchStatus, Outcome};
use crate::core::forwarding::link::{LinkState, Signal};
use crate::core::limits::READ_BACK_FIRST;
use crate::store::{BatchHead, BatchState, Ending, SettledRows};

impl Core {
    pub(super) fn rows_added(
        &mut self,
        claims: usize,
        result: Result<BatchHead, StoreFailed>,
        moment: Moment,
        chance: f64,
    ) {
        self.released += claims;
        let Some(Adding { mut before, after: mut open }) = self.adding.take() else { return };
        match result {
            Ok(head) => {
                open.head = head;
                self.batches.put_back(open);
                self.add_max = self.add_max.saturating_mul(2).min(CANDIDATES_MAX);
            }
            Err(failed) => {
                match failed {
                    StoreFailed::NoRoom => {
                        if self.add_max == 1 {
                            // There is no room for any of those that wait for it.
                            self.release_unsent(moment);
                        }
                        self.add_max = (self.add_max / 2).max(1);
                        self.batches.no_room(moment.elapsed);
                        // The batch is sent as it is: delivering it frees room.
                        before.close();
                    }
                    StoreFailed::Other => self.store_failed(moment, chance),
                }
                if before.head.id != 0 {
                    self.batches.put_back(before);
                }
                self.may_have_more = true;
            }
        }
    }

    pub(super) fn batch(&mut self, id: i64, came: BatchCame, moment: Moment, chance: f64) {
        let now = moment.elapsed;
        let rows = self.batches.get(id).map_or(0, |open| open.head.rows);
        match came {
            BatchCame::Submitted(path, rows) => {
                self.refusals.accepted();
                self.rows_sent.push_back((moment.quota.at, rows));
                self.batches.submitted(id, path, rows, now, moment.quota.at);
                self.news.extend([News::BatchSubmitted(rows), News::Rows(None)]);
                self.updates_fail = false;
                self.observe(Signal::Answered, moment, chance);
            }
            BatchCame::Empty => self.batches.end(id, Ending::Released, BatchState::GivenUp),
            BatchCame::Incomplete => {
                self.batches.incomplete(id, now);
                self.observe(Signal::Answered, moment, chance);
            }
            BatchCame::Stuck => {
                self.news.push(News::BatchGivenUp(rows, "Target got stuck with it"));
                self.batches.end(id, Ending::Released, BatchState::GivenUp);
                self.observe(Signal::Answered, moment, chance);
            }
            BatchCame::Complete(status) => {
                self.complete(id, status, rows, moment);
                self.observe(Signal::Answered, moment, chance);
            }
            BatchCame::Failed(outcome) if self.batches.is_submitted(id) => {
                let is_unknown = matches!(outcome, Outcome::Refused(_) | Outcome::TooLarge);
                self.batches.poll_failed(id, is_unknown, now, chance);
                self.heard_of_batch(&outcome, moment, chance);
            }
            BatchCame::Failed(outcome) => self.not_taken(id, rows, &outcome, moment, chance),
            BatchCame::Ended(settled) => self.batch_ended(id, settled, moment, chance),
            BatchCame::Store(_) => {
                self.batches.store_failed(id, now, chance);
                self.store_failed(moment, chance);
            }
        }
    }

    fn complete(&mut self, id: i64, status: BatchStatus, rows: usize, moment: Moment) {
        let sent_at = self.batches.get(id).map(|open| open.sent_at).unwrap_or_default();
        let unnamed = status.unnamed_failures(u64::try_from(rows).unwrap_or(u64::MAX));
        let read_back_at = moment.wall.plus(READ_BACK_FIRST);
        if unnamed > 0 {
            self.news.push(News::RowsUnnamed(unnamed));
        }
        let ending = Ending::Complete { failed: status.failed, is_uncertain: unnamed > 0, sent_at, read_back_at };
        self.batches.end(id, ending, BatchState::Complete);
    }

    fn not_taken(&mut self, id: i64, rows: usize, outcome: &Outcome, moment: Moment, chance: f64) {
        let now = moment.elapsed;
        match outcome {
            Outcome::Lost(_) => {
                let read_back_at = moment.wall.plus(READ_BACK_FIRST);
                self.news.push(News::BatchGivenUp(rows, "the answer to its submission was lost"));
                // Target may have them.
                self.rows_sent.push_back((moment.quota.at, rows));
                self.batches.lost(id, read_back_at, now, chance);
            }
            Outcome::Refused(_) | Outcome::TooLarge if rows > 1 => {
                self.news.push(News::BatchRefused(rows));
                self.batches.not_taken(id, NotTaken::Halve, now, chance);
                return self.observe(Signal::Answered, moment, chance);
            }
            outcome => match No::of(outcome) {
                Some(no) => return self.row_refused(id, no, moment, chance),
                None => self.batches.not_taken(id, NotTaken::Again, now, chance),
            },
        }
        self.heard_of_batch(outcome, moment, chance);
    }

    /// Handles the refusal of a batch with one row.
    fn row_refused(&mut self, id: i64, no: No, moment: Moment, chance: f64) {
        let sole = self.batches.get(id).and_then(|open| open.sole).unwrap_or_default();
        let ending = match self.is_refusal_its(sole, &no, moment, chance) {
            true => {
                self.observe(Signal::Answered, moment, chance);
                Ending::Refused(no.reason, no.detail)
            }
            false => Ending::Released,
        };
        self.batches.end(id, ending, BatchState::GivenUp);
    }

    /// Applies an answer about a batch to the link. Failing batches say nothing about other updates, as long as those
    /// succeed.
    fn heard_of_batch(&mut self, outcome: &Outcome, moment: Moment, chance: f64) {
        let is_its =
            matches!(outcome, Outcome::Failing(_) | Outcome::Lost(_)) && self.link.state() == LinkState::Online;
        if !is_its {
            self.updates_fail = update_fails(outcome);
            self.heard(outcome, moment, chance);
        }
    }

    fn batch_ended(&mut self, id: i64, settled: SettledRows, moment: Moment, chance: f64) {
        self.batches.ended(id, moment.elapsed, chance);
        let SettledRows { delivered, failed, .. } = settled;
        if delivered + failed > 0 {
            self.news.push(News::BatchEnded { delivered, failed });
        }
        if self.batches.opens_at(moment.elapsed).is_none() {
            self.setbacks.release(NO_BATCH);
        }
        // Its rows may be due for a reading, however it ended: the store knows when.
        self.due_at = Some(moment.wall);
        self.may_have_more = true;
    }
}
