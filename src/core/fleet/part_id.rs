//! The id of one part of an `add`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A random number of 128 bits that names one part of a sum, so that it counts once. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId(u128);

impl PartId {
    /// Returns the id with these bits.
    #[must_use]
    pub const fn of_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns its bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no id of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPartId;

impl fmt::Display for NotAPartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the id of a part must be 32 hexadecimal digits")
    }
}

impl std::error::Error for NotAPartId {}

impl FromStr for PartId {
    type Err = NotAPartId;

    fn from_str(text: &str) -> Result<Self, NotAPartId> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex { u128::from_str_radix(text, 16).map(Self).map_err(|_| NotAPartId) } else { Err(NotAPartId) }
    }
}

impl Serialize for PartId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PartId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_32_digits_and_read_as_nothing_else() {
        let id = PartId::of_bits(0xab);
        assert_eq!(id.to_string(), "000000000000000000000000000000ab");
        assert_eq!(id.to_string().parse(), Ok(id));
        for other in ["", "ab", "+00000000000000000000000000000ab", "000000000000000000000000000000ab0"] {
            assert_eq!(other.parse::<PartId>(), Err(NotAPartId), "{other}");
        }
    }
}
