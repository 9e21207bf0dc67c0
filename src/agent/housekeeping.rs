//! Housekeeping: purges what was delivered long ago, and more of it when the store runs out of room.
//!
//! Each step is a small transaction of the writer, so that recording never waits long for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::core::limits::{PROFILE_UNTOUCHED_FIRST, PROFILE_UNTOUCHED_MIN};
use crate::core::timestamp::Timestamp;
use crate::device::clock::Clock;
use crate::store::{Full, ProfilePurge, Room, StoreError, Writer, delete_kept};

/// Interval at which old events are looked for.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Time until the next look while there is no room: deliveries make some.
const INTERVAL_FULL: Duration = Duration::from_secs(2);

/// Time until the next look at all profiles, when none of them could go: those that were delivered since must rest
/// first.
const PROFILES_INTERVAL: Duration = Duration::from_secs(600);

/// Housekeeping of one store.
pub struct Housekeeping {
    writer: Writer,
    store_path: PathBuf,
    clock: Arc<Clock>,
    keep_events: watch::Receiver<Duration>,
    room: watch::Receiver<Room>,
    /// Until when no profile can go, on the monotonic clock.
    profiles_rest_until: Duration,
    /// Until when no damaged store is looked for, on the monotonic clock.
    kept_rest_until: Duration,
    /// True while it was last told that events are refused.
    refuses: bool,
}

impl Housekeeping {
    /// Housekeeping that keeps events for so long after their delivery.
    #[must_use]
    pub fn new(writer: Writer, store_path: PathBuf, clock: Arc<Clock>, keep_events: watch::Receiver<Duration>) -> Self {
        let room = writer.room();
        let rest = Duration::ZERO;
        Self {
            writer,
            store_path,
            clock,
            keep_events,
            room,
            profiles_rest_until: rest,
            kept_rest_until: rest,
            refuses: false,
        }
    }

    /// Keeps house until `stop` turns true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let room = *self.room.borrow_and_update();
            self.tell(room);
            self.delete_kept().await;
            let begun = self.clock.elapsed();
            if let Err(error) = self.purge(room, &stop).await {
                tracing::warn!(%error, "old events could not be purged; it is tried again later");
            }
            // A look through a large journal takes its time: it must not follow the last one at once.
            let took = self.clock.elapsed().saturating_sub(begun);
            let pause = if room == Room::Enough { INTERVAL } else { INTERVAL_FULL.max(20 * took).min(INTERVAL) };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = self.room.changed() => {}
                // One that ends means that the agent stops.
                Ok(()) = self.keep_events.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn tell(&mut self, room: Room) {
        let refuses = matches!(room, Room::Full(_));
        if std::mem::replace(&mut self.refuses, refuses) && !refuses {
            tracing::info!("there is room again; events are accepted again");
        }
        match room {
            Room::Enough => tracing::debug!("the store has room"),
            Room::Low => tracing::info!("the store is nearly full; what was delivered is purged, oldest first"),
            Room::Full(Full::MaxSize) => {
                tracing::error!("the store has reached max_size; events are refused until deliveries make room");
            }
            Room::Full(Full::DiskLow | Full::Disk) => {
                tracing::error!("the disk has less than min_free_disk left; events are refused until there is room");
            }
        }
    }

    /// Deletes damaged stores whose time is over.
    async fn delete_kept(&mut self) {
        if self.clock.elapsed() < self.kept_rest_until {
            return;
        }
        self.kept_rest_until = self.clock.elapsed() + INTERVAL;
        let (path, now) = (self.store_path.clone(), self.clock.now());
        let deleted = tokio::task::spawn_blocking(move || delete_kept(&path, Some(now)));
        match deleted.await.expect("deleting does not panic") {
            Ok(0) => {}
            Ok(stores) => tracing::info!(stores, "damaged stores that were kept for their time are deleted"),
            Err(error) => tracing::warn!(%error, "a damaged store is kept beyond its time"),
        }
    }

    async fn purge(&mut self, room: Room, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
        self.writer.act(|store| store.copy_log_often(true)).await?;
        let purged = self.purge_all(room, stop).await;
        self.writer.act(|store| store.copy_log_often(false)).await?;
        purged
    }

    // A method of one lifetime is no closure over all.
    #[allow(clippy::redundant_closure_for_method_calls)]
    async fn purge_all(&mut self, room: Room, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let settled_before = now.minus(*self.keep_events.borrow());
        let old = self.writer.act(move |store| store.mark_settled(now, settled_before)).await?;
        self.purge_events(old, false, stop).await?;
        if matches!(room, Room::Low | Room::Full(Full::MaxSize)) {
            self.purge_events(i64::MAX, true, stop).await?;
            // Only when the events are gone do their keys go.
            while !*stop.borrow()
                && !self.is_purged().await?
                && self.writer.act(|transaction| transaction.purge_keys()).await?
            {}
            if self.clock.elapsed() >= self.profiles_rest_until && !self.is_purged().await? {
                self.purge_profiles(now, stop).await?;
            }
        }
        Ok(())
    }

    /// Purges what is settled before that event; until there is room, if that is the purpose.
    async fn purge_events(
        &self,
        before: i64,
        is_for_room: bool,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let (mut after, mut purged) = (0, 0);
        while !*stop.borrow() {
            if is_for_room && self.is_purged().await? {
                break;
            }
            let step = self.writer.act(move |store| store.purge_events(after, before)).await?;
            purged += step.purged;
            let Some(next) = step.next else { break };
            after = next;
        }
        if purged > 0 {
            tracing::info!(events = purged, "delivered events purged");
        }
        Ok(())
    }

    /// Purges profiles that Target has until there is room, the longest untouched first, in steps of their age.
    async fn purge_profiles(&mut self, now: Timestamp, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
        let mut age = Some(PROFILE_UNTOUCHED_FIRST);
        let mut purged = 0;
        while let Some(untouched) = age {
            let pass = self.purge_untouched(now, untouched, stop).await?;
            purged += pass.purged;
            age = if pass.is_enough { None } else { next_age(untouched, pass.oldest_left.map(|at| now.since(at))) };
            if age.is_none() && !pass.is_enough {
                self.profiles_rest_until = self.clock.elapsed() + PROFILES_INTERVAL;
            }
        }
        if purged > 0 {
            tracing::info!(profiles = purged, "profiles that Target has were purged, the longest untouched first");
        }
        Ok(())
    }

    /// Looks at all profiles once, and purges those that nobody touched for so long.
    async fn purge_untouched(
        &self,
        now: Timestamp,
        untouched: Duration,
        stop: &watch::Receiver<bool>,
    ) -> Result<Pass, StoreError> {
        let (before, until) = (now.minus(untouched), now.minus(PROFILE_UNTOUCHED_MIN));
        let mut pass = Pass::default();
        let mut after = 0;
        loop {
            pass.is_enough = *stop.borrow() || self.is_purged().await?;
            if pass.is_enough {
                return Ok(pass);
            }
            let purge = ProfilePurge { after, before, until };
            let step = self.writer.act(move |store| store.purge_profiles(purge)).await?;
            pass.purged += step.purged;
            pass.oldest_left = pass.oldest_left.into_iter().chain(step.oldest_left).min();
            let Some(next) = step.next else { return Ok(pass) };
            after = next;
        }
    }

    async fn is_purged(&self) -> Result<bool, StoreError> {
        self.writer.act(|store| store.is_purged()).await
    }
}

/// What one look at all profiles came to.
#[derive(Default)]
struct Pass {
    purged: usize,
    /// When the longest untouched was last touched of those that may still go.
    oldest_left: Option<Timestamp>,
    /// There is room, or the agent stops.
    is_enough: bool,
}

/// The age of profiles that go next, when the oldest that are left have that age: the half of the last one, as often as
/// it takes to reach somebody. None when nobody may go any more.
fn next_age(last: Duration, oldest_left: Option<Duration>) -> Option<Duration> {
    let oldest = oldest_left?;
    let mut age = last;
    while age > PROFILE_UNTOUCHED_MIN {
        age = (age / 2).max(PROFILE_UNTOUCHED_MIN);
        if age < oldest {
            return Some(age);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    #[test]
    fn profiles_go_in_steps_of_their_age_and_steps_without_any_are_passed_over() {
        let check = |last, oldest, expected| assert_eq!(next_age(last, oldest), expected, "{last:?} {oldest:?}");
        check(PROFILE_UNTOUCHED_FIRST, None, None);
        check(PROFILE_UNTOUCHED_FIRST, Some(200 * DAY), Some(PROFILE_UNTOUCHED_FIRST / 2));
        check(8 * DAY, Some(3 * DAY), Some(2 * DAY));
        check(8 * DAY, Some(26 * DAY / 24), Some(PROFILE_UNTOUCHED_MIN));
        check(PROFILE_UNTOUCHED_MIN, Some(2 * DAY), None);
    }
}
