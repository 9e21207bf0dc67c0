//! The places for a listener's connections: a program without credentials cannot keep out one that has them.
//!
//! A connection is a stranger until one of its requests was let in by the [`Door`](super::guard::Door). Strangers have
//! few places, and the oldest loses its own to a new one; known connections have separate places.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The places of one listener.
pub(super) struct Places {
    known: Arc<Semaphore>,
    /// Known connections that wait for a place.
    waiting: Semaphore,
    strangers: Mutex<Strangers>,
    strangers_max: usize,
}

#[derive(Default)]
struct Strangers {
    /// Strangers with a place, oldest first. Dropping a sender closes the connection.
    here: VecDeque<(u64, oneshot::Sender<()>)>,
    next: u64,
}

impl Places {
    /// Returns places for that many known connections and strangers, at least one of each.
    pub(super) fn new(known_max: usize, strangers_max: usize) -> Arc<Self> {
        let known = Arc::new(Semaphore::new(known_max.max(1)));
        let waiting = Semaphore::new(known_max.max(1));
        Arc::new(Self { known, waiting, strangers: Mutex::default(), strangers_max: strangers_max.max(1) })
    }

    /// Gives a new connection a place, taking the oldest stranger's if necessary. The receiver ends when the connection
    /// has lost its place.
    pub(super) fn enter(self: &Arc<Self>) -> (Place, oneshot::Receiver<()>) {
        let (here, sent_away) = oneshot::channel();
        let number = {
            let mut strangers = self.lock();
            strangers.next += 1;
            strangers.next
        };
        self.add_stranger(number, here);
        (Place { places: self.clone(), number, held: Mutex::new(None) }, sent_away)
    }

    fn add_stranger(&self, number: u64, here: oneshot::Sender<()>) {
        let mut strangers = self.lock();
        if strangers.here.len() >= self.strangers_max {
            strangers.here.pop_front();
        }
        strangers.here.push_back((number, here));
    }

    fn lock(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection; it is released when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    held: Mutex<Option<(OwnedSemaphorePermit, oneshot::Sender<()>)>>,
}

impl Place {
    /// Makes the connection known. Waits while all places of known connections are taken; meanwhile no stranger can
    /// push it out. If the future is dropped, the connection is a stranger again. Returns false if too many wait.
    pub(super) async fn become_known(&self) -> bool {
        if self.held().is_some() {
            return true;
        }
        let Ok(_waiting) = self.places.waiting.try_acquire() else { return false };
        let Some(here) = self.leave_strangers() else {
            // It was pushed out: its request must not be carried out.
            return std::future::pending().await;
        };
        let mut waits = Waits { place: self, here: Some(here) };
        // The semaphore is never closed.
        let Ok(permit) = self.places.known.clone().acquire_owned().await else { return false };
        *self.held() = waits.here.take().map(|here| (permit, here));
        true
    }

    fn leave_strangers(&self) -> Option<oneshot::Sender<()>> {
        let mut strangers = self.places.lock();
        let place = strangers.here.iter().position(|(number, _)| *number == self.number)?;
        strangers.here.remove(place).map(|(_, here)| here)
    }

    fn held(&self) -> MutexGuard<'_, Option<(OwnedSemaphorePermit, oneshot::Sender<()>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A known connection that waits for a place.
struct Waits<'p> {
    place: &'p Place,
    here: Option<oneshot::Sender<()>>,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let Some(here) = self.here.take() {
            self.place.places.add_stranger(self.place.number, here);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave_strangers();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_has_shown_a_token_and_waits_for_a_place_is_not_sent_away_by_a_stranger() {
        let places = Places::new(1, 1);
        let (first, _stays) = places.enter();
        assert!(first.become_known().await);
        let (till, mut sent_away) = places.enter();
        let mut waits = Box::pin(till.become_known());
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut waits).await.is_err());
        let (_stranger, _stays) = places.enter();
        assert_eq!(sent_away.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        let (more, _stays) = places.enter();
        assert!(!more.become_known().await, "as many wait as there are places");
        drop(first);
        assert!(waits.await);
    }
}
