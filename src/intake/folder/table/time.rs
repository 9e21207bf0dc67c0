//! Times as people write them in tables.

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::fmt::temporal::Pieces;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::core::timestamp::has_plain_offset;

/// Earliest year of an event; an earlier one was misread, as a year of two digits is.
const YEAR_MIN: i16 = 2000;

/// Reads the time in a cell, and returns it in RFC 3339.
///
/// # Errors
/// The problem of the cell.
pub(super) fn read(cell: &str, format: Option<&str>, zone: &TimeZone) -> Result<String, String> {
    let words = "it is no time; set time_format in [intake.folder.csv]";
    let (at, text) = match format {
        Some(format) => {
            let parsed = strtime::parse(format, cell)
                .ok()
                .filter(|parsed| is_as_wide(format, cell, parsed) && has_whole_year(format, cell));
            let parsed = parsed.ok_or_else(|| format!("it is not written as time_format says, {format}"))?;
            let at = match (parsed.to_timestamp(), parsed.to_datetime()) {
                (Ok(at), _) => at,
                (Err(_), Ok(time)) => instant(time, parsed.hour().is_some(), zone)?,
                (Err(_), Err(_)) => return Err(words.to_owned()),
            };
            (at, None)
        }
        None => {
            let pieces = Pieces::parse(cell).map_err(|_| words.to_owned())?;
            match (pieces.offset(), cell.parse::<Timestamp>(), cell.parse::<DateTime>()) {
                (Some(_), Ok(at), _) if has_plain_offset(cell) => (at, Some(cell.to_owned())),
                // What stands in brackets would not be looked at.
                (None, _, Ok(time)) if pieces.time_zone_annotation().is_none() => {
                    (instant(time, pieces.time().is_some(), zone)?, None)
                }
                _ => return Err(words.to_owned()),
            }
        }
    };
    if zone.to_datetime(at).year() < YEAR_MIN {
        return Err(format!("it is before the year {YEAR_MIN}; for a year of two digits, time_format has %y"));
    }
    Ok(text.unwrap_or_else(|| at.to_string()))
}

/// Returns true if a time has as many digits as its format writes, if fields of that follow each other without a separator: a
/// field that lacks a digit would take one of the next.
fn is_as_wide(format: &str, cell: &str, parsed: &BrokenDownTime) -> bool {
    let is_packed = |four: &[u8]| {
        four[0] == b'%' && four[2] == b'%' && [four[1], four[3]].iter().all(|of| b"YymdHIMSj".contains(of))
    };
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    !format.as_bytes().windows(4).any(is_packed)
        || parsed.to_string(format).is_ok_and(|written| digits(&written) == digits(cell))
}

/// Returns false if a year of two digits, `%y`, has one: nobody can tell which digit is missing.
fn has_whole_year(format: &str, cell: &str) -> bool {
    let format = format.replace("%D", "%m/%d/%y");
    let mut before = 0;
    let mut rest = format.split('%').skip(1).map(|part| part.trim_start_matches(['-', '_', '0']).chars().next());
    let place = rest.find_map(|field| match field {
        Some('y') => Some(before),
        Some('T' | 'F') => {
            before += 3;
            None
        }
        Some('R') => {
            before += 2;
            None
        }
        Some(field) => {
            before += usize::from("YmdeHkIlMSjf".contains(field));
            None
        }
        None => None,
    });
    let mut numbers = cell.split(|next: char| !next.is_ascii_digit()).filter(|digits| !digits.is_empty());
    place.and_then(|place| numbers.nth(place)).is_none_or(|year| year.len() != 1)
}

/// Returns the instant of a wall-clock time; for a date alone, the beginning of the day.
///
/// # Errors
/// A message, if the clock change makes the time non-existent or ambiguous.
fn instant(time: DateTime, has_hour: bool, zone: &TimeZone) -> Result<Timestamp, String> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    let name = || zone.iana_name().map_or_else(|| "its time zone".to_owned(), str::to_owned);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } if has_hour => {
            Err(format!("the clock of {} goes forward over this time, which is never there", name()))
        }
        AmbiguousOffset::Fold { .. } if has_hour => Err(format!(
            "the clock of {} is set back over this time, which occurs twice; it must have its offset from UTC",
            name()
        )),
        _ => ambiguous.compatible().map_err(|_| format!("it must be before {}", Timestamp::MAX)),
    }
}

/// Returns true if a format can be read at all: what it writes is read as the same minute, or the same day.
#[must_use]
pub fn is_time_format(format: &str) -> bool {
    let noon = date(2026, 11, 24).at(18, 42, 10, 0);
    let Ok(sample) = noon.to_zoned_datetime(TimeZone::UTC) else { return false };
    let Ok(text) = strtime::format(format, &sample) else { return false };
    let Ok(parsed) = strtime::parse(format, &text) else { return false };
    let with_zone = parsed.to_timestamp().ok().map(|at| TimeZone::UTC.to_datetime(at));
    let found = with_zone.or_else(|| parsed.to_datetime().ok());
    let day = date(2026, 11, 24);
    found.is_some_and(|found| {
        let (hour, minute) = (found.hour(), found.minute());
        found.date() == day && matches!((hour, minute), (18, 42 | 0) | (0, 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_can_never_match_are_known() {
        for format in ["%d.%m.%Y %H:%M", "%d.%m.%y %H:%M:%S", "%F", "%Y%m%d", "%m/%d/%Y %I:%M %p", "%s", "%FT%T%z"] {
            assert!(is_time_format(format), "{format}");
        }
        for format in ["", "dd.MM.yyyy", "%K", "%H:%M", "%d.%m. %H:%M", "%d.%m.%Y %I:%M", "%"] {
            assert!(!is_time_format(format), "{format}");
        }
    }

    #[test]
    fn a_year_of_one_digit_is_an_error() {
        let is_read = |format: &str, cell: &str| read(cell, Some(format), &TimeZone::UTC).is_ok();
        for (format, right, wrong) in [
            ("%d.%m.%y", "1.2.26", "1.2.6"),
            ("%y-%m-%d %H:%M", "26-1-2 3:04", "6-01-02 03:04"),
            ("%D", "1/2/26", "1/2/6"),
            ("%H:%M %d/%m/%y", "3:04 1/2/26", "3:04 1/2/6"),
        ] {
            assert!(is_read(format, right) && !is_read(format, wrong), "{format}");
        }
    }

    #[test]
    fn years_of_two_digits_are_read_right_or_not_at_all() {
        let read = |cell, format| read(cell, Some(format), &TimeZone::UTC).ok();
        assert_eq!(read("24.11.26 18:42", "%d.%m.%y %H:%M").as_deref(), Some("2026-11-24T18:42:00Z"));
        assert_eq!(read("24.11.26 18:42", "%d.%m.%Y %H:%M"), None);
        assert_eq!(read("24.11.1999 18:42", "%d.%m.%Y %H:%M"), None);
    }

    #[test]
    fn fields_without_separators_have_their_whole_width() {
        let read = |cell, format| read(cell, Some(format), &TimeZone::UTC).ok();
        assert_eq!(read("20261124184210", "%Y%m%d%H%M%S").as_deref(), Some("2026-11-24T18:42:10Z"));
        for cell in ["2026112418421", "202611241842", "2026112484210"] {
            assert_eq!(read(cell, "%Y%m%d%H%M%S"), None, "{cell}");
        }
        assert_eq!(read("2026112", "%Y%m%d"), None);
        assert_eq!(read("1.2.2026", "%d.%m.%Y").as_deref(), Some("2026-02-01T00:00:00Z"));
    }

    #[test]
    fn a_time_at_the_change_of_the_clock_is_right_or_an_error() {
        let stockholm = TimeZone::get("Europe/Stockholm").expect("a zone");
        let check = |cell: &str, format: Option<&str>, zone: &TimeZone, expected: &str| {
            let found = read(cell, format, zone).unwrap_or_else(|words| words);
            assert!(found.contains(expected), "{cell}: {found}");
        };
        for (cell, expected) in [
            ("2026-03-29 01:59", "2026-03-29T00:59:00Z"),
            ("2026-03-29 02:30", "the clock of Europe/Stockholm goes forward over this time"),
            ("2026-03-29 03:00", "2026-03-29T01:00:00Z"),
            ("2026-10-25 02:30", "the clock of Europe/Stockholm is set back over this time, which occurs twice"),
            ("2026-10-25 02:30+01:00", "2026-10-25T01:30:00Z"),
            ("2026-10-25 03:00", "2026-10-25T02:00:00Z"),
        ] {
            let is_plain = !cell.contains('+');
            if is_plain {
                check(cell, None, &stockholm, expected);
            }
            check(cell, Some(if is_plain { "%F %H:%M" } else { "%F %H:%M%:z" }), &stockholm, expected);
        }
        // The day begins when the clock has gone forward.
        let cairo = TimeZone::get("Africa/Cairo").expect("a zone");
        check("2026-04-24", None, &cairo, "2026-04-23T22:00:00Z");
        check("24.04.2026", Some("%d.%m.%Y"), &cairo, "2026-04-23T22:00:00Z");
        check(
            "31.12.9999 23:59",
            Some("%d.%m.%Y %H:%M"),
            &TimeZone::get("America/New_York").expect("a zone"),
            "it must be before",
        );
    }
}
