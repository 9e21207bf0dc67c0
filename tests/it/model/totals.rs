//! Totals and lists: never counted twice, and nothing missing but what was ambiguous.

use std::collections::BTreeSet;

use outpost::core::limits::APPEND_ITEMS_MAX;
use outpost::core::operation::{Operation, decimal_text, number};
use outpost::core::timestamp::Timestamp;
use rust_decimal::Decimal;

use super::journal::{Outcome, Request, Who, Write};
use super::mins;
use super::oracle::{Certainty, Finding, Key, Kind};

/// One thing that somebody counted.
struct Part<'a> {
    who: Who,
    operand: &'a str,
    at: Timestamp,
    is_ambiguous: bool,
}

pub fn judge(key: &Key<'_>, is_exempt: bool) -> Vec<Finding> {
    let parts = parts(key);
    let mut findings = on_the_way(key, &parts);
    let certainty = key.certainty();
    let is_loose = is_exempt
        || match certainty {
            Certainty::Alone(device) => {
                let recorded_at = key.events.iter().map(|event| event.recorded_at).max();
                let is_all = |one: &Request| Some(one.sent_at) >= recorded_at;
                key.is_last_dropped(device) || (key.last.is_none() && key.is_expired_after(is_all))
            }
            Certainty::Clean => false,
            Certainty::Sanity => true,
        };
    let may_miss = |part: &Part<'_>| is_loose || (part.is_ambiguous && certainty == Certainty::Clean);
    let Some(last) = key.last.as_deref() else {
        if !parts.iter().all(may_miss) {
            findings.push(key.finding(Kind::Gone, key.end, "nothing is there"));
        }
        return findings;
    };
    let finding = match key.operation {
        Operation::Add => judge_sum(key, last, &parts, may_miss),
        _ => judge_list(key, last, &parts, may_miss),
    };
    findings.extend(finding);
    findings
}

fn judge_sum(key: &Key<'_>, last: &str, parts: &[Part<'_>], may_miss: impl Fn(&Part<'_>) -> bool) -> Option<Finding> {
    let Some(held) = number(last) else {
        return Some(key.finding(Kind::Unknown, key.end, last));
    };
    let most = sum(parts.iter());
    let least = sum(parts.iter().filter(|part| !may_miss(part) || is_negative(part)));
    let most_with_missing = sum(parts.iter().filter(|part| !(may_miss(part) && is_negative(part))));
    let text = format!("{last}, and {} is right, at least {}", decimal_text(most), decimal_text(least));
    if held > most_with_missing {
        Some(key.finding(Kind::TooMuch, key.end, text))
    } else {
        (held < least).then(|| key.finding(Kind::TooLittle, key.end, text))
    }
}

fn judge_list(key: &Key<'_>, last: &str, parts: &[Part<'_>], may_miss: impl Fn(&Part<'_>) -> bool) -> Option<Finding> {
    let items: Vec<&str> = last.split(',').collect();
    let missing: Vec<&str> = parts
        .iter()
        .filter(|part| !may_miss(part) && !items.contains(&part.operand))
        .map(|part| part.operand)
        .collect();
    let is_full = items.len() >= APPEND_ITEMS_MAX;
    (!missing.is_empty() && !is_full)
        .then(|| key.finding(Kind::ItemMissing, key.end, format!("{last}, and {missing:?} are missing")))
}

/// No write counts more than there was to count when it came.
fn on_the_way(key: &Key<'_>, parts: &[Part<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for write in &key.writes {
        let (Some(value), Who::Device(device)) = (&write.value, write.who) else { continue };
        let mut add = |kind, text: String| findings.push(key.finding(kind, write.at, text));
        let known = || parts.iter().filter(|part| part.at <= write.at);
        if key.operation == Operation::Append {
            let mut seen = BTreeSet::new();
            match value.split(',').find(|item| !seen.insert(*item)) {
                Some(item) => add(Kind::ItemTwice, format!("{value} holds {item} twice")),
                None if value.split(',').any(|item| known().all(|part| part.operand != item)) => {
                    add(Kind::Unknown, format!("{value} holds what nobody appended"));
                }
                None => {}
            }
            continue;
        }
        let Some(held) = number(value) else {
            add(Kind::Unknown, format!("{value} is no number"));
            continue;
        };
        // With negative parts, what was not delivered yet may be less than what was.
        if parts.iter().any(is_negative) {
            continue;
        }
        let most = sum(known());
        if held > most {
            add(Kind::TooMuch, format!("{value} was written when {} was all there was", decimal_text(most)));
        }
        let close = mins(1) + key.rules.slack(device);
        let own = || key.requests.iter().filter(|one| one.device == device && one.sent_at < write.sent_at);
        let sent_before = own().filter(|one| one.outcome != Outcome::No).map(|one| one.sent_at).max();
        let is_better = |seen: &Write| {
            // What is just what we sent ourselves cannot be told from it.
            own().all(|one| one.value(key.name) != seen.value.as_deref())
                && sent_before.is_none_or(|sent_at| seen.at > sent_at.plus(close))
                && seen.value.as_deref().and_then(number).is_some_and(|seen| seen > held)
        };
        if key.always_saw_better(write, is_better) {
            add(Kind::Undone, format!("{value} was written over more"));
        }
    }
    findings
}

fn sum<'a>(parts: impl Iterator<Item = &'a Part<'a>>) -> Decimal {
    parts.filter_map(|part| number(part.operand)).sum()
}

fn is_negative(part: &Part<'_>) -> bool {
    number(part.operand).is_some_and(|number| number.is_sign_negative())
}

fn parts<'a>(key: &Key<'a>) -> Vec<Part<'a>> {
    let of_web = key.writes.iter().filter_map(|write| {
        let (_, operand) = write.part.as_ref()?;
        Some(Part { who: Who::Web, operand, at: write.at, is_ambiguous: false })
    });
    let mut parts: Vec<Part<'a>> = key
        .events
        .iter()
        .map(|event| Part {
            who: Who::Device(event.device),
            operand: &event.operand,
            at: event.recorded_at,
            is_ambiguous: false,
        })
        .chain(of_web)
        .collect();
    for (who, from, to) in ambiguous_times(key) {
        for part in parts.iter_mut().filter(|part| part.who == who && part.at > from && part.at <= to) {
            part.is_ambiguous = true;
        }
    }
    parts
}

/// When a device's answers were ambiguous and somebody else wrote before it had a definite one: what it recorded in that time
/// may be taken for delivered.
fn ambiguous_times(key: &Key<'_>) -> Vec<(Who, Timestamp, Timestamp)> {
    let mut times = Vec::new();
    // A row that does not hold it may have removed it.
    let removed = key.writes.iter().filter(|write| write.value.is_none()).filter_map(|write| write.request);
    let removing = removed.map(|request| &key.journal.requests[request]);
    let sent = key.requests.iter().copied().chain(removing);
    for unclear in sent.filter(|one| matches!(one.outcome, Outcome::Lost | Outcome::Open)) {
        let who = Who::Device(unclear.device);
        let own = || key.requests.iter().filter(|one| one.device == unclear.device && one.outcome == Outcome::Yes);
        // What was lost may come late, over what was delivered since.
        let unclear_until = unclear.applied_at.unwrap_or(unclear.sent_at).max(unclear.sent_at);
        let heard = |one: &&&Request| one.heard_at.unwrap_or(one.sent_at);
        let next = own().filter(|one| one.sent_at > unclear_until).min_by_key(heard);
        let to = next.map_or(key.end, |one| one.heard_at.unwrap_or(one.sent_at));
        let is_met = key.writes.iter().any(|write| write.who != who && write.at > unclear.sent_at && write.at <= to);
        if is_met {
            let before = own().filter(|one| one.sent_at < unclear.sent_at).map(|one| one.sent_at).max();
            // What was recorded while the update before was on its way is not in it.
            let from = before.map_or(Timestamp::from_millis(0), |at| at.minus(mins(6)));
            times.push((who, from, to));
        }
    }
    times
}
