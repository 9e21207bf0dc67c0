//! The places of a listener's connections: the [`Seating`] decides, and each connection is told.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::seating::{HELD_PART, Order, Seat, Seating, Seats, Stay};

/// The places of one listener.
pub(super) struct Places {
    seats: Seats,
    begun: Instant,
    held: Mutex<Held>,
}

struct Held {
    seating: Seating,
    stays: HashMap<Seat, watch::Sender<Stay>>,
    next: Seat,
}

impl Held {
    fn tell(&self, orders: Vec<Order>) {
        for (seat, stay) in orders {
            if let Some(stays) = self.stays.get(&seat) {
                stays.send_replace(stay);
            }
        }
    }
}

impl Places {
    /// Returns places within these limits.
    pub(super) fn new(seats: Seats) -> Arc<Self> {
        let held = Held { seating: Seating::new(seats), stays: HashMap::new(), next: 0 };
        Arc::new(Self { seats, begun: Instant::now(), held: Mutex::new(held) })
    }

    /// Returns the most connections that are open, including those that are about to leave.
    pub(super) const fn open_max(&self) -> usize {
        self.seats.known_max + (HELD_PART + 1) * self.seats.strangers_max + 1
    }

    /// Gives a new connection a place. What is received with it says how long the connection may stay.
    pub(super) fn enter(self: &Arc<Self>) -> (Arc<Place>, watch::Receiver<Stay>) {
        let (stay, stays) = watch::channel(Stay::Here);
        let mut held = self.lock();
        held.next += 1;
        let seat = held.next;
        held.stays.insert(seat, stay);
        let orders = held.seating.enter(seat);
        held.tell(orders);
        (Arc::new(Place { places: self.clone(), seat }), stays)
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection; it is released when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    seat: Seat,
}

impl Place {
    /// Makes the connection known by a request that was let in. None where all places are taken by such as are busy.
    pub(super) fn begin(self: &Arc<Self>, records: bool) -> Option<Busy> {
        let now = self.places.now();
        let mut held = self.places.lock();
        let orders = held.seating.begin(self.seat, records, now)?;
        held.tell(orders);
        Some(Busy(self.clone()))
    }

    /// As [`Self::begin`], for a request that everybody may send: it makes nobody known.
    pub(super) fn begin_open(self: &Arc<Self>) -> Option<Busy> {
        self.places.lock().seating.begin_open(self.seat).then(|| Busy(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.lock();
        held.stays.remove(&self.seat);
        held.seating.leave(self.seat);
    }
}

/// A request whose answer is not whole yet. Its connection keeps its place as long as this lives, and then until the answer is
/// sent; or until it takes nothing of what it is sent for a while, and its place is needed.
pub(super) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.places.lock().seating.answered(self.0.seat);
    }
}

/// The stream of a connection, whose place learns how far what it is sent was taken.
pub(super) struct Watched<S> {
    stream: S,
    place: Arc<Place>,
    is_stuck: bool,
}

impl<S> Watched<S> {
    pub(super) const fn new(stream: S, place: Arc<Place>) -> Self {
        Self { stream, place, is_stuck: false }
    }

    fn noted<T>(&mut self, written: Poll<T>) -> Poll<T> {
        if self.is_stuck != written.is_pending() {
            self.is_stuck = written.is_pending();
            let (places, seat) = (&self.place.places, self.place.seat);
            let since = self.is_stuck.then(|| places.now());
            places.lock().seating.stuck(seat, since);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.place.places.lock().seating.sent(self.place.seat);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
