//! One verdict on the device: the worst of all that matters. The page, `status`, `doctor`, `/readyz`, metrics and the service's
//! status show it, so that none of them says another thing. Its words stand in `core::words`. Pure.

use super::status::{SetAside, Status};
use crate::core::forwarding::link::LinkState;
use crate::core::verdict::{Finding, Level, Verdict};
use crate::core::words::verdicts as say;
use crate::core::words::{Receiver, Said, With};
use crate::device::notices::Notice;
use crate::intake::folder::FolderView;
use crate::intake::view::{Shown, Trouble};

/// The verdict on what a status shows.
pub(super) fn judge(status: &Status) -> Verdict {
    let mut findings: Vec<Finding> =
        [store(status), agent(status), link(status), clock(status)].into_iter().flatten().collect();
    findings.extend(status.notices.iter().map(notice));
    findings.extend(intake(status));
    findings.extend(
        [rejected(status), consent(status), age(status), salvage(status), reads(status), mappings(status)]
            .into_iter()
            .flatten(),
    );
    findings.extend([quota(status), batch_rows(status), set_aside(status), missing(status)].into_iter().flatten());
    if findings.is_empty() {
        findings.push(well(status));
    }
    Verdict::of(findings, status.receiver)
}

/// A status as support may see it: without names that others gave.
#[must_use]
pub fn for_support(status: &Status) -> Status {
    let mut status = status.clone();
    status.intake.folder = status.intake.folder.map(FolderView::without_names);
    status.verdict = judge(&status);
    status
}

/// Age from which what waits needs somebody. Units: seconds. Source: ours; a shop is closed for less.
const OLD_SECONDS: u64 = 24 * 60 * 60;

/// There is nothing to do.
fn well(status: &Status) -> Finding {
    let text = match (status.pending.profiles, status.events.recorded) {
        (0, 0) => say::READY.said(),
        (0, _) => say::ALL_DELIVERED.said(),
        (count, _) => say::ON_THE_WAY.with([count.into()]),
    };
    Finding::new(Level::Well, text, Vec::new())
}

fn agent(status: &Status) -> Option<Finding> {
    (!status.is_running).then(|| Finding::new(Level::Attention, say::NOT_RUNNING, [say::START_IT.said()]))
}

fn notice(notice: &Notice) -> Finding {
    let (text, what_to_do) = notice.said();
    Finding::new(Level::Attention, text, [what_to_do])
}

fn store(status: &Status) -> Option<Finding> {
    // One who asked another agent has its words alone.
    let written = || status.store.refuses.clone().map(|words| crate::core::words::PLAIN.with([words.into()]));
    let why = status.store.refusal.clone().or_else(written)?;
    let what_to_do = if status.store.is_full { say::MAKE_ROOM } else { say::DISK_FAILS };
    Some(Finding::new(Level::Refusing, say::REFUSED.with([With::Said(why)]), [what_to_do.said()]))
}

fn salvage(status: &Status) -> Option<Finding> {
    let kept = &status.store.damaged_stores;
    let words = match &status.store.salvage {
        Some(words) => words.clone(),
        None if kept.is_empty() => return None,
        None => kept.iter().map(|store| store.file.as_str()).collect::<Vec<_>>().join(", "),
    };
    let each =
        kept.iter().map(|store| say::DAMAGED_KEPT.with([store.file.as_str().into(), With::time(&store.deleted_at)]));
    let what_to_do: Vec<Said> =
        [say::REPLACE_DISK.said()].into_iter().chain(each).chain([say::DELETE_DAMAGED.said()]).collect();
    Some(Finding::new(Level::Attention, say::SALVAGED.with([words.into()]), what_to_do))
}

fn link(status: &Status) -> Option<Finding> {
    let reason = || [With::from(status.link_reason.clone().unwrap_or_default())];
    let waits = status.pending.profiles > 0;
    let is = |state: LinkState| status.link == state.name();
    let of_receiver = |target, hub| if status.receiver == Receiver::Hub { hub } else { target };
    let and_kept = |what_to_do: crate::core::words::Text| vec![what_to_do.said(), say::NOTHING_LOST.said()];
    if !status.is_running {
        None
    } else if let Some(why) = &status.not_set_up {
        let text = say::NOT_SET_UP.with([why.as_str().into()]);
        Some(Finding::new(Level::Attention, text, and_kept(say::SET_IT_UP)))
    } else if is(LinkState::Offline) {
        Some(Finding::new(Level::Waiting, say::NOT_REACHED.with(reason()), and_kept(say::CHECK_NETWORK)))
    } else if is(LinkState::Blocked) {
        Some(Finding::new(
            Level::Attention,
            say::BLOCKED.with(reason()),
            and_kept(of_receiver(say::LOG_IN, say::LOG_IN_FOR_HUB)),
        ))
    } else if is(LinkState::Paused) {
        Some(Finding::new(
            Level::Attention,
            say::PAUSED.with(reason()),
            and_kept(of_receiver(say::NEW_TOKEN, say::JOIN_AGAIN)),
        ))
    } else if status.is_told_to_wait && waits {
        Some(Finding::new(Level::Waiting, say::TOLD_TO_WAIT, [say::NOTHING_LOST.said()]))
    } else if is(LinkState::Unknown) && waits && !is_spent(status) {
        Some(Finding::new(Level::Waiting, say::NEXT_TRY, [say::NOTHING_LOST.said()]))
    } else {
        None
    }
}

/// Returns whether a quota is spent, which says why what waits does so.
const fn is_spent(status: &Status) -> bool {
    status.quota.opens_at.is_some() || status.quota.batches_open_at.is_some()
}

fn quota(status: &Status) -> Option<Finding> {
    let is_spent = status.quota.opens_at.is_some() && status.pending.profiles > 0;
    is_spent.then(|| Finding::new(Level::Waiting, say::QUOTA_SPENT, [say::RAISE_QUOTA.said()]))
}

fn batch_rows(status: &Status) -> Option<Finding> {
    let is_spent = status.quota.batches_open_at.is_some() && status.pending.profiles > 0;
    is_spent.then(|| Finding::new(Level::Waiting, say::ROWS_SPENT, [say::TOO_MANY_ROWS.said()]))
}

/// Each profile that waits does so for a reason of its own, so that nothing goes out though the link is good.
fn set_aside(status: &Status) -> Option<Finding> {
    let SetAside { profiles, reason, until } = status.pending.set_aside.as_ref()?;
    let is_all = i64::try_from(*profiles).is_ok_and(|profiles| profiles >= status.pending.profiles);
    let says_another = status.link != LinkState::Online.name() || is_spent(status);
    if !is_all || says_another || status.pending.profiles == 0 {
        return None;
    }
    let text = say::SET_ASIDE.with([reason.as_str().into(), With::time(until)]);
    Some(Finding::new(Level::Waiting, text, [say::TRY_ASIDE.said()]))
}

fn age(status: &Status) -> Option<Finding> {
    let seconds = status.pending.oldest_seconds;
    let is_old = status.pending.profiles > 0 && seconds >= OLD_SECONDS;
    let text = || say::OLD.with([With::count(seconds / 3_600)]);
    is_old.then(|| Finding::new(Level::Attention, text(), [say::SEE_WHY_OLD.said()]))
}

fn missing(status: &Status) -> Option<Finding> {
    let count = status.pending.missing_profiles;
    let text = || say::MISSING.with([count.into()]);
    (count > 0).then(|| Finding::new(Level::Waiting, text(), [say::AUTO_CREATES.said()]))
}

fn rejected(status: &Status) -> Option<Finding> {
    let count = status.rejected.events + status.rejected.updates;
    let text = || say::REJECTED_KEPT.with([count.into()]);
    (count > 0).then(|| Finding::new(Level::Attention, text(), [say::FIX_REJECTED.said()]))
}

/// Nobody knows whether these people agreed, and what is lost cannot be sent again from here.
fn consent(status: &Status) -> Option<Finding> {
    let at = status.events.consent_unknown_at.as_deref()?;
    let text = say::CONSENT_UNKNOWN.with([status.events.consent_unknown.into(), With::time(at)]);
    Some(Finding::new(Level::Attention, text, [say::FIX_CONSENT.said()]))
}

fn reads(status: &Status) -> Option<Finding> {
    let reason = status.reads.denied.as_deref()?;
    Some(Finding::new(Level::Attention, say::READS_DENIED.with([reason.into()]), [say::LET_READ.said()]))
}

fn mappings(status: &Status) -> Option<Finding> {
    (status.mappings == 0).then(|| Finding::new(Level::Attention, say::NO_MAPPING, [say::ADD_MAPPING.said()]))
}

fn clock(status: &Status) -> Option<Finding> {
    let behind = status.clock_behind_seconds;
    let text = || say::CLOCK_BEHIND.with([With::count(behind)]);
    (behind > 0).then(|| Finding::new(Level::Attention, text(), [say::SET_CLOCK.said()]))
}

fn intake(status: &Status) -> impl Iterator<Item = Finding> + '_ {
    status.intake.shown().filter_map(Shown::trouble).map(|trouble| match trouble {
        Trouble::Waits(text) => Finding::new(Level::Waiting, text, Vec::new()),
        Trouble::Needs(text, what_to_do) => Finding::new(Level::Attention, text, [what_to_do.said()]),
    })
}
