//! One expression of the configuration: compiled and checked at start, evaluated per event with bounded work.
//!
//! The language is MiniJinja's expression syntax with strict undefined values and only the filters of `filters`; there
//! are no functions, methods or loops. Arithmetic is exact, see `arithmetic`. Errors never repeat a value of an event.

use std::fmt;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

use super::filter_error::FilterError;
use super::filters;
use super::hash::HashKey;
use super::rewrite::rewrite;
use super::syntax;
pub use super::texts::text_of;
use super::texts::{check_consent, check_truth};
use crate::core::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_FUEL};

/// The names that an expression may use.
pub const VARIABLES: [&str; 6] = ["id", "source", "type", "subject", "time", "data"];

/// The compiler of expressions. It lives as long as the process, as the configuration does.
#[derive(Clone, Copy)]
pub struct Engine {
    environment: &'static Environment<'static>,
    has_key: bool,
}

impl Engine {
    /// Returns an engine whose `hmac` filter uses `key`. Call it once per loaded configuration: its environment is
    /// never freed, so that threads share compiled expressions without a lock.
    #[must_use]
    pub fn new(key: Option<HashKey>) -> Self {
        let has_key = key.is_some();
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(EXPRESSION_FUEL));
        filters::install(&mut environment, key);
        Self { environment: Box::leak(Box::new(environment)), has_key }
    }

    /// Compiles one expression, and checks every name in it.
    ///
    /// # Errors
    /// [`ExpressionError`] with the syntax error, or the unknown variable, filter, test or call.
    pub fn compile(self, text: &str) -> Result<Expression, ExpressionError> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(ExpressionError::TooLong { found: text.len() });
        }
        let compiled = rewrite(text)
            .and_then(|rewritten| self.environment.compile_expression_owned(rewritten))
            .map_err(|error| ExpressionError::Syntax(syntax::explain(text, &error)))?;
        self.check_calls(text)?;
        let unknown = compiled.undeclared_variables(false).into_iter().find(|name| !VARIABLES.contains(&name.as_str()));
        if let Some(name) = unknown {
            return Err(ExpressionError::UnknownVariable(name));
        }
        Ok(Expression { compiled, text: text.into() })
    }

    fn check_calls(self, text: &str) -> Result<(), ExpressionError> {
        for (role, name) in names_in(text) {
            match role {
                Role::Filter if name == "hmac" && !self.has_key => return Err(ExpressionError::NoKey),
                Role::Filter if !filters::FILTERS.contains(&name) => {
                    return Err(ExpressionError::UnknownFilter(name.to_owned()));
                }
                Role::Test if !filters::TESTS.contains(&name) => {
                    return Err(ExpressionError::UnknownTest(name.to_owned()));
                }
                Role::Call => return Err(ExpressionError::Call(name.to_owned())),
                Role::Filter | Role::Test => {}
            }
        }
        Ok(())
    }
}

/// A compiled expression of a mapping, with its text.
pub struct Expression {
    compiled: minijinja::Expression<'static, 'static>,
    text: Box<str>,
}

impl Expression {
    /// Returns the expression as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the fields of an event that it uses, such as `data.card`.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.compiled.undeclared_variables(true).into_iter()
    }
    /// Evaluates the expression on an event.
    ///
    /// # Errors
    /// A clause that says what failed, without a value of the event.
    pub fn value(&self, event: &Value) -> Result<Value, String> {
        let value = self.compiled.eval(event).map_err(|error| self.explain(&error, event))?;
        if value.is_undefined() { Err(self.missing(event)) } else { Ok(value) }
    }

    /// Returns true if the value for an event counts as true.
    ///
    /// # Errors
    /// As for [`Self::value`], and for a text, which is neither true nor false.
    pub fn is_true(&self, event: &Value) -> Result<bool, String> {
        let value = self.value(event)?;
        check_truth(&value)?;
        Ok(value.is_true())
    }

    /// Returns true if the value for an event is true, and nothing else that counts as true.
    ///
    /// # Errors
    /// As for [`Self::value`], and for a value that is neither true nor false.
    pub fn is_consent(&self, event: &Value) -> Result<bool, String> {
        let value = self.value(event)?;
        check_consent(&value)?;
        Ok(value.is_true())
    }

    /// Returns the value for an event as the text that Target gets.
    ///
    /// # Errors
    /// As for [`Self::value`], and for a value that has no text: null, a list, an object, an infinite number.
    pub fn text_value(&self, event: &Value) -> Result<String, String> {
        text_of(&self.value(event)?)
    }

    fn explain(&self, error: &minijinja::Error, event: &Value) -> String {
        if let Some(own) = std::error::Error::source(error).and_then(|source| source.downcast_ref::<FilterError>()) {
            return own.to_string();
        }
        match error.kind() {
            ErrorKind::UndefinedError => self.missing(event),
            ErrorKind::InvalidOperation if self.first_missing(event).is_some() => self.missing(event),
            ErrorKind::OutOfFuel => "it costs more work than one expression may".to_owned(),
            ErrorKind::MissingArgument => "a filter lacks an argument".to_owned(),
            ErrorKind::TooManyArguments => "a filter has too many arguments".to_owned(),
            _ => "an operation does not fit the kinds of these values".to_owned(),
        }
    }

    fn missing(&self, event: &Value) -> String {
        match self.first_missing(event) {
            Some(name) => {
                format!("{name} is not in the event; use the default filter or a `when` if it may be missing")
            }
            None => "it gives no value; an `if` needs an `else`".to_owned(),
        }
    }

    /// Returns the first field that the expression names and the event lacks.
    fn first_missing(&self, event: &Value) -> Option<String> {
        let mut names: Vec<String> = self.compiled.undeclared_variables(true).into_iter().collect();
        names.sort();
        names.into_iter().find(|name| {
            let field = name.split('.').try_fold(event.clone(), |value, part| value.get_attr(part).ok());
            field.is_none_or(|field| field.is_undefined())
        })
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Filter,
    Test,
    Call,
}

/// Finds the filters, tests and calls that a text names outside its string literals. The engine would look them up only
/// when it reaches them, which may be months after start.
fn names_in(text: &str) -> Vec<(Role, &str)> {
    let tokens = tokens(text);
    let mut names = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if !is_name(token) || matches!(*token, "in" | "not" | "and" | "or" | "if" | "else") {
            continue;
        }
        let before = |back: usize| index.checked_sub(back).map_or("", |at| tokens[at]);
        if before(1) == "|" {
            names.push((Role::Filter, *token));
        } else if before(1) == "is" || (before(1) == "not" && before(2) == "is") {
            names.push((Role::Test, *token));
        } else if tokens.get(index + 1) == Some(&"(") && *token != "is" {
            names.push((Role::Call, *token));
        }
    }
    names
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Splits a text into tokens: a name or a string literal is one token, any other character another.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => literal_bytes(rest, first),
            _ if first.is_alphabetic() || first == '_' => {
                rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

fn literal_bytes(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if next == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A reason why a text is not a usable expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpressionError {
    /// It cannot be parsed.
    Syntax(String),
    /// It is longer than [`EXPRESSION_BYTES_MAX`].
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// It names something that an event does not have.
    UnknownVariable(String),
    /// It uses a filter that does not exist.
    UnknownFilter(String),
    /// It uses a test that does not exist.
    UnknownTest(String),
    /// It calls a function or a method.
    Call(String),
    /// It uses `hmac`, but no key is configured.
    NoKey,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(detail) => write!(f, "the expression cannot be read: {detail}"),
            Self::TooLong { found } => {
                write!(f, "the expression is {found} bytes long, at most {EXPRESSION_BYTES_MAX}")
            }
            Self::UnknownVariable(name) => write!(
                f,
                "unknown name \"{name}\" in the expression; an event has {}, and a text needs its own quotes, such as \"'{name}'\"",
                VARIABLES.join(", ")
            ),
            Self::UnknownFilter(name) => {
                write!(f, "unknown filter \"{name}\"; there are {}", filters::FILTERS.join(", "))
            }
            Self::UnknownTest(name) => write!(f, "unknown test \"{name}\"; there are {}", filters::TESTS.join(", ")),
            Self::Call(name) => {
                write!(f, "\"{name}(…)\" is a call, and expressions have filters only, such as \"data.name | lower\"")
            }
            Self::NoKey => f.write_str("the filter \"hmac\" needs a key; set key in [privacy]"),
        }
    }
}

impl std::error::Error for ExpressionError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_numbers(text: &str, expected: Result<&str, &str>) {
        let number = |text: &str| super::super::values::value_of(crate::core::number::Number::parse(text).expect(text));
        let list = vec![number("0.1234567890123456789"), number("2")];
        let data = minijinja::context! {
            long => number("7777777777777777777777777777"),
            huge => number("123456789012345678901234567890123456789012345"),
            fine => number("0.1234567890123456789"),
            same => number("0.12345678901234567890"),
            tiny => number("1e-28"),
            wide => number("9007199254740993"),
            power => number("100000000000000000000000"),
            tenth => number("0.1"), fifth => number("0.2"), cents => number("1.005"), three => number("3"), list => list,
        };
        let expression = Engine::new(None).compile(text).expect(text);
        let found = expression.text_value(&minijinja::context! { data => data });
        match expected {
            Ok(value) => assert_eq!(found.as_deref(), Ok(value), "{text}"),
            Err(part) => assert!(found.as_ref().is_err_and(|found| found.contains(part)), "{text}: {found:?}"),
        }
    }

    #[test]
    fn a_number_keeps_its_digits_through_an_expression() {
        check_numbers("data.huge", Ok("123456789012345678901234567890123456789012345"));
        check_numbers("data.list[0]", Ok("0.1234567890123456789"));
        check_numbers("data.list | first", Ok("0.1234567890123456789"));
        check_numbers("data.fine | default(0)", Ok("0.1234567890123456789"));
        check_numbers("data.nope | default(data.fine)", Ok("0.1234567890123456789"));
        check_numbers("'x' ~ data.fine", Ok("x0.1234567890123456789"));
        check_numbers("data.fine if data.fine else 0", Ok("0.1234567890123456789"));
        check_numbers("0.1234567890123456789", Ok("0.1234567890123456789"));
    }

    #[test]
    fn arithmetic_is_exact_or_an_error() {
        check_numbers("data.long * 2", Ok("15555555555555555555555555554"));
        check_numbers("data.huge + 1", Ok("123456789012345678901234567890123456789012346"));
        check_numbers("data.huge * data.huge * data.huge", Err("more digits than can be computed with exactly"));
        check_numbers("1000 + data.tiny", Ok("1000.0000000000000000000000000001"));
        check_numbers("1000 + data.tiny - data.tiny", Ok("1000"));
        check_numbers("data.tenth + data.fifth", Ok("0.3"));
        check_numbers("data.tenth + data.fifth == 0.3", Ok("true"));
        check_numbers("(data.tenth + data.fifth) * 3 ~ ''", Ok("0.9"));
        check_numbers("data.wide + 0.5", Ok("9007199254740993.5"));
        check_numbers("-data.fine", Ok("-0.1234567890123456789"));
        check_numbers("data.three / 8", Ok("0.375"));
        check_numbers("1 / data.three", Ok("0.333333333333333"));
        check_numbers("7 // 2 + 7 % 4 + 2 ** 3", Ok("14"));
        check_numbers("1.1 ** 2", Ok("1.21"));
        check_numbers("2 ** 0.5", Ok("1.4142135623731"));
        check_numbers("data.three / 0", Err("division by zero"));
        check_numbers("data.three % 0", Err("division by zero"));
        check_numbers("data.nope + 1", Err("data.nope is not in the event"));
    }

    #[test]
    fn a_text_is_computed_with_as_the_number_that_it_is_or_not_at_all() {
        check_numbers("'10' + '2'", Ok("12"));
        check_numbers("'10' + 2 - '0.5'", Ok("11.5"));
        check_numbers("'10' * 2", Ok("20"));
        check_numbers("' 7 ' % 4", Ok("3"));
        check_numbers("'9' // '2' + '2' ** '3'", Ok("12"));
        check_numbers("'1' / data.three", Ok("0.333333333333333"));
        check_numbers("-'5'", Ok("-5"));
        check_numbers("'1.005' | round(2)", Ok("1.01"));
        // Of a program, not of a table.
        check_numbers("'1.500' * 2", Ok("3"));
        for text in ["'a' + 'b'", "'ab' * 2", "data.tenth + 'x'", "'12,50' - 1", "-'x'", "'x' | round", "'' + 1"] {
            check_numbers(text, Err("a text that is no number is computed with; `~` joins texts"));
        }
        check_numbers("'1' + none", Err("does not fit"));
        check_numbers("'1' + data.list", Err("does not fit"));
    }

    #[test]
    fn true_and_false_are_no_numbers() {
        for text in ["true + 1", "true * 2", "true > 0", "data.three > true", "2 ** true", "true < 'x'", "true + '1'"] {
            check_numbers(text, Err("true or false is no number"));
        }
        check_numbers("true == true and true != false", Ok("true"));
        for text in ["'true' == true", "true != 'false'", "'x' in [true]", "true not in ['true']"] {
            check_numbers(text, Err("a text is compared with true or false"));
        }
        check_numbers("'x' in [true, 'x']", Ok("true"));
        for text in ["1 == true", "true != 0", "1.0 == true", "data.three in [true]"] {
            check_numbers(text, Err("a number is compared with true or false"));
        }
    }

    #[test]
    fn a_text_is_neither_true_nor_false() {
        for text in [
            "'false' and true",
            "'' or true",
            "not '0'",
            "1 if 'no' else 2",
            "true and 'x' and true",
            "not (true and 'x')",
        ] {
            check_numbers(text, Err("a text is used as true or false; compare it"));
        }
        check_numbers("data.three and data.list and true", Ok("true"));
        check_numbers("1 if none or 0 else 2", Ok("2"));
        check_numbers("data.nope and true", Err("data.nope is not in the event"));
        let condition = |text: &str| Engine::new(None).compile(text).expect(text).is_true(&event());
        assert!(condition("data.card").is_err_and(|words| words.contains("a text is used as true or false")));
        assert!(condition("data.yes and data.card").is_err());
        assert_eq!(condition("data.yes and data.total"), Ok(true));
        assert_eq!(condition("data.none"), Ok(false));
    }

    #[test]
    fn a_filter_of_texts_takes_a_text_or_a_number() {
        for filter in ["trim", "lower", "upper", "replace('a', 'b')", "split(',') | first", "hmac"] {
            for value in ["data.none", "data.yes", "data.list", "data", "none"] {
                check(&format!("{value} | {filter}"), Err("a text is needed, and there is"));
            }
            check(&format!("data.nope | {filter}"), Err("data.nope is not in the event"));
        }
        for value in ["data.none", "data.yes", "data.list", "data"] {
            check(&format!("'x' ~ {value}"), Err("a text is needed, and there is"));
            check(&format!("{value} ~ 'x'"), Err("a text is needed, and there is"));
        }
        check("data.whole | trim", Ok("100"));
        check("data.total | replace('.', ',')", Ok("99,5"));
        check("data.whole ~ '/' ~ data.big", Ok("100/12345678901234567890"));
        check("data.whole | hmac == '100' | hmac", Ok("true"));
    }

    #[test]
    fn comparison_goes_by_all_digits() {
        check_numbers("data.fine > 0", Ok("true"));
        check_numbers("data.huge < 5", Ok("false"));
        check_numbers("data.fine >= data.same", Ok("true"));
        check_numbers("data.fine == data.same", Ok("true"));
        check_numbers("data.fine in [1, data.same]", Ok("true"));
        check_numbers("data.fine == 0.12345678901234568", Ok("false"));
        check_numbers("0.1 < data.fine < 0.2", Ok("true"));
        check_numbers("data.wide > 9007199254740992.0", Ok("true"));
        check_numbers("data.power == 1e23", Ok("true"));
        check_numbers("data.power >= 1e23", Ok("true"));
        check_numbers("data.tenth < 1", Ok("true"));
        check_numbers("data.tenth <= 0.1", Ok("true"));
        check_numbers("'10' > '9' and '9.5' < ' 10 ' and 8 < '9' < '10'", Ok("true"));
        for text in ["'a' < 'b'", "'10' > ''", "'9' < 'x'", "'1,5' >= '1'", "'2026-01-01' < '2026-02-01'"] {
            check_numbers(text, Err("two texts are compared by < or >, and one is no number"));
        }
        check_numbers("[data.huge] > [data.long]", Ok("true"));
        check_numbers("data.nope > 1", Err("data.nope is not in the event"));
    }

    #[test]
    fn a_text_and_a_number_are_compared_as_numbers_or_not_at_all() {
        check_numbers("'-5' > 0", Ok("false"));
        check_numbers("'99.5' >= 99.50", Ok("true"));
        check_numbers("0 < ' 7 '", Ok("true"));
        check_numbers("data.huge > '5'", Ok("true"));
        check_numbers("'0.1234567890123456789' == data.fine", Ok("true"));
        check_numbers("'5' == 5 and 5 == '5.0' and '5' in [4, 5] and 5 in ['5']", Ok("true"));
        check_numbers("'5' != 5 or 'x' == 5 or '6' in [4, 5]", Ok("false"));
        check_numbers("'6' not in [4, 5] and '5' not in ['5.0']", Ok("true"));
        check_numbers("'5' in '456' and 'x' != 5", Ok("true"));
        check_numbers("'12,50' > 0", Err("a text that is no number is compared with a number"));
        check_numbers("'' < 1", Err("a text that is no number is compared with a number"));
        check_numbers("none < 1", Err("values of two kinds are compared"));
        check_numbers("data.list > 1", Err("values of two kinds are compared"));
        check_numbers("data.nope == 1", Err("data.nope is not in the event"));
        check_numbers("data.nope in [1]", Err("data.nope is not in the event"));
        check_numbers("data.nope != 'x'", Err("data.nope is not in the event"));
        check_numbers("none == 1", Ok("false"));
        check_numbers("1 in 2", Err("does not fit"));
        check_numbers("'5' in ('4,5' | split(',')) and 5 in ('4,5' | split(','))", Ok("true"));
    }

    #[test]
    fn round_goes_by_decimal_digits() {
        check_numbers("data.cents | round(2)", Ok("1.01"));
        check_numbers("-data.cents | round(2)", Ok("-1.01"));
        check_numbers("1.015 | round(2)", Ok("1.02"));
        check_numbers("data.fine | round(10)", Ok("0.123456789"));
        check_numbers("data.fine | round(3, 'ceil')", Ok("0.124"));
        check_numbers("2.5 | round", Ok("3"));
        check_numbers("1234.5 | round(-2)", Ok("1200"));
        check_numbers("data.huge | round", Ok("123456789012345678901234567890123456789012345"));
        check_numbers("data.huge | round(-2)", Err("more digits"));
        check_numbers("1.5 | round(method='down')", Err("does not fit"));
    }

    fn event() -> Value {
        serde_json::from_str(
            r#"{"id":"1","time":"2026-11-23T23:30:00Z","data":{"total":99.5,"whole":100.0,"card":" Ab1 ","none":null,
                "list":[1,2],"yes":true,"big":12345678901234567890,"tenth":0.1,"fifth":0.2}}"#,
        )
        .expect("valid JSON")
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let key = HashKey::new(secrecy::SecretSlice::from(vec![7_u8; 32]));
        let expression = Engine::new(Some(key)).compile(text).expect("compiles");
        let found = expression.text_value(&event());
        match expected {
            Ok(value) => assert_eq!(found.as_deref(), Ok(value), "{text}"),
            Err(part) => assert!(found.as_ref().is_err_and(|found| found.contains(part)), "{text}: {found:?}"),
        }
    }

    #[test]
    fn values_become_the_texts_that_target_gets() {
        check("data.total", Ok("99.5"));
        check("data.whole", Ok("100"));
        check("data.tenth + data.fifth", Ok("0.3"));
        check("data.big", Ok("12345678901234567890"));
        check("data.yes", Ok("true"));
        check("data.total > 5", Ok("true"));
        check("'a' ~ 1", Ok("a1"));
        check("data.none", Err("null"));
        check("data.list", Err("a list"));
        check("data", Err("an object"));
    }

    #[test]
    fn every_filter_works() {
        check("data.card | trim | lower", Ok("ab1"));
        check("data.card | upper | replace(' ', '_')", Ok("_AB1_"));
        check("data.nope | default('x')", Ok("x"));
        check("data.total | round", Ok("100"));
        check("'a,b' | split(',') | first", Ok("a"));
        check("'a,b' | split(',') | last", Ok("b"));
        check("data.list | length", Ok("2"));
        check("time | date('%F')", Ok("2026-11-23"));
        check("time | date('%F', tz='Europe/Stockholm')", Ok("2026-11-24"));
        check("time | date('%F', tz='Europe/Nowhere')", Err("time zone"));
        check("data.card | date('%F')", Err("RFC 3339"));
        check("'123456' | hmac", Ok("81724240e1fda9e29cc0d4ab9b2f9ae3ece6e9b0d27fdc255f924f58bc0734f9"));
    }

    #[test]
    fn a_missing_field_is_named_and_never_an_empty_value() {
        check("data.nope", Err("data.nope is not in the event"));
        check("data.nope + 1", Err("data.nope is not in the event"));
        check("data.total if data.nope else 1", Err("data.nope"));
        check("subject", Err("subject is not in the event"));
        check("data.total if data.total < 1", Err("an `if` needs an `else`"));
    }

    #[test]
    fn errors_hold_no_value_of_the_event() {
        check("data.card + 1", Err("a text that is no number"));
        check("data.total / 0", Err("division by zero"));
    }

    #[test]
    fn unknown_names_are_found_when_compiling() {
        let error = |text: &str| Engine::new(None).compile(text).err();
        assert_eq!(error("Lund"), Some(ExpressionError::UnknownVariable("Lund".into())));
        assert_eq!(error("data.a if true else data.b|nope"), Some(ExpressionError::UnknownFilter("nope".into())));
        assert_eq!(error("data.a is not nope"), Some(ExpressionError::UnknownTest("nope".into())));
        assert_eq!(error("data.items()"), Some(ExpressionError::Call("items".into())));
        assert_eq!(error("data.a | hmac"), Some(ExpressionError::NoKey));
        assert_eq!(error("'data.a|nope(' ~ data.a"), None);
        assert_eq!(error("not (data.a in ('x', 'y')) and (data.b is defined)"), None);
        assert!(matches!(error("data.a +"), Some(ExpressionError::Syntax(_))));
    }

    #[test]
    fn names_in_a_literal_are_text_whatever_it_escapes() {
        assert_eq!(names_in(r#""a \" | nope" | upper"#), [(Role::Filter, "upper")]);
        assert_eq!(names_in(r#""a\\" | nope"#), [(Role::Filter, "nope")]);
        assert_eq!(names_in("'ö' | nope"), [(Role::Filter, "nope")]);
        assert_eq!(names_in("1 if (2) else (3)"), []);
    }
}
