//! `outpost hub run`: a node in the foreground.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cluster;
use super::node_args::NodeArgs;
use crate::cli::failure::{Failure, chain};
use crate::cli::output::print;
use crate::cli::run::{bind, wait_for_signal};
use crate::config::{NodeConfig, Sources, TargetConfig};
use crate::core::limits::SANDBOX_REQUESTS_KEPT;
use crate::device::{dir, logging, rights};
use crate::hub::node::{self, Files, Node};
use crate::hub::{Database, ForwardOptions, Invitation, forward, new_secret};
use crate::sandbox::faults::Faults;
use crate::sandbox::target::{Target, Unknown};
use crate::sandbox::{Sandbox, known_profiles};

/// Name of the file with a sandbox's invitation, in the state directory.
const INVITATION: &str = "invitation";

/// Devices that may join a sandbox by one invitation, and for how long.
const SANDBOX_USES: u32 = 1_000;
const SANDBOX_LASTS: Duration = Duration::from_secs(30 * 86_400);

/// Address of a sandbox's simulator of Target: any port, as several may run on one machine.
const SIMULATOR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Settings for sending to a sandbox's simulator without `[target]`: also for customers whom that does not know, as whoever tries it
/// out has customers of their own.
const SANDBOX_TARGET: &str = "[target]\nclient_code = \"sandbox\"\nmissing_profiles = \"send\"\n";

/// Longest time for what the forwarder has in flight when a node stops, which it bounds itself.
const FORWARDER_LAST: Duration = Duration::from_secs(30);

/// Time between two tries to reach the database at the start.
const RETRY: Duration = Duration::from_secs(2);

/// Runs a node until it is stopped
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost hub run --sandbox")]
pub(super) struct Args {
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut config = args.node.load()?;
    let database = args.node.database(&config)?;
    let tls = config.tls.clone().map(|(cert, key)| Files { cert, key }.acceptor()).transpose();
    let tls = tls.map_err(|error| Failure::usage(error.to_string()))?;
    rights::allow_many_files();
    let is_own = args.node.sandbox && config.database.url.is_none();
    // Stopped at the end, after the node.
    let _cluster = is_own.then(|| cluster::start(&config.state_dir)).transpose()?;
    let log = &config.log;
    let logging = logging::start(log.level, log.format, (&log.dir, log.keep_files), logging::nowhere_else());
    let _logging = logging.map_err(|error| Failure::failed(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("outpost-hub")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(&error))?;
    runtime.block_on(async {
        let (stop_sender, stop) = watch::channel(false);
        tokio::spawn(async move {
            wait_for_signal().await;
            let _ = stop_sender.send(true);
        });
        let mut stopped = stop.clone();
        tokio::select! {
            migrated = migrate(&database) => migrated?,
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
        }
        let (listener, address) = bind(config.listen).await?;
        let simulator = if args.node.sandbox { Some(simulate(&mut config, stop.clone()).await?) } else { None };
        let invitation = if args.node.sandbox { Some(invite(&database, &config.state_dir).await?) } else { None };
        print(&greeting(&config, address, invitation.as_deref(), simulator))?;
        let forwarding = start_forwarding(&database, config.target, &stop);
        let node = Arc::new(Node::new(database, config.max_in_flight));
        node::run(node, listener, tls, stop).await;
        if tokio::time::timeout(FORWARDER_LAST, forwarding).await.is_err() {
            tracing::warn!("the forwarder took too long to stop; what it has claimed is free when its time is over");
        }
        Ok(())
    })
}

/// Starts the forwarder. Without `[target]` what devices hand over waits.
fn start_forwarding(database: &Database, target: Option<TargetConfig>, stop: &watch::Receiver<bool>) -> JoinHandle<()> {
    let (database, stop) = (database.clone(), stop.clone());
    tokio::spawn(async move {
        let Some(TargetConfig { client, forwarding, updates_per_day, reads_per_day, .. }) = target else {
            return tracing::warn!("nothing is sent to Target: [target] with client_code is not set");
        };
        forward(database, ForwardOptions { client, rules: forwarding, updates_per_day, reads_per_day }, stop).await;
    })
}

/// Starts the simulator of Target, and has everything sent there.
async fn simulate(config: &mut NodeConfig, stop: watch::Receiver<bool>) -> Result<SocketAddr, Failure> {
    let (listener, address) = bind(SIMULATOR).await?;
    if config.target.is_none() {
        let built_in = NodeConfig::parse(&Sources::of_text(Path::new("sandbox.toml"), SANDBOX_TARGET));
        config.target = built_in.expect("the built-in configuration is valid").target;
    }
    if let Some(target) = &mut config.target {
        target.client.destination.move_to(format!("http://{address}"));
    }
    let target = Target::new(known_profiles(), Unknown::Accept, Faults::default(), SANDBOX_REQUESTS_KEPT);
    tokio::spawn(Sandbox::new(target).serve(listener, stop));
    Ok(address)
}

/// Brings the database to our schema. One that cannot be reached yet is waited for, as nodes and database start in any order.
async fn migrate(database: &Database) -> Result<(), Failure> {
    let mut is_told = false;
    loop {
        match database.migrate().await {
            Ok(()) => return Ok(()),
            Err(error) if error.may_pass() => {
                if !is_told {
                    tracing::warn!(error = chain(&error), "the node waits for the database");
                    is_told = true;
                }
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(Failure::failed(&error)),
        }
    }
}

/// Makes an invitation in a file of the state directory, and returns its path.
async fn invite(database: &Database, state_dir: &Path) -> Result<String, Failure> {
    let code = new_secret().map_err(|error| Failure::failed(&error))?;
    let invitation = Invitation { code, group: None, uses: SANDBOX_USES, lasts: SANDBOX_LASTS };
    database.invite(&invitation).await.map_err(|error| Failure::failed(&error))?;
    let path = std::path::absolute(state_dir.join(INVITATION)).map_err(|error| Failure::failed(&error))?;
    let failed =
        |error: std::io::Error| Failure::because(format!("the file {} cannot be written: {error}", path.display()));
    dir::make_dirs(dir::parent(&path), 0o700).map_err(failed)?;
    dir::replace_at(&path, format!("{}\n", invitation.code).as_bytes(), 0o600).map_err(failed)?;
    Ok(path.display().to_string())
}

/// Returns the message at the start. The code itself stays in its file: others see a terminal.
fn greeting(
    config: &NodeConfig,
    address: SocketAddr,
    invitation: Option<&str>,
    simulator: Option<SocketAddr>,
) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let near = format!("{scheme}://{address}");
    let url = config.public_url.as_deref().unwrap_or(&near);
    let mut text = format!("The hub is running; stop it with Ctrl-C\n  devices   {near}, which they reach as {url}");
    match invitation {
        Some(path) => text.push_str(&format!(
            "\n  to join   on a device: outpost join {url} --invite @{path}\n            the file holds the code; take it along to another machine"
        )),
        None => text.push_str("\n  to join   outpost fleet invite prints a code"),
    }
    if let Some(simulator) = simulator {
        text.push_str(&format!("\n  Target    is simulated: http://{simulator}/sandbox/profiles shows what arrived"));
    } else if config.target.is_none() {
        text.push_str("\n  Target    [target] is not set: what devices hand over waits");
    }
    text
}
