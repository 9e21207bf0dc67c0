//! Exact decimals of at most 28 digits, for sums and comparisons.

use rust_decimal::Decimal;

use crate::core::number::Number;

/// Reads a decimal number; `None` if the text is not a number or has more than 28 digits.
#[must_use]
pub fn number(text: &str) -> Option<Decimal> {
    Number::parse(text.trim())?.to_decimal()
}

/// Adds without losing a digit; `None` if the sum has more than 28 digits.
#[must_use]
pub(super) fn exact_sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let sum = a.checked_add(b)?;
    // The decimal type silently drops places when there is no room for all.
    if sum.scale() == a.scale().max(b.scale()) {
        return Some(sum);
    }
    Number::from(a).plus(&Number::from(b))?.to_decimal()
}

/// Writes a decimal without superfluous zeros: `99.50` becomes `99.5`, and there is no `-0`.
#[must_use]
pub fn decimal_text(number: Decimal) -> String {
    number.normalize().to_string()
}
