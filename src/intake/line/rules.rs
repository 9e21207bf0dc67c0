//! The meaning of a device's line: where it begins and ends, what it contains, and whether it repeats a recent one.
//! Pure.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::core::limits::{LINE_BYTES_MAX, LINE_REPEATS_MAX};

/// The source of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineSource {
    /// Standard input.
    Stdin,
    /// A serial port, or something that behaves like one.
    Port {
        /// Path of the file on Unix, name of the port on Windows.
        path: PathBuf,
        /// Settings of the port.
        settings: PortSettings,
    },
}

/// The settings of a serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSettings {
    /// Speed in bits per second.
    pub baud: u32,
    /// Bits per character: 5 to 8.
    pub data_bits: u8,
    /// Stop bits: 1 or 2.
    pub stop_bits: u8,
    /// Parity.
    pub parity: Parity,
}

/// The parity bit of a character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// The number of ones is even.
    Even,
    /// The number of ones is odd.
    Odd,
}

impl Parity {
    /// All parities.
    pub const ALL: [Self; 3] = [Self::None, Self::Even, Self::Odd];

    /// Returns the name used in the configuration.
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
    /// Unique name.
    pub name: String,
    /// Source of its lines.
    pub from: LineSource,
    /// Pattern of a line; its named groups are the fields of the event's data.
    pub pattern: Regex,
    /// Type of its events.
    pub event_type: String,
    /// Source of its events.
    pub source: String,
    /// Byte before a line, if any.
    pub start: Option<u8>,
    /// Byte after a line; without it, a line ends at a line end.
    pub stop: Option<u8>,
    /// Names of groups with a check digit, each with its rule.
    pub checks: Vec<(Checksum, String)>,
    /// Time within which a repeated line is not another event.
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

/// A rule for the last of several digits, which checks the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Of payment and loyalty cards. Source: ISO/IEC 7812-1, annex B.
    Luhn,
    /// Of bar codes with 8, 12, 13 or 14 digits. Source: GS1 General Specifications, section 7.9.
    Ean,
}

impl Checksum {
    /// Returns true if the digits satisfy the rule.
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

/// A reason why a line is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoEvent {
    /// The line does not match the pattern.
    Unmatched,
    /// A check digit is wrong.
    WrongChecksum,
}

impl LineRules {
    /// Returns the data of a line's event.
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

    /// Returns the event as CloudEvents JSON.
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
            is_stray: false,
            dropped: 0,
        }
    }
}

/// A framer, which joins received bytes to lines.
pub(super) struct Framer {
    start: Option<u8>,
    stop: Option<u8>,
    bytes: Vec<u8>,
    /// True within a line.
    is_open: bool,
    /// True if the line is too long and will be skipped.
    is_long: bool,
    /// True if characters came since the last line that no start preceded.
    is_stray: bool,
    /// Lines that were too long, not ended or not begun, and have not been counted yet.
    pub(super) dropped: u64,
}

impl Framer {
    /// Takes a byte, and returns the line that it ends, if any, without the bytes around it.
    pub(super) fn push(&mut self, byte: u8) -> Option<String> {
        if self.start == Some(byte) {
            self.cut();
            (self.is_open, self.is_stray) = (true, false);
            return None;
        }
        if self.ends(byte) {
            self.dropped += u64::from(if self.is_open { self.is_long } else { self.is_stray });
            self.is_stray = false;
            let is_line = self.is_open && !self.is_long && !self.bytes.is_empty();
            let bytes = std::mem::take(&mut self.bytes);
            (self.is_open, self.is_long) = (self.start.is_none(), false);
            return is_line.then(|| text(bytes).trim_matches(['\r', '\n']).to_owned()).filter(|line| !line.is_empty());
        }
        if self.bytes.len() == LINE_BYTES_MAX {
            self.is_long = true;
        } else if self.is_open {
            self.bytes.push(byte);
        } else {
            self.is_stray |= !byte.is_ascii_whitespace();
        }
        None
    }

    /// Ends the input. Without a character that ends lines the last one may lack its end; otherwise it is incomplete.
    pub(super) fn finish(&mut self) -> Option<String> {
        if self.stop.is_none() {
            return self.push(b'\n');
        }
        self.cut();
        None
    }

    /// Drops and counts a line that was not ended.
    pub(super) fn cut(&mut self) {
        let is_line = self.is_long || self.bytes.iter().any(|byte| !byte.is_ascii_whitespace());
        self.dropped += u64::from(self.is_open && is_line);
        self.is_long = false;
        self.bytes.clear();
    }

    fn ends(&self, byte: u8) -> bool {
        match self.stop {
            Some(stop) => byte == stop,
            None => matches!(byte, b'\r' | b'\n'),
        }
    }
}

/// Decodes UTF-8 or, as older readers send, ISO 8859-1.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect())
}

/// The most recent lines. A card left in front of a reader is read again and again.
#[derive(Default)]
pub(super) struct Recent(VecDeque<(Value, Duration)>);

impl Recent {
    /// Returns true if the same line came within `debounce` before `now`. Each repetition extends the time, so that a
    /// card that stays counts once.
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

    #[test]
    fn a_frame_without_its_start_or_its_stop_is_no_line_and_is_counted() {
        let check = |rules: &LineRules, bytes: &[u8], expected: &[&str], dropped: u64| {
            let mut framer = rules.framer();
            let mut found: Vec<String> = bytes.iter().filter_map(|byte| framer.push(*byte)).collect();
            found.extend(framer.finish());
            assert_eq!(
                (found, framer.dropped),
                (expected.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>(), dropped),
                "{bytes:?}"
            );
        };
        let framed = rules(Some(b'%'), Some(b'?'));
        check(&framed, b"%1?\r\n%2?\r\n", &["1", "2"], 0);
        check(&framed, b"%1?%23", &["1"], 1);
        check(&framed, b"1?%2?", &["2"], 1);
        check(&framed, b"%1%2?", &["2"], 1);
        check(&framed, b"%%2?", &["2"], 0);
        check(&framed, b"ready\r\n%2?", &["2"], 0);
        let stopped = rules(None, Some(b'?'));
        check(&stopped, b"1?2", &["1"], 1);
        check(&stopped, b"1?\r\n", &["1"], 0);
        let started = rules(Some(b'%'), None);
        check(&started, b"%1\n%2", &["1", "2"], 0);
        check(&rules(None, None), b"1\n2", &["1", "2"], 0);
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
