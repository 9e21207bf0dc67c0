//! How much is taken in at a time: more than the disk can take is refused at once, and never piles up.
//!
//! A connection has one request at a time, so that small ones are bounded by the connections that there are; they are
//! always let in, whatever others send.

use axum::body::Body;
use hyper::body::Body as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::core::limits::{INTAKE_BODY_BYTES_MAX, INTAKE_LARGE_BYTES_MAX, INTAKE_SMALL_BYTES_MAX};

/// Bytes that one permit stands for.
const UNIT: usize = 1_024;

/// The room for large requests.
#[derive(Debug)]
pub struct Admission(Semaphore);

impl Default for Admission {
    fn default() -> Self {
        Self(Semaphore::new(INTAKE_LARGE_BYTES_MAX / UNIT))
    }
}

impl Admission {
    /// Lets a request in, as long as its place is held; a small one needs none.
    ///
    /// # Errors
    /// 503, when those that are there take all the room.
    pub fn admit(&self, body: &Body) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        // Of one that does not say how long it is, the worst is assumed.
        let bytes = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = bytes.unwrap_or(INTAKE_BODY_BYTES_MAX).min(INTAKE_BODY_BYTES_MAX);
        if bytes <= INTAKE_SMALL_BYTES_MAX {
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        self.0.try_acquire_many(units).map(Some).map_err(|_| Problem::busy())
    }
}
