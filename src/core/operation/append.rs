//! `append`: the value joins a bounded, comma-separated list, ordered by event time.

use std::sync::Arc;

use crate::core::operation::list::{self, StoredItem};
use crate::core::operation::part::{Part, PartItem, PartStamp};
use crate::core::operation::rule::Rule;
use crate::core::operation::sent::{Decision, Own, Sent, Shown, base, is_after_ours, sent_before, together};
use crate::core::operation::value::{ChangeError, Held, Stamp};
use crate::core::timestamp::Timestamp;

pub(super) struct Append;

impl Rule for Append {
    fn is_total(&self) -> bool {
        true
    }

    fn is_list(&self) -> bool {
        true
    }

    fn elsewhere(&self, sent: &Sent) -> Option<String> {
        let mut ours: Vec<&str> = sent.own.split(',').collect();
        let is_theirs = |item: &&str| match ours.iter().rposition(|own| own == item) {
            Some(place) => {
                ours.remove(place);
                false
            }
            None => true,
        };
        // From the newest on: what is ours was appended to what they had.
        let mut theirs: Vec<&str> = sent.value.split(',').rev().filter(is_theirs).collect();
        theirs.reverse();
        (!theirs.is_empty()).then(|| theirs.join(","))
    }

    fn change(&self, held: Option<&Held>, operand: &str, stamp: Stamp) -> Result<Option<Held>, ChangeError> {
        if operand.contains(',') {
            return Err(ChangeError::CommaInItem);
        }
        if operand.is_empty() {
            return Ok(None);
        }
        let device: Arc<str> = "".into();
        let mut list = held.map(|held| list::of_device(stored_items(held), &device)).unwrap_or_default();
        list::insert(&mut list, PartStamp { time: stamp.time, device, seq: stamp.seq }, operand);
        Ok(list.last().filter(|last| last.item.is_some()).map(|last| Held {
            value: list::text(&list),
            stamp: Stamp { time: last.stamp.time, seq: last.stamp.seq },
            items: Some(serde_json::to_string(&list::stored(&list)).expect("numbers and strings are JSON")),
        }))
    }

    fn part_items(&self, held: &Held, device: &Arc<str>) -> Vec<PartItem> {
        list::of_device(stored_items(held), device)
    }

    /// The newest items of both that fit.
    fn join(&self, a: Part, b: Part) -> Result<Part, ChangeError> {
        let newest = a.stamp.clone().max(b.stamp.clone());
        let mut items: Vec<PartItem> = a.items.into_iter().chain(b.items).collect();
        list::bound(&mut items);
        let stamp = items.last().map_or(newest, |last| last.stamp.clone());
        Ok(Part { value: list::text(&items), stamp, items })
    }

    /// Appends those of our items that Target does not have to the list that it has.
    fn merge(&self, own: Own<'_>, sends: &[Sent], others: Option<&Shown>, now: Timestamp) -> (Decision, String) {
        let theirs = others.filter(|theirs| is_after_ours(sends, theirs, now));
        let last = sends.last();
        // A list with only our items is ordered by their events.
        if theirs.is_none() && last.is_none_or(|last| last.value == last.own) {
            return (Decision::Ours, own.value.to_owned());
        }
        let list = || {
            let after = sent_before(sends, theirs).map_or(0, |sent| sent.version);
            let items: Vec<StoredItem> = serde_json::from_str(own.items?).ok()?;
            let new = items.iter().filter(|(_, seq, _)| *seq > after).filter_map(|(_, _, item)| item.as_deref());
            let held = base(last, theirs)?.split(',').chain(new).filter(|item| !item.is_empty());
            Some(append_list(held.collect()))
        };
        together(own, list())
    }
}

/// Returns the items with their order. A value left by another operation counts as items of its own time.
fn stored_items(held: &Held) -> Vec<StoredItem> {
    let stored = held.items.as_deref().and_then(|items| serde_json::from_str(items).ok());
    let mut items: Vec<StoredItem> = stored.unwrap_or_else(|| {
        let at = (held.stamp.time.as_millis(), held.stamp.seq);
        held.value.split(',').map(|item| (at.0, at.1, Some(item.to_owned()))).collect()
    });
    // Older versions accepted empty items.
    items.retain(|(_, _, item)| item.as_deref() != Some(""));
    items
}

/// Joins a list as `append` keeps it: the last items that fit, separated by commas.
#[must_use]
pub fn append_list(mut items: Vec<&str>) -> String {
    let start = list::newest_that_fit(&items, |item| item.chars().count()).start;
    items.split_off(start).join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::APPEND_ITEMS_MAX;
    use crate::core::operation::testing::{HOUR, after, check, check_change, lost, own, run, sent, shown};

    #[test]
    fn append_adds_no_empty_item_and_drops_those_that_are_held() {
        check_change(&Append, &[(1, ""), (2, "Lund")], "Lund");
        check_change(&Append, &[(1, "Lund"), (2, ""), (3, "Ystad")], "Lund,Ystad");
        check_change(&Append, &[(1, " "), (2, "Lund")], " ,Lund");
        let items = r#"[[1,1,""],[2,1,"Lund"],[3,1,""]]"#;
        assert_eq!(after(&Append, ",Lund,", Some(items), 6, "Ystad").as_deref(), Some("Lund,Ystad"));
        assert_eq!(after(&Append, ",Lund", None, 6, "Ystad").as_deref(), Some("Lund,Ystad"));
        assert_eq!(after(&Append, ",Lund,", Some(items), 6, "").as_deref(), None);
        assert_eq!(run(&Append, &[(1, ",")]), Err(ChangeError::CommaInItem));
    }

    #[test]
    fn append_orders_by_event_time_and_keeps_the_newest_items() {
        check_change(&Append, &[(2, "b"), (1, "a"), (3, "c")], "a,b,c");
        let many: Vec<(i64, &str)> = (0..60).map(|time| (time, "x")).collect();
        assert_eq!(run(&Append, &many).expect("valid").split(',').count(), APPEND_ITEMS_MAX);
        assert_eq!(run(&Append, &[(1, "a,b")]), Err(ChangeError::CommaInItem));
    }

    #[test]
    fn append_never_grows_beyond_what_target_takes() {
        let long = "y".repeat(2_000);
        let value = run(&Append, &[(1, &long), (2, &long), (3, &long)]).expect("valid");
        assert_eq!(value.split(',').count(), 2);
    }

    #[test]
    fn a_list_that_ended_at_a_long_item_takes_no_older_one_however_many_came_since() {
        let long = "y".repeat(4_000);
        let mut changes = vec![(2, "old"), (3, long.as_str()), (4, long.as_str())];
        changes.extend((5..=51).map(|time| (time, "x")));
        changes.push((1, "late"));
        let value = run(&Append, &changes).expect("valid");
        assert!(value.starts_with(&long) && value.split(',').count() == 48, "{} items", value.split(',').count());
    }

    #[test]
    fn of_a_list_that_was_sent_the_items_that_are_not_ours_are_others() {
        let elsewhere = |value: &str, own: &str| Append.elsewhere(&sent(value, own, 1));
        assert_eq!(elsewhere("a,b,c", "b").as_deref(), Some("a,c"));
        // What is ours was appended to what they had.
        assert_eq!(elsewhere("a,b,a", "a").as_deref(), Some("a,b"));
        assert_eq!(elsewhere("a,b", "a,b"), None);
    }

    #[test]
    fn to_a_list_come_the_items_that_were_not_delivered() {
        let ours = Own { items: Some(r#"[[1,4,"a"],[2,6,"b"]]"#), ..own("a,b") };
        check(&Append, ours, &[], None, Decision::Ours, "a,b");
        check(&Append, ours, &[], Some(shown("x", 1)), Decision::Together, "x,a,b");
        check(&Append, ours, &[sent("x,a", "a", 200)], Some(shown("x,a", 200)), Decision::Together, "x,a,b");
        check(&Append, ours, &[sent("x,a", "a", 200)], Some(shown("x,a,y", 201)), Decision::Together, "x,a,y,b");
        check(&Append, ours, &[sent("x,a", "a", 200)], Some(shown("x", 100)), Decision::Together, "x,a,b");
        // Only ours, and one came late: the list is ordered by event time.
        check(&Append, ours, &[sent("b", "b", 200)], Some(shown("b", 200)), Decision::Ours, "a,b");
    }

    #[test]
    fn a_list_of_5000_characters_is_kept_and_of_5001_the_oldest_item_goes() {
        let (short, long) = ("y".repeat(2_499), "y".repeat(2_500));
        assert_eq!(run(&Append, &[(1, &short), (2, &long)]).map(|list| list.len()), Ok(5_000));
        assert_eq!(run(&Append, &[(1, &long), (2, &long)]).map(|list| list.len()), Ok(2_500));
        assert_eq!(append_list(vec![&short, &long]).len(), 5_000);
        assert_eq!(append_list(vec![&long, &long]).len(), 2_500);
    }

    #[test]
    fn an_older_item_stays_out_of_the_room_that_a_long_one_left() {
        let (x, y) = ("x".repeat(2_500), "y".repeat(2_600));
        check_change(&Append, &[(1, "a"), (2, &x), (3, &y)], &y);
        check_change(&Append, &[(2, &x), (3, &y), (1, "a")], &y);
        check_change(&Append, &[(2, &x), (3, &y), (1, "a"), (2, "b")], &format!("b,{y}"));
    }

    #[test]
    fn a_lost_list_that_is_applied_after_a_newer_one_is_known_as_ours_and_put_right() {
        let ours = Own { items: Some(r#"[[1,4,"a"],[2,6,"b"]]"#), ..own("a,b") };
        let sends = [lost("x,a", "a", 200), Sent { version: 6, ..sent("x,a,b", "a,b", 260) }];
        check(&Append, ours, &sends, Some(shown("x,a", HOUR)), Decision::Together, "x,a,b");
    }

    #[test]
    fn an_item_that_was_delivered_is_not_put_after_others_again() {
        let ours = Own { items: Some(r#"[[1,5,"a"],[2,6,"b"]]"#), ..own("a,b") };
        check(&Append, ours, &[sent("x,a", "a", 200)], Some(shown("x,a,y", 201)), Decision::Together, "x,a,y,b");
    }
}
