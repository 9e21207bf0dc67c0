//! Places of a listener's connections: a program that has shown nothing cannot keep out one that has.
//!
//! A connection is a stranger until one of its requests was let in by the [`Door`](super::guard::Door). Strangers have few
//! places, and the one that came first gives its own to who comes next; known connections have places of their own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The places of one listener.
pub(super) struct Places {
    known: Arc<Semaphore>,
    /// Connections that have shown that they may call, and wait for a place.
    waiting: Semaphore,
    strangers: Mutex<Strangers>,
    strangers_max: usize,
}

#[derive(Default)]
struct Strangers {
    /// Those that hold a place, the first that came first. What is dropped here sends its connection away.
    here: VecDeque<(u64, oneshot::Sender<()>)>,
    next: u64,
}

impl Places {
    /// Places for so many known connections, and for so many strangers, at least one of each.
    pub(super) fn new(known_max: usize, strangers_max: usize) -> Arc<Self> {
        let known = Arc::new(Semaphore::new(known_max.max(1)));
        let waiting = Semaphore::new(known_max.max(1));
        Arc::new(Self { known, waiting, strangers: Mutex::default(), strangers_max: strangers_max.max(1) })
    }

    /// Gives a new connection a place, the first stranger's if there is no other. What is received with it comes to an end when
    /// the connection has lost its place.
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

/// The place of one connection, which ends with it.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    held: Mutex<Option<(OwnedSemaphorePermit, oneshot::Sender<()>)>>,
}

impl Place {
    /// Makes the connection known. Waits while all places of known ones are taken, and no stranger sends it away meanwhile;
    /// dropped before its end, it is a stranger again. False where too many wait.
    pub(super) async fn become_known(&self) -> bool {
        if self.held().is_some() {
            return true;
        }
        let Ok(_waiting) = self.places.waiting.try_acquire() else { return false };
        let Some(here) = self.leave_strangers() else {
            // It was sent away: nothing of its request is to be done.
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

/// A connection that has shown that it may call, and waits for a place.
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
