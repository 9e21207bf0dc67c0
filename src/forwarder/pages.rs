//! Claiming ahead, page by page, on a thread that may wait for the disk.
//!
//! A page is what is sent within a moment: large enough that reading costs little, small enough that a value is not long
//! claimed, and perhaps outdated, before it is sent.

use std::collections::HashSet;
use std::future::pending;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::limits::OUTBOX_PAGE_PROFILES;
use crate::store::{Claim, ClaimRules, Claims, Outbox, StoreError, Writer};
use crate::timestamp::Timestamp;

/// What a page should last for.
const PAGE_TIME: Duration = Duration::from_millis(20);

/// Pages for which room in the quota is reserved at once, while there is much to send: to wait for the writer each time
/// would make the line wait.
const RESERVED_AHEAD: usize = 2;

/// What was claimed.
pub(super) struct Page {
    pub(super) claims: Vec<Claim>,
    /// Pending profiles, counted as far as was asked for.
    pub(super) backlog: usize,
    /// Whether the outbox may hold more.
    pub(super) may_have_more: bool,
    /// What is reserved of the quota beyond the claims, of what was spare when the reading began.
    spare: usize,
}

/// What is to be read.
pub(super) struct Ask {
    /// Whether it is one claim, for a probe.
    pub(super) is_one: bool,
    /// Profiles that are passed over.
    pub(super) aside: HashSet<i64>,
    /// As [`ClaimRules::backlog_max`].
    pub(super) backlog_max: usize,
    /// As [`ClaimRules::late_before`].
    pub(super) late_before: Option<Timestamp>,
    /// As [`ClaimRules::goes_in_batch`].
    pub(super) goes_in_batch: bool,
}

/// The outbox, and how much is read of it at a time.
pub(super) struct Pages {
    /// None while a page is being read.
    outbox: Option<Outbox>,
    reading: Option<JoinHandle<(Outbox, Result<Page, StoreError>)>>,
    connections: usize,
    size: usize,
    begun: Instant,
    writer: Writer,
    /// Room in the quota that is reserved beyond that of the claims.
    spare: usize,
    /// The same, when the reading began.
    spare_at_begin: usize,
}

impl Pages {
    pub(super) fn new(outbox: Outbox, writer: Writer, connections: usize) -> Self {
        let begun = Instant::now();
        Self {
            outbox: Some(outbox),
            reading: None,
            connections,
            size: connections,
            begun,
            writer,
            spare: 0,
            spare_at_begin: 0,
        }
    }

    /// Whether it is time to read on, with so many claims left.
    pub(super) const fn is_due(&self, left: usize) -> bool {
        self.outbox.is_some() && left <= self.size / 2
    }

    /// Whether a page is being read.
    pub(super) const fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Begins to read a page.
    pub(super) fn begin(&mut self, ask: Ask) {
        let Some(mut outbox) = self.outbox.take() else { return };
        self.size = page_size(self.size, self.begun.elapsed(), self.connections);
        self.begun = Instant::now();
        let limit = if ask.is_one { 1 } else { self.size };
        self.spare_at_begin = self.spare;
        let (writer, spare) = (self.writer.clone(), self.spare);
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let Ask { is_one, aside, backlog_max, late_before, goes_in_batch } = ask;
            let rules = ClaimRules { limit, aside: &aside, backlog_max, late_before, goes_in_batch };
            let page = outbox.claim(rules).and_then(|Claims { claims, backlog }| {
                let may_have_more = claims.len() == limit;
                // After a probe nobody knows whether there is more to send.
                let spare = reserve(&writer, claims.len(), spare, may_have_more && !is_one)?;
                Ok(Page { claims, backlog, may_have_more, spare })
            });
            (outbox, page)
        }));
    }

    /// So many claims will not be sent.
    pub(super) const fn give_back(&mut self, claims: usize) {
        self.spare += claims;
    }

    /// Gives back what is still reserved.
    pub(super) async fn finish(&mut self) {
        if self.reading.is_some()
            && let Ok(page) = self.read().await
        {
            self.spare += page.claims.len();
        }
        let (writer, spare) = (self.writer.clone(), std::mem::take(&mut self.spare));
        let reserved = tokio::task::spawn_blocking(move || reserve(&writer, 0, spare, false)).await;
        if !matches!(reserved, Ok(Ok(_))) {
            tracing::debug!("what was reserved of the quota counts as used after the next start");
        }
    }

    /// Waits for the page that is being read, if any. It may be dropped and called again.
    pub(super) async fn read(&mut self) -> Result<Page, StoreError> {
        let Some(reading) = &mut self.reading else { return pending().await };
        let (outbox, page) = reading.await.expect("reading the outbox does not panic");
        self.reading = None;
        self.outbox = Some(outbox);
        if let Ok(page) = &page {
            // What was given back meanwhile stays.
            self.spare = self.spare - self.spare_at_begin + page.spare;
        }
        page
    }
}

/// Reserves room in the quota for claims before they are sent, so that a crash cannot hide them. Gives what is spare then:
/// some while there is more to send, and none else.
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

/// The size of the next page, when one of the size `last` lasted for `elapsed`.
fn page_size(last: usize, elapsed: Duration, connections: usize) -> usize {
    let fitting = last as u128 * PAGE_TIME.as_micros() / elapsed.as_micros().max(1);
    usize::try_from(fitting).unwrap_or(usize::MAX).clamp(connections, OUTBOX_PAGE_PROFILES.max(connections))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_is_sent_in_a_moment() {
        let check = |last, elapsed_ms, expected| {
            assert_eq!(page_size(last, Duration::from_millis(elapsed_ms), 4), expected, "{last} in {elapsed_ms} ms");
        };
        check(4, 0, OUTBOX_PAGE_PROFILES);
        check(4, 1, 80);
        check(80, 3, OUTBOX_PAGE_PROFILES);
        check(OUTBOX_PAGE_PROFILES, 10, OUTBOX_PAGE_PROFILES);
        check(90, 30, 60);
        check(OUTBOX_PAGE_PROFILES, 30_000, 4);
        check(4, 100, 4);
    }
}
