//! The actions that the core would take for a profile, found by running a core: for `outpost preview`. Nothing is sent
//! or stored.

use std::time::Duration;

use super::core::{Action, Ask, Core, CoreParts, ForwarderSettings, Input, Moment, News, Settle};
use crate::adobe::{Outcome, Reply, Request};
use crate::core::fleet::ProfileParts;
use crate::core::forwarding::link::{Link, Signal};
use crate::core::forwarding::quota::Quota;
use crate::core::forwarding::route::Route;
use crate::core::identity::Identity;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::store::{BatchEntry, BatchHead, Claims, InFlight, ReadBacks, Store, StoreError};

/// Number of actions after which the fate of one profile is certainly known.
const ACTIONS_MAX: usize = 1_000;

/// Waits up to this long serve only to group work.
const SHORT_WAIT: Duration = Duration::from_millis(500);

/// One action that the core would take, or its reason for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// The profile is read.
    Read(Identity),
    /// The update takes this route.
    Route(Route),
    /// A separate request.
    Send(Request),
    /// Parts for the hub, in a request with those of others.
    HandOver(ProfileParts),
    /// A row in a batch: version of the API, and attributes.
    Row(i64, Vec<(String, String)>),
    /// This many attributes are rejected, with the reason and a description.
    Rejected(usize, Reason, String),
    /// Nothing is sent, because Target does not have the profile: the next look is at that time.
    Missing(Timestamp),
    /// The profile waits for that reason and for that long.
    Waits(&'static str, Duration),
    /// The quota of single updates is used up for that long.
    QuotaSpent(Duration),
    /// Profiles are not read now, for that reason.
    Unread(String),
}

/// The initial state of the core that is asked, with a working link.
#[derive(Clone, Debug)]
pub struct Foresight {
    /// The operator's settings.
    pub settings: ForwarderSettings,
    /// Uses of the quota in the last 24 hours.
    pub quota: Quota,
    /// Rows in batches of the last 24 hours.
    pub rows_sent: u64,
    /// Other waiting profiles.
    pub backlog: usize,
    /// The present moment.
    pub moment: Moment,
}

impl Foresight {
    fn core(&self) -> Core {
        let Self { settings, quota, rows_sent, moment, .. } = self.clone();
        let mut link = Link::default();
        link.observe(Signal::Answered, moment.elapsed, 0.5);
        Core::new(CoreParts { settings, link, quota, batches: Vec::new(), rows_sent }, moment)
    }
}

/// Lets a new core handle one profile of a store. `reply` is the result of reading the profile; each request is assumed
/// to be accepted.
///
/// # Errors
/// [`StoreError::Read`].
pub fn foresee(
    foresight: &Foresight,
    store: &Store,
    profile_id: i64,
    reply: Reply,
) -> Result<Vec<Foreseen>, StoreError> {
    let (mut core, mut moment) = (foresight.core(), foresight.moment);
    let (in_flight, mut reply) = (InFlight::default(), Some(reply));
    let mut foreseen = Vec::new();
    for _ in 0..ACTIONS_MAX {
        let action = core.next(moment);
        let input = match action {
            Action::Claim(ask) => {
                let mut claims = claim(store, &in_flight, ask, profile_id)?;
                claims.backlog += foresight.backlog;
                Input::Claimed(Ok(claims))
            }
            Action::ClaimDue(_) => Input::Due(Ok(ReadBacks::default())),
            Action::Look(_) => Input::Looked(Ok(None)),
            Action::Read(_, identity) => {
                foreseen.push(Foreseen::Read(identity));
                Input::Read(profile_id, reply.take().unwrap_or(Reply::Missing), None)
            }
            Action::Note(notes) => Input::Noted(notes.iter().map(|(id, _)| *id).collect(), Ok(())),
            Action::Send(_, request) => {
                foreseen.push(Foreseen::Send(request));
                Input::Answered(profile_id, Outcome::Delivered, None)
            }
            Action::HandOver(profiles) => {
                foreseen.extend(profiles.into_iter().map(Foreseen::HandOver));
                break;
            }
            Action::AddRows { api, entries, .. } => {
                foreseen.extend(entries.into_iter().flat_map(|entry| added(api, entry)));
                break;
            }
            Action::Settle(settles) => {
                settled(&mut foreseen, &settles);
                break;
            }
            Action::Retract(..) => Input::Retracted(Ok(())),
            // No batches are open.
            Action::Submit(BatchHead { id, .. }, _) | Action::Poll(id, _) | Action::End(id, ..) => {
                unreachable!("batch {id} was never begun")
            }
            Action::Wait(until) => {
                let wait = until.map(|until| until.saturating_sub(moment.elapsed));
                let Some(wait) = wait.filter(|wait| *wait <= SHORT_WAIT) else { break };
                (moment.elapsed, moment.wall) = (moment.elapsed + wait, moment.wall.plus(wait));
                continue;
            }
        };
        core.take(input, moment, 0.5);
    }
    let is_sent = foreseen.iter().any(|it| matches!(it, Foreseen::Send(_)));
    // The update may have used the last of the quota.
    foreseen
        .extend(waits(&mut core, profile_id, moment).filter(|it| !is_sent || !matches!(it, Foreseen::QuotaSpent(_))));
    Ok(foreseen)
}

/// Claims the profile: it comes first, whatever else the event changed.
fn claim(store: &Store, in_flight: &InFlight, ask: Ask, profile_id: i64) -> Result<Claims, StoreError> {
    let ask = Ask { limit: usize::MAX, ..ask };
    let mut claims = store.claim(in_flight, ask.rules())?;
    claims.claims.retain(|claim| claim.profile_id == profile_id);
    Ok(claims)
}

fn added(api: i64, entry: BatchEntry) -> [Foreseen; 2] {
    [Foreseen::Route(entry.route), Foreseen::Row(api, entry.row.into_iter().map(|it| (it.0, it.1)).collect())]
}

/// Inserts the route before the requests, since it was decided before them, and the result after them.
fn settled(foreseen: &mut Vec<Foreseen>, settles: &[Settle]) {
    let route = settles.iter().find_map(route).map(Foreseen::Route);
    let first = foreseen.iter().position(|it| matches!(it, Foreseen::Send(_))).unwrap_or(foreseen.len());
    foreseen.splice(first..first, route);
    foreseen.extend(settles.iter().flat_map(ended));
}

fn route(settle: &Settle) -> Option<Route> {
    if let Settle::Delivery(settlement) = settle { settlement.route } else { None }
}

/// Returns what is recorded of a finished delivery.
fn ended(settle: &Settle) -> Vec<Foreseen> {
    let Settle::Delivery(settlement) = settle else { return Vec::new() };
    let rejected = settlement
        .refused
        .iter()
        .map(|refusal| Foreseen::Rejected(refusal.attributes.len(), refusal.reason, refusal.detail.clone()));
    rejected.chain(settlement.look_at.map(Foreseen::Missing)).collect()
}

/// Returns why the profile waits, if it does.
fn waits(core: &mut Core, profile_id: i64, moment: Moment) -> impl Iterator<Item = Foreseen> + use<> {
    let mut foreseen = Vec::new();
    for news in core.take_news() {
        match news {
            News::Quota(Some(wait)) => foreseen.push(Foreseen::QuotaSpent(wait)),
            News::Reads(Some(reason)) => foreseen.push(Foreseen::Unread(reason)),
            _ => {}
        }
    }
    if let Some((why, until)) = core.take_waits().and_then(|mut waits| waits.remove(&profile_id)) {
        foreseen.push(Foreseen::Waits(why, until.saturating_sub(moment.elapsed)));
    }
    foreseen.into_iter()
}
