//! Exact arithmetic in expressions.
//!
//! The engine's own operators round to binary floats and order values of different kinds by their kind. So `rewrite`
//! replaces the operators by the filters of this file. Operators on values other than numbers still behave as the
//! engine defines them.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, State, Value, context, filters};
use rust_decimal::RoundingStrategy;

use super::equality::{are_equal, is_among};
use super::filter_error::FilterError;
use super::values::{
    THOUSANDS, exact, is_bool, is_doubtful, is_float_or_small, is_number, is_text, number_in, number_of, small_integer,
    value_of,
};
use crate::core::number::Number;

/// An operator that a filter replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    DivideWhole,
    Remainder,
    Power,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    In,
}

impl Operator {
    pub(super) const ALL: [Self; 14] = [
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::DivideWhole,
        Self::Remainder,
        Self::Power,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Equal,
        Self::NotEqual,
        Self::In,
    ];

    /// Returns the filter's name, which cannot be written in an expression: only the names in `filters` are allowed.
    pub(super) const fn filter(self) -> &'static str {
        match self {
            Self::Add => "_add",
            Self::Subtract => "_subtract",
            Self::Multiply => "_multiply",
            Self::Divide => "_divide",
            Self::DivideWhole => "_divide_whole",
            Self::Remainder => "_remainder",
            Self::Power => "_power",
            Self::Less => "_less",
            Self::LessOrEqual => "_less_or_equal",
            Self::Greater => "_greater",
            Self::GreaterOrEqual => "_greater_or_equal",
            Self::Equal => "_equal",
            Self::NotEqual => "_not_equal",
            Self::In => "_in",
        }
    }

    /// Returns the expression by which the engine computes the operator.
    const fn native(self) -> &'static str {
        match self {
            Self::Add => "a + b",
            Self::Subtract => "a - b",
            Self::Multiply => "a * b",
            Self::Divide => "a / b",
            Self::DivideWhole => "a // b",
            Self::Remainder => "a % b",
            Self::Power => "a ** b",
            Self::Less => "a < b",
            Self::LessOrEqual => "a <= b",
            Self::Greater => "a > b",
            Self::GreaterOrEqual => "a >= b",
            Self::Equal => "a == b",
            Self::NotEqual => "a != b",
            Self::In => "a in b",
        }
    }

    fn apply(self, state: &State<'_, '_>, a: &Value, b: &Value) -> Result<Value, Error> {
        match self {
            Self::Equal if !a.is_undefined() && !b.is_undefined() => return are_equal(state, a, b).map(Value::from),
            Self::NotEqual if !a.is_undefined() && !b.is_undefined() => {
                return are_equal(state, a, b).map(|are_equal| Value::from(!are_equal));
            }
            Self::In if matches!(b.kind(), ValueKind::Seq | ValueKind::Iterable) && !a.is_undefined() => {
                return is_among(state, a, b.try_iter()?).map(Value::from);
            }
            Self::Equal | Self::NotEqual | Self::In => return self.by_the_engine(state, a, b),
            _ => {}
        }
        if let (Some(a), Some(b)) = (small_integer(a), small_integer(b))
            && let Some(value) = self.of_integers(a, b)
        {
            return Ok(value);
        }
        if is_float_or_small(a)
            && is_float_or_small(b)
            && let Some(value) = self.of_order(a.cmp(b))
        {
            return Ok(value);
        }
        if let (Some(a), Some(b)) = (number_of(a), number_of(b)) {
            return self.of_numbers(&a, &b);
        }
        if a.is_undefined() || b.is_undefined() {
            return self.by_the_engine(state, a, b);
        }
        // The engine takes true as 1, joins and repeats texts, and orders values of different kinds by their kind: none of
        // this is what was meant.
        if is_bool(a) || is_bool(b) {
            return Err(no_number_but_truth());
        }
        if (is_text(a) || is_text(b)) && (is_text(a) || is_number(a)) && (is_text(b) || is_number(b)) {
            let number =
                |value| match number_of(value).or_else(|| value.as_str().and_then(|text| number_in(state, text))) {
                    Some(number) => Ok(number),
                    None if self.is_order() && is_text(a) && is_text(b) => Err(of_letters(state, value)),
                    None => Err(self.no_number(state, value)),
                };
            return self.of_numbers(&number(a)?, &number(b)?);
        }
        if self.is_order() && a.kind() != b.kind() {
            return Err(unlike());
        }
        self.by_the_engine(state, a, b)
    }

    fn by_the_engine(self, state: &State<'_, '_>, a: &Value, b: &Value) -> Result<Value, Error> {
        state.env().compile_expression(self.native())?.eval(context! { a, b })
    }

    /// Returns the result for whole numbers that cannot overflow; `None` where all digits are needed.
    fn of_integers(self, a: i64, b: i64) -> Option<Value> {
        let (wide_a, wide_b) = (i128::from(a), i128::from(b));
        match self {
            Self::Add => Some(Value::from(wide_a + wide_b)),
            Self::Subtract => Some(Value::from(wide_a - wide_b)),
            Self::Multiply => Some(Value::from(wide_a * wide_b)),
            _ => self.of_order(a.cmp(&b)),
        }
    }

    fn of_numbers(self, a: &Number, b: &Number) -> Result<Value, Error> {
        if let Some(value) = self.of_order(a.cmp(b)) {
            return Ok(value);
        }
        if b.is_zero() && matches!(self, Self::Divide | Self::DivideWhole | Self::Remainder) {
            return Err(FilterError::new("division by zero").into());
        }
        let result = match self {
            Self::Add => a.plus(b),
            Self::Subtract => a.minus(b),
            Self::Multiply => a.times(b),
            Self::Divide => a.divided_by(b),
            Self::DivideWhole => a.divided_whole(b).map(|(whole, _)| whole),
            Self::Remainder => a.divided_whole(b).map(|(_, rest)| rest),
            _ => power(a, b),
        };
        result.map(value_of).ok_or_else(too_long)
    }

    /// The error of a text that is no number, or may be two.
    fn no_number(self, state: &State<'_, '_>, value: &Value) -> Error {
        FilterError::new(match self.is_order() {
            _ if value.as_str().is_some_and(|text| is_doubtful(state, text)) => THOUSANDS,
            true => "a text that is no number is compared with a number",
            false => "a text that is no number is computed with; `~` joins texts",
        })
        .into()
    }

    /// Returns true if the result is true or false.
    pub(super) const fn gives_truth(self) -> bool {
        self.is_order() || matches!(self, Self::Equal | Self::NotEqual | Self::In)
    }

    /// Returns true for `<`, `<=`, `>` and `>=`.
    pub(super) const fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }

    fn of_order(self, order: Ordering) -> Option<Value> {
        let is_so = match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            _ => return None,
        };
        Some(Value::from(is_so))
    }
}

fn no_number_but_truth() -> Error {
    let words = "true or false is no number; compare it with == or !=, or choose a number, as in `1 if … else 0`";
    FilterError::new(words).into()
}

/// The error of two texts whose order is asked for, of which this is no number or may be two: by their letters, 10 would come before 9.
fn of_letters(state: &State<'_, '_>, value: &Value) -> Error {
    if value.as_str().is_some_and(|text| is_doubtful(state, text)) {
        return FilterError::new(THOUSANDS).into();
    }
    FilterError::new(
        "two texts are compared by < or >, and one is no number; of times, compare numbers, as in \
         `time | date('%Y%m%d') >= 20261231`",
    )
    .into()
}

fn unlike() -> Error {
    FilterError::new("values of two kinds are compared, such as null with a number; use a `when` or the default filter")
        .into()
}

/// Raises a number to a power. A root, or a negative power, usually has no exact result and gets 15 digits.
fn power(base: &Number, exponent: &Number) -> Option<Number> {
    let has_end = exponent.is_whole() && *exponent >= Number::ZERO;
    if has_end {
        return base.to_the(exponent);
    }
    Number::rounded_float(base.to_float().powf(exponent.to_float()))
}

fn too_long() -> Error {
    FilterError::new("a number has more digits than can be computed with exactly").into()
}

/// Filter for a minus sign before a value.
pub(super) const NEGATE: &str = "_negate";

/// Filter that makes a number of a text, for a number in the expression that a binary float cannot hold.
pub(super) const NUMBER: &str = "_number";

/// Adds the filters that replace operators, and `round`.
pub(super) fn install(environment: &mut Environment<'static>) {
    for operator in Operator::ALL {
        let apply = move |state: &State<'_, '_>, a: Value, b: Value| operator.apply(state, &a, &b);
        environment.add_filter(operator.filter(), apply);
    }
    environment.add_filter(NEGATE, negate);
    environment.add_filter(NUMBER, |text: &str| Number::parse(text).map(value_of).ok_or_else(too_long));
    environment.add_filter("round", round);
}

// By value, because the engine passes arguments that way.
#[allow(clippy::needless_pass_by_value)]
fn negate(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    match number_of(&value).or_else(|| value.as_str().and_then(|text| number_in(state, text))) {
        Some(number) => Ok(value_of(number.negated())),
        None if is_text(&value) => Err(Operator::Subtract.no_number(state, &value)),
        None => state.env().compile_expression("-a")?.eval(context! { a => value }),
    }
}

/// Implements `data.total | round(2)`: the engine's filter, on decimal digits instead of a binary fraction. A text is taken as
/// the number that it is.
fn round(
    state: &State<'_, '_>,
    value: Value,
    precision: Option<i32>,
    method: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    let places = precision.or(options.get("precision")?).unwrap_or(0);
    let strategy = match method.or(options.get("method")?) {
        None | Some("common") => Some(RoundingStrategy::MidpointAwayFromZero),
        Some("ceil") => Some(RoundingStrategy::ToPositiveInfinity),
        Some("floor") => Some(RoundingStrategy::ToNegativeInfinity),
        Some(_) => None,
    };
    let value = match value.as_str().and_then(|text| number_in(state, text)) {
        Some(number) => value_of(number),
        None if is_text(&value) => return Err(Operator::Multiply.no_number(state, &value)),
        None => value,
    };
    let is_whole = value.is_integer();
    let decimal = number_of(&value).filter(|_| !is_whole).and_then(|number| number.to_decimal());
    if let (Some(decimal), Some(strategy), Ok(places)) = (decimal, strategy, u32::try_from(places)) {
        options.assert_all_used()?;
        return Ok(value_of(decimal.round_dp_with_strategy(places, strategy).into()));
    }
    match exact(&value) {
        Some(number) if number.is_whole() && places >= 0 && strategy.is_some() => Ok(value),
        Some(_) => Err(too_long()),
        None => filters::round(value, precision, method, options),
    }
}
