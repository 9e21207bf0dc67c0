//! Decides which connection is closed when all slots are taken: a pure rule that gets the time as an argument.
//!
//! A connection is a stranger until one of its requests was let in. Strangers have few places, and the one that came first gives
//! its own to who comes next, once it has had some time for its first request: unless three times as many are open, nobody who
//! sends it within that time is sent away. Known connections have places of their own. Of those the one that has been idle longest gives its
//! place, and after it one that has taken nothing of its answer for a while. One that is being answered, however slowly it reads,
//! keeps its place. Some places are kept for those that do more than record.

use std::collections::VecDeque;
use std::time::Duration;

/// One place in so many is kept from those that record, so that a person can look, and revoke a token.
pub(super) const KEPT_PART: usize = 32;

/// Strangers that are held at most, in a multiple of their places: those beyond these have little time left.
pub(super) const HELD_PART: usize = 3;

/// A connection, by a number that no other one gets.
pub(super) type Seat = u64;

/// Times for which a connection may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// As long as it wants to.
    Here,
    /// Until it has had its time for a first request, and a moment at least, in which what it sends is still read.
    Shortly,
    /// A moment, in which a request that is on its way is still read. It has nothing to do, or takes nothing of its answer, and
    /// its place is another's.
    ToItsEnd,
    /// Until what has arrived of it is read.
    Gone,
}

/// The limits of one listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seats {
    /// Most known connections, at least one.
    pub(super) known_max: usize,
    /// Strangers that may stay, at least one.
    pub(super) strangers_max: usize,
    /// Time after which one that takes nothing of its answer may lose its place.
    pub(super) stall: Duration,
}

/// Activity of a known connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Nothing: all that it asked for is sent.
    Idle,
    /// It has a request that is not answered.
    Asks,
    /// It has an answer that is not sent, as far as it is there.
    IsSent,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    seat: Seat,
    does: Does,
    /// Time since which nothing more of what it is sent was taken.
    stuck_since: Option<Duration>,
    /// True if its last request was to record.
    records: bool,
}

/// The connections of one listener. Times are since any beginning.
#[derive(Debug)]
pub(super) struct Seating {
    seats: Seats,
    /// The first that came first. All but the last `strangers_max` are about to leave.
    strangers: VecDeque<Seat>,
    /// The first that has been idle longest, or has not been idle since.
    known: VecDeque<Known>,
}

/// Connections to inform, and of what.
pub(super) type Order = (Seat, Stay);

impl Seating {
    pub(super) fn new(seats: Seats) -> Self {
        let seats = Seats { known_max: seats.known_max.max(1), strangers_max: seats.strangers_max.max(1), ..seats };
        Self { seats, strangers: VecDeque::new(), known: VecDeque::new() }
    }

    /// Gives a new connection a place among the strangers. Returns what that is to others.
    pub(super) fn enter(&mut self, seat: Seat) -> Vec<Order> {
        self.strangers.push_back(seat);
        let (count, max) = (self.strangers.len(), self.seats.strangers_max);
        let first = count.checked_sub(max + 1).map(|first| (self.strangers[first], Stay::Shortly));
        let gone = if count > HELD_PART * max { self.strangers.pop_front() } else { None };
        first.into_iter().chain(gone.map(|gone| (gone, Stay::Gone))).collect()
    }

    /// Makes a connection known by a request that was let in. Returns what that is to it and to another, or nothing where all
    /// places are taken by such as are busy.
    pub(super) fn begin(&mut self, seat: Seat, records: bool, now: Duration) -> Option<Vec<Order>> {
        let was = self.take(seat);
        let mut orders = Vec::new();
        // One that did something else may not record in a place that is kept from those that do.
        if was.is_none_or(|known| records && !known.records) {
            self.strangers.retain(|stranger| *stranger != seat);
            let Some(room) = self.make_room(records, now) else {
                self.enter(seat);
                return None;
            };
            orders.extend(room.map(|seat| (seat, Stay::ToItsEnd)));
        }
        let stuck_since = was.and_then(|known| known.stuck_since);
        self.known.push_back(Known { seat, does: Does::Asks, stuck_since, records });
        orders.push((seat, Stay::Here));
        Some(orders)
    }

    /// As [`Self::begin`], for a request that everybody may send: it makes nobody known. True if it is known already.
    pub(super) fn begin_open(&mut self, seat: Seat) -> bool {
        self.find(seat).map(|known| known.does = Does::Asks).is_some()
    }

    /// Notes that all of an answer is there to be sent, or that it has no end: who looks on comes again, and keeps nobody out.
    pub(super) fn answered(&mut self, seat: Seat) {
        if let Some(known) = self.find(seat) {
            known.does = Does::IsSent;
        }
    }

    /// Notes that nothing that a connection is sent is left.
    pub(super) fn sent(&mut self, seat: Seat) {
        if self.find(seat).is_some_and(|known| known.does == Does::IsSent)
            && let Some(known) = self.take(seat)
        {
            self.known.push_back(Known { does: Does::Idle, ..known });
        }
    }

    /// Notes that a connection takes nothing more of what it is sent, or does again.
    pub(super) fn stuck(&mut self, seat: Seat, since: Option<Duration>) {
        if let Some(known) = self.find(seat) {
            known.stuck_since = since;
        }
    }

    /// Notes that a connection has ended.
    pub(super) fn leave(&mut self, seat: Seat) {
        self.strangers.retain(|stranger| *stranger != seat);
        self.take(seat);
    }

    /// Sees to it that there is a place for one more known connection. Returns who gives it, if somebody must; nothing where all
    /// are busy.
    fn make_room(&mut self, records: bool, now: Duration) -> Option<Option<Seat>> {
        let Seats { known_max, .. } = self.seats;
        let recorders = self.known.iter().filter(|known| known.records).count();
        if records && recorders >= known_max - known_max / KEPT_PART {
            return self.send_away(now, |known| known.records).map(Some);
        }
        if self.known.len() < known_max { Some(None) } else { self.send_away(now, |_| true).map(Some) }
    }

    /// Sends one away among some: that has been idle longest, else one that is stuck.
    fn send_away(&mut self, now: Duration, is_one: impl Fn(&Known) -> bool) -> Option<Seat> {
        let stall = self.seats.stall;
        let is_idle = |known: &Known| known.does == Does::Idle;
        let is_stuck = |known: &Known| known.stuck_since.is_some_and(|since| now.saturating_sub(since) >= stall);
        let place = |does: &dyn Fn(&Known) -> bool| self.known.iter().position(|known| is_one(known) && does(known));
        let place = place(&is_idle).or_else(|| place(&is_stuck))?;
        self.known.remove(place).map(|known| known.seat)
    }

    fn find(&mut self, seat: Seat) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.seat == seat)
    }

    fn take(&mut self, seat: Seat) -> Option<Known> {
        let place = self.known.iter().position(|known| known.seat == seat)?;
        self.known.remove(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    fn seating(known_max: usize, strangers_max: usize) -> Seating {
        Seating::new(Seats { known_max, strangers_max, stall: STALL })
    }

    #[test]
    fn one_that_has_shown_a_token_is_not_sent_away_by_strangers() {
        let mut seating = seating(2, 1);
        seating.enter(0);
        assert_eq!(seating.begin(0, true, STALL), Some(vec![(0, Stay::Here)]));
        let orders: Vec<_> = (1..=4).map(|seat| seating.enter(seat)).collect();
        let shortly = |seat| (seat, Stay::Shortly);
        assert_eq!(orders, [vec![], vec![shortly(1)], vec![shortly(2)], vec![shortly(3), (1, Stay::Gone)]]);
        // One that is to leave, and shows a token at last, stays.
        assert_eq!(seating.begin(2, true, STALL), Some(vec![(2, Stay::Here)]));
    }

    #[test]
    fn who_is_idle_longest_gives_its_place_and_who_is_being_answered_does_not() {
        let mut seating = seating(2, 4);
        (0..3).for_each(|seat| drop(seating.enter(seat)));
        seating.begin(0, true, STALL);
        seating.answered(0);
        seating.begin(1, true, STALL);
        assert_eq!(seating.begin(2, true, STALL), None, "the answer of one is not sent, and one asks");
        seating.sent(0);
        assert_eq!(seating.begin(2, true, STALL), Some(vec![(0, Stay::ToItsEnd), (2, Stay::Here)]));
        assert_eq!(seating.begin(0, true, STALL), None);
        seating.answered(1);
        seating.sent(1);
        assert_eq!(seating.begin(0, true, STALL), Some(vec![(1, Stay::ToItsEnd), (0, Stay::Here)]));
    }

    #[test]
    fn who_takes_nothing_of_its_answer_gives_its_place_and_who_reads_slowly_does_not() {
        let mut seating = seating(1, 4);
        (0..2).for_each(|seat| drop(seating.enter(seat)));
        seating.begin(0, false, Duration::ZERO);
        seating.stuck(0, Some(STALL));
        assert_eq!(seating.begin(1, true, STALL * 2 - Duration::from_millis(1)), None);
        seating.stuck(0, None);
        seating.stuck(0, Some(STALL * 2));
        // The next request of one that does not read is no reason to wait longer.
        seating.begin(0, false, STALL * 3 - Duration::from_millis(1));
        assert_eq!(seating.begin(1, true, STALL * 3), Some(vec![(0, Stay::ToItsEnd), (1, Stay::Here)]));
    }

    #[test]
    fn some_places_are_kept_for_those_that_do_not_record() {
        let mut seating = seating(KEPT_PART, KEPT_PART * 2);
        (0..=KEPT_PART as u64).for_each(|seat| drop(seating.enter(seat)));
        assert!((1..KEPT_PART as u64).all(|seat| seating.begin(seat, true, STALL).is_some()));
        assert_eq!(seating.begin(0, true, STALL), None);
        assert!(seating.begin(KEPT_PART as u64, false, STALL).is_some());
    }

    proptest! {
        #[test]
        fn nobody_who_is_busy_and_reads_is_sent_away_and_nobody_is_refused_while_another_is_idle(
            steps in proptest::collection::vec((0_u8..7, 0_u64..12, any::<bool>(), 0_u64..4), 1..300)
        ) {
            let mut seating = seating(4, 2);
            let (mut now, mut next) = (Duration::ZERO, 100);
            let mut names: Vec<Seat> = (0..12).collect();
            for (step, who, records, seconds) in steps {
                now += Duration::from_secs(seconds);
                let seat = names[who as usize];
                let before = seating.known.clone();
                let may_leave = |known: &Known| {
                    known.does == Does::Idle || known.stuck_since.is_some_and(|since| now - since >= STALL)
                };
                let orders = match step {
                    0 => {
                        // Another connection, as each has a number of its own.
                        seating.leave(seat);
                        next += 1;
                        names[who as usize] = next;
                        seating.enter(next)
                    }
                    1 | 2 => match seating.begin(seat, records, now) {
                        Some(orders) => orders,
                        None => {
                            let others = before.iter().filter(|known| known.seat != seat && (!records || known.records));
                            prop_assert!(!others.clone().any(may_leave));
                            Vec::new()
                        }
                    },
                    3 => { seating.begin_open(seat); Vec::new() }
                    4 => { seating.answered(seat); Vec::new() }
                    5 => { seating.sent(seat); Vec::new() }
                    _ => { seating.stuck(seat, records.then_some(now)); Vec::new() }
                };
                for (told, _) in orders.iter().filter(|(_, stay)| *stay == Stay::ToItsEnd) {
                    let known = before.iter().find(|known| known.seat == *told);
                    prop_assert!(known.is_some_and(may_leave));
                }
                prop_assert!(!orders.iter().any(|(told, stay)| *stay == Stay::Gone && before.iter().any(|known| known.seat == *told)));
                prop_assert!(seating.known.len() <= 4 && seating.strangers.len() <= HELD_PART * 2);
            }
        }
    }
}
