//! A limit on requests in memory: more than the disk can handle is refused at once and never piles up.
//!
//! A connection has one request at a time, so that small ones are limited by the number of connections; they are always
//! admitted, whatever others send.

use axum::body::Body;
use hyper::body::Body as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::core::limits::{INTAKE_BODY_BYTES_MAX, INTAKE_LARGE_BYTES_MAX, INTAKE_SMALL_BYTES_MAX};

/// Bytes per permit.
const UNIT: usize = 1_024;

/// The free room for large requests.
#[derive(Debug)]
pub struct Admission(Semaphore);

impl Default for Admission {
    fn default() -> Self {
        Self(Semaphore::new(INTAKE_LARGE_BYTES_MAX / UNIT))
    }
}

impl Admission {
    /// Admits a request, for as long as its permit is held; a small one needs none.
    ///
    /// # Errors
    /// 503, if the present requests take all the room.
    pub fn admit(&self, body: &Body) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        // If the length is unknown, the largest is assumed.
        let bytes = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = bytes.unwrap_or(INTAKE_BODY_BYTES_MAX).min(INTAKE_BODY_BYTES_MAX);
        if bytes <= INTAKE_SMALL_BYTES_MAX {
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        self.0.try_acquire_many(units).map(Some).map_err(|_| Problem::busy())
    }
}
