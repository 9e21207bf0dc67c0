//! Whether Target has a profile, as far as is known, and how that knowledge ages. Pure.
//!
//! A single update never creates a profile, and is answered alike whether there is one: Target Single Profile Update API.

use crate::core::limits::EXISTENCE_TIME;
use crate::core::timestamp::Timestamp;

/// Knowledge of whether Target has a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Existence {
    /// Nobody knows.
    #[default]
    Unknown,
    /// It was created, or read back.
    Yes,
    /// It was looked for, and not found.
    No,
}

impl Existence {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// What was learned, and when; a delivery to a profile that exists renews it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// What was learned.
    pub existence: Existence,
    /// This device's time.
    pub at: Timestamp,
}

impl Knowledge {
    /// What is still known now: profiles expire, and others appear.
    #[must_use]
    pub fn now(self, now: Timestamp) -> Existence {
        if now.since(self.at) > EXISTENCE_TIME { Existence::Unknown } else { self.existence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knowledge_lasts_for_13_days() {
        let at = Timestamp::from_millis(1_800_000_000_000);
        let known = Knowledge { existence: Existence::Yes, at };
        assert_eq!(known.now(at.plus(EXISTENCE_TIME)), Existence::Yes);
        assert_eq!(known.now(at.plus(EXISTENCE_TIME).plus(std::time::Duration::from_millis(1))), Existence::Unknown);
    }
}
