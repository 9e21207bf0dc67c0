//! Housekeeping: purges data that was delivered long ago, and more of it when the store runs out of room.
//!
//! Each step is a small transaction of the writer, so that recording never waits long for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::core::limits::{PROFILE_UNTOUCHED_FIRST, PROFILE_UNTOUCHED_MIN};
use crate::core::timestamp::Timestamp;
use crate::core::wall_clock::JUMP_MIN;
use crate::device::clock::Clock;
use crate::store::{Full, Over, ProfilePurge, Room, StoreError, Writer, delete_kept};

/// Time between two looks for old events.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Time until the next look while there is no room: deliveries free some.
const INTERVAL_FULL: Duration = Duration::from_secs(2);

/// Time until the next look at all profiles if none could be removed: those delivered since must rest first.
const PROFILES_INTERVAL: Duration = Duration::from_secs(600);

/// The housekeeping of one store.
pub struct Housekeeping {
    writer: Writer,
    store_path: PathBuf,
    clock: Arc<Clock>,
    keep_events: watch::Receiver<Duration>,
    room: watch::Receiver<Room>,
    /// Time, on the monotonic clock, before which no profile can be removed.
    profiles_rest_until: Duration,
    /// Until when no damaged store is looked for, on the monotonic clock. Not soon after the start, when the system's clock may
    /// not be set yet.
    kept_rest_until: Duration,
    /// The system's clock at monotonic time zero.
    system_start: Timestamp,
    /// True while events are refused, as last logged.
    refuses: bool,
}

impl Housekeeping {
    /// Returns the housekeeping of a store; `keep_events` is the time for which events are kept after their delivery.
    #[must_use]
    pub fn new(writer: Writer, store_path: PathBuf, clock: Arc<Clock>, keep_events: watch::Receiver<Duration>) -> Self {
        let room = writer.room();
        let (rest, system_start) = (Duration::ZERO, Clock::system().minus(clock.elapsed()));
        Self {
            writer,
            store_path,
            clock,
            keep_events,
            room,
            profiles_rest_until: rest,
            kept_rest_until: INTERVAL,
            system_start,
            refuses: false,
        }
    }

    /// Keeps house until `stop` turns true, and says meanwhile when events are refused.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let failures = self.writer.failures();
        tokio::select! {
            () = self.keep(stop) => {}
            () = tell_of_failures(failures) => {}
        }
    }

    async fn keep(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let room = *self.room.borrow_and_update();
            self.tell(room);
            self.delete_kept().await;
            let begun = self.clock.elapsed();
            if let Err(error) = self.purge(room, &stop).await {
                tracing::warn!(%error, "old events could not be purged; it is tried again later");
            }
            // A look through a large journal takes time: the next must not follow at once.
            let took = self.clock.elapsed().saturating_sub(begun);
            let pause = if room == Room::Enough { INTERVAL } else { INTERVAL_FULL.max(20 * took).min(INTERVAL) };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = self.room.changed() => {}
                // If the channel ends, the agent is stopping.
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

    /// Deletes damaged stores that are due.
    async fn delete_kept(&mut self) {
        if self.clock.elapsed() < self.kept_rest_until {
            return;
        }
        self.kept_rest_until = self.clock.elapsed() + INTERVAL;
        // A clock that has jumped ahead since the last look, be it by NTP or by a mistake, is believed in the next one.
        let (system, elapsed) = (Clock::system(), self.clock.elapsed());
        let expected = self.system_start.plus(elapsed);
        if system.since(expected) > JUMP_MIN {
            self.system_start = system.minus(elapsed);
            return;
        }
        let now = system.min(expected);
        let path = self.store_path.clone();
        let deleted = tokio::task::spawn_blocking(move || delete_kept(&path, Over::At(now)));
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

    // A method with a lifetime of its own cannot be passed as a closure over all lifetimes.
    #[allow(clippy::redundant_closure_for_method_calls)]
    async fn purge_all(&mut self, room: Room, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let settled_before = now.minus(*self.keep_events.borrow());
        let old = self.writer.act(move |store| store.mark_settled(now, settled_before)).await?;
        self.purge_events(old, false, stop).await?;
        self.purge_without_effect(settled_before, stop).await?;
        if matches!(room, Room::Low | Room::Full(Full::MaxSize)) {
            self.purge_events(i64::MAX, true, stop).await?;
            if !self.is_purged().await? {
                self.purge_without_effect(now, stop).await?;
            }
            // Keys are removed only once their events are.
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

    /// Purges settled events before a number; if the purpose is room, only until there is enough.
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

    /// Purges notes of events that changed nothing and came last before that time.
    async fn purge_without_effect(&self, before: Timestamp, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
        while !*stop.borrow() && self.writer.act(move |store| store.purge_without_effect(before)).await? > 0 {}
        Ok(())
    }

    /// Purges profiles that Target has until there is room, the longest untouched first, in steps of age.
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

    /// Goes through all profiles once, and purges those untouched for that long.
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

/// Says when a write failed, so that events are refused, and when one succeeds again.
async fn tell_of_failures(mut failures: watch::Receiver<Option<String>>) {
    let mut refuses = false;
    while failures.changed().await.is_ok() {
        let failure = failures.borrow_and_update().clone();
        match (refuses, &failure) {
            (false, Some(why)) => {
                tracing::error!(why, "a write to the store failed; events are refused until one succeeds");
            }
            (true, None) => tracing::info!("a write to the store succeeded; events are accepted again"),
            (true, Some(_)) | (false, None) => {}
        }
        refuses = failure.is_some();
    }
    // The writer has ended, and the agent with it.
    std::future::pending::<()>().await;
}

/// The result of going through all profiles once.
#[derive(Default)]
struct Pass {
    purged: usize,
    /// Earliest time of last touch among the profiles that may still be removed.
    oldest_left: Option<Timestamp>,
    /// True if there is room, or the agent is stopping.
    is_enough: bool,
}

/// Returns the age of the profiles to remove next, given the age of the oldest that are left: half of the last age,
/// halved as often as needed to reach one. `None` if no more may be removed.
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
