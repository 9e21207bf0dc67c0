//! Knowledge of whether Target has a profile, and how it ages. Pure.
//!
//! A single update never creates a profile, and its answer is the same whether or not the profile exists. Source:
//! Target Single Profile Update API.

use crate::core::limits::EXISTENCE_TIME;
use crate::core::timestamp::Timestamp;

/// The known state of a profile at Target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Existence {
    /// Nothing is known.
    #[default]
    Unknown,
    /// The profile was created or read back.
    Yes,
    /// A read did not find the profile.
    No,
}

impl Existence {
    /// Returns the name used in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// The last thing learned about a profile, with its time. A delivery to an existing profile renews it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// The state that was learned.
    pub existence: Existence,
    /// Time on this device's clock.
    pub at: Timestamp,
}

impl Knowledge {
    /// Returns what is still known at `now`: profiles expire, and others may create them.
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
