//! One quota for all nodes: each reserves blocks of it in the database, uses them within a minute, and gives back what is left.
//!
//! A block counts as used by the end of the time in which it may be, whatever becomes of the node: so that no 24 hours have more
//! than is allowed. It begins with a small one, so that a node that is killed again and again takes little with it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::moment::Moment;
use crate::core::forwarding::quota::Quota;
use crate::core::limits::QUOTA_WINDOW;
use crate::hub::database::{Database, now_ms};
use crate::hub::error::HubError;
use crate::hub::rows::Values;

/// Time in which a block may be used.
const BLOCK_TIME: Duration = Duration::from_secs(60);

/// Time that is added to the longest request: a clock may be off by some seconds.
const LATE: Duration = Duration::from_secs(10);

/// Most requests of a block, and the part of a day's that it is at most.
const BLOCK_MAX: u64 = 1_000;
const BLOCK_PART: u64 = 200;

/// Time after which it is tried again whether others have given something back.
const AGAIN: Duration = Duration::from_secs(15);

/// The same for reads, without which updates continue: it is said each time.
const READS_AGAIN: Duration = Duration::from_secs(5 * 60);

/// The numbers of quotas in the table.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Single updates.
    Updates = 0,
    /// Profiles that are read.
    Reads = 1,
}

/// A node's part of one quota.
pub(super) struct Share {
    kind: Kind,
    per_day: u64,
    /// Requests of the first block, and of one after another that was not used up.
    first: u64,
    /// Longest time that a request of the block may take. Then it has been made, or never will be.
    request_max: Duration,
    block: Mutex<Block>,
    /// Held while a block is reserved, so that one is.
    reserving: tokio::sync::Mutex<()>,
}

/// A reserved block.
#[derive(Clone, Copy, Debug)]
struct Block {
    left: u64,
    /// Requests in it when it was reserved.
    size: u64,
    until: Moment,
    /// The minute under which the table has it.
    minute: i64,
    /// Requests left of the day beyond this block, when it was reserved.
    beyond: u64,
    /// Time from which it is worth a try to reserve another one.
    more_at: Instant,
}

/// Answer of the database to a request for a block.
struct Granted {
    requests: u64,
    minute: i64,
    beyond: u64,
    /// Time until there is more, if nothing was granted.
    opens_in: Duration,
}

impl Share {
    pub(super) fn new(kind: Kind, per_day: u64, first: u64, request_max: Duration) -> Self {
        let block = Block { left: 0, size: 0, until: Moment::now(), minute: 0, beyond: 0, more_at: Instant::now() };
        Self { kind, per_day, first, request_max, block: Mutex::new(block), reserving: tokio::sync::Mutex::default() }
    }

    /// Takes one request of the block, or of another one. Returns false if there is none now. One that does not reach Target counts
    /// too: there are few, and it would have to be known of which block it was.
    pub(super) async fn take(&self, database: &Database) -> Result<bool, HubError> {
        self.fill(database).await?;
        let mut block = self.block();
        let is_taken = block.left > 0 && Moment::now().is_before(block.until);
        block.left -= u64::from(is_taken);
        Ok(is_taken)
    }

    /// Reserves a block unless there is one. Returns what is left of the day, and the time until there may be more.
    pub(super) async fn fill(&self, database: &Database) -> Result<(u64, Duration), HubError> {
        if let Some(left) = self.left() {
            return Ok(left);
        }
        let _alone = self.reserving.lock().await;
        if let Some(left) = self.left() {
            return Ok(left);
        }
        let wanted = self.block().next_size(self.first, self.per_day, Moment::now());
        self.give_back(database).await?;
        let (asked_at, until) = (Instant::now(), Moment::now().plus(BLOCK_TIME));
        let granted = reserve(database, self, wanted).await?;
        let more_at = asked_at + if granted.requests > 0 { Duration::ZERO } else { granted.opens_in };
        let Granted { requests, minute, beyond, .. } = granted;
        *self.block() = Block { left: requests, size: requests, until, minute, beyond, more_at };
        Ok((requests + beyond, more_at.saturating_duration_since(Instant::now())))
    }

    /// Returns what is left, and the time until there may be more; `None` if another block must be reserved to know.
    pub(super) fn left(&self) -> Option<(u64, Duration)> {
        let (block, now) = (*self.block(), Instant::now());
        if block.left > 0 && Moment::now().is_before(block.until) {
            return Some((block.left + block.beyond, Duration::ZERO));
        }
        (now < block.more_at).then(|| (0, block.more_at - now))
    }

    /// Gives back what is left of the block.
    pub(super) async fn give_back(&self, database: &Database) -> Result<(), HubError> {
        let (left, minute) = {
            let mut block = self.block();
            (std::mem::take(&mut block.left), block.minute)
        };
        if left == 0 {
            return Ok(());
        }
        // If it fails, it counts as used.
        let work = async {
            let client = database.kept_client().await?;
            let statement = client
                .prepare_cached("UPDATE quota SET requests = requests - $3 WHERE kind = $1 AND minute = $2")
                .await?;
            client.execute(&statement, &[&(self.kind as i16), &minute, &signed(left)]).await?;
            client.done();
            Ok(())
        };
        database.in_time(work).await
    }

    fn block(&self) -> MutexGuard<'_, Block> {
        self.block.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Block {
    /// Returns how many requests the next one is to have: twice as many if this one was used up within its time.
    fn next_size(&self, first: u64, per_day: u64, now: Moment) -> u64 {
        let is_used_up = self.left == 0 && now.is_before(self.until);
        let grown = if is_used_up { self.size * 2 } else { 0 };
        grown.max(first).min((per_day / BLOCK_PART).clamp(1, BLOCK_MAX))
    }
}

async fn reserve(database: &Database, share: &Share, wanted: u64) -> Result<Granted, HubError> {
    let kind = share.kind as i16;
    let (wanted, per_day) = (signed(wanted), signed(share.per_day));
    let ahead = i64::try_from((BLOCK_TIME + share.request_max + LATE).as_millis()).unwrap_or(i64::MAX);
    let work = async {
        let mut client = database.kept_client().await?;
        let transaction = client.transaction().await?;
        let (lock, reserve, forget) = tokio::try_join!(
            biased;
            transaction.prepare_cached("SELECT 1 FROM quota WHERE kind = $1 AND minute = 0 FOR UPDATE"),
            transaction.prepare_cached(RESERVE),
            transaction.prepare_cached(concat!(
                "DELETE FROM quota WHERE kind = $1 AND minute > 0 AND minute < ", now_ms!(), " / 60000 - $2"
            )),
        )?;
        // One round trip: what is used is read once others are kept from reserving.
        let (locks, forgets): (Values<'_, 1>, Values<'_, 2>) = ([&kind], [&kind, &Quota::MINUTES]);
        let reserves: Values<'_, 5> = [&kind, &wanted, &per_day, &ahead, &Quota::MINUTES];
        let (_, row, _) = tokio::try_join!(
            biased;
            transaction.query(&lock, &locks),
            transaction.query_one(&reserve, &reserves),
            transaction.execute(&forget, &forgets),
        )?;
        transaction.commit().await?;
        client.done();
        Ok(row)
    };
    let row = database.in_time(work).await?;
    let unsigned = |name: &str| u64::try_from(row.get::<_, i64>(name)).unwrap_or(0);
    let opens_in = row.get::<_, Option<i64>>("opens_in_ms").and_then(|ms| u64::try_from(ms).ok());
    let opens_in = opens_in.map_or(AGAIN, Duration::from_millis).clamp(Duration::from_secs(1), QUOTA_WINDOW);
    // Others may give back what they have not used.
    let again = if matches!(share.kind, Kind::Reads) { READS_AGAIN } else { AGAIN };
    let opens_in = if row.get("has_blocks") { opens_in.min(again) } else { opens_in };
    Ok(Granted { requests: unsigned("granted"), minute: row.get("minute"), beyond: unsigned("beyond"), opens_in })
}

/// Of a kind: reserves up to a number of requests of so many a day, for a minute so many milliseconds ahead.
const RESERVE: &str = concat!(
    "WITH clock AS (SELECT ",
    now_ms!(),
    " AS ms),
     used AS (
         SELECT coalesce(sum(requests), 0)::bigint AS requests, min(minute) FILTER (WHERE requests > 0) AS oldest,
             coalesce(bool_or(minute >= clock.ms / 60000) FILTER (WHERE requests > 0), false) AS has_blocks
         FROM quota, clock WHERE kind = $1 AND minute > 0 AND minute >= clock.ms / 60000 - $5),
     grants AS (
         SELECT least($2::bigint, greatest($3::bigint - used.requests, 0)) AS requests, (clock.ms + $4::bigint) / 60000 AS minute
         FROM used, clock),
     put AS (
         INSERT INTO quota (kind, minute, requests)
         SELECT $1, minute, requests FROM grants WHERE requests > 0
         ON CONFLICT (kind, minute) DO UPDATE SET requests = quota.requests + excluded.requests)
     SELECT grants.requests AS granted, grants.minute, greatest($3::bigint - used.requests - grants.requests, 0) AS beyond,
         (used.oldest + $5 + 1) * 60000 - clock.ms AS opens_in_ms, used.has_blocks
     FROM clock, used, grants"
);

fn signed(requests: u64) -> i64 {
    i64::try_from(requests).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_while_they_are_used_up_within_their_minute() {
        let now = Moment::now();
        let block = |left, size| Block {
            left,
            size,
            until: now.plus(BLOCK_TIME),
            minute: 1,
            beyond: 0,
            more_at: Instant::now(),
        };
        let check = |left, size, per_day, expected| assert_eq!(block(left, size).next_size(8, per_day, now), expected);
        check(0, 0, 100_000, 8);
        check(0, 8, 100_000, 16);
        check(3, 16, 100_000, 8);
        check(0, 400, 100_000, 500);
        check(0, 900, 1_000_000, BLOCK_MAX);
        check(0, 8, 12, 1);
        assert_eq!(block(0, 64).next_size(8, 100_000, now.plus(BLOCK_TIME)), 8, "it was enough for its minute");
    }
}
