//! Profile attributes: their names, and how long a value may be.

use std::fmt;
use std::sync::Arc;

use crate::core::limits::{ATTRIBUTE_NAME_CHARS_MAX, ATTRIBUTE_VALUE_CHARS_MAX};

/// A valid name of a profile attribute, without the `profile.` that the wire puts before it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeName(Arc<str>);

impl AttributeName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// The problem with the name.
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

    /// Returns the name without its prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A reason why a text is not a valid attribute name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeNameError {
    /// The text is empty.
    Empty,
    /// The name has more than [`ATTRIBUTE_NAME_CHARS_MAX`] characters.
    TooLong {
        /// Characters found.
        found: usize,
    },
    /// The name begins with `profile.`, which the wire format adds itself.
    Prefix,
    /// The name contains a control character.
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
            Self::Control => f.write_str("the attribute name contains a control character"),
        }
    }
}

impl std::error::Error for AttributeNameError {}

/// Checks that a value is short enough for Target.
///
/// # Errors
/// The number of characters, if it is above [`ATTRIBUTE_VALUE_CHARS_MAX`].
pub fn check_value_length(value: &str) -> Result<(), usize> {
    // A value has at most as many characters as bytes, so the usual short value needs no count.
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
