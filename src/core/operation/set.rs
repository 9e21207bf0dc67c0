//! `set`: the newest value by event time wins; of several mappings of one event the last in the file.

use std::time::Duration;

use crate::core::operation::part::Part;
use crate::core::operation::rule::Rule;
use crate::core::operation::sent::{Decision, Own, Sent, Shown, either, second};
use crate::core::operation::value::{ChangeError, Held, Stamp};
use crate::core::timestamp::Timestamp;

/// Age from which an event gives way to a value without a known time.
const OLD_EVENT: Duration = Duration::from_secs(15 * 60);

pub(super) struct Set;

impl Rule for Set {
    fn replaces(&self) -> bool {
        true
    }

    fn change(&self, held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, ChangeError> {
        Ok(match held {
            Some(held) if held.stamp > stamp => None,
            _ => Some(Held::plain(operand.to_owned(), stamp)),
        })
    }

    /// Of the same position, which only copies of a disk have, the greater text stays: so that the order of joining does not
    /// matter.
    fn join(&self, a: Part, b: Part) -> Result<Part, ChangeError> {
        Ok(if (&a.stamp, &a.value) >= (&b.stamp, &b.value) { a } else { b })
    }

    fn merge(&self, own: Own<'_>, sends: &[Sent], others: Option<&Shown>, now: Timestamp) -> (Decision, String) {
        either(own, others, |theirs| is_newer(theirs, own, now) || is_over_delivered(theirs, own, sends))
    }
}

fn is_newer(theirs: &Shown, own: Own<'_>, now: Timestamp) -> bool {
    match theirs.modified_at {
        Some(modified_at) => second(modified_at) > second(own.event_time),
        None => now.since(own.event_time) >= OLD_EVENT,
    }
}

/// Returns true if theirs stands although ours had been delivered: within one second the event's time alone does not
/// decide.
fn is_over_delivered(theirs: &Shown, own: Own<'_>, sends: &[Sent]) -> bool {
    let delivered = sends.last().filter(|last| !last.is_lost && last.version == own.version);
    let is_since = |sent: &Sent| theirs.own_time().is_some_and(|at| second(at) >= second(sent.at));
    delivered.is_some_and(is_since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::operation::testing::{
        HOUR, at, check, check_change, lost, own, run, sent, shown, timeless, whole,
    };

    #[test]
    fn set_keeps_the_newest_by_event_time_and_the_later_recorded_of_equals() {
        check_change(&Set, &[(1, "a"), (2, "b")], "b");
        check_change(&Set, &[(2, "b"), (1, "a")], "b");
        check_change(&Set, &[(2, "b"), (2, "c")], "c");
    }

    #[test]
    fn of_two_changes_of_one_event_the_later_in_the_file_stays() {
        let stamp = Stamp { time: at(1), seq: 1 };
        let one = Set.change(None, "Ystad", stamp).expect("valid");
        let other = Set.change(one.as_ref(), "Lund", stamp).expect("valid");
        assert_eq!(other.map(|held| held.value).as_deref(), Some("Lund"));
    }

    #[test]
    fn a_set_replaces_what_others_have_and_what_was_sent_of_theirs_is_theirs_whole() {
        assert!(Set.replaces());
        assert_eq!(Set.elsewhere(&sent("Malmö", "Lund", 1)).as_deref(), Some("Malmö"));
    }

    #[test]
    fn of_a_set_the_newer_stays() {
        let ours = own("Lund");
        check(&Set, ours, &[], None, Decision::Ours, "Lund");
        check(&Set, ours, &[], Some(shown("Malmö", 99)), Decision::Ours, "Lund");
        check(&Set, ours, &[], Some(shown("Malmö", 100)), Decision::Ours, "Lund");
        check(&Set, ours, &[], Some(shown("Malmö", 101)), Decision::Superseded, "Malmö");
        check(&Set, ours, &[sent("Ystad", "Ystad", 50)], Some(shown("Malmö", 101)), Decision::Superseded, "Malmö");
        check(&Set, ours, &[sent("Ystad", "Ystad", 50)], Some(shown("Ystad", 50)), Decision::Ours, "Lund");
        // By the time of the event, not of our last request.
        check(&Set, ours, &[sent("Ystad", "Ystad", 150)], Some(shown("Malmö", 120)), Decision::Superseded, "Malmö");
    }

    #[test]
    fn a_set_of_the_second_in_which_ours_was_delivered_stays() {
        let ours = own("Lund");
        let sends = |version, is_lost| [Sent { version, is_lost, ..sent("Lund", "Lund", 100) }];
        check(&Set, ours, &sends(9, false), Some(shown("Malmö", 100)), Decision::Superseded, "Malmö");
        check(&Set, ours, &sends(9, false), Some(shown("Malmö", 99)), Decision::Ours, "Lund");
        // It may never have been applied, or is an older one with the same value.
        check(&Set, ours, &sends(9, true), Some(shown("Malmö", 100)), Decision::Ours, "Lund");
        check(&Set, ours, &sends(8, false), Some(shown("Malmö", 100)), Decision::Ours, "Lund");
    }

    #[test]
    fn a_late_set_is_not_left_out_for_our_own_write_whose_answer_was_lost() {
        check(&Set, own("Lund"), &[lost("Ystad", "Ystad", 200)], Some(shown("Ystad", 200)), Decision::Ours, "Lund");
    }

    #[test]
    fn what_somebody_else_set_hours_later_is_theirs_though_it_says_what_ours_said() {
        let late = Own { event_time: at(3_000), ..own("Lund") };
        let sends = [sent("Ystad", "Ystad", 100)];
        check(&Set, late, &sends, Some(shown("Ystad", 8_000)), Decision::Superseded, "Ystad");
        check(&Set, late, &sends, Some(shown("Ystad", 3_500)), Decision::Ours, "Lund");
    }

    #[test]
    fn a_value_of_5000_characters_passes_and_one_of_5001_does_not() {
        assert!(run(&Set, &[(1, &"ö".repeat(5_000))]).is_ok());
        assert_eq!(run(&Set, &[(1, &"ö".repeat(5_001))]), Err(ChangeError::ValueTooLong { found: 5_001 }));
    }

    #[test]
    fn a_time_that_cannot_be_read_is_not_1970() {
        check(&Set, own("Lund"), &[], timeless("Malmö"), Decision::Superseded, "Malmö");
        // The profile's own time is only an upper bound for when the others' value was written.
        check(&Set, own("Lund"), &[], whole("Malmö", 19 * HOUR), Decision::Superseded, "Malmö");
        let fresh = Own { event_time: at(20 * HOUR - 60), ..own("Lund") };
        check(&Set, fresh, &[], timeless("Malmö"), Decision::Ours, "Lund");
    }

    #[test]
    fn an_event_of_less_than_a_quarter_of_an_hour_does_not_give_way_to_a_value_without_a_time() {
        let aged = |minutes: i64| Own { event_time: at(20 * HOUR - minutes * 60), ..own("Lund") };
        check(&Set, aged(14), &[], timeless("Malmö"), Decision::Ours, "Lund");
        check(&Set, aged(15), &[], timeless("Malmö"), Decision::Superseded, "Malmö");
    }
}
