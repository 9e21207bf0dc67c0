//! Replaces the operators of an expression that compute or compare by filters: `a + b` becomes `(a)|_add(b)`.
//!
//! The engine parses the text; the syntax tree is then written out again with all grouping explicit.

use std::cell::Cell;

use minijinja::machinery::ast::{
    BinOpKind, CallArg, Compare, CompareOpKind, Const, Expr, Filter, Spanned, UnaryOpKind,
};
use minijinja::machinery::parse_expr;
use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::arithmetic::{NEGATE, NUMBER, Operator};
use super::texts::{JOIN, OF_TEXTS, TEXT, TRUTH};
use super::values::is_float;
use crate::core::number::Number;

/// Returns the text to compile instead of an expression.
///
/// # Errors
/// The engine's error for a text that is not an expression, and one for a number that is out of range.
pub(super) fn rewrite(text: &str) -> Result<String, Error> {
    let expression = parse_expr(text)?;
    let writer = Writer { source: text, has_unknown: Cell::new(false) };
    let written = writer.write(&expression).text;
    if writer.has_unknown.get() {
        return Err(Error::new(ErrorKind::SyntaxError, "a number is out of range"));
    }
    Ok(written)
}

/// The neighbours that a written part may have without parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    /// Anything; the part is a name, a literal or in brackets.
    Primary,
    /// Operators and further filters.
    Filtered,
    /// The same word, as in `a and b and c`. Nested parentheses are limited, such chains are not.
    Chain(&'static str),
    /// Nothing.
    Loose,
}

struct Written {
    text: String,
    binding: Binding,
}

impl Written {
    fn new(text: String, binding: Binding) -> Self {
        Self { text, binding }
    }

    /// Returns the text as operand of a filter or an operator.
    fn operand(self) -> String {
        match self.binding {
            Binding::Primary | Binding::Filtered => self.text,
            _ => format!("({})", self.text),
        }
    }

    /// Returns the text so that a member name or an index can follow.
    fn primary(self) -> String {
        if self.binding == Binding::Primary { self.text } else { format!("({})", self.text) }
    }
}

struct Writer<'s> {
    source: &'s str,
    /// True if the expression contains a number that cannot be written out.
    has_unknown: Cell<bool>,
}

impl Writer<'_> {
    fn write(&self, expression: &Expr<'_>) -> Written {
        let (text, binding) = match expression {
            Expr::Var(name) => (name.id.to_owned(), Binding::Primary),
            Expr::Const(literal) => return self.literal(literal),
            Expr::GetAttr(get) => (format!("{}.{}", self.write(&get.expr).primary(), get.name), Binding::Primary),
            Expr::GetItem(get) => {
                (format!("{}[{}]", self.write(&get.expr).primary(), self.text(&get.subscript_expr)), Binding::Primary)
            }
            Expr::Slice(slice) => {
                let part = |part: &Option<Expr<'_>>| part.as_ref().map(|part| self.text(part)).unwrap_or_default();
                let (start, stop, step) = (part(&slice.start), part(&slice.stop), part(&slice.step));
                let step = if step.is_empty() { step } else { format!(":{step}") };
                (format!("{}[{start}:{stop}{step}]", self.write(&slice.expr).primary()), Binding::Primary)
            }
            Expr::UnaryOp(unary) => match unary.op {
                UnaryOpKind::Not => (format!("not {}", self.truth(&unary.expr).operand()), Binding::Loose),
                UnaryOpKind::Neg => (format!("{}|{NEGATE}", self.operand(&unary.expr)), Binding::Filtered),
            },
            Expr::BinOp(binary) => return self.binary(binary.op, &binary.left, &binary.right),
            Expr::Compare(compare) => return self.compare(compare),
            Expr::IfExpr(choice) => {
                let (test, then) = (self.truth(&choice.test_expr).operand(), self.operand(&choice.true_expr));
                let or = choice.false_expr.as_ref().map(|or| format!(" else {}", self.operand(or))).unwrap_or_default();
                (format!("{then} if {test}{or}"), Binding::Loose)
            }
            Expr::Filter(filter) => return self.filter(filter),
            Expr::Test(test) => {
                let on = self.operand(&test.expr);
                (format!("{on} is {}{}", test.name, self.arguments(&test.args)), Binding::Loose)
            }
            Expr::Call(call) => {
                let arguments: Vec<String> = call.args.iter().map(|argument| self.argument(argument)).collect();
                (format!("{}({})", self.write(&call.expr).primary(), arguments.join(", ")), Binding::Primary)
            }
            Expr::List(list) => (format!("[{}]", self.items(&list.items)), Binding::Primary),
            Expr::Tuple(tuple) => {
                let comma = if tuple.items.len() == 1 { "," } else { "" };
                (format!("({}{comma})", self.items(&tuple.items)), Binding::Primary)
            }
            Expr::Map(map) => {
                let pair = |(key, value)| format!("{}: {}", self.text(key), self.text(value));
                let pairs: Vec<String> = map.keys.iter().zip(&map.values).map(pair).collect();
                (format!("{{{}}}", pairs.join(", ")), Binding::Primary)
            }
        };
        Written::new(text, binding)
    }

    fn text(&self, expression: &Expr<'_>) -> String {
        self.write(expression).text
    }

    fn operand(&self, expression: &Expr<'_>) -> String {
        self.write(expression).operand()
    }

    fn items(&self, items: &[Expr<'_>]) -> String {
        items.iter().map(|item| self.text(item)).collect::<Vec<_>>().join(", ")
    }

    fn arguments(&self, arguments: &[CallArg<'_>]) -> String {
        if arguments.is_empty() {
            return String::new();
        }
        let arguments: Vec<String> = arguments.iter().map(|argument| self.argument(argument)).collect();
        format!("({})", arguments.join(", "))
    }

    fn argument(&self, argument: &CallArg<'_>) -> String {
        match argument {
            CallArg::Pos(value) => self.text(value),
            CallArg::Kwarg(name, value) => format!("{name}={}", self.text(value)),
            CallArg::PosSplat(value) => format!("*{}", self.operand(value)),
            CallArg::KwargSplat(value) => format!("**{}", self.operand(value)),
        }
    }

    /// Writes a literal; a number that a binary float cannot hold is written by its digits.
    fn literal(&self, literal: &Spanned<Const>) -> Written {
        let value = &literal.value;
        let text = match value.kind() {
            ValueKind::String => serde_json::to_string(value.as_str().unwrap_or_default()).expect("a text is JSON"),
            ValueKind::Number => return self.number(value, literal),
            ValueKind::Bool => if value.is_true() { "true" } else { "false" }.to_owned(),
            _ => "none".to_owned(),
        };
        Written::new(text, Binding::Primary)
    }

    fn number(&self, value: &Value, literal: &Spanned<Const>) -> Written {
        if value.is_integer() {
            return Written::new(value.to_string(), Binding::Primary);
        }
        let span = literal.span();
        let source = self.source.get(span.start_offset as usize..span.end_offset as usize).unwrap_or_default();
        let digits = source.trim().replace('_', "");
        let number = Number::parse(&digits);
        self.has_unknown.set(self.has_unknown.get() || number.is_none());
        if number.as_ref().is_some_and(is_float) {
            return Written::new(digits, Binding::Primary);
        }
        Written::new(format!("\"{digits}\"|{NUMBER}"), Binding::Filtered)
    }

    fn binary(&self, kind: BinOpKind, left: &Expr<'_>, right: &Expr<'_>) -> Written {
        match operator(kind) {
            Ok(operator) => computed(&self.operand(left), operator, &self.text(right)),
            Err(JOIN) => {
                Written::new(format!("{}|{JOIN}({})", self.operand(left), self.text(right)), Binding::Filtered)
            }
            Err(word) => self.joined(left, word, self.write(right)),
        }
    }

    /// Writes two conditions; the first must be true or false.
    fn joined(&self, left: &Expr<'_>, word: &'static str, right: Written) -> Written {
        let left = self.truth(left);
        let left = if left.binding == Binding::Chain(word) { left.text } else { left.operand() };
        Written::new(format!("{left} {word} {}", right.operand()), Binding::Chain(word))
    }

    /// Writes a part that must be true or false.
    fn truth(&self, expression: &Expr<'_>) -> Written {
        if let Expr::BinOp(binary) = expression
            && let Err(word @ ("and" | "or")) = operator(binary.op)
        {
            return self.joined(&binary.left, word, self.truth(&binary.right));
        }
        if is_truth(expression) {
            return self.write(expression);
        }
        Written::new(format!("{}|{TRUTH}", self.operand(expression)), Binding::Filtered)
    }

    /// Writes a filter; what needs a text gets one.
    fn filter(&self, filter: &Spanned<Filter<'_>>) -> Written {
        let on = filter.expr.as_ref().map(|on| self.operand(on)).unwrap_or_default();
        let is_made = match &filter.expr {
            Some(Expr::Filter(before)) => before.name == TEXT || before.name == JOIN || OF_TEXTS.contains(&before.name),
            Some(Expr::BinOp(binary)) => matches!(binary.op, BinOpKind::Concat),
            Some(Expr::Const(literal)) => literal.value.as_str().is_some(),
            _ => false,
        };
        let made = if OF_TEXTS.contains(&filter.name) && !is_made { format!("|{TEXT}") } else { String::new() };
        Written::new(format!("{on}{made}|{}{}", filter.name, self.arguments(&filter.args)), Binding::Filtered)
    }

    /// Writes `a < b < c` as `a < b and b < c`.
    fn compare(&self, compare: &Compare<'_>) -> Written {
        let mut left = &compare.expr;
        let mut parts = Vec::new();
        for step in &compare.ops {
            let part = match step.op {
                CompareOpKind::NotIn => {
                    format!("not {}", self.binary(BinOpKind::In, left, &step.expr).operand())
                }
                op => self.binary(binary_kind(op), left, &step.expr).operand(),
            };
            parts.push(part);
            left = &step.expr;
        }
        Written::new(parts.join(" and "), Binding::Chain("and"))
    }
}

fn computed(left: &str, operator: Operator, right: &str) -> Written {
    Written::new(format!("{left}|{}({right})", operator.filter()), Binding::Filtered)
}

/// Returns true if a part is always true or false, whatever the event holds.
fn is_truth(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Compare(_) | Expr::Test(_) => true,
        Expr::UnaryOp(unary) => matches!(unary.op, UnaryOpKind::Not),
        Expr::BinOp(binary) => operator(binary.op).is_ok_and(Operator::gives_truth),
        Expr::Const(literal) => literal.value.kind() == ValueKind::Bool,
        Expr::Filter(filter) => {
            let operators = Operator::ALL.into_iter().filter(|operator| operator.gives_truth());
            filter.name == TRUTH || operators.map(Operator::filter).any(|name| name == filter.name)
        }
        _ => false,
    }
}

/// Returns the operator that a filter replaces, or the word of an operator that stays, or the filter for `~`.
pub(super) fn operator(kind: BinOpKind) -> Result<Operator, &'static str> {
    match kind {
        BinOpKind::Add => Ok(Operator::Add),
        BinOpKind::Sub => Ok(Operator::Subtract),
        BinOpKind::Mul => Ok(Operator::Multiply),
        BinOpKind::Div => Ok(Operator::Divide),
        BinOpKind::FloorDiv => Ok(Operator::DivideWhole),
        BinOpKind::Rem => Ok(Operator::Remainder),
        BinOpKind::Pow => Ok(Operator::Power),
        BinOpKind::Lt => Ok(Operator::Less),
        BinOpKind::Lte => Ok(Operator::LessOrEqual),
        BinOpKind::Gt => Ok(Operator::Greater),
        BinOpKind::Gte => Ok(Operator::GreaterOrEqual),
        BinOpKind::Eq => Ok(Operator::Equal),
        BinOpKind::Ne => Ok(Operator::NotEqual),
        BinOpKind::In => Ok(Operator::In),
        BinOpKind::ScAnd => Err("and"),
        BinOpKind::ScOr => Err("or"),
        BinOpKind::Concat => Err(JOIN),
    }
}

pub(super) const fn binary_kind(kind: CompareOpKind) -> BinOpKind {
    match kind {
        CompareOpKind::Eq => BinOpKind::Eq,
        CompareOpKind::Ne => BinOpKind::Ne,
        CompareOpKind::Lt => BinOpKind::Lt,
        CompareOpKind::Lte => BinOpKind::Lte,
        CompareOpKind::Gt => BinOpKind::Gt,
        CompareOpKind::Gte => BinOpKind::Gte,
        CompareOpKind::In | CompareOpKind::NotIn => BinOpKind::In,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(rewrite(text).ok().as_deref(), Some(expected), "{text}");
        // The result means the same when it is parsed again.
        assert_eq!(rewrite(expected).ok().as_deref(), Some(expected), "{expected}");
    }

    #[test]
    fn operators_become_filters_with_the_engine_s_own_grouping() {
        check("data.total > 0", "data.total|_greater(0)");
        check("1 + 2 * 3 - 4", "1|_add(2|_multiply(3))|_subtract(4)");
        check("(1 + 2) * data.a[0].b", "1|_add(2)|_multiply(data.a[0].b)");
        check("-data.x ** 2", "data.x|_negate|_power(2)");
        check("data.a == 'x' or data.b != 1", "data.a|_equal(\"x\") or data.b|_not_equal(1)");
        check("1 < data.x <= 5", "1|_less(data.x) and data.x|_less_or_equal(5)");
        check("data.a ~ data.b ~ 'c'", "data.a|_join(data.b)|_join(\"c\")");
        check("a and b and (c or not d)", "a|_truth and b|_truth and (c|_truth or (not d|_truth))");
        check("not (a and b > 1)", "not (a|_truth and b|_greater(1))");
        check("1 if data.a else 2", "1 if data.a|_truth else 2");
        check("data.a | trim | lower", "data.a|_text|trim|lower");
        check("(data.a ~ 1) | trim | length", "data.a|_join(1)|trim|length");
        check("data.a if data.b is defined else 1 + 1", "data.a if (data.b is defined) else 1|_add(1)");
        check("data.a not in ('x', 'y')", "not data.a|_in((\"x\", \"y\"))");
        check("time | date('%F', tz='Europe/Stockholm')", "time|date(\"%F\", tz=\"Europe/Stockholm\")");
        check("data.a[1:] ~ [1, 2.50][0] ~ {'a': 1}.a", "data.a[1:]|_join([1, 2.50][0])|_join({\"a\": 1}.a)");
        check("(data.a + 1) | round(1)", "data.a|_add(1)|round(1)");
        check("0.1234567890123456789", "\"0.1234567890123456789\"|_number");
        check("'ö' ~ 1_0.50", "\"ö\"|_join(10.50)");
        check("1e3 + 1e23", "1e3|_add(\"1e23\"|_number)");
        check("1e400", "\"1e400\"|_number");
        assert!(rewrite("1e9999").is_err_and(|error| error.detail() == Some("a number is out of range")));
        check("'it\\'s \"so\"'", "\"it's \\\"so\\\"\"");
    }

    #[test]
    fn a_long_chain_needs_no_nested_parentheses() {
        for word in ["+", "and", "or", "~"] {
            let text = vec!["1"; 1_000].join(&format!(" {word} "));
            let written = rewrite(&text).expect(word);
            assert!(rewrite(&written).is_ok(), "{word}");
        }
    }
}
