//! The interface of one operation.

use std::sync::Arc;

use crate::core::attribute::check_value_length;
use crate::core::operation::part::{Part, PartItem};
use crate::core::operation::sent::{Decision, Own, Sent, Shown, is_own_value};
use crate::core::operation::value::{ChangeError, Held, Stamp};
use crate::core::timestamp::Timestamp;

/// The rule of one operation.
pub(super) trait Rule: Sync {
    /// Returns true if it works on numbers only.
    fn is_of_numbers(&self) -> bool {
        false
    }

    /// Returns true if the value combines the others' part and ours.
    fn is_total(&self) -> bool {
        false
    }

    /// Returns true if a new value replaces whatever Target has.
    fn replaces(&self) -> bool {
        false
    }

    /// Returns true if parts have ids, each counts once, and the value is their sum.
    fn is_sum(&self) -> bool {
        false
    }

    /// Returns true if the value is a list whose items have positions of their own.
    fn is_list(&self) -> bool {
        false
    }

    /// Returns others' part of a value that was sent and is not this device's own: all of it, except for totals. `None` if
    /// the parts cannot be told apart.
    fn elsewhere(&self, sent: &Sent) -> Option<String> {
        Some(sent.value.clone())
    }

    /// Applies an operand of a length that Target accepts. `None` leaves the attribute as it is.
    fn change(&self, held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, ChangeError>;

    /// Returns the items of a value, if it is a list.
    fn part_items(&self, _: &Held, _: &Arc<str>) -> Vec<PartItem> {
        Vec::new()
    }

    /// Joins two parts. In whatever order and however often parts are joined, the result is the same.
    fn join(&self, a: Part, b: Part) -> Result<Part, ChangeError>;

    /// Decides the value that Target should have; `others` is a value that somebody else wrote, if there is one.
    fn merge(&self, own: Own<'_>, sends: &[Sent], others: Option<&Shown>, now: Timestamp) -> (Decision, String);
}

/// Applies an operand of any length.
pub(super) fn change(
    rule: &dyn Rule,
    held: Option<&Held>,
    operand: &str,
    stamp: Stamp,
) -> Result<Option<Held>, ChangeError> {
    check_value_length(operand).map_err(|found| ChangeError::ValueTooLong { found })?;
    rule.change(held, operand, stamp)
}

/// Decides the value that Target should have: first whose value it shows, then by the rule.
pub(super) fn merge(
    rule: &dyn Rule,
    own: Own<'_>,
    sends: &[Sent],
    shown: Option<&Shown>,
    gave_way_to: Option<&Shown>,
    now: Timestamp,
) -> (Decision, String) {
    // Except for totals, a value that we sent but that is not ours was theirs, written again.
    let may_be_ours = |sent: &&Sent| rule.is_total() || sent.value == sent.own;
    let is_ours = |shown: &Shown| is_own_value(sends.iter().filter(may_be_ours), shown);
    if let (Some(shown), Some(theirs)) = (shown, gave_way_to)
        && (shown.value == theirs.value || is_ours(shown))
    {
        let (decision, value) = rule.merge(own, sends, Some(theirs).filter(|theirs| !is_ours(theirs)), now);
        let comes_back = decision == Decision::Superseded && shown.value != value;
        return (if comes_back { Decision::Restored } else { decision }, value);
    }
    // Our own value says nothing about others.
    rule.merge(own, sends, shown.filter(|shown| !is_ours(shown)), now)
}
