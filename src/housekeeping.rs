//! Housekeeping: purges what was delivered long ago, and more of it when the store runs out of room.
//!
//! Each step is a small transaction of the writer, so that recording never waits long for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::store::{Full, Room, Store, StoreError, Writer};

/// How often old events are looked for.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// How soon to look again while there is no room: deliveries make some.
const INTERVAL_FULL: Duration = Duration::from_secs(10);

/// Housekeeping of one store.
pub struct Housekeeping {
    writer: Writer,
    clock: Arc<Clock>,
    keep_events: watch::Receiver<Duration>,
    room: watch::Receiver<Room>,
}

impl Housekeeping {
    /// Housekeeping that keeps events for so long after their delivery.
    #[must_use]
    pub fn new(writer: Writer, clock: Arc<Clock>, keep_events: watch::Receiver<Duration>) -> Self {
        let room = writer.room();
        Self { writer, clock, keep_events, room }
    }

    /// Keeps house until `stop` turns true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let room = *self.room.borrow_and_update();
            self.tell(room);
            let pause = if room == Room::Enough { INTERVAL } else { INTERVAL_FULL };
            if let Err(error) = self.purge(room, &stop).await {
                tracing::warn!(%error, "old events could not be purged; it is tried again later");
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = self.room.changed() => {}
                // One that ends means that the agent stops.
                Ok(()) = self.keep_events.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn tell(&self, room: Room) {
        match room {
            Room::Enough => tracing::debug!("the store has room"),
            Room::Low => tracing::info!("the store is nearly full; delivered events are purged, oldest first"),
            Room::Full(Full::MaxSize) => {
                tracing::error!("the store has reached max_size; events are refused until deliveries make room");
            }
            Room::Full(Full::DiskLow | Full::Disk) => {
                tracing::error!("the disk has less than min_free_disk left; events are refused until there is room");
            }
        }
    }

    async fn purge(&self, room: Room, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
        self.writer.act(|store| store.copy_log_often(true)).await?;
        let purged = self.purge_all(room, stop).await;
        self.writer.act(|store| store.copy_log_often(false)).await?;
        purged
    }

    async fn purge_all(&self, room: Room, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let settled_before = now.minus(*self.keep_events.borrow());
        let old = self.writer.act(move |store| store.mark_settled(now, settled_before)).await?;
        self.purge_events(old, false, stop).await?;
        if matches!(room, Room::Low | Room::Full(Full::MaxSize)) {
            self.purge_events(i64::MAX, true, stop).await?;
            // Only when the events are gone do their keys go.
            while !*stop.borrow() && !self.is_purged().await? && self.writer.act(Store::purge_keys).await? {}
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

    async fn is_purged(&self) -> Result<bool, StoreError> {
        self.writer.act(|store| store.is_purged()).await
    }
}
