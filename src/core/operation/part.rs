//! Parts: what each device of a fleet knows of an attribute, and how the parts become one value.
//!
//! A part is a state and no event: sent twice, late or in another order, it changes nothing. The parts of `set`, `first`,
//! `max`, `min` and `append` are joined: [`super::Operation::join`] is commutative, associative and idempotent. Those of `add`
//! have ids of their own, and their sum is the value: see [`sum`].

use std::cmp::Reverse;
use std::sync::Arc;

use super::decimal::decimal_text;
use super::value::ChangeError;
use crate::core::number::Number;
use crate::core::timestamp::Timestamp;

/// The position of a device's change among the changes of all devices: by time, then by device and its own order.
///
/// Two changes have the same position only if a device repeats itself, or goes on from an older copy of its disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartStamp {
    /// Time of the event.
    pub time: Timestamp,
    /// Name of the device.
    pub device: Arc<str>,
    /// Number of the event in the device's journal.
    pub seq: i64,
}

/// An entry of the list of an `append`: an item, or the end of a list whose items were too long. Ordered as the list is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartItem {
    /// Position of the event that appended it.
    pub stamp: PartStamp,
    /// Items of the same event behind it: so that an event may append the same item twice, and its items keep their order.
    pub behind: Reverse<u32>,
    /// The item itself; none where the list ends.
    pub item: Option<String>,
}

/// A device's part of an attribute that is no sum, or the parts of several joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Value as Target gets it.
    pub value: String,
    /// Position of the change that decided the value.
    pub stamp: PartStamp,
    /// Items of an `append`, in order; empty for other operations.
    pub items: Vec<PartItem>,
}

/// Adds the values of parts of an `add`. The order does not matter.
///
/// # Errors
/// [`ChangeError::OperandNotANumber`] for a part that is no number, [`ChangeError::SumTooLarge`] where the sum needs more than 28
/// digits.
pub fn sum<'v>(values: impl IntoIterator<Item = &'v str>) -> Result<String, ChangeError> {
    short(&total(values)?)
}

/// Adds the values of parts of an `add` into one that is exact, however many digits it needs: it is only a part of a sum.
///
/// # Errors
/// As [`sum`], with [`ChangeError::SumTooLarge`] only beyond all digits that a number may have.
pub fn partial_sum<'v>(values: impl IntoIterator<Item = &'v str>) -> Result<String, ChangeError> {
    total(values).map(|total| total.to_string())
}

/// Returns the sum after one of its parts has changed from one value to another.
///
/// # Errors
/// As [`sum`].
pub fn sum_after(sum: &str, before: &str, after: &str) -> Result<String, ChangeError> {
    let before = operand(before)?.negated().to_string();
    short(&total([sum, &before, after])?)
}

fn total<'v>(values: impl IntoIterator<Item = &'v str>) -> Result<Number, ChangeError> {
    let mut total = Number::ZERO;
    for value in values {
        total = total.plus(&operand(value)?).ok_or(ChangeError::SumTooLarge)?;
    }
    Ok(total)
}

fn operand(value: &str) -> Result<Number, ChangeError> {
    Number::parse(value.trim()).ok_or(ChangeError::OperandNotANumber)
}

fn short(total: &Number) -> Result<String, ChangeError> {
    total.to_decimal().map(decimal_text).ok_or(ChangeError::SumTooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::core::operation::{Held, Operation, Stamp};

    /// An event of one of three devices: `(device, time, operand)`.
    type Happened = (usize, i64, String);

    fn operand(operation: Operation) -> BoxedStrategy<String> {
        match operation {
            Operation::Set | Operation::First => {
                select(vec!["", "Lund", "Ystad", "Malmö"]).prop_map(str::to_owned).boxed()
            }
            // Long items, so that the bound of the whole list matters as much as that of their number.
            Operation::Append => (0..4_usize, select(vec![1, 40, 900]))
                .prop_map(|(which, length)| ["a", "b", "ö", "c"][which].repeat(length))
                .boxed(),
            _ => select(vec!["1", "2", "-1", "0.5", "10", "1e-28"]).prop_map(str::to_owned).boxed(),
        }
    }

    fn stories(operation: Operation) -> impl Strategy<Value = (Vec<Happened>, Vec<Index>)> {
        let event = (0..3_usize, 0..12_i64, operand(operation));
        (prop::collection::vec(event, 1..90), prop::collection::vec(any::<Index>(), 0..60))
    }

    fn device(number: usize) -> Arc<str> {
        format!("till-{number}").into()
    }

    /// The value that each device holds after each of its events, in the order in which they happen.
    fn states(operation: Operation, story: &[Happened]) -> Vec<(usize, Held)> {
        let mut held: [Option<Held>; 3] = Default::default();
        let mut states = Vec::new();
        for (seq, (device, time, operand)) in (1..).zip(story) {
            let stamp = Stamp { time: Timestamp::from_millis(*time), seq };
            if let Some(next) = operation.change(held[*device].as_ref(), operand, stamp).expect("valid") {
                states.push((*device, next.clone()));
                held[*device] = Some(next);
            }
        }
        states
    }

    /// The value of one device that recorded all events in the order of their stamps.
    fn of_one_store(operation: Operation, story: &[Happened]) -> Option<String> {
        let mut all: Vec<_> =
            (1_i64..).zip(story).map(|(seq, (device, time, operand))| (time, device, seq, operand)).collect();
        all.sort();
        let mut held = None;
        for (seq, (time, _, _, operand)) in (1..).zip(all) {
            let stamp = Stamp { time: Timestamp::from_millis(*time), seq };
            held = operation.change(held.as_ref(), operand, stamp).expect("valid").or(held);
        }
        held.map(|held| held.value)
    }

    fn joined(operation: Operation, parts: Vec<Part>) -> Part {
        parts.into_iter().reduce(|a, b| operation.join(a, b).expect("valid")).expect("valid")
    }

    const STATES: [Operation; 5] =
        [Operation::Set, Operation::Max, Operation::Min, Operation::First, Operation::Append];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// Every device hands over its newest state at least, earlier ones at random, again and in any order.
        #[test]
        fn parts_in_any_order_and_number_are_what_one_store_of_all_events_holds(
            (operation, (story, extra)) in select(STATES.to_vec()).prop_flat_map(|operation| (Just(operation), stories(operation))),
            order in any::<u64>(),
        ) {
            let states = states(operation, &story);
            prop_assume!(!states.is_empty());
            let part = |(from, held): &(usize, Held)| operation.part(held, &device(*from));
            let mut parts: Vec<Part> = (0..3).filter_map(|from| states.iter().rfind(|state| state.0 == from)).map(part).collect();
            parts.extend(extra.iter().map(|which| part(which.get(&states))));
            let all = joined(operation, parts.clone());
            prop_assert_eq!(Some(all.value.clone()), of_one_store(operation, &story));
            let mut random = fastrand::Rng::with_seed(order);
            random.shuffle(&mut parts);
            prop_assert_eq!(&joined(operation, parts.clone()), &all);
            // Joined by twos, as two nodes would that meet afterwards.
            let (left, right) = parts.split_at(random.usize(0..=parts.len()));
            let halves: Vec<Part> = [left, right].into_iter().filter(|half| !half.is_empty())
                .map(|half| joined(operation, half.to_vec())).collect();
            prop_assert_eq!(&joined(operation, halves), &all);
            prop_assert_eq!(operation.join(all.clone(), all.clone()).expect("valid"), all);
        }

        /// A device that goes on from an older copy of its disk uses the same numbers for other events.
        #[test]
        fn parts_of_copies_of_a_disk_are_joined_to_the_same_in_any_order(
            (operation, (one, _), (other, _)) in select(STATES.to_vec())
                .prop_flat_map(|operation| (Just(operation), stories(operation), stories(operation))),
            order in any::<u64>(),
        ) {
            let mut parts: Vec<Part> = [one, other].iter()
                .flat_map(|story| states(operation, story))
                .map(|(from, held)| operation.part(&held, &device(from))).collect();
            prop_assume!(!parts.is_empty());
            let all = joined(operation, parts.clone());
            fastrand::Rng::with_seed(order).shuffle(&mut parts);
            prop_assert_eq!(&joined(operation, parts), &all);
        }
    }

    #[test]
    fn an_event_that_appends_one_item_twice_is_joined_as_two() {
        let stamp = Stamp { time: Timestamp::from_millis(5), seq: 1 };
        let once = Operation::Append.change(None, "b", stamp).expect("valid").expect("valid");
        let twice = Operation::Append.change(Some(&once), "a", stamp).expect("valid").expect("valid");
        let held = Operation::Append.change(Some(&twice), "b", stamp).expect("valid").expect("valid");
        let part = Operation::Append.part(&held, &device(1));
        let joined = Operation::Append.join(part.clone(), part).expect("valid");
        assert_eq!(joined.value, "b,a,b");
    }

    #[test]
    fn a_sum_is_exact_or_an_error() {
        assert_eq!(sum(["0.1", "0.2", "-5"]).as_deref(), Ok("-4.7"));
        assert_eq!(sum([]).as_deref(), Ok("0"));
        assert_eq!(sum(["1", "many"]), Err(ChangeError::OperandNotANumber));
        assert_eq!(sum(["1000", "1e-28"]), Err(ChangeError::SumTooLarge));
        assert_eq!(sum_after("12", "4", "7").as_deref(), Ok("15"));
        assert_eq!(sum_after("1000", "0", "1e-28"), Err(ChangeError::SumTooLarge));
    }

    #[test]
    fn a_sum_that_fits_is_had_in_any_order_whatever_is_between() {
        let (most, least) = ("9999999999999999999999999999", "0.0000000000000000000000000001");
        let minus = format!("-{most}");
        for values in [[most, least, &minus], [least, most, &minus], [most, &minus, least]] {
            assert_eq!(sum(values).as_deref(), Ok(least), "{values:?}");
        }
        assert_eq!(sum([most, least]), Err(ChangeError::SumTooLarge));
        let part = partial_sum([most, least]).expect("exact");
        assert_eq!(sum([part.as_str(), &minus]).as_deref(), Ok(least));
        // The step from one value to the other has too many digits, and the sum has not.
        assert_eq!(sum_after(most, most, least).as_deref(), Ok(least));
        assert_eq!(sum_after("1", "many", "2"), Err(ChangeError::OperandNotANumber));
    }
}
