//! `outpost preview`: what one event would do, without doing it.

use std::io::Read;

use super::load::{ConfigArgs, Loaded};
use super::{Failure, print};
use crate::clock::Clock;
use crate::coalesce::Stamp;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::identity::Identity;
use crate::intake::{cloudevents, event_at};
use crate::limits::{ATTRIBUTE_VALUE_CHARS_WARN, IDENTITY_CHARS_WARN};
use crate::store::{Reader, Store};
use crate::target::single::{encode, path};

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
    let profiles = config.mappings.map(&event).map_err(|error| Failure::failed(&error))?;
    if let Some(note) = note {
        print(&format!("note: {note}"))?;
    }
    if names.is_empty() {
        return print("no mapping matches; the event would be recorded as unmapped, and nothing would be sent");
    }
    for name in names {
        print(&format!("mapping \"{name}\" matches"))?;
    }
    let stamp = Stamp { time: event.time, seq: i64::MAX };
    let repeat_before = Clock::new(None).now().minus(config.target.resend_after);
    for changes in &profiles {
        let attributes =
            sent(&config, |reader| reader.preview(changes, stamp, repeat_before)).map_err(Failure::because)?;
        show(&config, &changes.identity, &attributes)?;
    }
    Ok(())
}

/// Asks the store, which knows what the profile holds; if there is none yet, an empty one.
fn sent<T>(config: &Config, ask: impl Fn(&Reader) -> Result<T, String>) -> Result<T, String> {
    let path = DataDir::new(&config.agent.data_dir).store_path();
    if path.exists() {
        return ask(&Reader::open(&path).map_err(|error| super::chain(&error))?);
    }
    let store = Store::open_in_memory().map_err(|error| super::chain(&error))?;
    ask(&Reader::of_memory(store))
}

fn show(config: &Config, identity: &Identity, attributes: &[(String, String)]) -> Result<(), Failure> {
    let pairs = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).enumerate();
    for update in encode(identity, pairs) {
        print(&format!(
            "\nPOST {}{}\nContent-Type: application/x-www-form-urlencoded\n\n{}",
            config.target.endpoint,
            path(&config.target.client_code),
            update.body
        ))?;
    }
    if identity.key().chars().count() > IDENTITY_CHARS_WARN {
        print(&format!(
            "warning: the identity has more than {IDENTITY_CHARS_WARN} characters; Target's Delivery API takes no more"
        ))?;
    }
    for (name, value) in attributes {
        if value.chars().count() > ATTRIBUTE_VALUE_CHARS_WARN {
            print(&format!(
                "warning: {name} has more than {ATTRIBUTE_VALUE_CHARS_WARN} characters; Target may cut it"
            ))?;
        }
    }
    if attributes.is_empty() {
        print("nothing would be sent: Target has these values, or they are empty")?;
    }
    Ok(())
}
