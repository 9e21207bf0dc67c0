//! Times as people write them in tables.

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// The first year of an event: what is before it was read wrongly, as a year of two digits is.
const YEAR_MIN: i16 = 2000;

/// The time that a cell writes, in RFC 3339.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(cell: &str, format: Option<&str>, zone: &TimeZone) -> Result<String, String> {
    let (at, text) = match format {
        Some(format) => {
            let parsed =
                strtime::parse(format, cell).map_err(|_| format!("it is not written as time_format says, {format}"))?;
            let with_zone = parsed.to_timestamp().ok();
            (with_zone.or_else(|| parsed.to_datetime().ok().and_then(|time| instant(time, zone))), None)
        }
        None => match cell.parse::<Timestamp>() {
            Ok(at) => (Some(at), Some(cell.to_owned())),
            Err(_) => (cell.parse::<DateTime>().ok().and_then(|time| instant(time, zone)), None),
        },
    };
    let at = at.ok_or("it is no time; set time_format in [intake.folder.csv]")?;
    if zone.to_datetime(at).year() < YEAR_MIN {
        return Err(format!("it is before the year {YEAR_MIN}; for a year of two digits, time_format has %y"));
    }
    Ok(text.unwrap_or_else(|| at.to_string()))
}

fn instant(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    time.to_zoned_datetime(zone.clone()).ok().map(|time| time.timestamp())
}

/// Returns whether a format can be read at all: what it writes is read as the same minute, or the same day.
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
    fn years_of_two_digits_are_read_right_or_not_at_all() {
        let read = |cell, format| read(cell, Some(format), &TimeZone::UTC).ok();
        assert_eq!(read("24.11.26 18:42", "%d.%m.%y %H:%M").as_deref(), Some("2026-11-24T18:42:00Z"));
        assert_eq!(read("24.11.26 18:42", "%d.%m.%Y %H:%M"), None);
        assert_eq!(read("24.11.1999 18:42", "%d.%m.%Y %H:%M"), None);
    }
}
