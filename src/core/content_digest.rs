//! The content of an event as numbers that can be compared. They are computed where the event is parsed, so that a
//! later
//! comparison does not parse it again.
//!
//! The same content in another notation (order, blanks, escapes) has the same digest; every digit of a number counts.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::mapping::fields::HASHES_MEMBER;

/// Members that are not content: the key of the event, which is the same anyway, and its notation.
const NOTATION: [&str; 5] = ["id", "source", "specversion", "datacontenttype", "dataschema"];

/// Deepest nesting of brackets. More than the JSON parser, which has read the text before, allows.
const DEPTH_MAX: usize = 256;

/// The content of an event as three unkeyed hashes. Never store them as they are: anyone could guess events and
/// compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest {
    /// The type and all field names, as received.
    pub came: u64,
    /// The names of the fields that are kept.
    pub kept: u64,
    /// The values of those fields.
    pub values: u64,
}

impl ContentDigest {
    /// Returns the digest of an event as received and of the part that is kept, both as JSON; `None` if either is not
    /// JSON.
    #[must_use]
    pub fn of(came: &str, kept: &str) -> Option<Self> {
        let all = Members::of(came)?;
        let stays = if came == kept { all } else { Members::of(kept)? };
        Some(Self { came: all.names.wrapping_add(all.event_type), kept: stays.names, values: stays.values })
    }
}

/// Members of an event, in any order.
#[derive(Clone, Copy, Default)]
struct Members {
    event_type: u64,
    names: u64,
    values: u64,
}

impl Members {
    fn of(json: &str) -> Option<Self> {
        let mut scanner = Scanner { rest: json.as_bytes(), depth: 0 };
        let mut members = Self::default();
        scanner.object(|scanner, name| members.add(scanner, name))?;
        scanner.next().is_none().then_some(members)
    }

    fn add(&mut self, scanner: &mut Scanner<'_>, name: &str) -> Option<()> {
        let start = scanner.rest;
        let value = scanner.value()?;
        // A null means that a member is not set. Source: CloudEvents JSON format, section 2.1.
        if NOTATION.contains(&name) || start.trim_ascii_start().starts_with(b"null") {
            return Some(());
        }
        // The hashes of hidden fields are JSON inside a string.
        let text = (name == HASHES_MEMBER)
            .then(|| serde_json::from_slice::<String>(&start[..start.len() - scanner.rest.len()]));
        let hidden = text.and_then(Result::ok).and_then(|text| Scanner { rest: text.as_bytes(), depth: 0 }.value());
        let value = hidden.unwrap_or(value);
        if name == "type" {
            self.event_type = hash(b't', &[value.content]);
        }
        self.names = self.names.wrapping_add(named(name, value.names));
        self.values = self.values.wrapping_add(named(name, value.content));
        Some(())
    }
}

/// A JSON value: the names in it, and its whole content.
#[derive(Clone, Copy)]
struct Value {
    names: u64,
    content: u64,
}

impl Value {
    /// Returns a value without names. Mappings keep a list as one field, all or nothing.
    const fn of(content: u64) -> Self {
        Self { names: 0, content }
    }
}

/// A scanner of JSON that was parsed before and is therefore valid.
struct Scanner<'j> {
    rest: &'j [u8],
    depth: usize,
}

impl Scanner<'_> {
    /// Returns the next byte that is not blank, without consuming it.
    fn next(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.next() == Some(byte);
        self.rest = &self.rest[usize::from(is_next)..];
        is_next
    }

    fn value(&mut self) -> Option<Value> {
        match self.next()? {
            b'{' => {
                let (mut names, mut content) = (0_u64, 0_u64);
                self.object(|scanner, name| {
                    let value = scanner.value()?;
                    names = names.wrapping_add(named(name, value.names));
                    content = content.wrapping_add(named(name, value.content));
                    Some(())
                })?;
                Some(Value { names: hash(b'{', &[names]), content: hash(b'{', &[content]) })
            }
            b'[' => self.list().map(Value::of),
            b'"' => self.text(|text| text_hash(b's', text)).map(Value::of),
            _ => self.word().map(Value::of),
        }
    }

    fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        self.enter(b'{')?;
        while !self.take(b'}') {
            let name = self.text(str::to_owned)?;
            self.take(b':').then_some(())?;
            member(self, &name)?;
            self.take(b',');
        }
        self.depth -= 1;
        Some(())
    }

    fn list(&mut self) -> Option<u64> {
        self.enter(b'[')?;
        let mut content = 0;
        while !self.take(b']') {
            content = hash(b'[', &[content, self.value()?.content]);
            self.take(b',');
        }
        self.depth -= 1;
        Some(hash(b']', &[content]))
    }

    fn enter(&mut self, bracket: u8) -> Option<()> {
        self.depth += 1;
        (self.take(bracket) && self.depth <= DEPTH_MAX).then_some(())
    }

    fn text<T>(&mut self, read: impl FnOnce(&str) -> T) -> Option<T> {
        let within = self.next().filter(|byte| *byte == b'"').map(|_| &self.rest[1..])?;
        let mut end = 0;
        let mut is_plain = true;
        while within.get(end)? != &b'"' {
            is_plain &= within[end] != b'\\';
            end += if within[end] == b'\\' { 2 } else { 1 };
        }
        let (text, quoted) = (&within[..end], &self.rest[..end + 2]);
        self.rest = &within[end + 1..];
        if is_plain {
            return std::str::from_utf8(text).ok().map(read);
        }
        serde_json::from_slice::<String>(quoted).ok().map(|text| read(&text))
    }

    /// Reads a number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<u64> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let length = self.rest.iter().take_while(|byte| is_part(byte)).count();
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        let word = std::str::from_utf8(word).ok().filter(|word| !word.is_empty())?;
        let is_number = word.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if is_number && word.contains(['.', 'e', 'E']) { fraction(word) } else { Some(text_hash(b'w', word)) }
    }
}

/// Hashes a number that has a point or an exponent; trailing zeros make no difference.
fn fraction(word: &str) -> Option<u64> {
    let (number, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let sign = whole.starts_with('-');
    let digits = [whole.trim_start_matches('-'), fraction].concat();
    let significant = digits.trim_end_matches('0');
    let zeros = digits.len() - significant.len();
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        // Zero has no sign.
        return Some(hash(b'f', &[0]));
    }
    let exponent = exponent.parse::<i64>().ok()?.checked_add_unsigned(zeros as u64)?;
    let exponent = exponent.checked_sub_unsigned(fraction.len() as u64)?;
    Some(hash(b'f', &[u64::from(sign), exponent.cast_unsigned(), text_hash(b'd', significant)]))
}

fn named(name: &str, value: u64) -> u64 {
    hash(b':', &[text_hash(b'n', name), value])
}

fn text_hash(kind: u8, text: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write_u8(kind);
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Hashes the parts of one kind of value. Must never change, since its results are stored.
fn hash(kind: u8, parts: &[u64]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write_u8(kind);
    parts.iter().for_each(|part| hasher.write(&part.to_le_bytes()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    #[test]
    fn whatever_a_text_holds_is_read_to_its_end() {
        let pieces = ["{", "}", "[", "]", "\"", "\\", ":", ",", "1", ".", "e9", "null", "ö", " "];
        proptest!(|(pieces in prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..30), more in any::<String>())| {
            let text = format!("{{{}{more}", pieces.concat());
            let _ = ContentDigest::of(&text, &text);
        });
        assert_eq!(ContentDigest::of("{\"a\":", "{}"), None);
        assert_eq!(ContentDigest::of(&"{\"a\":[".repeat(1_000), "{}"), None);
    }
}
