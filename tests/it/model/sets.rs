//! `set`, `first`, `max` and `min`: the value that the rules say, and none undone by a worse one.

use std::time::Duration;

use outpost::core::operation::{Operation, decimal_text, number};
use outpost::core::timestamp::Timestamp;

use super::journal::{Who, Write};
use super::oracle::{Acknowledged, Certainty, Finding, Key, Kind};

pub fn judge(key: &Key<'_>, is_exempt: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = key.writes.iter().filter_map(|write| undone(key, write)).collect();
    let certainty = key.certainty();
    let Some(last) = key.last.as_deref() else {
        let may_be_gone = match certainty {
            Certainty::Alone(device) => {
                let decisive = alone(key);
                key.is_last_dropped(device) || key.is_expired_after(|one| one.value(key.name) == Some(&decisive))
            }
            Certainty::Clean => false,
            Certainty::Sanity => true,
        };
        if !may_be_gone && !is_exempt {
            findings.push(key.finding(Kind::Gone, key.end, "nothing is there"));
        }
        return findings;
    };
    if !is_known(key, last) {
        findings.push(key.finding(Kind::Unknown, key.end, last));
    }
    if is_exempt {
        return findings;
    }
    let wrong = |expected: &str| {
        (expected != last).then(|| key.finding(Kind::Wrong, key.end, format!("{last}, and {expected} is right")))
    };
    let is_by_number = matches!(key.operation, Operation::Max | Operation::Min);
    match certainty {
        Certainty::Alone(device) if key.is_last_dropped(device) => {}
        Certainty::Alone(_) => findings.extend(wrong(&alone(key))),
        Certainty::Clean if is_by_number => findings.extend(wrong(&alone(key))),
        _ if is_by_number => {}
        Certainty::Clean => {
            findings.extend(devices(key).filter_map(|device| never_arrived(key, device)));
            findings.extend(gone_back(key, last));
        }
        Certainty::Sanity => findings.extend(devices(key).filter_map(|device| never_arrived(key, device))),
    }
    findings
}

fn devices(key: &Key<'_>) -> impl Iterator<Item = usize> {
    let devices: std::collections::BTreeSet<usize> = key.events.iter().map(|event| event.device).collect();
    devices.into_iter()
}

/// What the rules make of all events and of what the web site wrote.
fn alone(key: &Key<'_>) -> String {
    let of_web = key.writes.iter().filter_map(|write| write.part.as_ref()).map(|(_, operand)| operand.as_str());
    let numbers = || key.events.iter().map(|event| event.operand.as_str()).chain(of_web.clone()).filter_map(number);
    match key.operation {
        Operation::Max => numbers().max().map(decimal_text).unwrap_or_default(),
        Operation::Min => numbers().min().map(decimal_text).unwrap_or_default(),
        _ => decisive(key, None).map(|event| event.operand.clone()).unwrap_or_default(),
    }
}

/// The event that decides, by event time, and then by the order of recording: the newest, or for `first` the oldest.
fn decisive<'a>(key: &Key<'a>, device: Option<usize>) -> Option<&'a Acknowledged> {
    let own = key.events.iter().copied().filter(|event| device.is_none_or(|device| event.device == device));
    match key.operation {
        Operation::First => own.min_by_key(|event| (event.time, event.seq)),
        _ => own.max_by_key(|event| (event.time, event.seq)),
    }
}

fn is_known(key: &Key<'_>, value: &str) -> bool {
    let is_same = |operand: &str| match key.operation {
        Operation::Max | Operation::Min => number(operand) == number(value),
        _ => operand == value,
    };
    key.events.iter().any(|event| is_same(&event.operand))
        || key.writes.iter().filter_map(|write| write.part.as_ref()).any(|(_, operand)| is_same(operand))
}

/// A device's deciding value never came to Target, and nothing there was a reason to leave it out.
fn never_arrived(key: &Key<'_>, device: usize) -> Option<Finding> {
    let event = decisive(key, Some(device))?;
    let slack = key.rules.slack(device);
    let arrived = key
        .requests
        .iter()
        .any(|request| request.device == device && request.value(key.name) == Some(event.operand.as_str()));
    let stands = key.writes.iter().any(|write| write.value.as_deref() == Some(event.operand.as_str()));
    let is_newer = |write: &Write| wins(key.operation, write.at, event.happened_at, slack);
    let is_reason = |write: &Write| write.who != Who::Device(device) && is_newer(write);
    // Without the attribute's own time, the profile's is all that is known, whoever wrote it last.
    let was_left_out = key.writes.iter().any(|write| is_reason(write))
        || (key.lacks_times(device)
            && key.writes.iter().any(|write| write.who != Who::Device(device))
            && key.journal.writes.iter().any(|write| write.identity == *key.identity && is_newer(write)));
    let text = || format!("device {device} never sent {} of {}", event.operand, event.happened_at);
    (!arrived && !stands && !was_left_out).then(|| key.finding(Kind::Wrong, key.end, text()))
}

/// What stands at the end is a device's own, and not the one that decides.
fn gone_back(key: &Key<'_>, last: &str) -> Option<Finding> {
    let written = key.writes.iter().rfind(|write| write.value.is_some())?;
    let Who::Device(device) = written.who else { return None };
    let event = decisive(key, Some(device))?;
    let is_own = key.events.iter().any(|one| one.device == device && one.operand == last);
    // Another device's row that carries it along makes it newer than an event before: nobody can tell it from a new value.
    let is_carried = key.writes.iter().any(|write| {
        let is_others = write.who != Who::Device(device) && write.value.as_deref() == Some(last);
        is_others && wins(key.operation, write.at, event.happened_at, key.rules.slack(device))
    });
    let text = || format!("{last}, and device {device} had {} to say", event.operand);
    (is_own && event.operand != last && !is_carried).then(|| key.finding(Kind::Wrong, key.end, text()))
}

/// Whether a write at Target of that time is a reason to leave out an event of that time, if clocks may be off by so much.
fn wins(operation: Operation, written_at: Timestamp, happened_at: Timestamp, slack: Duration) -> bool {
    match operation {
        Operation::First => written_at <= happened_at.plus(slack),
        _ => written_at.plus(slack) > happened_at,
    }
}

/// A write over a better one that the device must have seen.
fn undone(key: &Key<'_>, write: &Write) -> Option<Finding> {
    let (Some(value), Who::Device(device)) = (&write.value, write.who) else { return None };
    let (rules, slack) = (key.rules, key.rules.slack(device));
    let own = key.events.iter().filter(|event| event.device == device && event.operand == *value);
    let event = own.max_by_key(|event| event.time);
    let is_foreign = |seen: &Write| {
        seen.value.as_ref().is_some_and(|seen| {
            seen != value && !key.events.iter().any(|event| event.device == device && event.operand == *seen)
        })
    };
    let is_undone = match (key.operation, event) {
        (Operation::Max, _) => {
            key.always_saw_better(write, |seen| compare(seen, value).is_some_and(std::cmp::Ordering::is_gt))
        }
        (Operation::Min, _) => {
            key.always_saw_better(write, |seen| compare(seen, value).is_some_and(std::cmp::Ordering::is_lt))
        }
        (Operation::First, Some(event)) => {
            key.always_saw_better(write, |seen| is_foreign(seen) && seen.at.plus(slack) < event.happened_at)
        }
        (_, Some(event)) => {
            let request = write.request.map(|request| &key.journal.requests[request]);
            let is_single = request.is_some_and(|request| request.batch.is_none());
            let is_fresh = write.sent_at.since(event.happened_at) <= rules.late_after + slack;
            !(is_single && is_fresh)
                && key.always_saw_better(write, |seen| {
                    is_foreign(seen) && first_at(key, seen) > event.happened_at.plus(slack)
                })
        }
        // Carried: it must be what was read.
        (_, None) => key.always_saw_better(write, |seen| seen.value.as_ref() != Some(value)),
    };
    let text = format!("{value} was written over a better one that device {device} had read");
    is_undone.then(|| key.finding(Kind::Undone, write.at, text))
}

/// When a value was first written: who carries it along in a row does not make it newer.
fn first_at(key: &Key<'_>, seen: &Write) -> Timestamp {
    key.writes.iter().find(|write| write.value == seen.value).map_or(seen.at, |write| write.at)
}

fn compare(seen: &Write, value: &str) -> Option<std::cmp::Ordering> {
    Some(number(seen.value.as_deref()?)?.cmp(&number(value)?))
}
