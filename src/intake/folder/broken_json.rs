//! Events in JSON in all usual layouts, damaged in one place: each is recorded as it was written, or named, or stands behind one of which
//! it is said that what follows was not read; and nothing within an event is recorded as an event.

use std::io::{self, Read};
use std::ops::{ControlFlow, Range};

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::test_runner::Config;
use serde_json::{Value, json};

use super::encoding::{Encoding, Whole};
use super::line::Line;
use super::lines::{Kind, read};
use super::table::TableRules;

/// The layout of events.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// An array, on one line or with a line for each event.
    Array(&'static str),
    /// An array with several lines for each event, indented by that.
    Indented(&'static str),
    /// One event after another, with several lines for each.
    Stream(&'static str),
    /// One event after another, each on one line, behind these in turn.
    Beside([&'static str; 2]),
    /// A line for each event.
    Lines,
}

/// The damage to a text: a sign that is put in or taken out, or a line that is put in, and how much deeper the next event is.
#[derive(Clone, Debug)]
struct Damage {
    place: usize,
    sign: Option<&'static str>,
    deeper: usize,
}

/// Events as they were written.
struct Written {
    text: String,
    spans: Vec<Range<usize>>,
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![
        prop::sample::select(vec!["", "\n", "\n  "]).prop_map(Layout::Array),
        prop::sample::select(vec![" ", "  ", "\t", "    "]).prop_map(Layout::Indented),
        prop::sample::select(vec![" ", "  "]).prop_map(Layout::Stream),
        prop::sample::select(vec![["", ""], [" ", " "], ["\n", " "], ["\n", ""], ["\n", "\n"]])
            .prop_map(Layout::Beside),
        Just(Layout::Lines),
    ]
}

fn damages() -> impl Strategy<Value = Damage> {
    let signs = ["\"", "{", "}", "[", "]", ",", ":", "\\", "\n", "}\n", "]\n", "],\n", "},\n"];
    let sign = prop::option::of(prop::sample::select(signs.to_vec()));
    let deeper = prop_oneof![3 => Just(0), 1 => 1_usize..5];
    (any::<usize>(), sign, deeper).prop_map(|(place, sign, deeper)| Damage { place, sign, deeper })
}

/// The members of an event besides its number, by random digits.
fn event(number: usize, shape: &[u8]) -> Value {
    let inner = || json!({ "data": { "n": "inner" } });
    let mut data = json!({ "n": number });
    for (at, digit) in shape.iter().enumerate() {
        data[format!("m{at}")] = match digit % 8 {
            0 => json!("a \"q\" b"),
            1 => json!("},{"),
            2 => json!(7),
            3 => inner(),
            4 => json!([inner(), inner()]),
            5 => json!([inner()]),
            6 => json!({ "a": { "b": [1, { "c": null }] } }),
            _ => json!(["[", 1, true]),
        };
    }
    if shape.first().is_some_and(|digit| digit % 2 == 0) {
        json!({ "data": data, "id": "x" })
    } else {
        json!({ "data": data })
    }
}

fn pretty(event: &Value, indent: &str) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(event, &mut serializer).expect("a value is JSON");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

fn write(events: &[Value], layout: Layout, (deeper, which): (usize, usize)) -> Written {
    let mut text = match layout {
        Layout::Array(_) | Layout::Indented(_) => "[".to_owned(),
        Layout::Stream(_) | Layout::Beside(_) | Layout::Lines => String::new(),
    };
    let mut spans = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let margin = if number == which { " ".repeat(deeper) } else { String::new() };
        let (before, event) = match layout {
            Layout::Array(begin) => (begin.to_owned(), event.to_string()),
            Layout::Indented(indent) => {
                (format!("\n{indent}"), pretty(event, indent).replace('\n', &format!("\n{margin}{indent}")))
            }
            Layout::Stream(indent) => (String::new(), pretty(event, indent).replace('\n', &format!("\n{margin}"))),
            Layout::Beside(_) | Layout::Lines => (String::new(), event.to_string()),
        };
        let comma = matches!(layout, Layout::Array(_) | Layout::Indented(_)) && number > 0;
        text += if comma { "," } else { "" };
        text += &format!("{before}{margin}");
        spans.push(text.len()..text.len() + event.len());
        text += &event;
        text += match layout {
            Layout::Stream(_) | Layout::Lines => "\n",
            Layout::Beside(behind) => behind[number % 2],
            Layout::Array(_) | Layout::Indented(_) => "",
        };
    }
    text += match layout {
        Layout::Array("") => "]",
        Layout::Array(_) | Layout::Indented(_) => "\n]\n",
        Layout::Stream(_) | Layout::Beside(_) | Layout::Lines => "",
    };
    Written { text, spans }
}

/// Result of reading a damaged text.
#[derive(Debug, Default)]
struct Found {
    recorded: Vec<Value>,
    /// Lines on which something was named.
    named: Vec<u64>,
    /// The first line behind which something was not read.
    unread: Option<u64>,
    words: Vec<String>,
}

fn found(text: &str, kind: Kind) -> Found {
    let owned = text.as_bytes().to_vec();
    let reopen = move || Ok(Box::new(io::Cursor::new(owned.clone())) as Box<dyn Read>);
    let mut found = Found::default();
    let each = |Line { number, is_unread, event, .. }: Line| {
        match event
            .map_err(|invalid| invalid.to_string())
            .and_then(|event| serde_json::from_str::<Value>(&event).map_err(|error| format!("{event}: {error}")))
        {
            Ok(event) if event.is_object() => found.recorded.push(event),
            Ok(event) => (found.named.push(number), found.words.push(event.to_string())).1,
            Err(words) => (found.named.push(number), found.words.push(words)).1,
        }
        if is_unread {
            found.unread.get_or_insert(number);
        }
        ControlFlow::Continue(())
    };
    let whole = Whole { open: &reopen, ends: &[] };
    read(text.as_bytes(), kind, Encoding::Recognised, &TableRules::default(), whole, each)
        .expect("memory can be read")
        .expect("it is no other kind");
    found
}

#[test]
fn each_event_of_a_broken_text_is_recorded_as_written_or_named() {
    let shapes = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 2..6);
    let cases = 4_000;
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    proptest!(config, |(shapes in shapes, layout in layouts(), damage in damages(), which in any::<usize>())| {
        let events: Vec<Value> = shapes.iter().enumerate().map(|(number, shape)| event(number, shape)).collect();
        let deeper = if matches!(layout, Layout::Array("")) { 0 } else { damage.deeper };
        let Written { mut text, spans } = write(&events, layout, (deeper, which % events.len()));
        // Two events on one line of NDJSON are one line that is named.
        let signs = if matches!(layout, Layout::Lines) { "\"{}[],:" } else { "\"{}[],:\n" };
        let structure: Vec<usize> = text.char_indices().filter(|(_, sign)| signs.contains(*sign)).map(|(at, _)| at).collect();
        let mut at = structure[damage.place % structure.len()];
        if damage.sign.is_some_and(|sign| sign.len() > 1) {
            at = text[..at].rfind('\n').map_or(0, |end| end + 1);
        }
        match damage.sign {
            Some(sign) => text.insert_str(at, sign),
            None => drop(text.remove(at)),
        }
        // What stands behind an event and its comma shows that it may have been closed too early.
        let is_touched = |span: &Range<usize>| (span.start..=span.end + 1).contains(&at);
        let kind = if matches!(layout, Layout::Lines) { Kind::Lines } else { Kind::Json };
        let found = found(&text, kind);
        let shown = || format!("{text}\n{found:?}");
        let mut seen = vec![0; events.len()];
        for event in &found.recorded {
            assert!(event["data"]["n"] != "inner", "{event} is no event: {}", shown());
            let number = event["data"]["n"].as_u64().and_then(|number| usize::try_from(number).ok());
            // A name may be another one now.
            let Some(number) = number.or_else(|| spans.iter().position(is_touched)) else { panic!("{event}: {}", shown()) };
            assert!(*event == events[number] || is_touched(&spans[number]), "{event} is another: {}", shown());
            seen[number] += 1;
        }
        let shift = damage.sign.map_or(0, str::len);
        let line = |place: usize| text[..place + if place > at { shift } else { 0 }].matches('\n').count() as u64 + 1;
        for (number, span) in spans.iter().enumerate() {
            assert!(seen[number] < 2, "{number} twice: {}", shown());
            let is_behind = found.unread.is_some_and(|unread| unread <= line(span.start.min(text.len() - shift)) + 1);
            let is_named = found.named.contains(&line(span.start.min(text.len() - shift)));
            assert!(seen[number] == 1 || is_touched(span) || is_behind || is_named, "{number} is lost: {}", shown());
        }
        let recorded = seen.iter().sum::<usize>();
        assert!(found.unread.is_some() || recorded + found.named.len() >= events.len(), "too few: {}", shown());
    });
}
