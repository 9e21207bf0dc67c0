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
        Arc::new(Self { known, strangers: Mutex::default(), strangers_max: strangers_max.max(1) })
    }

    /// Gives a new connection a place, the first stranger's if there is no other. What is received with it comes to an end when
    /// the connection has lost its place.
    pub(super) fn enter(self: &Arc<Self>) -> (Place, oneshot::Receiver<()>) {
        let (here, sent_away) = oneshot::channel();
        let mut strangers = self.lock();
        if strangers.here.len() >= self.strangers_max {
            strangers.here.pop_front();
        }
        let number = strangers.next;
        strangers.next += 1;
        strangers.here.push_back((number, here));
        (Place { places: self.clone(), number, held: Mutex::new(None) }, sent_away)
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
    /// Makes the connection known. Waits while all places of known ones are taken; it may be sent away meanwhile.
    pub(super) async fn become_known(&self) {
        if self.held().is_some() {
            return;
        }
        // The semaphore is never closed.
        let Ok(permit) = self.places.known.clone().acquire_owned().await else { return };
        match self.leave_strangers() {
            Some(here) => *self.held() = Some((permit, here)),
            // It was sent away: nothing of its request is to be done.
            None => std::future::pending().await,
        }
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

impl Drop for Place {
    fn drop(&mut self) {
        self.leave_strangers();
    }
}
