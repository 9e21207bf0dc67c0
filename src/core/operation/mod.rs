//! Operations of attributes: one file each, with how events change a value, what is sent where others write it too, and the
//! tests of both. Pure.
//!
//! A new operation is one file here, one line of `operations!`, and one migration of the store, so that a program which does
//! not know it refuses the store.

mod decimal;
mod rule;
mod sent;
mod value;

mod add;
mod append;
mod extreme;
mod first;
mod set;

#[cfg(test)]
mod testing;

pub use append::append_list;
pub use decimal::{decimal_text, number};
pub use sent::{Decision, LATE_MAX, Own, Sent, Shown};
pub use value::{ChangeError, Held, Stamp};

use std::sync::Arc;

use crate::core::attribute::AttributeName;
use crate::core::timestamp::Timestamp;
use rule::Rule;

/// Declares the operations in the order of the numbers under which they are stored, from 0: each with its name in the
/// configuration and its rule.
macro_rules! operations {
    ($($(#[$doc:meta])* $variant:ident $name:literal $rule:expr;)*) => {
        /// How an event changes an attribute.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $variant,)*
        }

        impl Operation {
            /// All operations.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Name in the configuration.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn rule(self) -> &'static dyn Rule {
                match self {
                    $(Self::$variant => &$rule,)*
                }
            }
        }
    };
}

operations! {
    /// The newest value by event time wins.
    Set "set" set::Set;
    /// The value is added, as an exact decimal.
    Add "add" add::Add;
    /// The greater number wins.
    Max "max" extreme::Extreme::Max;
    /// The smaller number wins.
    Min "min" extreme::Extreme::Min;
    /// The oldest value by event time wins.
    First "first" first::First;
    /// The value joins a bounded, comma-separated list, ordered by event time.
    Append "append" append::Append;
}

impl Operation {
    /// Number under which it is stored.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// Returns the operation of a stored number, if this program knows it.
    #[must_use]
    pub fn of_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|place| Self::ALL.get(place)).copied()
    }

    /// Returns whether it works on numbers alone.
    #[must_use]
    pub fn is_of_numbers(self) -> bool {
        self.rule().is_of_numbers()
    }

    /// Returns whether a fresh value replaces whatever Target has, so that it needs no reading.
    #[must_use]
    pub fn replaces(self) -> bool {
        self.rule().replaces()
    }

    /// Applies one change to the value that an attribute holds. `None` leaves the attribute as it is.
    ///
    /// Whatever the order in which events arrive, the same events give the same value.
    ///
    /// # Errors
    /// [`ChangeError`], when the operand, the held value or their sum is not what the operation needs.
    pub fn change(self, held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, ChangeError> {
        rule::change(self.rule(), held, operand, stamp)
    }

    /// Decides what Target shall hold of one attribute that others may write too.
    ///
    /// `sends` are the last values that this device sent, oldest first; `gave_way_to` is the value of others that ours
    /// gave way to while an attempt of ours was lost; `now` is on Target's clock.
    #[must_use]
    pub fn merge(
        self,
        own: Own<'_>,
        sends: &[Sent],
        shown: Option<&Shown>,
        gave_way_to: Option<&Shown>,
        now: Timestamp,
    ) -> (Decision, String) {
        rule::merge(self.rule(), own, sends, shown, gave_way_to, now)
    }
}

/// One change of one attribute, as a mapping computed it from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The attribute.
    pub name: AttributeName,
    /// How it changes.
    pub operation: Operation,
    /// The operand.
    pub value: String,
    /// The name of the mapping that says so.
    pub mapping: Arc<str>,
    /// True if the name is this device's own, so that nobody else writes it.
    pub is_own: bool,
    /// True if the next page view must know.
    pub is_urgent: bool,
}
