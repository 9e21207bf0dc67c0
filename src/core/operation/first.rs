//! `first`: the oldest value by event time wins.

use crate::core::operation::part::Part;
use crate::core::operation::rule::Rule;
use crate::core::operation::sent::{Decision, Own, Sent, Shown, either, second};
use crate::core::operation::value::{ChangeError, Held, Stamp};
use crate::core::timestamp::Timestamp;

pub(super) struct First;

impl Rule for First {
    fn change(&self, held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, ChangeError> {
        Ok(match held {
            // An empty value cannot be delivered and would block the attribute for ever.
            _ if operand.is_empty() => None,
            Some(held) if held.stamp <= stamp && !held.value.is_empty() => None,
            _ => Some(Held::plain(operand.to_owned(), stamp)),
        })
    }

    fn join(&self, a: Part, b: Part) -> Result<Part, ChangeError> {
        // What an earlier program stored as empty gives way, as it does to an event.
        let order = |part: &Part| (part.value.is_empty(), part.stamp.clone(), part.value.clone());
        Ok(if order(&a) <= order(&b) { a } else { b })
    }

    fn merge(&self, own: Own<'_>, _: &[Sent], others: Option<&Shown>, _: Timestamp) -> (Decision, String) {
        let is_older = |at| second(at) <= second(own.event_time);
        either(own, others, |theirs| theirs.modified_at.is_none_or(is_older))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::operation::testing::{HOUR, after, check, check_change, own, run, sent, shown, timeless, whole};

    #[test]
    fn first_keeps_the_oldest_by_event_time() {
        check_change(&First, &[(2, "b"), (1, "a"), (3, "c")], "a");
        check_change(&First, &[(1, "a"), (1, "b")], "a");
    }

    #[test]
    fn first_ignores_an_empty_value_so_that_the_next_is_delivered() {
        check_change(&First, &[(1, ""), (2, "Lund")], "Lund");
        check_change(&First, &[(2, "Lund"), (1, ""), (3, "Ystad")], "Lund");
        assert_eq!(run(&First, &[(1, "")]).as_deref(), Ok(""));
        for time in [4, 5, 6] {
            assert_eq!(after(&First, "", None, time, "Lund").as_deref(), Some("Lund"), "{time}");
            assert_eq!(after(&First, "", None, time, ""), None, "{time}");
        }
    }

    #[test]
    fn of_first_the_older_stays() {
        let ours = own("Lund");
        check(&First, ours, &[], Some(shown("Malmö", 100)), Decision::Superseded, "Malmö");
        check(&First, ours, &[], Some(shown("Malmö", 101)), Decision::Ours, "Lund");
        check(&First, ours, &[sent("Ystad", "Ystad", 50)], Some(shown("Ystad", 50)), Decision::Ours, "Lund");
    }

    #[test]
    fn a_time_that_cannot_be_read_is_not_1970() {
        check(&First, own("Lund"), &[], timeless("Malmö"), Decision::Superseded, "Malmö");
        check(&First, own("Lund"), &[], whole("Malmö", 19 * HOUR), Decision::Ours, "Lund");
    }
}
