//! The sections `[[intake.line]]`: devices that send lines.

use std::path::PathBuf;
use std::time::Duration;

use regex_lite::Regex;
use toml::Spanned;

use super::document::Table;
use crate::core::limits::{EVENT_KEY_BYTES_MAX, EVENT_TYPE_BYTES_MAX};
use crate::intake::line::{Checksum, LineRules, LineSource, Parity, PortSettings};

/// Default time within which a repeated line is not another event. Source: our choice; a card is lifted within that
/// time.
const DEBOUNCE: Duration = Duration::from_secs(3);

/// Default speed of a port, at which most readers are delivered. Units: bits per second.
const BAUD: u64 = 9_600;

/// Reads all devices.
pub(super) fn read_all(section: &Table<'_, '_>) -> Vec<LineRules> {
    let lines: Vec<LineRules> = section.tables("line").into_iter().filter_map(read).collect();
    check(section, &lines);
    lines
}

fn read(mut section: Table<'_, '_>) -> Option<LineRules> {
    let name = section.required_text("name").map(|text| text.into_inner().to_owned());
    if let Some(name) = &name {
        section.rename(format!("[[intake.line]] \"{name}\""));
    }
    let device = section.required_text("device").map(Spanned::into_inner);
    let pattern = section.required_text("pattern").and_then(|text| pattern(&section, &text));
    let event_type = section.required_text("type").and_then(|text| bounded(&section, &text, EVENT_TYPE_BYTES_MAX));
    let source = section.text("source").and_then(|text| bounded(&section, &text, EVENT_KEY_BYTES_MAX));
    let settings = settings(&section);
    let (start, stop) = (section.character("start"), section.character("stop"));
    let debounce = section.duration("debounce", Duration::ZERO..Duration::from_secs(3_600)).unwrap_or(DEBOUNCE);
    let mut checks = Vec::new();
    for (key, checksum) in [("luhn", Checksum::Luhn), ("ean", Checksum::Ean)] {
        let Some(group) = section.text(key) else { continue };
        let has_group = |pattern: &Regex| pattern.capture_names().flatten().any(|name| name == *group.get_ref());
        if pattern.as_ref().is_some_and(|pattern| !has_group(pattern)) {
            section.report(group.span(), format!("{key} names a group of the pattern, and there is none of that name"));
        }
        checks.push((checksum, group.into_inner().to_owned()));
    }
    section.finish();
    let name = name?;
    let from = match device? {
        "-" => LineSource::Stdin,
        path => LineSource::Port { path: PathBuf::from(path), settings },
    };
    let source = source.unwrap_or_else(|| format!("/line/{}", name.replace(' ', "-")));
    Some(LineRules { from, pattern: pattern?, event_type: event_type?, source, start, stop, checks, debounce, name })
}

fn bounded(section: &Table<'_, '_>, text: &Spanned<&str>, bytes_max: usize) -> Option<String> {
    if (1..=bytes_max).contains(&text.get_ref().len()) {
        return Some((*text.get_ref()).to_owned());
    }
    section.report(text.span(), format!("source and type of an event have 1 to {bytes_max} bytes"));
    None
}

fn pattern(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<Regex> {
    match Regex::new(text.get_ref()) {
        Ok(pattern) if pattern.capture_names().flatten().next().is_none() => {
            section
                .report(text.span(), "the pattern names no group; write (?<card>[0-9]+), and the event has data.card");
            None
        }
        Ok(pattern) => Some(pattern),
        Err(error) => {
            section.report(text.span(), format!("the pattern cannot be read: {error}"));
            None
        }
    }
}

fn settings(section: &Table<'_, '_>) -> PortSettings {
    let number = |key, allowed, default| section.integer(key, allowed).unwrap_or(default);
    let parity = section.one_of("parity", Parity::ALL.map(Parity::name));
    PortSettings {
        baud: u32::try_from(number("baud", 50..4_000_001, BAUD)).unwrap_or(u32::MAX),
        data_bits: u8::try_from(number("data_bits", 5..9, 8)).unwrap_or(8),
        stop_bits: u8::try_from(number("stop_bits", 1..3, 1)).unwrap_or(1),
        parity: Parity::ALL.into_iter().find(|known| Some(known.name()) == parity).unwrap_or_default(),
    }
}

/// Reports devices with the same name, and more than one that reads standard input.
fn check(section: &Table<'_, '_>, lines: &[LineRules]) {
    for (index, rules) in lines.iter().enumerate() {
        let before = &lines[..index];
        if before.iter().any(|other| other.name == rules.name) {
            section.report(section.span(), format!("there are two [[intake.line]] named \"{}\"", rules.name));
        }
        if rules.from == LineSource::Stdin && before.iter().any(|other| other.from == LineSource::Stdin) {
            section.report(section.span(), "two [[intake.line]] read standard input, but only one can");
        }
    }
}
