//! `outpost rejected`: what was rejected, with reasons; tried again, or dropped.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::connect::{Connection, Holder, holder};
use super::load::{ConfigArgs, Loaded};
use super::{Failure, print, small_runtime, warn};
use crate::agent::data_dir::Lock;
use crate::config::Config;
use crate::core::limits::REJECTED_LISTED_MAX;
use crate::core::mapping::Mappings;
use crate::core::visible::one_line;
use crate::device::clock::Clock;
use crate::inspect::rejected::{RejectedItem, RejectedList, Retried, Retry};
use crate::store::{Reader, RejectedRow, Store, StoreError};

/// Shows, retries or drops rejected events and updates
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost rejected retry --all")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists what is rejected, oldest first
    #[command(after_help = "Example:\n  outpost rejected list --json")]
    List {
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows one of them whole, with the event or the identity
    #[command(after_help = "Example:\n  outpost rejected show 17")]
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        /// The number that `list` shows
        id: i64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Maps events anew with the configuration of today, and sends refused updates again
    #[command(after_help = "Example:\n  outpost rejected retry 17 18")]
    Retry {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        which: Which,
    },
    /// Gives them up for good
    #[command(after_help = "Example:\n  outpost rejected drop 17 --yes")]
    Drop {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
#[group(required = true)]
struct Which {
    /// The numbers that `list` shows
    ids: Vec<i64>,
    /// All that there are
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::List { config, json } => list(&Rejected::open(config)?, *json),
        Action::Show { config, id, json } => show(&Rejected::open(config)?, *id, *json),
        Action::Retry { config, which } => retry(&mut Rejected::open(config)?, which),
        Action::Drop { config, which, yes } => drop_all(&mut Rejected::open(config)?, which, *yes),
    }
}

fn list(rejected: &Rejected, json: bool) -> Result<(), Failure> {
    let items = rejected.list()?;
    if json {
        return print_json(&RejectedList { rejected: items });
    }
    if items.is_empty() {
        return print("nothing is rejected");
    }
    items.iter().try_for_each(|item| print(&line(item)))
}

fn line(item: &RejectedItem) -> String {
    let RejectedItem { id, kind, rejected_at, reason, detail, .. } = item;
    format!("{id:<6} {rejected_at}  {kind:<6}  {reason:<17}  {}", one_line(detail))
}

fn show(rejected: &Rejected, id: i64, json: bool) -> Result<(), Failure> {
    let item = rejected.show(id)?;
    if json {
        return print_json(&item);
    }
    print(&line(&item))?;
    if let Some(identity) = &item.identity {
        print(&format!("identity    {}", one_line(&identity.to_string())))?;
    }
    if !item.attributes.is_empty() {
        print(&format!("attributes  {}", item.attributes.join(", ")))?;
    }
    match &item.event {
        Some(event) => print_json(&Tree::of(event)),
        None => Ok(()),
    }
}

/// JSON that is printed in lines, with its scalars as they are written: numbers keep all their digits.
#[derive(Serialize)]
#[serde(untagged)]
enum Tree<'j> {
    Object(BTreeMap<String, Self>),
    List(Vec<Self>),
    Scalar(&'j RawValue),
}

impl<'j> Tree<'j> {
    fn of(json: &'j RawValue) -> Self {
        let text = json.get();
        if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
            return Self::Object(members.into_iter().map(|(name, value)| (name, Self::of(value))).collect());
        }
        match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(items) => Self::List(items.into_iter().map(Self::of).collect()),
            Err(_) => Self::Scalar(json),
        }
    }
}

fn retry(rejected: &mut Rejected, which: &Which) -> Result<(), Failure> {
    let mut still = 0;
    let ids = rejected.ids(which)?;
    for id in &ids {
        let retried = rejected.retry(*id)?;
        let reason = retried.reason.as_deref().map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
        print(&format!("{id}: {}{reason}", retried.status))?;
        still += usize::from(retried.is_rejected());
    }
    if still > 0 {
        return Err(Failure::because(format!(
            "{still} of {} are still rejected; mend the mapping and retry",
            ids.len()
        )));
    }
    Ok(())
}

fn drop_all(rejected: &mut Rejected, which: &Which, yes: bool) -> Result<(), Failure> {
    let ids = rejected.ids(which)?;
    if ids.is_empty() {
        return print("nothing is rejected");
    }
    if !yes && !confirmed(ids.len())? {
        return Err(Failure::because("nothing was dropped"));
    }
    for id in &ids {
        rejected.drop_one(*id)?;
    }
    print(&format!("dropped {}", ids.len()))
}

/// Asks whoever sits before the terminal; without one, the answer is no.
fn confirmed(count: usize) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        warn("nobody can be asked; add --yes to drop without asking");
        return Ok(false);
    }
    let mut stderr = io::stderr();
    let asked = write!(stderr, "Drop {count} for good? They exist nowhere else. [y/N] ").and_then(|()| stderr.flush());
    asked.map_err(|error| Failure::failed(&error))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::failed(&error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(document).map_err(|error| Failure::failed(&error))?)
}

/// What is rejected, in a running agent or in a store at rest.
enum Rejected {
    Agent(Connection),
    Store { store: Box<Store>, reader: Box<Reader>, mappings: Arc<Mappings>, clock: Clock, _lock: Lock },
}

impl Rejected {
    fn open(args: &ConfigArgs) -> Result<Self, Failure> {
        let Loaded { config, .. } = args.load()?;
        let data_dir = super::existing_store(&config)?;
        match holder(&data_dir)? {
            Holder::Agent(connection) => Ok(Self::Agent(connection)),
            Holder::Us(lock) => Self::at_rest(&config, lock),
        }
    }

    fn at_rest(config: &Config, lock: Lock) -> Result<Self, Failure> {
        let open = || {
            let store = Store::open_within(super::store_file(config), super::store_limits(config))?;
            Ok((store, Reader::open(super::store_file(config))?))
        };
        let (store, reader) = open().map_err(|error: StoreError| Failure::failed(&error))?;
        let clock = Clock::new(store.counters().recorded_at);
        Ok(Self::Store {
            store: Box::new(store),
            reader: Box::new(reader),
            mappings: config.mappings.clone(),
            clock,
            _lock: lock,
        })
    }

    fn list(&self) -> Result<Vec<RejectedItem>, Failure> {
        let mut items: Vec<RejectedItem> = Vec::new();
        loop {
            let after = items.last().map_or(0, |item| item.id);
            let part = self.part(after)?;
            let is_last = part.len() < REJECTED_LISTED_MAX;
            items.extend(part);
            if is_last {
                return Ok(items);
            }
        }
    }

    fn part(&self, after: i64) -> Result<Vec<RejectedItem>, Failure> {
        match self {
            Self::Agent(connection) => {
                let path = format!("/v1/rejected?after={after}");
                small_runtime()?.block_on(connection.get(&path)).map(|list: RejectedList| list.rejected)
            }
            Self::Store { reader, .. } => {
                let rows = reader.rejected(after, REJECTED_LISTED_MAX).map_err(|error| Failure::failed(&error))?;
                Ok(rows.iter().map(RejectedItem::listed).collect())
            }
        }
    }

    fn ids(&self, which: &Which) -> Result<Vec<i64>, Failure> {
        if which.all { Ok(self.list()?.iter().map(|item| item.id).collect()) } else { Ok(which.ids.clone()) }
    }

    fn show(&self, id: i64) -> Result<RejectedItem, Failure> {
        match self {
            Self::Agent(connection) => small_runtime()?.block_on(connection.get(&format!("/v1/rejected/{id}"))),
            Self::Store { reader, .. } => row(reader, id).map(|row| RejectedItem::shown(&row)),
        }
    }

    fn retry(&mut self, id: i64) -> Result<Retried, Failure> {
        match self {
            Self::Agent(connection) => {
                let path = format!("/v1/rejected/{id}/retry");
                small_runtime()?.block_on(connection.post(&path, "application/json", String::new()))
            }
            Self::Store { store, reader, mappings, clock, .. } => {
                let retry = Retry::prepare(&row(reader, id)?, mappings, clock).map_err(Failure::because)?;
                let retried = store.transact(|store| retry.run(store)).map_err(|error| Failure::failed(&error))?;
                retried.ok_or_else(|| missing(id))
            }
        }
    }

    fn drop_one(&mut self, id: i64) -> Result<(), Failure> {
        match self {
            Self::Agent(connection) => {
                small_runtime()?.block_on(connection.delete::<()>(&format!("/v1/rejected/{id}"))).map(|_| ())
            }
            Self::Store { store, .. } => {
                let dropped =
                    store.transact(|store| store.drop_rejected(id)).map_err(|error| Failure::failed(&error))?;
                if dropped { Ok(()) } else { Err(missing(id)) }
            }
        }
    }
}

fn row(reader: &Reader, id: i64) -> Result<RejectedRow, Failure> {
    reader.rejected_row(id).map_err(|error| Failure::failed(&error))?.ok_or_else(|| missing(id))
}

fn missing(id: i64) -> Failure {
    Failure::because(format!("nothing is kept as rejected under {id}; `outpost rejected list` shows the numbers"))
}
