//! The value of an attribute on this device, and the errors of changing it.

use std::fmt;

use rust_decimal::Decimal;

use crate::core::limits::ATTRIBUTE_VALUE_CHARS_MAX;
use crate::core::operation::decimal::number;
use crate::core::timestamp::Timestamp;

/// The position of a change in the order of events: by event time, then by order of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Time of the event.
    pub time: Timestamp,
    /// Number of the event in the journal.
    pub seq: i64,
}

/// The value of an attribute, from this device's events only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Value as Target gets it.
    pub value: String,
    /// Position of the event that decided the value.
    pub stamp: Stamp,
    /// Items of an `append` with their order, as JSON of `[time_ms, seq, item]`; `None` for other operations.
    pub items: Option<String>,
}

impl Held {
    pub(super) const fn plain(value: String, stamp: Stamp) -> Self {
        Self { value, stamp, items: None }
    }

    pub(super) fn number(&self) -> Result<Decimal, ChangeError> {
        number(&self.value).ok_or(ChangeError::HeldNotANumber)
    }
}

/// Reads the operand of an operation on numbers.
pub(super) fn operand_number(operand: &str) -> Result<Decimal, ChangeError> {
    number(operand).ok_or(ChangeError::OperandNotANumber)
}

/// A reason why a change is impossible. No message repeats a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// The operand of `add`, `max` or `min` is not a plain decimal number.
    OperandNotANumber,
    /// The attribute has a value that is not a number, made by another operation.
    HeldNotANumber,
    /// The sum has more than 28 digits.
    SumTooLarge,
    /// An item of `append` contains a comma, the separator of items.
    CommaInItem,
    /// The value has more than [`ATTRIBUTE_VALUE_CHARS_MAX`] characters.
    ValueTooLong {
        /// Characters found.
        found: usize,
    },
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OperandNotANumber => f.write_str("the value is not a decimal number of at most 28 digits"),
            Self::HeldNotANumber => f.write_str(
                "the profile has a value that is not a number; use another attribute name after changing an operation",
            ),
            Self::SumTooLarge => f.write_str("the sum has more than 28 digits"),
            Self::CommaInItem => {
                f.write_str("the item contains a comma, which separates items; replace it in the mapping")
            }
            Self::ValueTooLong { found } => {
                write!(
                    f,
                    "the value has {found} characters, at most {ATTRIBUTE_VALUE_CHARS_MAX}; shorten it in the mapping"
                )
            }
        }
    }
}

impl std::error::Error for ChangeError {}
