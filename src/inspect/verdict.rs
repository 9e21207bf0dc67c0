//! One verdict on the device: the worst of all that matters, in words. The page, `status`, `doctor`, `/readyz`, metrics and the
//! service's status show it, so that none of them says another thing. Pure.

use super::status::{DamagedStore, SetAside, Status};
use crate::core::forwarding::link::LinkState;
use crate::core::verdict::{Level, Verdict};
use crate::core::words::capitalised;
use crate::device::notices::Notice;
use crate::intake::folder::FolderView;
use crate::intake::view::{Shown, Trouble};

/// The verdict on what a status shows.
pub(super) fn judge(status: &Status) -> Verdict {
    let mut findings: Vec<Finding> =
        [store(status), agent(status), link(status), clock(status)].into_iter().flatten().collect();
    let notice = |notice: &Notice| Finding::new(Level::Attention, notice.text.as_str(), notice.what_to_do.as_str());
    findings.extend(status.notices.iter().map(notice));
    findings.extend(intake(status));
    findings.extend(
        [rejected(status), age(status), salvage(status), reads(status), mappings(status)].into_iter().flatten(),
    );
    findings.extend([quota(status), batch_rows(status), set_aside(status), missing(status)].into_iter().flatten());
    // What was named first stays first among its like.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    let mut findings = findings.into_iter();
    match findings.next() {
        None => well(status),
        Some(Finding { level, text, what_to_do }) => {
            Verdict { level, text, what_to_do, also: findings.map(|finding| finding.text).collect() }
        }
    }
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

struct Finding {
    level: Level,
    text: String,
    what_to_do: String,
}

impl Finding {
    /// Words without a full stop get one.
    fn new(level: Level, text: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        let mut text = text.into();
        if !text.ends_with(['.', '!', '?']) {
            text.push('.');
        }
        Self { level, text, what_to_do: what_to_do.into() }
    }
}

/// There is nothing to do.
fn well(status: &Status) -> Verdict {
    let text = match (status.pending.profiles, status.events.recorded) {
        (0, 0) => "Ready: nothing was recorded yet.".to_owned(),
        (0, _) => "All that was recorded is at Adobe Target.".to_owned(),
        (count, _) => format!("{} on the way to Adobe Target.", counted(count, "profile is", "profiles are")),
    };
    Verdict { text, ..Verdict::default() }
}

fn agent(status: &Status) -> Option<Finding> {
    let text = "The agent is not running: nothing is sent, and events are recorded by `outpost record` alone";
    (!status.is_running).then(|| Finding::new(Level::Attention, text, "Start it: `outpost run`, or its service."))
}

fn store(status: &Status) -> Option<Finding> {
    let why = status.store.refuses.as_deref()?;
    let what_to_do = if status.store.is_full {
        "Events are taken again by themselves once there is room. What waits is kept: see whether updates go out, free space \
         on the disk, or raise max_size in [store]."
    } else {
        "It is tried again by itself. If it goes on and nothing else is said here, the disk may be failing: see `outpost doctor`."
    };
    Some(Finding::new(Level::Refusing, format!("New events are refused: {why}"), what_to_do))
}

fn salvage(status: &Status) -> Option<Finding> {
    let kept: Vec<String> = status.store.damaged_stores.iter().map(DamagedStore::words).collect();
    let words = match &status.store.salvage {
        Some(words) => words,
        None if kept.is_empty() => return None,
        None => "A damaged store is kept",
    };
    let what_to_do = format!(
        "Replace the disk if it fails again. {}. Delete it, with its -wal, once nobody needs it.",
        kept.join(". ")
    );
    Some(Finding::new(Level::Attention, capitalised(words), what_to_do))
}

fn link(status: &Status) -> Option<Finding> {
    let reason = status.link_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let waits = status.pending.profiles > 0;
    let is = |state: LinkState| status.link == state.name();
    let kept = "Nothing is lost: what is recorded waits, and goes out by itself.";
    if !status.is_running {
        None
    } else if let Some(why) = &status.not_set_up {
        let what_to_do = format!(
            "Correct it: the agent notices a file that changes by itself; after a change of the configuration run `outpost \
             reload`. {kept}"
        );
        Some(Finding::new(Level::Attention, format!("Nothing can be sent to Adobe Target: {why}"), what_to_do))
    } else if is(LinkState::Offline) {
        let what_to_do = format!(
            "Check this device's network, and ask the network's owner whether Adobe Target is let through. {kept}"
        );
        Some(Finding::new(Level::Waiting, format!("Adobe Target is not reached{reason}"), what_to_do))
    } else if is(LinkState::Blocked) {
        let what_to_do = format!(
            "Open any web page on this device: if a login page of the network shows, log in there. Else compare client_code \
             and endpoint in [target], and ask the network's owner to let Adobe Target through. {kept}"
        );
        Some(Finding::new(Level::Attention, format!("Something answers in Adobe Target's place{reason}"), what_to_do))
    } else if is(LinkState::Paused) {
        let what_to_do = format!(
            "Ask whoever runs Adobe Target for a new token, and put it into the token's file: the agent notices it by itself. \
             {kept}"
        );
        Some(Finding::new(Level::Attention, format!("Adobe Target does not accept the token{reason}"), what_to_do))
    } else if status.is_told_to_wait && waits {
        Some(Finding::new(Level::Waiting, "Adobe Target asks this device to wait", kept))
    } else if is(LinkState::Unknown) && waits && !is_spent(status) {
        Some(Finding::new(Level::Waiting, "Updates wait for the next try", kept))
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
    let what_to_do = "Updates go on by themselves when there is room. If this happens often, raise updates_per_day in \
                      [target.quota].";
    is_spent.then(|| Finding::new(Level::Waiting, "The quota of single updates is spent", what_to_do))
}

fn batch_rows(status: &Status) -> Option<Finding> {
    let is_spent = status.quota.batches_open_at.is_some() && status.pending.profiles > 0;
    let what_to_do =
        "Batches go on by themselves within a day. A device should not need so many: see why profiles change so often.";
    is_spent.then(|| Finding::new(Level::Waiting, "The rows that batches may have in a day are spent", what_to_do))
}

/// Each profile that waits does so for a reason of its own, so that nothing goes out though the link is good.
fn set_aside(status: &Status) -> Option<Finding> {
    let SetAside { profiles, reason, until } = status.pending.set_aside.as_ref()?;
    let is_all = i64::try_from(*profiles).is_ok_and(|profiles| profiles >= status.pending.profiles);
    let says_another = status.link != LinkState::Online.name() || is_spent(status);
    if !is_all || says_another || status.pending.profiles == 0 {
        return None;
    }
    let text = format!("All profiles that wait were set aside: {reason}; the first is tried again at {until}");
    let what_to_do =
        "Each is tried again by itself; `outpost explain` says why one waits, and `outpost retry-now` tries it now.";
    Some(Finding::new(Level::Waiting, text, what_to_do))
}

fn age(status: &Status) -> Option<Finding> {
    let seconds = status.pending.oldest_seconds;
    let is_old = status.pending.profiles > 0 && seconds >= OLD_SECONDS;
    let text = || format!("What waits longest has waited for {} hours", seconds / 3_600);
    is_old.then(|| {
        Finding::new(
            Level::Attention,
            text(),
            "See the link and the quota; `outpost explain` says why a profile waits.",
        )
    })
}

fn missing(status: &Status) -> Option<Finding> {
    let count = status.pending.missing_profiles;
    let text =
        || format!("{} not known to Adobe Target, and looked for again", counted(count, "profile is", "profiles are"));
    (count > 0).then(|| Finding::new(Level::Waiting, text(), "mode = \"auto\" in [target] creates them."))
}

fn rejected(status: &Status) -> Option<Finding> {
    let count = status.rejected.events + status.rejected.updates;
    let text = || {
        format!("{} rejected, and kept for a decision", counted(count, "event or update is", "events or updates are"))
    };
    let what_to_do = "`outpost rejected list` says why: fix the mapping and retry, or drop them.";
    (count > 0).then(|| Finding::new(Level::Attention, text(), what_to_do))
}

fn reads(status: &Status) -> Option<Finding> {
    let reason = status.reads.denied.as_deref()?;
    let text = format!(
        "Profiles cannot be read before they are updated, so that newer values of others may be lost: {reason}"
    );
    Some(Finding::new(Level::Attention, text, "Let the token read profiles."))
}

fn mappings(status: &Status) -> Option<Finding> {
    let text = "No mapping is configured: events are recorded, and change no profile";
    (status.mappings == 0).then(|| Finding::new(Level::Attention, text, "Add a [[mapping]]; `outpost check` tries it."))
}

fn clock(status: &Status) -> Option<Finding> {
    let behind = status.clock_behind_seconds;
    let text = || format!("The device's clock is {behind} seconds behind the newest event");
    (behind > 0).then(|| Finding::new(Level::Attention, text(), "Set the clock, or have it set by NTP."))
}

fn intake(status: &Status) -> impl Iterator<Item = Finding> + '_ {
    status.intake.shown().filter_map(Shown::trouble).map(|trouble| match trouble {
        Trouble::Waits(words) => Finding::new(Level::Waiting, capitalised(&words), String::new()),
        Trouble::Needs(words, what_to_do) => Finding::new(Level::Attention, capitalised(&words), what_to_do),
    })
}

fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
