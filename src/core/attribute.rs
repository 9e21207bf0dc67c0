//! Profile attributes: their names, and the operations that change them.

use std::fmt;
use std::sync::Arc;

use crate::core::limits::{ATTRIBUTE_NAME_CHARS_MAX, ATTRIBUTE_VALUE_CHARS_MAX};

/// A valid name of a profile attribute, without the `profile.` that the wire puts before it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeName(Arc<str>);

impl AttributeName {
    /// Checks the name.
    ///
    /// # Errors
    /// A clause that says what is wrong with it.
    pub fn new(name: &str) -> Result<Self, AttributeNameError> {
        let found = name.chars().count();
        if found == 0 {
            return Err(AttributeNameError::Empty);
        }
        if found > ATTRIBUTE_NAME_CHARS_MAX {
            return Err(AttributeNameError::TooLong { found });
        }
        if name.starts_with("profile.") {
            return Err(AttributeNameError::Prefix);
        }
        if name.chars().any(char::is_control) {
            return Err(AttributeNameError::Control);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no attribute name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeNameError {
    /// There is nothing in it.
    Empty,
    /// It has more than [`ATTRIBUTE_NAME_CHARS_MAX`] characters.
    TooLong {
        /// How many it has.
        found: usize,
    },
    /// It begins with `profile.`, which is added on the wire.
    Prefix,
    /// It holds a control character.
    Control,
}

impl fmt::Display for AttributeNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an attribute name is empty"),
            Self::TooLong { found } => write!(
                f,
                "the attribute name has {found} characters, at most {ATTRIBUTE_NAME_CHARS_MAX} are allowed by Target"
            ),
            Self::Prefix => {
                f.write_str("an attribute name is written without \"profile.\", which is added when it is sent")
            }
            Self::Control => f.write_str("the attribute name holds a control character"),
        }
    }
}

impl std::error::Error for AttributeNameError {}

/// How an event changes an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The newest value by event time wins.
    Set,
    /// The value is added, as an exact decimal.
    Add,
    /// The greater number wins.
    Max,
    /// The smaller number wins.
    Min,
    /// The oldest value by event time wins.
    First,
    /// The value joins a bounded, comma-separated list, ordered by event time.
    Append,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 6] = [Self::Set, Self::Add, Self::Max, Self::Min, Self::First, Self::Append];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Add => "add",
            Self::Max => "max",
            Self::Min => "min",
            Self::First => "first",
            Self::Append => "append",
        }
    }

    /// Whether it works on numbers alone.
    #[must_use]
    pub const fn is_of_numbers(self) -> bool {
        matches!(self, Self::Add | Self::Max | Self::Min)
    }

    /// The number under which it is stored.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The operation of a stored number; `set` where there is none.
    #[must_use]
    pub fn of_number(number: i64) -> Self {
        usize::try_from(number).ok().and_then(|place| Self::ALL.get(place)).copied().unwrap_or(Self::Set)
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
    /// Whether the name is this device's own, so that nobody else writes it.
    pub is_own: bool,
    /// Whether the next page view must know.
    pub is_urgent: bool,
}

/// Whether a value is short enough for Target, and what is wrong if not.
///
/// # Errors
/// The number of characters, when it is above [`ATTRIBUTE_VALUE_CHARS_MAX`].
pub fn check_value_length(value: &str) -> Result<(), usize> {
    // Bytes bound characters from above, so that the usual short value is not counted.
    if value.len() <= ATTRIBUTE_VALUE_CHARS_MAX {
        return Ok(());
    }
    match value.chars().count() {
        found if found > ATTRIBUTE_VALUE_CHARS_MAX => Err(found),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_128_characters_passes_and_one_of_129_does_not() {
        assert!(AttributeName::new(&"å".repeat(128)).is_ok());
        assert_eq!(AttributeName::new(&"å".repeat(129)), Err(AttributeNameError::TooLong { found: 129 }));
    }

    #[test]
    fn names_that_the_wire_would_double_or_break_are_refused() {
        assert_eq!(AttributeName::new("profile.visits"), Err(AttributeNameError::Prefix));
        assert_eq!(AttributeName::new("a\nb"), Err(AttributeNameError::Control));
        assert_eq!(AttributeName::new(""), Err(AttributeNameError::Empty));
    }
}
