//! News of a folder: from the system where it tells, which on a network share it does not. Nothing depends on them: the
//! folder is looked at from time to time anyway.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::opened::Identity;
use crate::device::disk::is_remote;

/// Interval at which a folder is looked at of which the system tells nothing.
const POLL: Duration = Duration::from_secs(2);

/// Interval of the checks otherwise, should a piece of news be lost.
const POLL_WATCHED: Duration = Duration::from_secs(60);

/// Pieces of news that wait; more are not needed to look.
const NEWS_WAITING: usize = 256;

/// A watch over a folder.
pub(super) struct Watch {
    /// The folder that is watched, whatever has its name by now.
    identity: Identity,
    watcher: Option<(RecommendedWatcher, mpsc::Receiver<Vec<OsString>>)>,
    poll: Option<Duration>,
}

impl Watch {
    /// Begins to watch, if the folder is there; looks every so often alone where that is told, or where others may
    /// write unseen.
    pub(super) fn begin(path: &Path, poll: Option<Duration>) -> Option<Self> {
        let identity = identity(path)?;
        if poll.is_some() || is_remote(path) {
            return Some(Self { identity, watcher: None, poll });
        }
        let (sender, news) = mpsc::channel(NEWS_WAITING);
        let folder = path.to_owned();
        let tell = move |event: notify::Result<Event>| {
            if let Some(names) = event.as_ref().ok().and_then(|event| names(event, &folder)) {
                // Full of news, it will be looked at anyway.
                let _ = sender.try_send(names);
            }
        };
        let begin = || {
            let mut watcher = notify::recommended_watcher(tell)?;
            watcher.watch(path, RecursiveMode::NonRecursive)?;
            Ok::<_, notify::Error>(watcher)
        };
        let watcher = begin().inspect_err(|error| tracing::debug!(%error, "the system tells nothing of the folder"));
        Some(Self { identity, watcher: watcher.ok().map(|watcher| (watcher, news)), poll })
    }

    /// Returns whether it is the folder that has this name now.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        identity(path) == Some(self.identity)
    }

    /// After how long to look, whatever is told.
    pub(super) fn interval(&self) -> Duration {
        match &self.watcher {
            Some(_) => POLL_WATCHED,
            None => self.poll.unwrap_or(POLL),
        }
    }

    /// Waits for news, and gives the names of files that were moved in whole. It may be dropped and called again.
    pub(super) async fn changed(&mut self) -> Vec<OsString> {
        match &mut self.watcher {
            Some((_, news)) => match news.recv().await {
                Some(names) => names,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|metadata| Identity::of(&metadata))
}

/// The names of what was moved in whole; none of what was made or closed, or happened to the folder itself.
fn names(event: &Event, folder: &Path) -> Option<Vec<OsString>> {
    let name = |path: &std::path::PathBuf| path.file_name().map(OsString::from);
    match event.kind {
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
            if event.paths.iter().any(|path| path == folder) =>
        {
            Some(Vec::new())
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(event.paths.iter().filter_map(name).collect()),
        // Rights are changed.
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Vec::new()),
        EventKind::Create(_) | EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Vec::new()),
        // Of a file that is written to, each write would be news.
        _ => None,
    }
}
