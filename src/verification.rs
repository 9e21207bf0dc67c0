//! Reads a sample of profiles back, some hours after their delivery.

use std::time::Duration;

use tokio::sync::watch;

use crate::link::LinkState;
use crate::status::LinkView;
use crate::store::{DueVerifications, Reader, StoreError};
use crate::timestamp::Timestamp;
use crate::verify::{Verifier, VerifyError};

/// Profiles that are read back in one go.
const PART: usize = 20;

/// Shortest and longest time until the next look when nothing is due.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// How long to wait after a profile could not be read.
const RETRY: Duration = Duration::from_secs(30);

/// The sample of one store.
pub struct Verification {
    /// What reads and writes it down.
    pub verifier: Verifier,
    /// A connection of its own.
    pub reader: Reader,
    /// The forwarder's view of the link.
    pub link: watch::Receiver<LinkView>,
    /// How long after its delivery a profile is read back.
    pub after: Duration,
}

impl Verification {
    /// Reads profiles back as they fall due, until `stop` turns true.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let is_online = self.link.borrow().state == LinkState::Online;
            let pause = if is_online { self.verify_due().await } else { self.interval() };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn interval(&self) -> Duration {
        (self.after / 10).clamp(INTERVAL_MIN, INTERVAL_MAX)
    }

    /// Reads back what is due, and says how long until more is.
    async fn verify_due(&mut self) -> Duration {
        loop {
            let now = self.verifier.clock.now();
            let DueVerifications { due, next } = match self.reader.due_verifications(now, PART) {
                Ok(due) => due,
                Err(error) => return failed(&VerifyError::Store(error)),
            };
            if due.is_empty() {
                return next.map_or(self.interval(), |next: Timestamp| next.since(now).min(self.interval()));
            }
            for identity in due {
                let row = self.reader.profile(&identity);
                let verified = match row {
                    Ok(Some(row)) => self.verifier.verify(&identity, row, true).await,
                    // It was forgotten.
                    Ok(None) => continue,
                    Err(error) => Err(VerifyError::Store(error)),
                };
                match verified {
                    Ok(verified) if verified.resent > 0 => {
                        tracing::warn!(attributes = verified.resent, "values had not arrived, and are sent again");
                    }
                    Ok(_) => {}
                    Err(error) => return failed(&error),
                }
            }
        }
    }
}

fn failed(error: &VerifyError) -> Duration {
    match error {
        VerifyError::Store(StoreError::Stopped) => {}
        error => tracing::info!(%error, "a profile could not be read back; it is tried again later"),
    }
    RETRY
}
