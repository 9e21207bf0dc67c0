//! A decimal number with all its digits, however many were written.
//!
//! Pure: reading, writing, comparing, and arithmetic that is exact or refused. Nothing here rounds unless it says so.

use std::cmp::Ordering;
use std::fmt;

use rust_decimal::Decimal;

use crate::core::limits::{NUMBER_DIGITS_MAX, NUMBER_EXPONENT_MAX};

/// A decimal number. Equal numbers are equal values: `1.50`, `15e-1` and `1.5` are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    is_negative: bool,
    /// Digits without zeros at either end; empty for zero.
    digits: Vec<u8>,
    /// Power of ten by which the digits, read as a whole number, are multiplied.
    exponent: i32,
}

impl Number {
    /// Zero.
    pub const ZERO: Self = Self { is_negative: false, digits: Vec::new(), exponent: 0 };

    /// Reads a number such as `-12.50` or `1e-28`; `None` for anything else, and for a number more than
    /// [`NUMBER_EXPONENT_MAX`] places away from 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let places = i64::try_from(fraction.len()).ok()?;
        Self::new(is_negative, digits.iter().map(|digit| digit - b'0').collect(), exponent - places)
    }

    /// Returns the number with the fewest digits that is read as this binary float; `None` if the float is not finite.
    #[must_use]
    pub fn of_float(float: f64) -> Option<Self> {
        Self::parse(&format!("{float:e}"))
    }

    /// Returns a number in its one normal form; `None` if it is out of range.
    fn new(is_negative: bool, mut digits: Vec<u8>, mut exponent: i64) -> Option<Self> {
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        digits.drain(..digits.iter().take_while(|digit| **digit == 0).count());
        if digits.is_empty() {
            return Some(Self::ZERO);
        }
        let first = exponent + i64::try_from(digits.len()).ok()?;
        let is_near = exponent.abs() <= NUMBER_EXPONENT_MAX && first.abs() <= NUMBER_EXPONENT_MAX;
        let exponent = i32::try_from(exponent).ok().filter(|_| is_near)?;
        Some(Self { is_negative, digits, exponent })
    }

    /// Returns true if the number has no fraction.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.exponent >= 0
    }

    /// Returns true for zero.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Returns the nearest binary float; infinite for a number beyond its range.
    #[must_use]
    pub fn to_float(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Returns the number as a decimal of at most 28 digits; `None` if it has more.
    #[must_use]
    pub fn to_decimal(&self) -> Option<Decimal> {
        let scale = u32::try_from(-self.exponent).unwrap_or(0);
        Decimal::try_from_i128_with_scale(self.scaled(self.exponent.min(0))?, scale).ok()
    }

    /// Returns the number divided by ten to the power of `exponent`; `None` if that is not whole, or too large.
    fn scaled(&self, exponent: i32) -> Option<i128> {
        let zeros = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        let mut sum: i128 = 0;
        for digit in &self.digits {
            sum = sum.checked_mul(10)?.checked_add(i128::from(*digit))?;
        }
        let scaled = if sum == 0 { 0 } else { sum.checked_mul(10_i128.checked_pow(zeros)?)? };
        Some(if self.is_negative { -scaled } else { scaled })
    }

    /// Returns the number as an integer; `None` if it has a fraction or more than 38 digits.
    #[must_use]
    pub fn to_integer(&self) -> Option<i128> {
        self.scaled(0)
    }

    /// Returns the number with the opposite sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { is_negative: !self.is_negative && !self.digits.is_empty(), ..self }
    }

    /// Returns the exact sum; `None` if it has more than [`NUMBER_DIGITS_MAX`] digits.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        if self.is_zero() || other.is_zero() {
            return Some(if self.is_zero() { other } else { self }.clone());
        }
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.padded(exponent)?, other.padded(exponent)?);
        let (is_negative, mut digits) = if self.is_negative == other.is_negative {
            (self.is_negative, sum(&a, &b))
        } else {
            match self.cmp_size(other) {
                Ordering::Less => (other.is_negative, difference(&b, &a)),
                _ => (self.is_negative, difference(&a, &b)),
            }
        };
        digits.reverse();
        Self::new(is_negative, digits, i64::from(exponent))?.bounded()
    }

    /// Returns the exact difference, as [`Self::plus`] does the sum.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Option<Self> {
        self.plus(&other.clone().negated())
    }

    /// Returns the exact product, as [`Self::plus`] does the sum.
    #[must_use]
    pub fn times(&self, other: &Self) -> Option<Self> {
        let (a, b) = (self.padded(self.exponent)?, other.padded(other.exponent)?);
        let mut columns = vec![0_u32; a.len() + b.len()];
        for (place, digit) in a.iter().enumerate() {
            for (other_place, other_digit) in b.iter().enumerate() {
                columns[place + other_place] += u32::from(*digit) * u32::from(*other_digit);
            }
        }
        let mut digits = carried(columns.into_iter());
        digits.reverse();
        let exponent = i64::from(self.exponent) + i64::from(other.exponent);
        Self::new(self.is_negative != other.is_negative, digits, exponent)?.bounded()
    }

    /// Returns the quotient: exact with at most 28 digits, otherwise rounded to 15. `None` for a division by zero, and
    /// for a quotient to be rounded of numbers that have more than 28 digits themselves.
    #[must_use]
    pub fn divided_by(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let rounded = Self::rounded_float(self.to_float() / other.to_float())?;
        let is_exact = |quotient: &Self| quotient.times(other).is_some_and(|product| product == *self);
        if is_exact(&rounded) {
            return Some(rounded);
        }
        let (a, b) = (self.to_decimal()?, other.to_decimal()?);
        let exact = a.checked_div(b).map(Self::from).filter(is_exact);
        exact.or(Some(rounded))
    }

    /// Returns a float rounded to 15 digits, which removes the noise of binary fractions; `None` if it is not finite.
    #[must_use]
    pub fn rounded_float(float: f64) -> Option<Self> {
        Self::parse(&format!("{float:.14e}"))
    }

    /// Returns the quotient rounded down and the remainder, which has the divisor's sign; `None` for a division by zero
    /// or more than 38 digits.
    #[must_use]
    pub fn divided_whole(&self, other: &Self) -> Option<(Self, Self)> {
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.scaled(exponent)?, other.scaled(exponent)?);
        let (mut quotient, mut rest) = (a.checked_div(b)?, a.checked_rem(b)?);
        if rest != 0 && (rest < 0) != (b < 0) {
            (quotient, rest) = (quotient - 1, rest + b);
        }
        let rest = Self::parse(&format!("{rest}e{exponent}"))?;
        Some((Self::parse(&quotient.to_string())?, rest))
    }

    /// Returns the exact power for a small whole exponent; `None` for other exponents, and where [`Self::plus`] gives
    /// none.
    #[must_use]
    pub fn to_the(&self, exponent: &Self) -> Option<Self> {
        let times = usize::try_from(exponent.to_integer()?).ok().filter(|times| *times <= NUMBER_DIGITS_MAX)?;
        let one = Self { is_negative: false, digits: vec![1], exponent: 0 };
        (0..times).try_fold(one, |power, _| power.times(self))
    }

    fn bounded(self) -> Option<Self> {
        (self.digits.len() <= NUMBER_DIGITS_MAX).then_some(self)
    }

    /// Returns the digits as multiples of ten to the power of `exponent`, the last first.
    fn padded(&self, exponent: i32) -> Option<Vec<u8>> {
        let zeros = usize::try_from(self.exponent - exponent).ok()?;
        if self.digits.len() > NUMBER_DIGITS_MAX || zeros > 2 * NUMBER_DIGITS_MAX {
            return None;
        }
        Some(std::iter::repeat_n(0, zeros).chain(self.digits.iter().rev().copied()).collect())
    }

    fn cmp_size(&self, other: &Self) -> Ordering {
        let first = |number: &Self| {
            let place = number.exponent + i32::try_from(number.digits.len()).unwrap_or(i32::MAX);
            (!number.digits.is_empty()).then_some(place)
        };
        first(self).cmp(&first(other)).then_with(|| self.digits.cmp(&other.digits))
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    // Zero can have any exponent; for other numbers one of ten digits is out of range.
    let digits = unsigned.trim_start_matches('0');
    let size: i64 = if digits.len() > 9 { 1_000_000_000 } else { format!("0{digits}").parse().ok()? };
    is_number.then_some(if text.starts_with('-') { -size } else { size })
}

/// Adds digits, given with the last first.
fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let at = |digits: &[u8], place: usize| u32::from(digits.get(place).copied().unwrap_or(0));
    carried((0..a.len().max(b.len())).map(|place| at(a, place) + at(b, place)))
}

/// Carries over from columns that may be greater than nine.
fn carried(columns: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut carry = 0;
    let mut digits: Vec<u8> = columns
        .map(|column| {
            let value = column + carry;
            carry = value / 10;
            (value % 10) as u8
        })
        .collect();
    while carry > 0 {
        digits.push((carry % 10) as u8);
        carry /= 10;
    }
    digits
}

/// Subtracts digits, given with the last first; `b` must not be the larger.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrowed = 0;
    let digit = |(place, digit): (usize, &u8)| {
        let take = b.get(place).copied().unwrap_or(0) + borrowed;
        borrowed = u8::from(*digit < take);
        digit + 10 * borrowed - take
    };
    a.iter().enumerate().map(digit).collect()
}

impl From<Decimal> for Number {
    fn from(decimal: Decimal) -> Self {
        Self::parse(&decimal.to_string()).expect("a decimal is written as a number near 1")
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.cmp_size(other),
            (true, true) => other.cmp_size(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

/// The canonical text: no exponent, no needless zeros, no `-0`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let sign = if self.is_negative { "-" } else { "" };
        let places = usize::try_from(-self.exponent).unwrap_or(0);
        let zeros = usize::try_from(self.exponent).unwrap_or(0);
        match digits.len().checked_sub(places) {
            _ if digits.is_empty() => f.write_str("0"),
            _ if places == 0 => write!(f, "{sign}{digits}{:0<zeros$}", ""),
            None | Some(0) => write!(f, "{sign}0.{digits:0>places$}"),
            Some(point) => write!(f, "{sign}{}.{}", &digits[..point], &digits[point..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).expect(text)
    }

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Number::parse(text).map(|number| number.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn a_number_is_read_and_written_with_all_its_digits() {
        check("7777777777777777777777777777", Some("7777777777777777777777777777"));
        check("0.1234567890123456789", Some("0.1234567890123456789"));
        check("-12345678901234567.8900", Some("-12345678901234567.89"));
        check("1e-28", Some("0.0000000000000000000000000001"));
        check("1E+3", Some("1000"));
        check("-0.00", Some("0"));
        check("0e99999999999", Some("0"));
        check("0e99999999999999999999", Some("0"));
        check("123e2000", Some(&format!("123{}", "0".repeat(2_000))));
        check("12.5e1", Some("125"));
        check("12.5e-1", Some("1.25"));
        check("007", Some("7"));
        check(".5", Some("0.5"));
        for text in [
            "",
            "-",
            ".",
            "e1",
            "1e",
            "1e+",
            "1 ",
            "0x1",
            "1_0",
            "--1",
            "inf",
            "1e5001",
            "999e4998",
            "1e-99999999999",
            "1.2.3",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn numbers_are_compared_by_value() {
        let ordered = ["-1e30", "-2", "-1.5", "-0.1", "0", "1e-28", "0.1", "0.10000000000000001", "2", "10", "1e30"];
        for (place, text) in ordered.iter().enumerate() {
            for (other_place, other) in ordered.iter().enumerate() {
                assert_eq!(number(text).cmp(&number(other)), place.cmp(&other_place), "{text} {other}");
            }
        }
        assert_eq!(number("1.50"), number("15e-1"));
        assert!(number("1.5") < number("2"));
    }

    #[test]
    fn arithmetic_is_exact_or_refused() {
        type Op = fn(&Number, &Number) -> Option<Number>;
        let check = |operation: Op, a: &str, b: &str, expected: Option<&str>| {
            let found = operation(&number(a), &number(b)).map(|number| number.to_string());
            assert_eq!(found.as_deref(), expected, "{a} {b}");
        };
        check(Number::plus, "0.1", "0.2", Some("0.3"));
        check(Number::plus, "1000", "1e-28", Some("1000.0000000000000000000000000001"));
        check(Number::plus, "99.5", "-100", Some("-0.5"));
        check(Number::plus, "-99.5", "99.5", Some("0"));
        check(Number::plus, "0", "1e300", Some(&format!("1{}", "0".repeat(300))));
        check(Number::plus, "1e300", "1e-300", None);
        let (most, too_many) = ("9".repeat(NUMBER_DIGITS_MAX), "9".repeat(NUMBER_DIGITS_MAX + 1));
        check(Number::minus, &most, "1", Some(&format!("{}8", &most[1..])));
        // The sum would have few digits; what is added has too many.
        check(Number::plus, &too_many, "1", None);
        check(Number::minus, "1", "0.9", Some("0.1"));
        check(Number::minus, "1", "2.5", Some("-1.5"));
        check(Number::times, "7777777777777777777777777777.5", "-2", Some("-15555555555555555555555555555"));
        check(Number::times, "999", "999", Some("998001"));
        check(Number::times, "0", "5", Some("0"));
        check(Number::divided_by, "100", "8", Some("12.5"));
        check(Number::divided_by, "1", "3", Some("0.333333333333333"));
        check(Number::divided_by, "7777777777777777777777777777", "7", Some("1111111111111111111111111111"));
        check(Number::divided_by, "1e-28", "3", Some(&format!("0.{}333333333333333", "0".repeat(28))));
        check(Number::divided_by, "0", "7", Some("0"));
        check(Number::divided_by, "1e300", "8", Some(&format!("125{}", "0".repeat(297))));
        check(Number::divided_by, "1234567890123456789012345678901", "7", None);
        check(Number::divided_by, "1", "0", None);
        let whole: Op = |a, b| a.divided_whole(b).map(|(whole, _)| whole);
        let rest: Op = |a, b| a.divided_whole(b).map(|(_, rest)| rest);
        check(whole, "-7.5", "2", Some("-4"));
        check(rest, "-7.5", "2", Some("0.5"));
        check(rest, "1", "0.1", Some("0"));
        check(rest, "1", "0", None);
        check(Number::to_the, "1.1", "2", Some("1.21"));
        check(Number::to_the, "2", "0", Some("1"));
        check(Number::to_the, "2", "-1", None);
        check(Number::to_the, "99", "99", None);
    }

    #[test]
    fn a_decimal_is_the_same_number_or_none() {
        let check = |text: &str, fits: bool| {
            let decimal = number(text).to_decimal();
            assert_eq!(decimal.map(Number::from), fits.then(|| number(text)), "{text}");
        };
        check("79228162514264337593543950335", true);
        check("79228162514264337593543950336", false);
        check("1e-28", true);
        check("1e-29", false);
        check("1.00000000000000000000000000000000000000", true);
        check("123456789012345678901234567890", false);
        check("1e28", true);
        check("1e40", false);
    }

    #[test]
    fn a_whole_quotient_goes_towards_minus_infinity_and_the_rest_has_the_divisor_s_sign() {
        let check = |a: &str, b: &str, quotient: &str, rest: &str| {
            let number = |text| Number::parse(text).expect("a number");
            assert_eq!(number(a).divided_whole(&number(b)), Some((number(quotient), number(rest))), "{a} by {b}");
        };
        check("7", "2", "3", "1");
        check("-7", "2", "-4", "1");
        check("7", "-2", "-4", "-1");
        check("-7", "-2", "3", "-1");
        check("6", "-3", "-2", "0");
        check("7.5", "2", "3", "1.5");
        assert_eq!(Number::parse("0").map(Number::negated), Number::parse("0"), "there is no -0");
    }
}
