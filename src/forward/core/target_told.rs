//! Words for what a device recorded, and what Target says, for tests.

use super::{Moment, Settle};
use crate::adobe::{BatchStatus, Outcome, Refused};
use crate::core::forwarding::why::{Cause, Why};
use crate::core::timestamp::Timestamp;
use crate::store::{BatchState, Ending, PART_ROWS, SettledRows, Store};

pub(super) fn settle(store: &mut Store, settles: &[Settle]) {
    let written = store.transact(|store| {
        for settle in settles {
            match settle {
                Settle::Delivery(settlement) => store.settle(settlement)?,
                Settle::ReadBack(claim, verified, quota_time) => {
                    store.spend_reads(verified.reads, *quota_time);
                    store.verified(claim.profile_id, verified)?;
                }
                Settle::Postpone(claim, until) => store.postpone_read_back(claim.profile_id, *until)?,
            }
        }
        Ok(())
    });
    written.expect("written");
}

/// Returns a result that is recorded, in words: what of a settlement is not empty.
pub(super) fn settled_words(settle: &Settle) -> String {
    match settle {
        Settle::Delivery(it) => {
            let mut words = vec![format!("settle delivered {:?}", it.delivered)];
            let mut add = |is_there: bool, more: String| words.extend(is_there.then_some(more));
            add(
                !it.refused.is_empty(),
                format!("refused {:?}", it.refused.iter().map(|no| no.reason).collect::<Vec<_>>()),
            );
            add(it.route.is_some(), format!("{:?}", it.route));
            add(it.learned.is_some(), format!("{:?}", it.learned));
            add(it.reads > 0, format!("reads {}", it.reads));
            add(it.requests > 0, format!("requests {}", it.requests));
            add(it.quota_requests > 0, format!("quota {}", it.quota_requests));
            add(it.updates > 0, format!("updates {}", it.updates));
            add(it.unconfirmed > 0, format!("unconfirmed {}", it.unconfirmed));
            if let Some((at, why)) = it.read_back {
                add(true, format!("read back {:?}", (at.since(it.at), why)));
            }
            add(it.sends.is_some(), "log".to_owned());
            if let Some(at) = it.look_at {
                add(true, format!("look {:?}", at.since(it.at)));
            }
            words.join(" ")
        }
        Settle::ReadBack(_, it, _) => {
            format!(
                "read back: arrived {} lost {:?} again {:?}",
                it.arrived,
                it.lost,
                it.again_at.map(|at| at.since(it.at))
            )
        }
        Settle::Postpone(..) => "postpone".to_owned(),
    }
}

/// Ends a batch in the store.
pub(super) fn end(store: &mut Store, id: i64, ending: &Ending, state: BatchState, at: Moment) -> SettledRows {
    let settled =
        store.transact(|store| store.end_rows((id, PART_ROWS), ending, at.wall, &mut || None)).expect("written");
    store.transact(|store| store.end_batch(id, state, at.quota.at, Timestamp::default())).expect("written");
    settled
}

pub(super) fn failing() -> Outcome {
    Outcome::Failing("status 500".to_owned())
}

pub(super) fn lost() -> Outcome {
    Outcome::Lost("no answer".to_owned())
}

pub(super) fn unreachable() -> Outcome {
    Outcome::Unreachable(Why::new(Cause::Connection, "refused"))
}

pub(super) fn refused(status: u16) -> Outcome {
    Outcome::Refused(Refused { status, words: "no".to_owned() })
}

/// A status of a batch that is complete, with so many rows applied.
pub(super) fn complete(successful: u64) -> BatchStatus {
    BatchStatus { status: "complete".to_owned(), successful: Some(successful), ..BatchStatus::default() }
}
