//! Numbers as people write them in tables: read with certainty, or not at all.

use crate::core::number::Number;

/// Currency signs that may precede or follow a number.
const CURRENCIES: [char; 9] = ['$', '€', '£', '¥', '₹', '₩', '₺', '₽', '₫'];

/// Spaces that may separate groups of digits.
const SPACES: [char; 5] = [' ', '\u{a0}', '\u{202f}', '\u{2009}', '\u{2007}'];

/// Signs of a negative number: a hyphen, and the typographical minus signs.
const MINUSES: [char; 3] = ['-', '\u{2212}', '\u{2013}'];

/// A sign that, like the minus signs, may replace the cents of a round price, as in `5,—`.
const DASH: char = '\u{2014}';

/// Reads the number in a cell, and returns it as JSON with all its digits.
///
/// # Errors
/// The problem of the cell, including that it can be read in two ways.
pub(super) fn read(cell: &str, decimal: Option<char>) -> Result<String, String> {
    let Unsigned { is_negative, body, is_without_cents } = unsigned(cell).ok_or("it is not a number")?;
    let (body, exponent) = match body.find(['e', 'E']) {
        Some(at) => body.split_at(at),
        None => (body, ""),
    };
    let (whole, fraction) = match decimal {
        Some(decimal) => split(body, decimal),
        None => {
            if is_doubtful(body) {
                return Err("it may be thousands or a fraction; set decimal in [intake.folder.csv]".to_owned());
            }
            split(body, '.')
        }
    };
    let is_grouped = whole.contains(|next: char| !next.is_ascii_digit());
    let whole = ungrouped(whole, decimal).ok_or("it is not a number")?;
    if is_grouped && !exponent.is_empty() {
        return Err("it has groups of digits and an exponent, and may be thousands or a fraction".to_owned());
    }
    let is_plain = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let has_both = is_without_cents && !(fraction.is_empty() && exponent.is_empty());
    if !is_plain || has_both || (whole.is_empty() && fraction.is_empty()) {
        return Err("it is not a number".to_owned());
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let sign = if is_negative { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    let text = format!("{sign}{whole}{point}{fraction}{exponent}");
    match Number::parse(&text) {
        None => Err("it is not a number".to_owned()),
        // JSON cannot be read with it. Source: serde_json, which reads fractions as binary floats.
        Some(number) if number.to_float().is_infinite() => Err("it is too large for an event".to_owned()),
        Some(_) => Ok(text),
    }
}

/// A number without signs, brackets and the currency.
struct Unsigned<'c> {
    is_negative: bool,
    body: &'c str,
    /// True if a dash replaced its cents, so that it has no fraction.
    is_without_cents: bool,
}

fn unsigned(cell: &str) -> Option<Unsigned<'_>> {
    let is_blank = |next: char| next.is_whitespace();
    let mut rest = cell.trim_matches(is_blank);
    let in_brackets = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    rest = in_brackets.unwrap_or(rest);
    let (mut signs, mut currencies, mut minus) = (0, 0, false);
    let mut is_without_cents = false;
    loop {
        rest = rest.trim_matches(is_blank);
        if let Some(price) = without_cents(rest).filter(|_| !is_without_cents) {
            (rest, is_without_cents) = (price, true);
            continue;
        }
        let mut take = |found: &str, without: &str| {
            let sign = found.chars().next()?;
            if MINUSES.contains(&sign) || sign == '+' {
                (signs, minus) = (signs + 1, sign != '+');
            } else if CURRENCIES.contains(&sign) {
                currencies += 1;
            } else {
                return None;
            }
            Some(without.len())
        };
        let mut chars = rest.chars();
        let first = chars.next().map(|_| rest.split_at(rest.len() - chars.as_str().len()));
        if let Some(length) = first.and_then(|(first, without)| take(first, without)) {
            rest = &rest[rest.len() - length..];
            continue;
        }
        let mut chars = rest.chars();
        let last = chars.next_back().map(|_| rest.split_at(chars.as_str().len()));
        match last.and_then(|(without, last)| take(last, without)) {
            Some(length) => rest = &rest[..length],
            None => break,
        }
    }
    let is_clear = signs <= 1 && currencies <= 1 && !(in_brackets.is_some() && signs > 0);
    is_clear.then_some(Unsigned { is_negative: minus || in_brackets.is_some(), body: rest, is_without_cents })
}

/// Returns a price without the dash that replaces its cents; none if there is no such dash.
fn without_cents(price: &str) -> Option<&str> {
    let without = price.trim_end_matches(|next| MINUSES.contains(&next) || next == DASH);
    let whole = without.strip_suffix(['.', ',']).filter(|_| without.len() < price.len())?;
    whole.ends_with(|last: char| last.is_ascii_digit()).then_some(whole)
}

fn split(body: &str, decimal: char) -> (&str, &str) {
    body.split_once(decimal).unwrap_or((body, ""))
}

/// Returns true if a number can be read in two ways without a configured decimal character: with a comma, or with a
/// point that may separate thousands.
fn is_doubtful(body: &str) -> bool {
    let is_group = |digits: &str| digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_thousands = body.split_once('.').is_some_and(|(whole, fraction)| {
        is_group(fraction) && (1..=3).contains(&whole.len()) && !whole.starts_with('0')
    });
    is_thousands || body.contains(',') || body.matches('.').count() > 1
}

/// Returns the digits before the decimals; `None` if they are not grouped in threes by a single character.
fn ungrouped(whole: &str, decimal: Option<char>) -> Option<String> {
    let is_group_sign = |sign: char| {
        SPACES.contains(&sign)
            || matches!(sign, '\'' | '’')
            || (matches!(sign, '.' | ',') && decimal.is_some_and(|decimal| decimal != sign))
    };
    let Some(sign) = whole.chars().find(|next| !next.is_ascii_digit()) else { return Some(whole.to_owned()) };
    if !is_group_sign(sign) {
        return None;
    }
    let mut groups = whole.split(sign);
    let first = groups.next()?;
    let is_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    // No group begins with a zero: "0.500" was meant as a fraction.
    let is_first = (1..=3).contains(&first.len()) && is_digits(first) && !first.starts_with('0');
    (is_first && groups.all(|group| group.len() == 3 && is_digits(group))).then(|| whole.replace(sign, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(decimal: Option<char>, cell: &str, expected: Option<&str>) {
        assert_eq!(read(cell, decimal).ok().as_deref(), expected, "{cell} with {decimal:?}");
    }

    #[test]
    fn a_dash_in_the_place_of_cents_is_no_minus() {
        for decimal in [Some(','), Some('.'), None] {
            for cell in ["5,-", "5.-", "5.–", "5,—", "5,--", "€ 5,-", "5.- €", "5,-\u{a0}€", "5,−"] {
                check(decimal, cell, Some("5"));
            }
            check(decimal, "-5,-", Some("-5"));
            check(decimal, "(5,-)", Some("-5"));
            check(decimal, "5-", Some("-5"));
            check(decimal, "1'500.-", Some("1500"));
            for cell in [",-", "5,-,-", "1,5,-", "5e1,-", "--5,-"] {
                check(decimal, cell, None);
            }
        }
        check(Some(','), "1.500,-", Some("1500"));
        check(Some('.'), "1,500.-", Some("1500"));
        check(None, "1.500,-", None);
        check(Some('.'), "1.500,-", None);
    }

    #[test]
    fn numbers_are_read_as_they_are_meant_or_not_at_all() {
        let (comma, point) = (Some(','), Some('.'));
        for (cell, expected) in [
            ("1.500", Some("1500")),
            ("1.234.567,89", Some("1234567.89")),
            ("12,5", Some("12.5")),
            ("1.5", None),
            ("0.500", None),
            ("012.500", None),
            ("1,5,0", None),
            ("1.23.456", None),
            ("1 099,50", Some("1099.50")),
            ("1\u{a0}234\u{202f}567", None),
            ("1\u{a0}234\u{a0}567,1", Some("1234567.1")),
            ("1’234,50", Some("1234.50")),
            ("12,50-", Some("-12.50")),
            ("12,50 €", Some("12.50")),
            ("-€ 5", Some("-5")),
            ("007", Some("7")),
            ("1.234e3", None),
            ("1 234e3", None),
            ("1,5e3", Some("1.5e3")),
        ] {
            check(comma, cell, expected);
        }
        for (cell, expected) in [
            ("$1,234.50", Some("1234.50")),
            ("(30.00)", Some("-30.00")),
            ("($30.00)", Some("-30.00")),
            ("12.50-", Some("-12.50")),
            ("−5", Some("-5")),
            ("1 234.50", Some("1234.50")),
            ("1'234.50", Some("1234.50")),
            ("1,5", None),
            ("1,2345", None),
            (".5", Some("0.5")),
            ("5.", Some("5")),
            ("-(5)", None),
            ("--5", None),
            ("5 %", None),
            ("$", None),
            ("-", None),
            ("1e5", Some("1e5")),
            ("1 2 3", None),
            ("0x10", None),
            ("12 kr", None),
            ("7777777777777777777777777777", Some("7777777777777777777777777777")),
        ] {
            check(point, cell, expected);
        }
        for (cell, expected) in [
            ("12.50", Some("12.50")),
            ("0.500", Some("0.500")),
            ("1234.567", Some("1234.567")),
            ("1.500", None),
            ("1,500", None),
            ("1,5", None),
            ("1 500", Some("1500")),
            ("-7", Some("-7")),
            ("+7", Some("7")),
        ] {
            check(None, cell, expected);
        }
    }
}
