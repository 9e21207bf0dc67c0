//! The ways in which expressions use fields of data, as far as their texts show: for warnings before there is an event.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, UnaryOpKind};
use minijinja::machinery::parse_expr;
use minijinja::value::ValueKind;

use super::arithmetic::Operator;
use super::expression::Expression;
use super::meaning::Mappings;
use super::rewrite::{binary_kind, operator};
use super::rule::Mapping;
use crate::core::operation::Operation;

/// A use of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// On one side of `<`, `<=`, `>` or `>=`, or of a comparison that has a number on its other.
    Compared,
    /// On one side of a comparison that has true or false on its other.
    AgainstTruth,
    /// In arithmetic.
    Computed,
    /// As the value of an operation that counts.
    Counted,
    /// As true or false.
    Truth,
}

impl Use {
    /// Returns true if a text is taken as the number in it.
    #[must_use]
    pub const fn is_of_number(self) -> bool {
        matches!(self, Self::Compared | Self::Computed | Self::Counted)
    }

    /// A clause that says so of a field.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Compared => "is compared as a number",
            Self::AgainstTruth => "is compared with true or false",
            Self::Computed => "is computed with",
            Self::Counted => "goes into add, max or min",
            Self::Truth => "is used as true or false",
        }
    }
}

impl Mappings {
    /// Returns how fields of data are used, each with its expression and where that stands; for `consent`, and the mappings that
    /// match a type, or all.
    pub fn uses(&self, event_type: Option<&str>) -> Vec<(Use, String, &str, String)> {
        let matches = |mapping: &&Mapping| event_type.is_none_or(|event_type| mapping.event_type.matches(event_type));
        let mut found = Vec::new();
        for mapping in self.mappings.iter().filter(matches) {
            for (whole, expression) in mapping.expressions() {
                let uses = uses(expression.text(), whole).into_iter();
                let place = || format!("mapping \"{}\"", mapping.name);
                found.extend(uses.map(|(used, field)| (used, field, expression.text(), place())));
            }
        }
        if let Some(consent) = &self.privacy.consent {
            let uses = uses(consent.text(), Some(Use::Truth)).into_iter();
            found.extend(uses.map(|(used, field)| (used, field, consent.text(), "consent of [privacy]".to_owned())));
        }
        found
    }
}

impl Mapping {
    /// Returns its expressions, each with how its value is used.
    fn expressions(&self) -> impl Iterator<Item = (Option<Use>, &Expression)> {
        let used = |operation: Operation| operation.is_of_numbers().then_some(Use::Counted);
        let when = self.when.iter().map(|when| (Some(Use::Truth), when));
        let changes = self.changes.iter().map(move |rule| (used(rule.operation), &rule.value.expression));
        when.chain([(None, &self.identity.expression)]).chain(changes)
    }
}

/// The fields that an expression uses as something, each with what, where the whole is used as `whole`.
pub(super) fn uses(text: &str, whole: Option<Use>) -> Vec<(Use, String)> {
    let mut found = Vec::new();
    if let Ok(expression) = parse_expr(text) {
        walk(&expression, whole, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn walk(expression: &Expr<'_>, used: Option<Use>, found: &mut Vec<(Use, String)>) {
    if let Some(field) = field(expression) {
        found.extend(used.map(|used| (used, field)));
        return;
    }
    match expression {
        Expr::Var(_) | Expr::Const(_) => {}
        Expr::GetAttr(get) => walk(&get.expr, None, found),
        Expr::GetItem(get) => [&get.expr, &get.subscript_expr].into_iter().for_each(|part| walk(part, None, found)),
        Expr::Slice(slice) => walk(&slice.expr, None, found),
        Expr::UnaryOp(unary) => match unary.op {
            UnaryOpKind::Not => walk(&unary.expr, Some(Use::Truth), found),
            UnaryOpKind::Neg => walk(&unary.expr, Some(Use::Computed), found),
        },
        Expr::BinOp(binary) => pair(binary.op, (&binary.left, &binary.right), used, found),
        Expr::Compare(compare) => {
            let mut left = &compare.expr;
            for step in &compare.ops {
                pair(binary_kind(step.op), (left, &step.expr), None, found);
                left = &step.expr;
            }
        }
        Expr::IfExpr(choice) => {
            walk(&choice.test_expr, Some(Use::Truth), found);
            walk(&choice.true_expr, used, found);
            choice.false_expr.iter().for_each(|or| walk(or, used, found));
        }
        Expr::Filter(filter) => {
            let used = match filter.name {
                "default" => used,
                "round" => Some(Use::Computed),
                _ => None,
            };
            filter.expr.iter().for_each(|on| walk(on, used, found));
            for argument in &filter.args {
                let (CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value)) = argument;
                walk(value, used.filter(|used| *used != Use::Computed), found);
            }
        }
        Expr::Test(test) => walk(&test.expr, None, found),
        Expr::Call(call) => walk(&call.expr, None, found),
        Expr::List(list) => list.items.iter().for_each(|item| walk(item, None, found)),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| walk(item, None, found)),
        Expr::Map(map) => map.values.iter().for_each(|value| walk(value, None, found)),
    }
}

/// Two parts with an operator between them.
fn pair(kind: BinOpKind, (left, right): (&Expr<'_>, &Expr<'_>), used: Option<Use>, found: &mut Vec<(Use, String)>) {
    let compared = |other| {
        let against_truth = || is_truth(other).then_some(Use::AgainstTruth);
        is_number(other).then_some(Use::Compared).or_else(against_truth)
    };
    let (of_left, of_right) = match operator(kind) {
        Err("and" | "or") => (Some(Use::Truth), used),
        Err(_) => (None, None),
        Ok(Operator::In) => {
            let has_number = items(right).iter().any(is_number);
            (has_number.then_some(Use::Compared), None)
        }
        Ok(operator) if operator.is_order() => {
            let as_number = |other| compared(other).or(Some(Use::Compared));
            (as_number(right), as_number(left))
        }
        Ok(operator) if operator.gives_truth() => (compared(right), compared(left)),
        Ok(_) => (Some(Use::Computed), Some(Use::Computed)),
    };
    walk(left, of_left, found);
    walk(right, of_right, found);
    if matches!(kind, BinOpKind::In) && is_number(left) {
        items(right).iter().for_each(|item| walk(item, Some(Use::Compared), found));
    }
}

/// The items of a list that is written out; none of anything else.
fn items<'e, 's>(expression: &'e Expr<'s>) -> &'e [Expr<'s>] {
    match expression {
        Expr::List(list) => &list.items,
        Expr::Tuple(tuple) => &tuple.items,
        _ => &[],
    }
}

/// Returns whether a part is a number, whatever the event holds.
fn is_number(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Const(literal) => literal.value.kind() == ValueKind::Number,
        Expr::UnaryOp(unary) => matches!(unary.op, UnaryOpKind::Neg),
        Expr::BinOp(binary) => operator(binary.op).is_ok_and(|operator| !operator.gives_truth()),
        Expr::Filter(filter) => matches!(filter.name, "round" | "length"),
        _ => false,
    }
}

/// Returns whether a part is written as true or false.
fn is_truth(expression: &Expr<'_>) -> bool {
    matches!(expression, Expr::Const(literal) if literal.value.kind() == ValueKind::Bool)
}

/// The field of data that an expression is, such as `data.card.number`, or `data['card']['number']`.
fn field(expression: &Expr<'_>) -> Option<String> {
    let (of, name) = match expression {
        Expr::GetAttr(get) => (&get.expr, get.name),
        Expr::GetItem(get) => match &get.subscript_expr {
            Expr::Const(literal) => (&get.expr, literal.value.as_str()?),
            _ => return None,
        },
        _ => return None,
    };
    match of {
        Expr::Var(var) if var.id == "data" => Some(format!("data.{name}")),
        below => field(below).map(|field| format!("{field}.{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_what_a_field_is_used_is_known_from_the_text() {
        let check = |text: &str, whole: Option<Use>, expected: &str| {
            let found = uses(text, whole).into_iter().map(|(used, field)| format!("{used:?} {field}"));
            assert_eq!(found.collect::<Vec<_>>().join(", "), expected, "{text}");
        };
        for (text, expected) in [
            ("data.total > 0", "Compared data.total"),
            ("data.a.b>=-1.5 and 3 != data.c", "Compared data.a.b, Compared data.c"),
            ("1 if (data.a == 0) else 2", "Compared data.a"),
            ("data['a'] > 1 and data.b['c d'] * 2 > 0", "Compared data.a, Computed data.b.c d"),
            ("1 < data.x <= 5", "Compared data.x"),
            ("data.a == data.b or data.c == '0' or data.d in ['1'] or data.e in data.f", ""),
            (
                "data.a > data.b and 8 < data.c < data.d",
                "Compared data.a, Compared data.b, Compared data.c, Compared data.d",
            ),
            ("data.a > '9' and data.b <= data.c | trim", "Compared data.a, Compared data.b"),
            ("data.a in [5, 6] or data.b not in ('x', -1)", "Compared data.a, Compared data.b"),
            ("5 in [data.a, data.b]", "Compared data.a, Compared data.b"),
            ("data.a > true", "AgainstTruth data.a"),
            ("data.a > data.b + 1", "Compared data.a, Computed data.b"),
            ("-data.a ~ (data.b | round(2))", "Computed data.a, Computed data.b"),
            ("data.a or not data.b", "Truth data.a, Truth data.b"),
            ("'x' if data.a and data.b else data.c", "Truth data.a, Truth data.b"),
            ("data > 0 or data[0] > 1 or '> 0 data.a > 1'", ""),
            ("data.a | trim | replace(data.b, '')", ""),
            ("data.a == true or false != data.b", "AgainstTruth data.a, AgainstTruth data.b"),
        ] {
            check(text, None, expected);
        }
        check("data.a", Some(Use::Counted), "Counted data.a");
        check("data.a | default(0)", Some(Use::Counted), "Counted data.a");
        check("data.a if data.b is defined else data.c * 2", Some(Use::Counted), "Computed data.c, Counted data.a");
        check("data.a", Some(Use::Truth), "Truth data.a");
        check("data.a == 'x' and data.b", Some(Use::Truth), "Truth data.b");
    }
}
