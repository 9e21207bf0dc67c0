//! Places of a listener's connections: a program that has shown nothing cannot keep out one that has, and one that waits with nothing
//! to do cannot keep out one that has something.
//!
//! A connection is a stranger until one of its requests was let in by the [`Door`](super::guard::Door). Strangers have few
//! places, and the one that came first gives its own to who comes next; known connections have places of their own. Of those the
//! one that has been idle longest gives its place, and some are kept for those that do more than record.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// One place in so many is kept from those that record, so that a person can look, and take a token back.
const KEPT_PART: usize = 32;

/// How long a connection may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// As long as it wants to.
    Here,
    /// A moment, in which what it has sent already is read.
    Shortly,
    /// Until what it is sent is sent: it has nothing to do, and its place is another's.
    ToItsEnd,
    /// No longer.
    Gone,
}

/// The places of one listener.
pub(super) struct Places {
    known_max: usize,
    strangers_max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The first that came first. All but the last `strangers_max` are about to leave.
    strangers: VecDeque<Arc<Seat>>,
    /// The first that has been idle longest, or has not been idle since.
    known: VecDeque<Known>,
}

struct Seat(watch::Sender<Stay>);

struct Known {
    seat: Arc<Seat>,
    /// True while a request of it is not answered.
    is_busy: bool,
    /// True if its last request was to record.
    records: bool,
}

impl Places {
    /// Returns places for that many known connections and strangers, at least one of each.
    pub(super) fn new(known_max: usize, strangers_max: usize) -> Arc<Self> {
        let (known_max, strangers_max) = (known_max.max(1), strangers_max.max(1));
        Arc::new(Self { known_max, strangers_max, held: Mutex::default() })
    }

    /// Gives a new connection a place, the first stranger's if there is no other. What is received with it says how long the
    /// connection may stay.
    pub(super) fn enter(self: &Arc<Self>) -> (Place, watch::Receiver<Stay>) {
        let (stay, stays) = watch::channel(Stay::Here);
        let seat = Arc::new(Seat(stay));
        self.add_stranger(&mut self.lock(), seat.clone());
        (Place { places: self.clone(), seat }, stays)
    }

    fn add_stranger(&self, held: &mut Held, seat: Arc<Seat>) {
        held.strangers.push_back(seat);
        let count = held.strangers.len();
        if let Some(first) = count.checked_sub(self.strangers_max + 1) {
            held.strangers[first].0.send_replace(Stay::Shortly);
        }
        if count > 2 * self.strangers_max
            && let Some(first) = held.strangers.pop_front()
        {
            first.0.send_replace(Stay::Gone);
        }
    }

    /// Sees to it that there is a place for one more known connection. False where all are busy.
    fn make_room(&self, held: &mut Held, records: bool) -> bool {
        let recorders = held.known.iter().filter(|known| known.records).count();
        let recorders_max = self.known_max - self.known_max / KEPT_PART;
        if records && recorders >= recorders_max && !held.send_away(|known| known.records) {
            return false;
        }
        held.known.len() < self.known_max || held.send_away(|_| true)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Sends the connection away that has been idle longest among some. False where none of them is idle.
    fn send_away(&mut self, is_one: impl Fn(&Known) -> bool) -> bool {
        let Some(place) = self.known.iter().position(|known| !known.is_busy && is_one(known)) else { return false };
        if let Some(known) = self.known.remove(place) {
            known.seat.0.send_replace(Stay::ToItsEnd);
        }
        true
    }

    fn take(&mut self, seat: &Arc<Seat>) -> Option<Known> {
        let place = self.known.iter().position(|known| Arc::ptr_eq(&known.seat, seat))?;
        self.known.remove(place)
    }
}

/// The place of one connection; it is released when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    seat: Arc<Seat>,
}

impl Place {
    /// Makes the connection known by a request that was let in, and busy as long as what is returned lives. None where all
    /// places are taken by such as are busy.
    pub(super) fn begin(self: &Arc<Self>, records: bool) -> Option<Busy> {
        let mut held = self.places.lock();
        let was = held.take(&self.seat);
        // One that did something else may not record in a place that is kept from those that do.
        if was.is_none_or(|known| records && !known.records) {
            held.strangers.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
            if !self.places.make_room(&mut held, records) {
                self.places.add_stranger(&mut held, self.seat.clone());
                return None;
            }
        }
        held.known.push_back(Known { seat: self.seat.clone(), is_busy: true, records });
        self.seat.0.send_replace(Stay::Here);
        Some(Busy(self.clone()))
    }

    /// As [`Self::begin`], for a request that everybody may send: it makes nobody known.
    pub(super) fn begin_open(self: &Arc<Self>) -> Option<Busy> {
        let mut held = self.places.lock();
        let known = held.known.iter_mut().find(|known| Arc::ptr_eq(&known.seat, &self.seat))?;
        known.is_busy = true;
        Some(Busy(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.lock();
        held.strangers.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        held.take(&self.seat);
    }
}

/// A request that is not answered yet: its connection keeps its place.
pub(super) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut held = self.0.places.lock();
        if let Some(known) = held.take(&self.0.seat) {
            held.known.push_back(Known { is_busy: false, ..known });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(places: &Arc<Places>) -> (Arc<Place>, watch::Receiver<Stay>) {
        let (place, stays) = places.enter();
        (Arc::new(place), stays)
    }

    #[test]
    fn one_that_has_shown_a_token_is_not_sent_away_by_strangers() {
        let places = Places::new(2, 1);
        let (till, stays) = enter(&places);
        let busy = till.begin(true).expect("a place");
        let strangers = [(); 4].map(|()| enter(&places));
        let now = |stays: &watch::Receiver<Stay>| *stays.borrow();
        assert_eq!(now(&stays), Stay::Here);
        assert_eq!(
            strangers.each_ref().map(|(_, stays)| now(stays)),
            [Stay::Gone, Stay::Gone, Stay::Shortly, Stay::Here]
        );
        drop(busy);
        assert_eq!(now(&stays), Stay::Here);
        // One that is to leave, and shows a token at last, stays.
        let _busy = strangers[2].0.begin(true).expect("a place");
        assert_eq!(now(&strangers[2].1), Stay::Here);
    }

    #[test]
    fn who_is_idle_longest_gives_its_place_and_nobody_who_is_busy_does() {
        let places = Places::new(2, 4);
        let [first, second, third] = [(); 3].map(|()| enter(&places));
        drop(first.0.begin(true));
        let busy = second.0.begin(true).expect("a place");
        let third_busy = third.0.begin(true).expect("the first one's place");
        assert_eq!(*first.1.borrow(), Stay::ToItsEnd);
        assert_eq!(*second.1.borrow(), Stay::Here);
        assert!(first.0.begin(true).is_none(), "all are busy");
        drop(busy);
        assert!(first.0.begin(true).is_some());
        assert_eq!(*second.1.borrow(), Stay::ToItsEnd);
        drop(third_busy);
    }

    #[test]
    fn some_places_are_kept_for_those_that_do_not_record() {
        let places = Places::new(KEPT_PART, 4);
        let tills: Vec<_> = (1..KEPT_PART).map(|_| enter(&places)).collect();
        let _busy: Vec<_> = tills.iter().map(|(till, _)| till.begin(true).expect("a place")).collect();
        let (till, reader) = (enter(&places), enter(&places));
        assert!(till.0.begin(true).is_none());
        assert!(reader.0.begin(false).is_some());
    }
}
