//! `outpost preview`: what one event would do, without doing it.

use std::io::Read;

use super::load::{ConfigArgs, Loaded};
use super::{Failure, print};
use crate::attribute::Change;
use crate::clock::Clock;
use crate::coalesce::Stamp;
use crate::config::{Config, TargetConfig};
use crate::existence::Existence;
use crate::identity::Identity;
use crate::intake::{cloudevents, event_at};
use crate::limits::{ATTRIBUTE_VALUE_CHARS_WARN, IDENTITY_CHARS_WARN};
use crate::mapping::Meaning;
use crate::route::{Route, Situation, UpdateApi, route};
use crate::store::{Reader, Store, is_shared};
use crate::target::single::{encode, path};
use crate::target::{bulk, delivery, fetch};

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
    std::io::stdin().read_to_end(&mut body).map_err(|error| Failure::failed(&error))?;
    let parsed = cloudevents::structured(&body).map_err(|invalid| Failure::failed(&invalid))?;
    let (event, note) = event_at(parsed, &Clock::new(None));
    let names = config.mappings.matching(&event).map_err(|error| Failure::failed(&error))?;
    if let Some(note) = note {
        print(&format!("note: {note}"))?;
    }
    let profiles = match config.mappings.meaning(&event) {
        Meaning::Changes(profiles) => profiles,
        Meaning::Failed(error) => return Err(Failure::failed(&error)),
        Meaning::Unconsented => {
            return print("consent of [privacy] is not true; the event would be counted, and neither stored nor sent");
        }
    };
    if names.is_empty() {
        return print("no mapping matches; the event would be recorded as unmapped, and nothing would be sent");
    }
    for name in names {
        print(&format!("mapping \"{name}\" matches"))?;
    }
    let stamp = Stamp { time: event.time, seq: i64::MAX };
    let now = Clock::new(None).now();
    let repeats = super::store_limits(&config).repeats(now);
    for changes in &profiles {
        let ask = |reader: &Reader| {
            let known = reader.profile(&changes.identity).map_err(|error| super::chain(&error))?;
            let existence = known.map_or(Existence::Unknown, |row| row.knowledge.now(now));
            Ok((reader.preview(changes, stamp, repeats)?, existence))
        };
        let (attributes, existence) = sent(&config, ask).map_err(Failure::because)?;
        let is_urgent = changes.changes.iter().any(|change| change.is_urgent);
        let late_before = config.target.forwarding.late_after.map(|late_after| now.minus(late_after));
        let is_shared = |change: &Change| {
            late_before.is_some_and(|before| is_shared(change.operation, change.is_own, event.time, before))
        };
        let preview = Preview {
            config: &config,
            identity: &changes.identity,
            attributes: &attributes,
            situation: Situation {
                kind: changes.identity.kind(),
                fits_delivery: delivery::fits(&changes.identity),
                existence,
                is_urgent,
                backlog: 1,
                is_quota_spent: false,
            },
            is_read: changes.changes.iter().any(is_shared),
        };
        preview.show()?;
    }
    print(&format!("\nkept on this device:\n{}", config.mappings.journalled(&event).unwrap_or(event.json)))
}

/// Asks the store, which knows what the profile holds; if there is none yet, an empty one.
fn sent<T>(config: &Config, ask: impl Fn(&Reader) -> Result<T, String>) -> Result<T, String> {
    let file = super::store_file(config);
    if file.path.exists() {
        return ask(&Reader::open(&file).map_err(|error| super::chain(&error))?);
    }
    let store = Store::open_in_memory().map_err(|error| super::chain(&error))?;
    ask(&Reader::of_memory(store))
}

/// What would be sent of one profile.
struct Preview<'p> {
    config: &'p Config,
    identity: &'p Identity,
    attributes: &'p [(String, String)],
    situation: Situation,
    /// Whether the profile is read first.
    is_read: bool,
}

impl Preview<'_> {
    fn show(&self) -> Result<(), Failure> {
        if self.attributes.is_empty() {
            return print("nothing would be sent: Target has these values, or they are empty");
        }
        let endpoint = &self.config.target.endpoint;
        let client_code = &self.config.target.client_code;
        if self.is_read {
            print(&format!(
                "\nGET {endpoint}{}\nreads the profile first: others may have written it, and their part stays",
                fetch::path(client_code, self.identity)
            ))?;
        }
        let rules = self.config.target.forwarding.routes;
        let route = route(rules, self.situation);
        print(&format!("\nby {}, since {}", route.api().name(), route.why()))?;
        if self.is_read && route == Route::BulkMissing {
            let known = Situation { existence: Existence::Yes, ..self.situation };
            print("where reading shows that Target has the profile, it is")?;
            self.show_requests(crate::route::route(rules, known))?;
            print("\nand else")?;
        }
        self.show_requests(route)?;
        self.warn()
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, (&str, &str))> {
        self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).enumerate()
    }

    fn show_requests(&self, route: Route) -> Result<(), Failure> {
        let TargetConfig { endpoint, client_code, forwarding, .. } = &self.config.target;
        match route.api() {
            UpdateApi::Single => self.show_single(),
            UpdateApi::Delivery => {
                let path = delivery::path(client_code, "SESSION");
                let property = forwarding.property_token.as_deref();
                for call in delivery::encode(self.identity, property, self.pairs(), || "REQUEST".to_owned()) {
                    print(&format!("\nPOST {endpoint}{path}\nContent-Type: application/json\n\n{}", call.body))?;
                }
                Ok(())
            }
            UpdateApi::Bulk => {
                let version = bulk::version(self.identity.kind(), forwarding.routes.has_ecid);
                let path = bulk::path(client_code, version);
                let mut attributes = self.attributes.to_vec();
                attributes.sort_unstable();
                let names: Vec<String> = attributes.iter().map(|(name, _)| name.clone()).collect();
                let mut file = bulk::head(self.identity.kind(), &names);
                bulk::append_row(&mut file, &names, self.identity.key(), &attributes);
                print(&format!(
                    "\nPOST {endpoint}{path}\na file with this row, and all else that is known of the profile:\n"
                ))?;
                print(file.trim_end())
            }
        }
    }

    fn show_single(&self) -> Result<(), Failure> {
        let TargetConfig { endpoint, client_code, .. } = &self.config.target;
        for update in encode(self.identity, self.pairs()) {
            print(&format!(
                "\nPOST {endpoint}{}\nContent-Type: application/x-www-form-urlencoded\n\n{}",
                path(client_code),
                update.body
            ))?;
        }
        Ok(())
    }

    fn warn(&self) -> Result<(), Failure> {
        if self.identity.key().chars().count() > IDENTITY_CHARS_WARN {
            print(&format!(
                "warning: the identity has more than {IDENTITY_CHARS_WARN} characters; Target's Delivery API takes no more"
            ))?;
        }
        for (name, value) in self.attributes {
            if value.chars().count() > ATTRIBUTE_VALUE_CHARS_WARN {
                print(&format!(
                    "warning: {name} has more than {ATTRIBUTE_VALUE_CHARS_WARN} characters; Target may cut it"
                ))?;
            }
        }
        Ok(())
    }
}
