//! Profiles that others write too: what is made of a profile that was read. Pure.

use std::time::Duration;

use crate::merge::{Decision, Own, Sent, merge};
use crate::store::{Basis, Reading};
use crate::target::FetchedProfile;
use crate::timestamp::Timestamp;

/// A clock that is right within this is taken as right: answers take their time, and say theirs in whole seconds.
const SKEW_MIN: Duration = Duration::from_secs(60);

/// How far this device's clock is from Target's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Skew {
    /// They agree, or Target did not say.
    #[default]
    None,
    /// Target's is ahead.
    Ahead(Duration),
    /// Target's is behind.
    Behind(Duration),
}

impl Skew {
    /// Between Target's time, if it said any, and this device's.
    pub(super) fn between(target: Option<Timestamp>, device: Timestamp) -> Self {
        let Some(target) = target else { return Self::None };
        let (ahead, behind) = (target.since(device), device.since(target));
        if ahead >= SKEW_MIN {
            Self::Ahead(ahead)
        } else if behind >= SKEW_MIN {
            Self::Behind(behind)
        } else {
            Self::None
        }
    }

    /// A time of this device, on Target's clock.
    fn apply(self, time: Timestamp) -> Timestamp {
        match self {
            Self::None => time,
            Self::Ahead(ahead) => time.plus(ahead),
            Self::Behind(behind) => time.minus(behind),
        }
    }
}

/// What is decided of the attributes that are pending.
pub(super) fn read_pending(basis: &[Basis], found: &FetchedProfile, skew: Skew, now: Timestamp) -> Vec<Reading> {
    basis.iter().filter(|basis| basis.is_pending && !basis.is_own).map(|basis| read(basis, found, skew, now)).collect()
}

/// What is decided of all attributes, for the row of a batch; with those of others, which the batch would remove.
pub(super) fn read_row(basis: &[Basis], found: &FetchedProfile, skew: Skew, now: Timestamp) -> Vec<Reading> {
    let ours = basis.iter().filter(|basis| !basis.is_own).map(|basis| read(basis, found, skew, now));
    let others = found
        .0
        .iter()
        .filter(|(name, shown)| !shown.value.is_empty() && !basis.iter().any(|basis| basis.name == **name));
    let others = others.map(|(name, shown)| Reading {
        name: name.clone(),
        shown: Some(shown.clone()),
        decision: Decision::Carried,
        version: 0,
        sent: None,
    });
    ours.chain(others).collect()
}

fn read(basis: &Basis, found: &FetchedProfile, skew: Skew, now: Timestamp) -> Reading {
    let own = Own {
        operation: basis.operation,
        value: &basis.value,
        event_time: skew.apply(basis.event_time),
        items: basis.items.as_deref(),
    };
    let sent = basis.sent.clone().map(|sent| match basis.is_sent_at_ours {
        true => Sent { at: skew.apply(sent.at), ..sent },
        false => sent,
    });
    let shown = found.0.get(&basis.name);
    let (decision, value) = merge(own, sent.as_ref(), shown);
    let sending = Sent { value, own: basis.value.clone(), version: basis.version, at: skew.apply(now) };
    Reading {
        name: basis.name.clone(),
        shown: shown.cloned(),
        decision,
        version: basis.version,
        sent: (decision != Decision::Superseded).then_some(sending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_right_within_a_minute_is_right() {
        let device = Timestamp::from_millis(1_800_000_000_000);
        let seconds = Duration::from_secs;
        assert_eq!(Skew::between(Some(device.plus(seconds(59))), device), Skew::None);
        assert_eq!(Skew::between(Some(device.plus(seconds(3_600))), device), Skew::Ahead(seconds(3_600)));
        assert_eq!(
            Skew::between(Some(device.minus(seconds(3_600))), device).apply(device),
            device.minus(seconds(3_600))
        );
        assert_eq!(Skew::between(None, device), Skew::None);
    }
}
