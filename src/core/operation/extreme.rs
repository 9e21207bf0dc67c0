//! `max` and `min`: the greater or the smaller number wins.

use std::cmp::Ordering;

use crate::core::operation::decimal::{decimal_text, number};
use crate::core::operation::part::Part;
use crate::core::operation::rule::Rule;
use crate::core::operation::sent::{Decision, Own, Sent, Shown, either};
use crate::core::operation::value::{ChangeError, Held, Stamp, operand_number};
use crate::core::timestamp::Timestamp;

pub(super) enum Extreme {
    Max,
    Min,
}

impl Extreme {
    const fn better(&self) -> Ordering {
        match self {
            Self::Max => Ordering::Greater,
            Self::Min => Ordering::Less,
        }
    }
}

impl Rule for Extreme {
    fn is_of_numbers(&self) -> bool {
        true
    }

    fn change(&self, held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, ChangeError> {
        let new = operand_number(operand)?;
        match held {
            Some(held) if new.cmp(&held.number()?) != self.better() => Ok(None),
            _ => Ok(Some(Held::plain(decimal_text(new), stamp))),
        }
    }

    fn join(&self, a: Part, b: Part) -> Result<Part, ChangeError> {
        let of = |part: &Part| number(&part.value).ok_or(ChangeError::HeldNotANumber);
        let compared = of(&a)?.cmp(&of(&b)?);
        let is_a = compared == self.better() || compared == Ordering::Equal && a.stamp <= b.stamp;
        Ok(if is_a { a } else { b })
    }

    fn merge(&self, own: Own<'_>, _: &[Sent], others: Option<&Shown>, _: Timestamp) -> (Decision, String) {
        // A text that is not a number cannot be compared.
        let ours = number(own.value);
        let stays = |theirs: &Shown| {
            let compared = number(&theirs.value).zip(ours).map(|(theirs, ours)| ours.cmp(&theirs));
            compared.is_some_and(|compared| compared != self.better())
        };
        either(own, others, stays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::operation::rule;
    use crate::core::operation::testing::{HOUR, at, check, check_change, lost, own, run, sent, shown};

    #[test]
    fn max_and_min_compare_all_digits() {
        check_change(
            &Extreme::Max,
            &[(1, "1"), (2, "1.0000000000000000000000000001")],
            "1.0000000000000000000000000001",
        );
        check_change(
            &Extreme::Max,
            &[(1, "12345678901234567.88"), (2, "12345678901234567.89")],
            "12345678901234567.89",
        );
        check_change(&Extreme::Min, &[(1, "0"), (2, "-1e-28")], "-0.0000000000000000000000000001");
        assert_eq!(run(&Extreme::Max, &[(1, "1e-29")]), Err(ChangeError::OperandNotANumber));
    }

    #[test]
    fn max_and_min_compare_numbers_and_not_texts() {
        check_change(&Extreme::Max, &[(1, "9"), (2, "10"), (3, "2")], "10");
        check_change(&Extreme::Min, &[(1, "9"), (2, "10"), (3, "2.0")], "2");
    }

    #[test]
    fn of_two_devices_with_the_same_number_the_earlier_change_stays() {
        use crate::core::operation::part::PartStamp;
        let part = |seconds| Part {
            value: "9".to_owned(),
            stamp: PartStamp { time: at(seconds), device: "till".into(), seq: 1 },
            items: Vec::new(),
        };
        for (one, other) in [(part(1), part(2)), (part(2), part(1))] {
            assert_eq!(Extreme::Max.join(one, other), Ok(part(1)));
        }
    }

    #[test]
    fn of_max_and_min_the_better_number_stays() {
        check(&Extreme::Max, own("9"), &[], Some(shown("10", 1)), Decision::Superseded, "10");
        check(&Extreme::Max, own("9"), &[], Some(shown("8.5", 1)), Decision::Ours, "9");
        check(&Extreme::Max, own("9"), &[], Some(shown("many", 1)), Decision::Ours, "9");
        check(&Extreme::Min, own("9"), &[], Some(shown("10", 1)), Decision::Ours, "9");
        check(&Extreme::Min, own("9"), &[], Some(shown("8.5", 1)), Decision::Superseded, "8.5");
    }

    #[test]
    fn what_ours_gave_way_to_is_written_again_where_a_lost_attempt_of_ours_came_over_it() {
        let (ours, theirs) = (own("9"), shown("10", 300));
        let sends = [lost("9", "9", 200)];
        let decide = |sends: &[Sent], now: Shown| {
            rule::merge(&Extreme::Max, ours, sends, Some(&now), Some(&theirs), at(20 * HOUR))
        };
        assert_eq!(decide(&sends, theirs.clone()), (Decision::Superseded, "10".to_owned()));
        assert_eq!(decide(&sends, shown("9", HOUR)), (Decision::Restored, "10".to_owned()));
        // Even written again by us, it is still theirs.
        let again = [lost("9", "9", 200), sent("10", "9", 300)];
        assert_eq!(decide(&again, shown("10", HOUR)), (Decision::Superseded, "10".to_owned()));
        assert_eq!(decide(&again, shown("9", 2 * HOUR)), (Decision::Restored, "10".to_owned()));
        // Somebody has written since.
        assert_eq!(decide(&sends, shown("12", HOUR)), (Decision::Superseded, "12".to_owned()));
        assert_eq!(decide(&sends, shown("3", HOUR)), (Decision::Ours, "9".to_owned()));
    }
}
