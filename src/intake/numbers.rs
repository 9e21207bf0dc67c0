//! JSON as values for mappings, with all digits of its numbers. A repeated name in an object is refused, since it is
//! unclear which value is meant.
//!
//! The JSON parser returns a fraction as a binary float, which is exact for 15 digits. A text without longer numbers,
//! as nearly all are, is read by the parser alone; in any other, each number is taken from the text itself.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use minijinja::Value;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::core::mapping::values::value_of;
use crate::core::number::Number;

/// Length up to which every number is exact: 15 digits and a point as a float, or 16 digits as an integer.
const PLAIN_BYTES_MAX: usize = 16;

/// Returns true if a JSON text has a number that a binary float may not represent exactly.
pub(super) fn has_long_number(json: &str) -> bool {
    Numbers::new(json).any(is_long)
}

fn is_long(number: &str) -> bool {
    number.len() > PLAIN_BYTES_MAX || number.contains(['e', 'E'])
}

/// A reason why a JSON text is not a usable value.
#[derive(Debug)]
pub(super) enum Unread {
    /// The parser refuses it, or a number is out of range.
    Json(serde_json::Error),
    /// A name occurs twice in an object; the text is its path, such as `items[0].price`.
    Twice(String),
}

/// Reads a JSON text as a value.
///
/// # Errors
/// [`Unread`].
pub(super) fn read(json: &str) -> Result<Value, Unread> {
    let (numbers, twice) = (RefCell::new(Numbers::new(json)), Twice::default());
    let numbers = has_long_number(json).then_some(&numbers);
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = Exactly { numbers, twice: &twice }.deserialize(&mut deserializer);
    let read = value.and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| twice.path().map_or(Unread::Json(error), Unread::Twice))
}

/// The path of a repeated name, from its last part to its first.
#[derive(Default)]
pub(super) struct Twice(RefCell<Vec<String>>);

impl Twice {
    /// Returns a reader of JSON that does not make long numbers exact yet.
    pub(super) const fn reader(&self) -> Exactly<'_, '_> {
        Exactly { numbers: None, twice: self }
    }

    /// Returns the path of the name that made a reader fail; `None` if it failed for another reason.
    pub(super) fn path(&self) -> Option<String> {
        let path: String = self.0.borrow().iter().rev().map(String::as_str).collect();
        path.strip_prefix('.').map(str::to_owned).or(Some(path)).filter(|path| !path.is_empty())
    }

    fn begin(&self, name: &Value) {
        self.0.borrow_mut().push(part(name));
    }

    /// Adds the position of the object with a repeated name, if that is why a reader failed.
    fn within<T, E>(&self, read: Result<T, E>, place: impl FnOnce() -> String) -> Result<T, E> {
        let mut path = self.0.borrow_mut();
        if read.is_err() && !path.is_empty() {
            path.push(place());
        }
        read
    }
}

/// A name as a part of a path: an empty one is seen there too.
fn part(name: &Value) -> String {
    if name.as_str() == Some("") { ".\"\"".to_owned() } else { format!(".{name}") }
}

/// The numbers of a JSON text as written, in order.
struct Numbers<'j> {
    rest: &'j [u8],
}

impl<'j> Numbers<'j> {
    const fn new(json: &'j str) -> Self {
        Self { rest: json.as_bytes() }
    }

    /// Moves behind the closing quote of a string.
    fn skip_string(&mut self) {
        while let Some(at) = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            let is_end = self.rest[at] == b'"';
            self.rest = self.rest.get(at + if is_end { 1 } else { 2 }..).unwrap_or_default();
            if is_end {
                return;
            }
        }
        self.rest = &[];
    }
}

impl<'j> Iterator for Numbers<'j> {
    type Item = &'j str;

    fn next(&mut self) -> Option<&'j str> {
        loop {
            let start = self.rest.iter().position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9'))?;
            let found = &self.rest[start..];
            if found[0] == b'"' {
                self.rest = &found[1..];
                self.skip_string();
                continue;
            }
            let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
            let (number, rest) = found.split_at(found.iter().take_while(is_part).count());
            self.rest = rest;
            return std::str::from_utf8(number).ok();
        }
    }
}

/// A reader of a value that takes its numbers from the text.
pub(super) struct Exactly<'n, 'j> {
    /// `None` if the parser's numbers are exact, or are made exact later.
    numbers: Option<&'n RefCell<Numbers<'j>>>,
    twice: &'n Twice,
}

impl Exactly<'_, '_> {
    /// Returns the number that the parser has just read: the parser also sees them in order.
    fn number<E: de::Error>(&self, plain: Value) -> Result<Value, E> {
        let Some(numbers) = self.numbers else { return Ok(plain) };
        let text = numbers.borrow_mut().next().unwrap_or_default();
        if plain.is_integer() {
            return Ok(plain);
        }
        Number::parse(text).map(value_of).ok_or_else(|| E::custom("number out of range"))
    }

    const fn below(&self) -> Self {
        Self { numbers: self.numbers, twice: self.twice }
    }
}

impl<'de> DeserializeSeed<'de> for Exactly<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Exactly<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        self.number(Value::from(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        self.number(Value::from(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        self.number(Value::from(number))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::from(()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values: Vec<Value> = Vec::new();
        loop {
            let item = items.next_element_seed(self.below());
            match self.twice.within(item, || format!("[{}]", values.len()))? {
                Some(value) => values.push(value),
                None => return Ok(Value::from(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut values: BTreeMap<Value, Value> = BTreeMap::new();
        while let Some(name) = members.next_key::<Value>()? {
            if values.contains_key(&name) {
                self.twice.begin(&name);
                return Err(de::Error::custom("a name occurs twice"));
            }
            let value = self.twice.within(members.next_value_seed(self.below()), || part(&name))?;
            values.insert(name, value);
        }
        Ok(Value::from_object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::mapping::expression::text_of;

    fn check(number: &str, expected: &str) {
        let json = format!(r#"{{"a":"1 \" 2e5 \\","1.5":[-1,{{"b":[true,null,{number}]}}],"c":0.5}}"#);
        let value = read(&json).expect(number);
        let list = value.get_attr("1.5").expect("a list");
        let item = list.get_item(&Value::from(1)).and_then(|object| object.get_attr("b")).expect("a list");
        let found = item.get_item(&Value::from(2)).map(|number| text_of(&number)).expect("a number");
        assert_eq!(found.as_deref(), Ok(expected), "{number}");
        assert_eq!(value.get_attr("c").map(|number| number.to_string()).ok().as_deref(), Some("0.5"), "{number}");
    }

    #[test]
    fn every_number_keeps_its_digits_wherever_it_stands() {
        for number in ["7", "-3", "0.1", "99.5", "123456789012345.6", "9223372036854775808", "18446744073709551615"] {
            check(number, number);
        }
        check("18446744073709551616", "18446744073709551616");
        check("7777777777777777777777777777", "7777777777777777777777777777");
        check("-170141183460469231731687303715884105729", "-170141183460469231731687303715884105729");
        check("0.1234567890123456789", "0.1234567890123456789");
        check("12345678901234567.89", "12345678901234567.89");
        check("1e-28", "0.0000000000000000000000000001");
        check("1E+3", "1000");
        check("1e23", "100000000000000000000000");
        check("1.0", "1");
        check("-0", "0");
        check("-0.0e0", "0");
        check("5e-400", &format!("0.{}5", "0".repeat(399)));
    }

    #[test]
    fn what_cannot_be_written_out_is_refused() {
        for number in ["1e400", "1e-999999999999", &format!("1{}", "0".repeat(6_000))] {
            assert!(
                read(&format!("[{number}]")).is_err_and(
                    |error| matches!(error, Unread::Json(error) if error.to_string().contains("out of range"))
                ),
                "{number}"
            );
        }
    }

    #[test]
    fn the_usual_event_is_read_by_the_parser_alone() {
        assert!(!has_long_number(
            r#"{"id":"12345678901234567890","t":"2026-11-23T10:00:00Z","data":{"n":1234567890123.45,"m":-7}}"#
        ));
        assert!(has_long_number(r#"{"data":{"n":[1,12345678901234567.8]}}"#));
        assert!(has_long_number(r#"{"data":1e3}"#));
        assert!(!has_long_number(r#"{"data":"\\\"1e3"}"#));
    }

    #[test]
    fn a_name_that_occurs_twice_in_an_object_is_named_by_its_path() {
        let check = |json: &str, expected: &str| {
            let found = read(json);
            assert!(matches!(&found, Err(Unread::Twice(path)) if path == expected), "{json}: {found:?}");
        };
        check(r#"{"":1,"":1}"#, "\"\"");
        check(r#"{"a":1,"a":1}"#, "a");
        check(r#"{"b":{"c":[{"a":1},{"a":1,"\u0061":2}]}}"#, "b.c[1].a");
        check(r#"[[{"a":12345678901234567890123,"a":2}]]"#, "[0][0].a");
        assert!(read(r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#).is_ok());
        assert!(matches!(read(r#"{"a":{"b":1,}}"#), Err(Unread::Json(_))));
    }
}
