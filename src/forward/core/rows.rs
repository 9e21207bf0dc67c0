//! Batches: the next rows to add, and the next step.

use std::time::Duration;

use super::batch_size::row_bytes;
use super::batches::{Next, ROWS_WAIT, Step};
use super::open_batch::Outlook;
use super::{Action, Adding, Candidate, Core, Moment, News};
use crate::adobe::bulk;
use crate::core::limits::{BATCH_ROWS_A_DAY, READ_BACK_FIRST};
use crate::store::BatchEntry;

/// Most profiles that wait for a batch before claiming stops; also the most added at once.
pub(super) const CANDIDATES_MAX: usize = 2_048;

impl Core {
    /// Adds waiting profiles to a batch.
    pub(super) fn add_rows(&mut self, moment: Moment) -> Option<Action> {
        if self.adding.is_some() || self.candidates.is_empty() {
            return None;
        }
        let kind = self.candidates[0].claim.identity.kind();
        let api = bulk::version(kind, self.rules.routes.has_ecid);
        let rows_max = self.batches.rows_max();
        let mut open = self.batches.take_filling(kind, api, moment.elapsed);
        let mut before = open.clone();
        let (mut entries, mut claims, mut others) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(candidate) = self.candidates.pop_front() {
            let Candidate { claim, row, .. } = &candidate;
            if claim.identity.kind() != kind {
                others.push(candidate);
                continue;
            }
            if entries.len() >= self.add_max {
                self.candidates.push_front(candidate);
                break;
            }
            if !open.add(claim.profile_id, claim.identity.key(), row, rows_max) {
                self.candidates.push_front(candidate);
                if entries.is_empty() {
                    // The batch was full: this profile begins the next one.
                    self.batches.put_back(open);
                    open = self.batches.take_filling(kind, api, moment.elapsed);
                    before = open.clone();
                    continue;
                }
                break;
            }
            let Candidate { claim, route, row, readings, learned, reads, log } = candidate;
            let (profile_id, bytes) = (claim.profile_id, row_bytes(claim.identity.key(), &row));
            entries.push(BatchEntry { profile_id, route, row: row.attributes, readings, learned, reads, bytes, log });
            claims.push(claim);
        }
        others.into_iter().rev().for_each(|candidate| self.candidates.push_front(candidate));
        let batch = Some(open.head.id).filter(|id| *id != 0);
        self.adding = Some(Adding { before, after: open });
        Some(Action::AddRows { batch, kind, api, entries, claims })
    }

    /// Returns the next step of a batch, or when to look again.
    pub(super) fn batch_step(&mut self, moment: Moment, may_send: bool) -> Result<Action, Option<Duration>> {
        let outlook = Outlook {
            now: moment.elapsed,
            quota: moment.quota.at,
            is_read: self.is_read(),
            bulk_above: self.rules.routes.bulk_above,
            may_send,
            can_batch: self.can_batch(),
            read_back_at: moment.wall.plus(READ_BACK_FIRST),
        };
        let (id, step) = match self.batches.next(outlook) {
            Next::Now(id, step) => (id, step),
            Next::WaitUntil(wake) => return Err(Some(wake)),
            Next::Nothing => return Err(None),
        };
        let rows_next = self.batches.get(id).map_or(0, |open| open.head.rows);
        if matches!(step, Step::Submit) {
            let rows = self.rows_today(moment) + rows_next;
            if u64::try_from(rows).unwrap_or(u64::MAX) > BATCH_ROWS_A_DAY {
                self.news.push(News::Rows(Some(ROWS_WAIT)));
                self.batches.rows_spent(id, moment.elapsed);
                return self.batch_step(moment, may_send);
            }
        }
        self.batches.start(id, &step, moment.elapsed, self.target_time(moment));
        if !matches!(step, Step::End(..)) {
            self.link.sent(moment.elapsed);
        }
        Ok(match step {
            Step::Submit => {
                let open = self.batches.get(id).expect("it is open");
                Action::Submit(open.head.clone(), open.names())
            }
            Step::Poll(path) => Action::Poll(id, path),
            Step::End(ending, state) => Action::End(id, ending, state),
        })
    }

    /// Returns true if the outbox has nothing more for a batch.
    fn is_read(&self) -> bool {
        !self.may_have_more
            && !self.busy.is_claiming
            && self.claims.is_empty()
            && self.to_read.is_empty()
            && self.reading.is_empty()
            && self.candidates.is_empty()
            && self.adding.is_none()
    }
}
