//! The value that an attribute holds on this device, and why a change of it fails.

use std::fmt;

use rust_decimal::Decimal;

use crate::core::limits::ATTRIBUTE_VALUE_CHARS_MAX;
use crate::core::operation::decimal::number;
use crate::core::timestamp::Timestamp;

/// Place of a change in the order of events: by event time, then by the order of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// When the event happened.
    pub time: Timestamp,
    /// The event's number in the journal.
    pub seq: i64,
}

/// Value that an attribute holds, over this device's events alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The value, as Target gets it.
    pub value: String,
    /// The event that decided the value.
    pub stamp: Stamp,
    /// What `append` needs to order its list, as JSON of `[time_ms, seq, item]`; none for other operations.
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

/// Why a change cannot be made. No message repeats a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// The operand of `add`, `max` or `min` is not a plain decimal number.
    OperandNotANumber,
    /// The attribute holds something that is no number, since another operation made it.
    HeldNotANumber,
    /// The sum has more than 28 digits.
    SumTooLarge,
    /// An item of `append` holds the comma that separates items.
    CommaInItem,
    /// The value has more than [`ATTRIBUTE_VALUE_CHARS_MAX`] characters.
    ValueTooLong {
        /// Number that was found.
        found: usize,
    },
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OperandNotANumber => f.write_str("the value is not a decimal number of at most 28 digits"),
            Self::HeldNotANumber => f.write_str(
                "the profile holds a value that is not a number; use another attribute name after changing an operation",
            ),
            Self::SumTooLarge => f.write_str("the sum has more than 28 digits"),
            Self::CommaInItem => f.write_str("the item holds a comma, which separates items; replace it in the mapping"),
            Self::ValueTooLong { found } => {
                write!(f, "the value has {found} characters, at most {ATTRIBUTE_VALUE_CHARS_MAX}; shorten it in the mapping")
            }
        }
    }
}

impl std::error::Error for ChangeError {}
