//! What a line of a device means: where it begins and ends, what is in it, and whether it is one that just came. Pure.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::core::limits::{LINE_BYTES_MAX, LINE_REPEATS_MAX};

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineSource {
    /// Standard input.
    Stdin,
    /// A serial port, or what looks like one.
    Port {
        /// Its file on Unix, its name on Windows.
        path: PathBuf,
        /// How it is set.
        settings: PortSettings,
    },
}

/// How a serial port is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSettings {
    /// Bits a second.
    pub baud: u32,
    /// Bits of a character: 5 to 8.
    pub data_bits: u8,
    /// Bits after a character: 1 or 2.
    pub stop_bits: u8,
    /// The bit that checks a character.
    pub parity: Parity,
}

/// The bit that checks a character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parity {
    /// There is none.
    #[default]
    None,
    /// It makes the number of ones even.
    Even,
    /// It makes the number of ones odd.
    Odd,
}

impl Parity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Even, Self::Odd];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Even => "even",
            Self::Odd => "odd",
        }
    }
}

/// One `[[intake.line]]` of the configuration.
#[derive(Clone, Debug)]
pub struct LineRules {
    /// Its unique name.
    pub name: String,
    /// Where its lines come from.
    pub from: LineSource,
    /// What each line looks like; its named groups are the fields of the event's data.
    pub pattern: Regex,
    /// The type of its events.
    pub event_type: String,
    /// Their source.
    pub source: String,
    /// The characters around a line; without them it ends at the end of a line.
    pub start: Option<u8>,
    /// See `start`.
    pub stop: Option<u8>,
    /// Digits that end with their check digit, and by which rule.
    pub checks: Vec<(Checksum, String)>,
    /// Time that the same line is one event.
    pub debounce: Duration,
}

impl PartialEq for LineRules {
    fn eq(&self, other: &Self) -> bool {
        let parts = |rules: &Self| {
            let Self { name, from, pattern, event_type, source, start, stop, checks, debounce } = rules.clone();
            (name, from, pattern.as_str().to_owned(), event_type, source, start, stop, checks, debounce)
        };
        parts(self) == parts(other)
    }
}

/// A rule by which the last of some digits checks the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Of payment and loyalty cards. Source: ISO/IEC 7812-1, annex B.
    Luhn,
    /// Of bar codes with 8, 12, 13 or 14 digits. Source: GS1 General Specifications, section 7.9.
    Ean,
}

impl Checksum {
    /// Returns whether some digits are as the rule says.
    #[must_use]
    pub fn holds(self, text: &str) -> bool {
        let Some(digits) = text.chars().map(|next| next.to_digit(10)).collect::<Option<Vec<u32>>>() else {
            return false;
        };
        let weighed = |weigh: fn(u32) -> u32| -> u32 {
            let each = |(place, digit): (usize, &u32)| if place % 2 == 1 { weigh(*digit) } else { *digit };
            digits.iter().rev().enumerate().map(each).sum()
        };
        match self {
            Self::Luhn => digits.len() > 1 && weighed(|digit| 2 * digit / 10 + 2 * digit % 10).is_multiple_of(10),
            Self::Ean => matches!(digits.len(), 8 | 12..=14) && weighed(|digit| 3 * digit).is_multiple_of(10),
        }
    }
}

/// Why a line is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoEvent {
    /// It does not look as it should.
    Unmatched,
    /// Its check digit is wrong.
    WrongChecksum,
}

impl LineRules {
    /// The data of the event that a line is.
    pub(super) fn data(&self, line: &str) -> Result<Value, NoEvent> {
        let captures = self.pattern.captures(line).ok_or(NoEvent::Unmatched)?;
        for (checksum, group) in &self.checks {
            let text = captures.name(group).map_or("", |found| found.as_str());
            if !checksum.holds(text) {
                return Err(NoEvent::WrongChecksum);
            }
        }
        let named = self.pattern.capture_names().flatten();
        let found = named.filter_map(|name| Some((name.to_owned(), json!(captures.name(name)?.as_str()))));
        Ok(Value::Object(found.collect::<Map<_, _>>()))
    }

    /// The event, as CloudEvents JSON.
    pub(super) fn event(&self, id: &str, time: &str, data: &Value) -> String {
        let Self { source, event_type, .. } = self;
        json!({ "specversion": "1.0", "id": id, "source": source, "type": event_type, "time": time, "data": data })
            .to_string()
    }

    pub(super) fn framer(&self) -> Framer {
        Framer {
            start: self.start,
            stop: self.stop,
            bytes: Vec::new(),
            is_open: self.start.is_none(),
            is_long: false,
            long_lines: 0,
        }
    }
}

/// What comes byte by byte, put together to lines.
pub(super) struct Framer {
    start: Option<u8>,
    stop: Option<u8>,
    bytes: Vec<u8>,
    /// Within a line.
    is_open: bool,
    /// The line is longer than any is: it is passed over.
    is_long: bool,
    /// Such lines, until somebody counts them.
    pub(super) long_lines: u64,
}

impl Framer {
    /// Takes a byte, and gives the line that it ends, if it does: without what stands around it.
    pub(super) fn push(&mut self, byte: u8) -> Option<String> {
        if self.start == Some(byte) {
            // One that was not ended is no line.
            (self.is_open, self.is_long) = (true, false);
            self.bytes.clear();
            return None;
        }
        if self.ends(byte) {
            self.long_lines += u64::from(self.is_open && self.is_long);
            let is_line = self.is_open && !self.is_long && !self.bytes.is_empty();
            let bytes = std::mem::take(&mut self.bytes);
            (self.is_open, self.is_long) = (self.start.is_none(), false);
            return is_line.then(|| text(bytes).trim_matches(['\r', '\n']).to_owned()).filter(|line| !line.is_empty());
        }
        if self.bytes.len() == LINE_BYTES_MAX {
            self.is_long = true;
        } else if self.is_open {
            self.bytes.push(byte);
        }
        None
    }

    fn ends(&self, byte: u8) -> bool {
        match self.stop {
            Some(stop) => byte == stop,
            None => matches!(byte, b'\r' | b'\n'),
        }
    }
}

/// UTF-8 or, as older readers send, ISO 8859-1.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect())
}

/// Which lines came a moment ago. A card that stays before its reader is read again and again.
#[derive(Default)]
pub(super) struct Recent(VecDeque<(Value, Duration)>);

impl Recent {
    /// Returns whether the same came within that time before `now`: each sight counts, so that what stays is one.
    pub(super) fn is_repeated(&mut self, data: &Value, debounce: Duration, now: Duration) -> bool {
        self.0.retain(|(_, at)| now.saturating_sub(*at) < debounce);
        if let Some((_, at)) = self.0.iter_mut().find(|(held, _)| held == data) {
            *at = now;
            return true;
        }
        if self.0.len() == LINE_REPEATS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((data.clone(), now));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(start: Option<u8>, stop: Option<u8>) -> LineRules {
        LineRules {
            name: "reader".to_owned(),
            from: LineSource::Stdin,
            pattern: Regex::new(r"^(?<card>\d+)(=(?<until>\d{4}))?$").expect("a pattern"),
            event_type: "t".to_owned(),
            source: "/s".to_owned(),
            start,
            stop,
            checks: Vec::new(),
            debounce: Duration::from_secs(3),
        }
    }

    fn lines(rules: &LineRules, bytes: &[u8]) -> Vec<String> {
        let mut framer = rules.framer();
        bytes.iter().filter_map(|byte| framer.push(*byte)).collect()
    }

    #[test]
    fn lines_end_where_they_should() {
        assert_eq!(lines(&rules(None, None), b"a\r\nb\n\n\xC5sa\rrest"), ["a", "b", "Åsa"]);
        assert_eq!(lines(&rules(Some(2), Some(3)), b"noise\x02a\x03noise\x02half\x02b\x03\r\n"), ["a", "b"]);
        assert_eq!(lines(&rules(Some(2), Some(3)), b"\x020F008A5D1C4C\r\n\x03"), ["0F008A5D1C4C"]);
        assert_eq!(lines(&rules(None, Some(3)), b"\r\na\r\n\x03\r\n\x03"), ["a"]);
        let long = [vec![b'x'; LINE_BYTES_MAX + 1], b"\nshort\n".to_vec()].concat();
        assert_eq!(lines(&rules(None, None), &long), ["short"]);
    }

    #[test]
    fn named_groups_are_the_data() {
        let rules = rules(None, None);
        assert_eq!(rules.data("123=2712"), Ok(json!({ "card": "123", "until": "2712" })));
        assert_eq!(rules.data("123"), Ok(json!({ "card": "123" })));
        assert_eq!(rules.data("12a"), Err(NoEvent::Unmatched));
    }

    #[test]
    fn check_digits_are_checked() {
        let check = |checksum: Checksum, text: &str, holds: bool| assert_eq!(checksum.holds(text), holds, "{text}");
        check(Checksum::Luhn, "4539578763621486", true);
        check(Checksum::Luhn, "4539578763621487", false);
        check(Checksum::Luhn, "79927398713", true);
        check(Checksum::Luhn, "", false);
        check(Checksum::Luhn, "x", false);
        check(Checksum::Ean, "4006381333931", true);
        check(Checksum::Ean, "4006381333932", false);
        check(Checksum::Ean, "73513537", true);
        check(Checksum::Ean, "036000291452", true);
        check(Checksum::Ean, "0", false);
        let rules = LineRules { checks: vec![(Checksum::Luhn, "card".to_owned())], ..rules(None, None) };
        assert_eq!(rules.data("18"), Ok(json!({ "card": "18" })));
        assert_eq!(rules.data("19"), Err(NoEvent::WrongChecksum));
    }

    #[test]
    fn the_same_within_three_seconds_is_one() {
        let (mut recent, second) = (Recent::default(), Duration::from_secs(1));
        let mut is_repeated = |card: &str, at: u32| recent.is_repeated(&json!(card), 3 * second, at * second);
        assert!(!is_repeated("a", 0) && is_repeated("a", 1));
        assert!(!is_repeated("b", 2) && is_repeated("a", 3));
        assert!((4..=20).all(|at| is_repeated("a", at)), "a card that is held before the reader is one visit");
        assert!(!is_repeated("a", 23) && !is_repeated("b", 23), "three seconds after they were seen last");
    }
}
