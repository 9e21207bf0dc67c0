//! Operations on attributes: one file each, with how events change a value, what is sent when others write it too, and
//! the tests of both. Pure.
//!
//! A new operation needs one file here, one line of `operations!`, and one migration of the store, so that a program
//! without the operation refuses the store.

mod decimal;
mod part;
mod rule;
mod sent;
mod value;

mod add;
mod append;
mod extreme;
mod first;
mod list;
mod set;

#[cfg(test)]
mod testing;

pub use append::append_list;
pub use decimal::{decimal_text, number};
pub use list::StoredItem;
pub use part::{Part, PartItem, PartStamp, partial_sum, sum, sum_after};
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
        /// The way in which an event changes an attribute.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $variant,)*
        }

        impl Operation {
            /// All operations.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Returns the name used in the configuration.
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
    /// Returns the number under which it is stored.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// Returns the operation with a stored number, if this program knows it.
    #[must_use]
    pub fn of_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|place| Self::ALL.get(place)).copied()
    }

    /// Returns true if it works on numbers only.
    #[must_use]
    pub fn is_of_numbers(self) -> bool {
        self.rule().is_of_numbers()
    }

    /// Returns true if a new value replaces whatever Target has, so that Target need not be read first.
    #[must_use]
    pub fn replaces(self) -> bool {
        self.rule().replaces()
    }

    /// Returns the part of a value that was sent which is others', where this operation can tell.
    #[must_use]
    pub fn elsewhere(self, sent: &Sent) -> Option<String> {
        self.rule().elsewhere(sent)
    }

    /// Applies one change to the value of an attribute. `None` leaves the attribute as it is.
    ///
    /// The same events give the same value in whatever order they arrive.
    ///
    /// # Errors
    /// [`ChangeError`], if the operation cannot use the operand, the present value or their sum.
    pub fn change(self, held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, ChangeError> {
        rule::change(self.rule(), held, operand, stamp)
    }

    /// Returns what a device holds as its part of an attribute of which other devices have parts, too.
    #[must_use]
    pub fn part(self, held: &Held, device: &Arc<str>) -> Part {
        let stamp = PartStamp { time: held.stamp.time, device: device.clone(), seq: held.stamp.seq };
        Part { value: held.value.clone(), stamp, items: self.rule().part_items(held, device) }
    }

    /// Joins two parts of an attribute. In whatever order and however often parts are joined, the result is the same: that of
    /// one device with all events, recorded in the order of their [`PartStamp`]s.
    ///
    /// # Errors
    /// [`ChangeError::HeldNotANumber`], if a part of `max` or `min` is no number.
    ///
    /// # Panics
    /// For `add`: its parts are added.
    pub fn join(self, a: Part, b: Part) -> Result<Part, ChangeError> {
        self.rule().join(a, b)
    }

    /// Returns true if its parts have ids, each counts once, and the value is their sum.
    #[must_use]
    pub fn is_sum(self) -> bool {
        self.rule().is_sum()
    }

    /// Returns true if the value is a list whose items have positions of their own.
    #[must_use]
    pub fn is_list(self) -> bool {
        self.rule().is_list()
    }

    /// Decides the value that Target should have for an attribute that others may write too.
    ///
    /// `sends` are the last values that this device sent, oldest first. `gave_way_to` is another writer's value that
    /// replaced ours while an attempt of ours was lost. `now` is on Target's clock.
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
    /// Name of the attribute.
    pub name: AttributeName,
    /// Operation that changes it.
    pub operation: Operation,
    /// Operand of the operation.
    pub value: String,
    /// Name of the mapping that makes the change.
    pub mapping: Arc<str>,
    /// True if only this device writes an attribute of that name.
    pub is_own: bool,
    /// True if the update is needed at the next page view.
    pub is_urgent: bool,
}
