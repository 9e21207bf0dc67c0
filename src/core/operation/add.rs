//! `add`: the value is added, as an exact decimal.

use rust_decimal::Decimal;

use crate::core::operation::decimal::{decimal_text, exact_sum, number};
use crate::core::operation::part::Part;
use crate::core::operation::rule::Rule;
use crate::core::operation::sent::{Decision, Own, Sent, Shown, base, is_after_ours, sent_before, together};
use crate::core::operation::value::{ChangeError, Held, Stamp, operand_number};
use crate::core::timestamp::Timestamp;

pub(super) struct Add;

impl Rule for Add {
    fn is_of_numbers(&self) -> bool {
        true
    }

    fn is_total(&self) -> bool {
        true
    }

    fn is_sum(&self) -> bool {
        true
    }

    fn elsewhere(&self, sent: &Sent) -> Option<String> {
        exact_sum(number(&sent.value)?, -number(&sent.own)?).map(decimal_text)
    }

    fn change(&self, held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, ChangeError> {
        let step = operand_number(operand)?;
        let Some(held) = held else {
            return Ok(Some(Held::plain(decimal_text(step), stamp)));
        };
        let sum = exact_sum(held.number()?, step).ok_or(ChangeError::SumTooLarge)?;
        Ok(Some(Held::plain(decimal_text(sum), held.stamp.max(stamp))))
    }

    fn join(&self, _: Part, _: Part) -> Result<Part, ChangeError> {
        unreachable!("parts of a sum have ids, and are added")
    }

    /// Adds the part of our sum that Target does not have yet to the total of others and us.
    fn merge(&self, own: Own<'_>, sends: &[Sent], others: Option<&Shown>, now: Timestamp) -> (Decision, String) {
        // The sum continues from what we sent last, unless Target shows something newer.
        let theirs = others.filter(|theirs| is_after_ours(sends, theirs, now));
        let sum = || {
            let base = number(base(sends.last(), theirs)?)?;
            let delivered = sent_before(sends, theirs).map_or(Some(Decimal::ZERO), |sent| number(&sent.own))?;
            let undelivered = exact_sum(number(own.value)?, -delivered)?;
            exact_sum(base, undelivered).map(decimal_text)
        };
        together(own, sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::operation::testing::{
        HOUR, at, check, check_change, lost, own, run, sent, shown, timeless, whole,
    };

    #[test]
    fn add_is_exact_and_without_needless_zeros() {
        check_change(&Add, &[(1, "0.1"), (2, "0.2")], "0.3");
        check_change(&Add, &[(1, "99.50"), (2, "0.50")], "100");
        check_change(&Add, &[(1, "5"), (2, "-5.0")], "0");
    }

    #[test]
    fn a_sum_that_needs_more_than_28_digits_is_refused_and_never_rounded() {
        assert_eq!(run(&Add, &[(1, "1000"), (2, "1e-28")]), Err(ChangeError::SumTooLarge));
        assert_eq!(run(&Add, &[(1, "1000"), (2, "-1e-28")]), Err(ChangeError::SumTooLarge));
        let (large, half) = ("7922816251426433759354395033", ".5");
        let most = format!("{large}{half}");
        assert_eq!(run(&Add, &[(1, &most), (2, "0.05")]), Err(ChangeError::SumTooLarge));
        check_change(&Add, &[(1, &most), (2, "0.5")], "7922816251426433759354395034");
        check_change(&Add, &[(1, "0.9999999999999999999999999999"), (2, "1e-28")], "1");
        check_change(&Add, &[(1, "1e-28"), (2, "-1e-28")], "0");
        check_change(&Add, &[(1, "0"), (2, "1.5e1")], "15");
        check_change(&Add, &[(1, "1.000000000000000000000000000000000"), (2, "1")], "2");
    }

    #[test]
    fn add_refuses_what_it_cannot_add() {
        assert_eq!(run(&Add, &[(1, "many")]), Err(ChangeError::OperandNotANumber));
        assert_eq!(run(&Add, &[(1, "")]), Err(ChangeError::OperandNotANumber));
        let most = "79228162514264337593543950335";
        assert_eq!(run(&Add, &[(1, most), (2, most)]), Err(ChangeError::SumTooLarge));
    }

    #[test]
    fn of_a_sum_that_was_sent_what_is_not_ours_is_others() {
        assert!(Add.is_of_numbers());
        assert_eq!(Add.elsewhere(&sent("15", "5.5", 1)).as_deref(), Some("9.5"));
        assert_eq!(Add.elsewhere(&sent("many", "5", 1)), None);
    }

    #[test]
    fn to_a_sum_comes_what_was_not_delivered() {
        let ours = own("7");
        check(&Add, ours, &[], None, Decision::Ours, "7");
        check(&Add, ours, &[], Some(shown("5", 1)), Decision::Together, "12");
        check(&Add, ours, &[], Some(shown("many", 1)), Decision::Ours, "7");
        // Five of ours are in the value we sent, and nobody has written since.
        check(&Add, ours, &[sent("5", "5", 200)], Some(shown("5", 200)), Decision::Ours, "7");
        check(&Add, ours, &[sent("15", "5", 200)], Some(shown("15", 200)), Decision::Together, "17");
        // Our write does not show yet.
        check(&Add, ours, &[sent("15", "5", 200)], Some(shown("10", 150)), Decision::Together, "17");
        check(&Add, ours, &[sent("15", "5", 200)], None, Decision::Together, "17");
        // Somebody wrote after us, on top of it.
        check(&Add, ours, &[sent("15", "5", 200)], Some(shown("18", 201)), Decision::Together, "20");
        // A value that was sent before a crash, and arrived, is not added again.
        check(&Add, ours, &[sent("17", "7", 200)], Some(shown("17", 201)), Decision::Together, "17");
        let most = "79228162514264337593543950335";
        check(&Add, own(most), &[], Some(shown(most, 1)), Decision::Ours, most);
    }

    #[test]
    fn a_cache_that_shows_one_of_our_older_values_loses_no_count() {
        let sends = [sent("15", "5", 200), sent("16", "6", 200), sent("17", "7", 201)];
        for stale in [shown("15", 200), shown("16", 200), shown("15", 201), shown("16", 201)] {
            check(&Add, own("8"), &sends, Some(stale), Decision::Together, "18");
        }
    }

    #[test]
    fn a_lost_write_that_is_applied_after_a_newer_one_is_known_as_ours_and_put_right() {
        let sends = [lost("15", "5", 200), sent("16", "6", 260)];
        check(&Add, own("6"), &sends, Some(shown("15", HOUR)), Decision::Together, "16");
        // Hours later the same number was written by somebody else.
        check(&Add, own("6"), &sends, Some(shown("15", 10 * HOUR)), Decision::Together, "15");
    }

    #[test]
    fn the_same_number_that_others_wrote_before_our_attempt_is_theirs() {
        // The web site counted one visit, and so did we, half an hour later; our attempt never arrived.
        let sends = [sent("2", "2", 100), Sent { seen_at: Some(at(100)), ..lost("3", "3", 3_600) }];
        check(&Add, own("3"), &sends, Some(shown("3", 1_800)), Decision::Together, "4");
        // Within the uncertainty of Target's clock the value may be ours.
        check(&Add, own("3"), &sends, Some(shown("3", 3_500)), Decision::Ours, "3");
    }

    #[test]
    fn a_lost_attempt_is_no_reason_to_undo_what_others_wrote_before_it() {
        // Theirs was written after we read, and before our attempt, which may never have been applied.
        let attempt = Sent { seen_at: Some(at(100)), ..lost("15", "5", 200) };
        check(&Add, own("5"), std::slice::from_ref(&attempt), Some(shown("13", 150)), Decision::Together, "18");
        // The value that we read ourselves is not newer.
        check(&Add, own("5"), std::slice::from_ref(&attempt), Some(shown("10", 100)), Decision::Together, "15");
        // A value written after the attempt may include it: it is never counted twice.
        check(&Add, own("6"), &[attempt], Some(shown("18", 250)), Decision::Together, "19");
    }

    #[test]
    fn a_write_in_the_second_of_ours_is_theirs_unless_it_says_what_ours_said() {
        check(&Add, own("7"), &[sent("5", "5", 200)], Some(shown("8", 200)), Decision::Together, "10");
    }

    #[test]
    fn a_time_that_cannot_be_read_is_not_1970() {
        check(&Add, own("7"), &[sent("5", "5", 200)], timeless("9"), Decision::Together, "11");
        check(&Add, own("7"), &[sent("5", "5", 200)], timeless("5"), Decision::Ours, "7");
        // Ours may not show yet.
        check(&Add, own("7"), &[sent("5", "5", 20 * HOUR - 60)], timeless("9"), Decision::Ours, "7");
        // The profile's own time says nothing about ours.
        check(&Add, own("7"), &[sent("5", "5", 200)], whole("5", 19 * HOUR), Decision::Ours, "7");
    }

    #[test]
    fn what_is_of_the_second_that_was_read_is_no_newer_than_what_was_read() {
        let attempt = Sent { seen_at: Some(at(100)), ..lost("15", "5", 200) };
        check(&Add, own("6"), &[attempt], Some(shown("12", 100)), Decision::Together, "16");
    }
}
