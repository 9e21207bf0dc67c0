//! The bounded list of an `append`: the newest items, as many as Target takes.
//!
//! Items that come in any order, at one device or from several, make the same list. For that a list whose items were too
//! long remembers where it ends: an older item that would fit in the room that is left stays out, as it would have done had
//! it come first.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::core::limits::{APPEND_ITEMS_MAX, ATTRIBUTE_VALUE_CHARS_MAX};
use crate::core::operation::part::{PartItem, PartStamp};
use crate::core::timestamp::Timestamp;

/// An entry on disk and on the wire: time of the event in milliseconds, its number, and the item; none where the list ends.
pub type StoredItem = (i64, i64, Option<String>);

/// Returns the list of one device.
pub(super) fn of_device(stored: Vec<StoredItem>, device: &Arc<str>) -> Vec<PartItem> {
    let mut list: Vec<PartItem> = Vec::with_capacity(stored.len() + 1);
    for (time, seq, item) in stored.into_iter().rev() {
        let stamp = PartStamp { time: Timestamp::from_millis(time), device: device.clone(), seq };
        let behind = list.last().filter(|last| last.stamp == stamp).map_or(0, |last| last.behind.0 + 1);
        list.push(PartItem { stamp, behind: Reverse(behind), item });
    }
    list.reverse();
    list
}

/// Returns the list of one device as it is stored.
pub(super) fn stored(list: &[PartItem]) -> Vec<StoredItem> {
    list.iter().map(|it| (it.stamp.time.as_millis(), it.stamp.seq, it.item.clone())).collect()
}

/// Returns the list as Target gets it.
pub(super) fn text(list: &[PartItem]) -> String {
    list.iter().filter_map(|it| it.item.as_deref()).collect::<Vec<_>>().join(",")
}

/// Puts an item behind all that are no newer.
pub(super) fn insert(list: &mut Vec<PartItem>, stamp: PartStamp, item: &str) {
    let place = list.partition_point(|it| it.stamp <= stamp);
    for before in list[..place].iter_mut().rev().take_while(|it| it.stamp == stamp) {
        before.behind.0 += 1;
    }
    list.insert(place, PartItem { stamp, behind: Reverse(0), item: Some(item.to_owned()) });
    bound(list);
}

/// Brings a list of entries of any order within its bounds.
pub(super) fn bound(list: &mut Vec<PartItem>) {
    list.sort_unstable();
    one_for_each_position(list);
    if let Some(end) = list.iter().rposition(|it| it.item.is_none()) {
        end_at(list, end);
    }
    let first = usize::from(list.first().is_some_and(|it| it.item.is_none()));
    let Newest { start, is_too_long } = newest_that_fit(&list[first..], |it| it.item.as_deref().map_or(0, chars));
    if is_too_long {
        end_at(list, first + start - 1);
    } else {
        list.drain(first..first + start);
        // Whatever is older has that many newer ones, so that it stays out anyway.
        if list.len() - first == APPEND_ITEMS_MAX {
            list.drain(..first);
        }
    }
}

/// Leaves one entry for each position: an end before all others, else the longest item, of those the greatest. Only two copies of
/// one disk have two. With the longest a list never becomes shorter by what is joined: what did not fit once never does.
fn one_for_each_position(list: &mut Vec<PartItem>) {
    fn weight(it: &PartItem) -> Option<(usize, &str)> {
        it.item.as_deref().map(|item| (chars(item), item))
    }
    list.dedup_by(|next, kept| {
        let is_same = next.stamp == kept.stamp && next.behind == kept.behind;
        if is_same && kept.item.is_some() && weight(next) > weight(kept) {
            kept.item = next.item.take();
        }
        is_same
    });
}

/// Ends a list at an entry: none of its position, and none before, is an item of the list any more.
fn end_at(list: &mut Vec<PartItem>, end: usize) {
    let position = |it: &PartItem| (it.stamp.clone(), it.behind);
    let at = position(&list[end]);
    list[end].item = None;
    let next = list.partition_point(|it| position(it) <= at);
    list.drain(end + 1..next);
    list.drain(..end);
}

/// The newest items of a list that fit.
pub(super) struct Newest {
    /// Index of the oldest of them.
    pub(super) start: usize,
    /// True if the item before that one would make the list too long; otherwise it would be one item too many, or there is
    /// none.
    pub(super) is_too_long: bool,
}

pub(super) fn newest_that_fit<T>(items: &[T], chars: impl Fn(&T) -> usize) -> Newest {
    // Each item with the comma before it, but for the first.
    let mut room = ATTRIBUTE_VALUE_CHARS_MAX + 1;
    let most = items.len().saturating_sub(APPEND_ITEMS_MAX);
    for (index, item) in items.iter().enumerate().skip(most).rev() {
        match room.checked_sub(chars(item) + 1) {
            Some(left) => room = left,
            None => return Newest { start: index + 1, is_too_long: true },
        }
    }
    Newest { start: most, is_too_long: false }
}

fn chars(item: &str) -> usize {
    item.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_items_of_copies_at_one_position_are_one_and_the_list_keeps_an_item() {
        let item = |text: &str| PartItem {
            stamp: PartStamp { time: Timestamp::from_millis(1), device: "till".into(), seq: 1 },
            behind: Reverse(0),
            item: Some(text.to_owned()),
        };
        let (long, longer) = ("a".repeat(2_600), "b".repeat(2_600));
        for order in [[&long, &longer], [&longer, &long]] {
            let mut list: Vec<PartItem> = order.into_iter().map(|text| item(text)).collect();
            bound(&mut list);
            assert_eq!(text(&list), longer);
        }
    }

    #[test]
    fn a_shorter_item_of_a_copy_makes_no_room_for_what_did_not_fit_before() {
        let item = |seq: i64, text: &str| PartItem {
            stamp: PartStamp { time: Timestamp::from_millis(1), device: "till".into(), seq },
            behind: Reverse(0),
            item: Some(text.to_owned()),
        };
        let (long, half) = ("a".repeat(3_000), "c".repeat(2_500));
        // The older item at 1 does not fit beside the long one, and would beside the one of the copy.
        let (one, copy) = ([item(1, &half), item(2, &long)], [item(2, "b")]);
        let mut at_once: Vec<PartItem> = one.iter().chain(&copy).cloned().collect();
        bound(&mut at_once);
        let mut one_by_one = one.to_vec();
        bound(&mut one_by_one);
        one_by_one.extend(copy);
        bound(&mut one_by_one);
        assert_eq!(one_by_one, at_once);
        assert_eq!(text(&at_once), long);
    }
}
