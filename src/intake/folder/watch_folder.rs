//! Notices of changes in a folder, if the system sends them, which it does not for a network share. Nothing depends on
//! them: the folder is examined from time to time anyway.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::opened::Identity;
use crate::device::disk::is_remote;

/// Time between two looks at a folder without notices.
const POLL: Duration = Duration::from_secs(2);

/// Time between two looks otherwise, in case a notice is lost.
const POLL_WATCHED: Duration = Duration::from_secs(60);

/// Notices that may wait; more are not needed to cause a look.
const NEWS_WAITING: usize = 256;

/// A watch over a folder.
pub(super) struct Watch {
    /// Identity of the watched folder, whatever has its name by now.
    identity: Identity,
    watcher: Option<(RecommendedWatcher, mpsc::Receiver<Vec<OsString>>)>,
    poll: Option<Duration>,
}

impl Watch {
    /// Starts watching a folder; `None` if it does not exist. If an interval is configured, or other machines may write
    /// unseen, only the interval counts.
    pub(super) fn begin(path: &Path, poll: Option<Duration>) -> Option<Self> {
        let identity = identity(path)?;
        if poll.is_some() || is_remote(path) {
            return Some(Self { identity, watcher: None, poll });
        }
        let (sender, news) = mpsc::channel(NEWS_WAITING);
        let folder = path.to_owned();
        let tell = move |event: notify::Result<Event>| {
            if let Some(names) = event.as_ref().ok().and_then(|event| names(event, &folder)) {
                // If the channel is full, the folder will be examined anyway.
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

    /// Returns true if the watched folder still has this name.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        identity(path) == Some(self.identity)
    }

    /// Returns the time until the next look, with or without notices.
    pub(super) fn interval(&self) -> Duration {
        match &self.watcher {
            Some(_) => POLL_WATCHED,
            None => self.poll.unwrap_or(POLL),
        }
    }

    /// Waits for notices, and returns the names of files that were moved in. The future may be dropped and another one
    /// started.
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

/// Returns the names of files that were moved in; none of files that were created or closed, or of the folder itself.
fn names(event: &Event, folder: &Path) -> Option<Vec<OsString>> {
    let name = |path: &std::path::PathBuf| path.file_name().map(OsString::from);
    match event.kind {
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
            if event.paths.iter().any(|path| path == folder) =>
        {
            Some(Vec::new())
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(event.paths.iter().filter_map(name).collect()),
        // Permissions were changed.
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Vec::new()),
        EventKind::Create(_) | EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Vec::new()),
        // While a file is being written, each write would cause a notice.
        _ => None,
    }
}
