//! `outpost hub run`: a node in the foreground.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{NodeArgs, cluster};
use crate::cli::run::{bind, wait_for_signal};
use crate::cli::{Failure, chain, print};
use crate::config::NodeConfig;
use crate::device::{dir, logging, rights};
use crate::hub::node::{self, Files, Node};
use crate::hub::{Database, Invitation, new_secret};

/// Name of the file with a sandbox's invitation, in the state directory.
const INVITATION: &str = "invitation";

/// Devices that may join a sandbox by one invitation, and for how long.
const SANDBOX_USES: u32 = 1_000;
const SANDBOX_LASTS: Duration = Duration::from_secs(30 * 86_400);

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
    let config = args.node.load()?;
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
        let invitation = if args.node.sandbox { Some(invite(&database, &config.state_dir).await?) } else { None };
        print(&greeting(&config, address, invitation.as_deref()))?;
        let node = Arc::new(Node::new(database, config.max_in_flight));
        node::run(node, listener, tls, stop).await;
        Ok(())
    })
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
fn greeting(config: &NodeConfig, address: SocketAddr, invitation: Option<&str>) -> String {
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
    text
}
