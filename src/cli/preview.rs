//! `outpost preview`: shows what one event would do, without doing it.

use std::io::Read;

use super::failure::Failure;
use super::load::{ConfigArgs, Loaded};
use super::output::{print, print_line};
use crate::adobe::update::Written;
use crate::adobe::{FetchedProfile, Naming, Reply, bulk, fetch};
use crate::agent::{Course, Settings};
use crate::core::event::EventStatus;
use crate::core::fleet::{Handover, PARTS_PATH};
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::quota::QuotaTime;
use crate::core::identity::{Identity, StoredForms};
use crate::core::limits::{ATTRIBUTE_VALUE_CHARS_WARN, IDENTITY_CHARS_WARN, INTAKE_BODY_BYTES_MAX, QUOTA_WINDOW};
use crate::core::mapping::Meaning;
use crate::core::operation::Shown;
use crate::core::visible::one_line;
use crate::device::clock::Clock;
use crate::forward::core::Moment;
use crate::forward::foresight::{Foreseen, Foresight, foresee};
use crate::intake::{cloudevents, event_at, recording};
use crate::store::{ProfileRow, Reader, Rehearsal, StoreError, StoreFile};

/// Shows which mappings match an event, and the exact requests that would be sent
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost preview -c agent.toml < event.json")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Loaded { config, .. } = args.config.load()?;
    let mut body = Vec::new();
    // One more than an event may have, so that a longer one is refused as such.
    let most = INTAKE_BODY_BYTES_MAX as u64 + 1;
    std::io::stdin().take(most).read_to_end(&mut body).map_err(|error| Failure::failed(&error))?;
    if body.len() > INTAKE_BODY_BYTES_MAX {
        return Err(Failure::because(format!("an event must be at most {INTAKE_BODY_BYTES_MAX} bytes")));
    }
    let parsed = cloudevents::structured(&body).map_err(|invalid| Failure::failed(&invalid))?;
    let file = super::at_rest::store_file(&config);
    let course = Course::at_rest(Settings::of(config), &file);
    let Course { settings, .. } = course.map_err(|error| Failure::because(super::failure::chain(&error)))?;
    // The device's clock continues from the newest event, as in the agent.
    let newest = || Reader::open(&file).and_then(|reader| reader.counters()).map(|counters| counters.recorded_at);
    let floor = if file.path.symlink_metadata().is_ok() { newest() } else { Ok(None) };
    let clock = Clock::new(floor.map_err(|error| Failure::because(super::failure::chain(&error)))?);
    let (event, note) = event_at(parsed, &clock);
    let names = settings.mappings.matching(&event).map_err(|error| Failure::failed(&error))?;
    if let Some(note) = note {
        print_line(&format!("note: {note}"))?;
    }
    let meaning = settings.mappings.meaning(&event);
    let profiles = match &meaning {
        Meaning::Changes(profiles) => profiles,
        Meaning::Unmapped(why) => {
            return print_line(&format!("{why}; the event would be recorded as unmapped, and nothing would be sent"));
        }
        Meaning::Failed(error) => return Err(Failure::failed(error)),
        Meaning::Unconsented(none) => {
            return print_line(&format!("{}; the event would be counted, and neither stored nor sent", none.why));
        }
    };
    for name in names {
        print_line(&format!("mapping \"{name}\" matches"))?;
    }
    let identities: Vec<Identity> = profiles.iter().map(|changes| changes.identity.clone()).collect();
    let recording = recording(event, meaning, &settings.mappings, &clock);
    let kept = recording.event.json.clone();
    let mut rehearsal =
        rehearse(&settings, &file, &identities).map_err(|error| Failure::because(super::failure::chain(&error)))?;
    let recorded = rehearsal.store.transact(|store| store.record(&recording));
    let recorded = recorded.map_err(|error| Failure::because(super::failure::chain(&error)))?;
    if recorded.status == EventStatus::Rejected {
        return Err(Failure::because(one_line(&recorded.reason.unwrap_or_default())));
    }
    let foresight = foresight(&settings, &mut rehearsal, &clock)
        .map_err(|error| Failure::because(super::failure::chain(&error)))?;
    for identity in &identities {
        Preview { settings: &settings, identity, rehearsal: &rehearsal, foresight: &foresight }.show()?;
    }
    print(&format!("\nkept on this device:\n{kept}"))
}

/// Returns a copy of what the store knows about some profiles; an empty one if there is no store.
fn rehearse(settings: &Settings, file: &StoreFile, identities: &[Identity]) -> Result<Rehearsal, StoreError> {
    let identities: Vec<&Identity> = identities.iter().collect();
    let mut rehearsal =
        Rehearsal::of(file, &identities, settings.limits(), settings.target.forwarding.routes.bulk_above)?;
    if settings.target.is_hub() {
        rehearsal.store.transact(|store| {
            store.hand_over_from_now()?;
            Ok(())
        })?;
    }
    Ok(rehearsal)
}

/// Returns the initial state of a forwarder that has just reached Target.
fn foresight(settings: &Settings, rehearsal: &mut Rehearsal, clock: &Clock) -> Result<Foresight, StoreError> {
    let wall = Clock::system();
    let (quota, QuotaTime { at, .. }) = rehearsal.store.quota(settings.target.updates_per_day, wall)?;
    let mut reads = rehearsal.store.read_quota(settings.target.reads_per_day, at)?;
    let reads_open_in = reads.check(at).err().map(|opens| opens.since(at));
    Ok(Foresight {
        settings: settings.forwarder(),
        quota,
        rows_sent: rehearsal.store.batch_rows_since(at.minus(QUOTA_WINDOW))?,
        backlog: rehearsal.backlog,
        moment: Moment { elapsed: clock.elapsed(), wall: clock.now(), quota: QuotaTime { at, wall }, reads_open_in },
    })
}

/// The preview of one profile.
struct Preview<'p> {
    settings: &'p Settings,
    identity: &'p Identity,
    rehearsal: &'p Rehearsal,
    foresight: &'p Foresight,
}

impl Preview<'_> {
    fn show(&self) -> Result<(), Failure> {
        let failed = |error: StoreError| Failure::because(super::failure::chain(&error));
        let Some(row) = self.rehearsal.store.profile(&StoredForms::exactly(self.identity.clone())).map_err(failed)?
        else {
            return print("\nnothing would be sent: the values are empty");
        };
        if self.rehearsal.in_batch.contains(&row.id) {
            print("\nthe profile is in a batch that has not ended; what is new goes after it")?;
        }
        if let Some((_, next)) = row.missing {
            return self.show_one(&Foreseen::Missing(next));
        }
        if !row.basis.iter().any(|basis| basis.is_pending) {
            return print("\nnothing would be sent: Target has these values, or they are empty");
        }
        self.warn(&row)?;
        let existence = row.knowledge.now(self.foresight.moment.wall);
        let known = if existence == Existence::No { Reply::Missing } else { Reply::Found(last_known(&row)) };
        let foresee = |reply| foresee(self.foresight, &self.rehearsal.store, row.id, reply).map_err(failed);
        let foreseen = foresee(known)?;
        let is_read = foreseen.iter().any(|it| matches!(it, Foreseen::Read(_)));
        if existence != Existence::Unknown || !is_read {
            return foreseen.iter().try_for_each(|it| self.show_one(it));
        }
        let missing = foresee(Reply::Missing)?;
        let (read, found): (Vec<_>, Vec<_>) = foreseen.iter().partition(|it| matches!(it, Foreseen::Read(_)));
        read.into_iter().try_for_each(|it| self.show_one(it))?;
        print("\nwhere that shows that Target has the profile:")?;
        found.into_iter().try_for_each(|it| self.show_one(it))?;
        print("\nand else:")?;
        missing.iter().filter(|it| !matches!(it, Foreseen::Read(_))).try_for_each(|it| self.show_one(it))
    }

    fn show_one(&self, foreseen: &Foreseen) -> Result<(), Failure> {
        let destination = &self.settings.target.client.destination;
        let (endpoint, client_code) = (destination.endpoint(), destination.client_code());
        let until = |wait| self.foresight.moment.wall.plus(wait);
        let text = match foreseen {
            Foreseen::Read(identity) => format!(
                "GET {endpoint}{}\nreads the profile first: others may have written it, and their part stays",
                fetch::path(client_code, identity)
            ),
            Foreseen::Route(route) => format!("by {}, since {}", route.api().name(), route.why()),
            Foreseen::Send(request) => {
                let naming = Naming {
                    property_token: self.settings.target.forwarding.property_token.as_deref(),
                    session: &|_| "SESSION".to_owned(),
                    request_id: &|| "REQUEST".to_owned(),
                };
                let Written { path, content_type, body } = request.clone().written(client_code, &naming);
                format!("POST {endpoint}{path}\nContent-Type: {content_type}\n\n{body}")
            }
            Foreseen::HandOver(profile) => {
                let handover = Handover { profiles: vec![profile.clone()], ..Handover::default() }.write();
                let value: serde_json::Value = serde_json::from_str(&handover).unwrap_or_default();
                let profiles = serde_json::to_string_pretty(&value["profiles"]).unwrap_or_default();
                format!(
                    "POST {endpoint}{PARTS_PATH}\nin a request with the parts of others:\n\n\"profiles\": {profiles}"
                )
            }
            Foreseen::Row(version, attributes) => {
                let mut attributes = attributes.clone();
                attributes.sort_unstable();
                let names: Vec<String> = attributes.iter().map(|(name, _)| name.clone()).collect();
                let head = bulk::head(self.identity.kind(), &names);
                let mut row = String::new();
                bulk::append_row(&mut row, &names, self.identity.key(), &attributes);
                let (path, row) = (bulk::path(client_code, *version), one_line(row.trim_end()));
                format!("POST {endpoint}{path}\na file with this row among others:\n\n{head}{row}")
            }
            Foreseen::Rejected(count, reason, detail) => {
                format!("attributes that would be rejected as {}: {count}, since {}", reason.label(), one_line(detail))
            }
            Foreseen::Missing(at) => format!(
                "nothing would be sent: Target does not have the profile, and a single update would vanish; it is looked for \
                 again at {at}"
            ),
            Foreseen::Waits(why, wait) => format!("it waits until {}: {why}", until(*wait)),
            Foreseen::QuotaSpent(wait) => {
                format!("the quota of single updates is spent: there is room again at {}", until(*wait))
            }
            Foreseen::Unread(reason) => format!("profiles are not read at the moment: {}", one_line(reason)),
        };
        print(&format!("\n{text}"))
    }

    fn warn(&self, row: &ProfileRow) -> Result<(), Failure> {
        if self.identity.key().chars().count() > IDENTITY_CHARS_WARN {
            print(&format!(
                "\nwarning: the identity has more than {IDENTITY_CHARS_WARN} characters; Target's Delivery API takes no more"
            ))?;
        }
        let is_long = |value: &str| value.chars().count() > ATTRIBUTE_VALUE_CHARS_WARN;
        for basis in row.basis.iter().filter(|basis| basis.is_pending && is_long(&basis.value)) {
            let name = &basis.name;
            print(&format!(
                "\nwarning: {name} has more than {ATTRIBUTE_VALUE_CHARS_WARN} characters; Target may cut it"
            ))?;
        }
        Ok(())
    }
}

/// Returns the profile as this device knows it at Target: the values sent last.
fn last_known(row: &ProfileRow) -> FetchedProfile {
    let sent = row.basis.iter().filter_map(|basis| {
        let sent = basis.sends(&row.sends, |at| at).pop()?;
        Some((basis.name.clone(), Shown { value: sent.value, modified_at: Some(sent.at), is_whole: false }))
    });
    FetchedProfile::of(sent.collect())
}
