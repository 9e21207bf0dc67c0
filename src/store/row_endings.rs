//! The end of a batch, row by row: each result is recorded for exactly what was sent.

use rusqlite::OptionalExtension;

use super::batches::{self, Ending, RowAttribute, SettledRows};
use super::stored::pending;
use super::transaction::Transaction;
use super::verification::{self, ReadBack};
use super::{StoreError, place, profiles, sends};
use crate::core::forwarding::existence::Existence;
use crate::core::limits::BATCH_ROW_FAILURES_MAX;
use crate::core::operation::{LATE_MAX, Sent};
use crate::core::reason::Reason;
use crate::core::short_hash::short_hash;
use crate::core::timestamp::Timestamp;

impl Transaction<'_> {
    /// Ends up to a number of rows of a batch, within a transaction, so that recording never waits long. `verify`
    /// decides for each delivered row when it is read back, if at all.
    ///
    /// # Errors
    /// [`StoreError::Write`] or [`StoreError::Full`]; then the transaction must be rolled back.
    pub fn end_rows(
        &mut self,
        (batch_id, rows_max): (i64, usize),
        ending: &Ending,
        at: Timestamp,
        verify: &mut dyn FnMut() -> Option<Timestamp>,
    ) -> Result<SettledRows, StoreError> {
        self.end_part((batch_id, rows_max), ending, at, verify).map_err(StoreError::write)
    }

    fn end_part(
        &mut self,
        (batch_id, rows_max): (i64, usize),
        ending: &Ending,
        at: Timestamp,
        verify: &mut dyn FnMut() -> Option<Timestamp>,
    ) -> rusqlite::Result<SettledRows> {
        self.happens(at);
        // Ended rows are no longer in the batch, so that the next part begins where this one ends.
        let rows: Vec<(i64, Option<String>, String)> = self
            .connection
            .prepare_cached(
                "SELECT profile_id, open(key, 'profile', kind), open(content, 'batch_row', profile_id)
                 FROM batch_row LEFT JOIN profile ON id = profile_id
                 WHERE batch_row.batch_id = ?1 ORDER BY profile_id LIMIT ?2",
            )?
            .query_map((batch_id, i64::try_from(rows_max).unwrap_or(i64::MAX)), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut settled = SettledRows { is_more: rows.len() == rows_max, ..SettledRows::default() };
        for (profile_id, key, content) in rows {
            if let Some(key) = key {
                self.end_row(profile_id, &key, &batches::parse(&content)?, ending, at, &mut settled, verify)?;
            }
            self.leave_batch(batch_id, profile_id)?;
        }
        if settled.delivered > 0 {
            self.numbers.totals.last_delivered_at_ms = at.as_millis();
        }
        self.numbers.totals.updates += settled.delivered;
        Ok(settled)
    }

    #[allow(clippy::too_many_arguments)]
    fn end_row(
        &mut self,
        profile_id: i64,
        key: &str,
        row: &[RowAttribute],
        ending: &Ending,
        at: Timestamp,
        settled: &mut SettledRows,
        verify: &mut dyn FnMut() -> Option<Timestamp>,
    ) -> rusqlite::Result<()> {
        match ending {
            Ending::Complete { failed, .. } if failed.contains(&short_hash(key)) => {
                settled.failed += 1;
                self.fail_row(profile_id, row, at)
            }
            Ending::Complete { is_uncertain: true, sent_at, read_back_at, .. } => {
                settled.failed += 1;
                self.lose_row(profile_id, row, (*sent_at, *read_back_at))?;
                self.fail_row(profile_id, row, at)
            }
            Ending::Complete { sent_at, read_back_at, .. } => {
                settled.delivered += 1;
                let lost_at = self.log_row(profile_id, row, (*sent_at, false))?;
                self.deliver_row(profile_id, row, at)?;
                // A value lost before may still be applied, over this one.
                let may_come = lost_at.is_some_and(|lost_at| sent_at.since(lost_at) < LATE_MAX);
                let late = may_come.then_some((*read_back_at, ReadBack::Ambiguous));
                let due = late.or_else(|| verify().map(|due| (due, ReadBack::Sample)));
                due.map_or(Ok(()), |due| verification::schedule(self, profile_id, due))
            }
            Ending::Lost { sent_at, read_back_at } => self.lose_row(profile_id, row, (*sent_at, *read_back_at)),
            Ending::Refused(reason, detail) => self.refuse_row(profile_id, row, (*reason, detail), at),
            Ending::Released => Ok(()),
        }
    }

    /// Records that the result of a row is unknown, so that it is read back.
    fn lose_row(
        &self,
        profile_id: i64,
        row: &[RowAttribute],
        (sent_at, read_back_at): (Timestamp, Timestamp),
    ) -> rusqlite::Result<()> {
        self.log_row(profile_id, row, (sent_at, true))?;
        verification::schedule(self, profile_id, (read_back_at, ReadBack::Ambiguous))
    }

    /// Adds the values of a row to the profile's send log, so that they are recognised when it is read. Returns the
    /// time of the last value sent by then whose answer was lost.
    fn log_row(
        &self,
        profile_id: i64,
        row: &[RowAttribute],
        (at, is_lost): (Timestamp, bool),
    ) -> rusqlite::Result<Option<Timestamp>> {
        if row.iter().all(|attribute| attribute.3.is_none() && attribute.4.is_none()) {
            return Ok(None);
        }
        let mut log = sends::load(&self.connection, profile_id)?;
        let mut delivered = self
            .connection
            .prepare_cached("SELECT delivered_version FROM attribute WHERE profile_id = ?1 AND name = ?2")?;
        for RowAttribute(name, ..) in row.iter().filter(|attribute| attribute.3.is_some()) {
            let delivered: Option<i64> = delivered.query_row((profile_id, name), |row| row.get(0)).optional()?;
            log.lose_after(name, delivered.unwrap_or(0));
        }
        let lost_at = log.lost_at();
        for RowAttribute(name, value, version, own, seen_ms) in row {
            let seen_at = seen_ms.map(Timestamp::from_millis);
            match (own, seen_at) {
                (Some(own), _) => {
                    let (value, own, version) = (value.clone(), own.clone(), *version);
                    log.add(name, Sent { value, own, version, at, is_noted: true, seen_at, is_lost });
                }
                (None, Some(written_at)) if *version == 0 => log.carry(name, value, written_at, at),
                (None, _) => {}
            }
        }
        sends::write(self, profile_id, &log)?;
        Ok(lost_at)
    }

    fn deliver_row(&mut self, profile_id: i64, row: &[RowAttribute], at: Timestamp) -> rusqlite::Result<()> {
        let mut settled = 0;
        let mut deliver = self.connection.prepare_cached(
            "UPDATE attribute SET delivered_version = ?3, delivered_at_ms = ?4,
                 delivered_value = CASE WHEN version = ?3 THEN value
                     WHEN delivered_version < ?3 THEN seal(?5, 'attribute', ?1, ?2) ELSE delivered_value END
             WHERE profile_id = ?1 AND name = ?2 AND version >= ?3 AND delivered_version <= ?3
             RETURNING version = ?3 AND refused_version < ?3",
        )?;
        let mut was_pending = self.connection.prepare_cached(concat!(
            "SELECT ",
            pending!(),
            " FROM attribute WHERE profile_id = ?1 AND name = ?2"
        ))?;
        let ours = || row.iter().filter(|attribute| attribute.2 > 0);
        for RowAttribute(name, value, version, own, _) in ours() {
            let before: Option<bool> = was_pending.query_row((profile_id, name), |row| row.get(0)).optional()?;
            let own = own.as_ref().unwrap_or(value);
            let after: Option<bool> =
                deliver.query_row((profile_id, name, version, at.as_millis(), own), |row| row.get(0)).optional()?;
            settled += i64::from(before == Some(true) && after == Some(true));
        }
        drop((deliver, was_pending));
        profiles::learn(self, profile_id, Existence::Yes, at)?;
        self.connection.prepare_cached("UPDATE profile SET batch_failures = 0 WHERE id = ?1")?.execute([profile_id])?;
        let sent = i64::try_from(ours().count()).unwrap_or(0);
        self.numbers.pending_change.attributes -= settled;
        self.numbers.totals.attributes += sent;
        Ok(())
    }

    /// Counts a failure; after several the row is rejected.
    fn fail_row(&mut self, profile_id: i64, row: &[RowAttribute], at: Timestamp) -> rusqlite::Result<()> {
        let failures: i64 = self
            .connection
            .prepare_cached(
                "UPDATE profile SET batch_failures = batch_failures + 1 WHERE id = ?1 RETURNING batch_failures",
            )?
            .query_row([profile_id], |row| row.get(0))?;
        if failures < BATCH_ROW_FAILURES_MAX {
            return Ok(());
        }
        let detail = format!("its row failed in {failures} batches");
        self.refuse_row(profile_id, row, (Reason::BatchFailed, &detail), at)?;
        self.connection.prepare_cached("UPDATE profile SET batch_failures = 0 WHERE id = ?1")?.execute([profile_id])?;
        Ok(())
    }

    fn refuse_row(
        &mut self,
        profile_id: i64,
        row: &[RowAttribute],
        why: (Reason, &str),
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let mut sent = Vec::new();
        let mut is_pending = self.connection.prepare_cached(
            "SELECT ?3 > max(delivered_version, refused_version) FROM attribute WHERE profile_id = ?1 AND name = ?2",
        )?;
        for RowAttribute(name, _, version, ..) in row.iter().filter(|attribute| attribute.2 > 0) {
            let pending: Option<bool> =
                is_pending.query_row((profile_id, name, version), |row| row.get(0)).optional()?;
            if pending == Some(true) {
                sent.push((name.clone(), *version));
            }
        }
        drop(is_pending);
        let settled = self.refuse_versions(profile_id, &sent, why, at)?;
        self.numbers.pending_change.attributes -= settled;
        Ok(())
    }

    fn leave_batch(&mut self, batch_id: i64, profile_id: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM batch_row WHERE batch_id = ?1 AND profile_id = ?2")?
            .execute((batch_id, profile_id))?;
        self.connection
            .prepare_cached("UPDATE profile SET batch_id = NULL WHERE id = ?1 AND batch_id = ?2")?
            .execute((profile_id, batch_id))?;
        place::refresh_pending(self, profile_id)
    }
}
