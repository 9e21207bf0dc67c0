//! Rounds over a folder: its files are read one after the other, as they were written; while a large one is read the small ones have
//! their turn.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Folder;
use super::away;
use super::breaks::Breaks;
use super::files::{Files, Looked};
use super::found::Found;
use super::opened::{Opened, Place};
use super::rules::trouble;
use super::wait::WAITS_SHOWN;

/// Time for which a large file is read until the small ones have their turn, which takes as long at most.
const SLICE: Duration = Duration::from_secs(1);

impl Folder {
    /// Reads the files that are complete. Returns true if others are to be looked at soon.
    pub(super) fn round(&self, files: Files, changed_is_due: bool, stop: &watch::Receiver<bool>) -> (Files, bool) {
        let files = RefCell::new(files);
        let is_unsettled = self.read_complete(&files, changed_is_due, stop);
        (files.into_inner(), is_unsettled)
    }

    fn read_complete(&self, files: &RefCell<Files>, changed_is_due: bool, stop: &watch::Receiver<bool>) -> bool {
        let path = &self.rules.path;
        let looked = Opened::open(path).and_then(|opened| Ok((self.look(files, &opened)?, opened)));
        let (Looked { complete, waits, more, is_unsettled }, opened) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                trouble(&self.view, format!("the folder {} cannot be read: {error}", path.display()));
                return false;
            }
        };
        if changed_is_due {
            tell_changed(&files.borrow(), &opened);
        }
        // Behind a large one they have had their turn, or have it in the next round.
        let end = complete.iter().position(Found::is_large).map_or(complete.len(), |large| large + 1);
        let waiting = waits.len() + more;
        let (mut left, mut failed) = (complete.len(), 0);
        for found in &complete[..end] {
            self.shown().waiting = waiting + left + failed;
            if *stop.borrow() {
                return false;
            }
            let last = Cell::new(Instant::now());
            let turn = || {
                if last.get().elapsed() >= SLICE {
                    self.take_small(files, &opened, stop);
                    last.set(Instant::now());
                }
            };
            let turn = found.is_large().then_some(&turn as &dyn Fn());
            failed += usize::from(!self.try_one(files, (&opened, found), Breaks { stop, turn }));
            left -= 1;
        }
        let unfixed = opened.unfixed();
        {
            let mut view = self.shown();
            (view.waiting, view.unfixed) = (waiting + left + failed, unfixed);
        }
        match files.borrow().problem() {
            Some(problem) => trouble(&self.view, problem),
            None => self.shown().problem = None,
        }
        is_unsettled || left > 0
    }

    /// Reads the small files that are complete by now, while a large one pauses.
    fn take_small(&self, files: &RefCell<Files>, opened: &Opened, stop: &watch::Receiver<bool>) {
        // What keeps the folder from being looked at is said in the next round.
        let Ok(Looked { complete, waits, more, .. }) = self.look(files, opened) else { return };
        let (reading, begun) = (self.shown().reading.clone(), Instant::now());
        let mut left = waits.len() + more + complete.len();
        for found in complete.iter().filter(|found| !found.is_large()) {
            self.shown().waiting = left;
            if *stop.borrow() || begun.elapsed() >= SLICE {
                break;
            }
            left -= usize::from(self.try_one(files, (opened, found), Breaks { stop, turn: None }));
        }
        let mut view = self.shown();
        (view.reading, view.waiting) = (reading, left);
    }

    /// Looks at the folder, and shows what waits.
    fn look(&self, files: &RefCell<Files>, opened: &Opened) -> std::io::Result<Looked> {
        let mut files = files.borrow_mut();
        let looked = files.look(opened, self.rules.quiet, (Instant::now(), &self.intake.clock))?;
        let mut view = self.shown();
        view.problem = files.problem();
        view.waits = looked.waits.iter().take(WAITS_SHOWN).cloned().collect();
        Ok(looked)
    }

    /// Reads one file, or notes why that failed. Returns false if it failed.
    fn try_one(&self, files: &RefCell<Files>, (opened, found): (&Opened, &Found), breaks: Breaks<'_>) -> bool {
        let taken = self.take(files, (opened, found), breaks);
        self.shown().reading = None;
        match taken {
            Ok(()) => files.borrow_mut().settled(found),
            Err(_) if breaks.is_stopping() => {}
            Err(error) => {
                files.borrow_mut().failed(found, error.to_string(), self.rules.quiet, Instant::now());
                return false;
            }
        }
        true
    }
}

/// Says of each file in `failed` that was changed there, and is not to be read on, that it is not read again.
fn tell_changed(files: &Files, opened: &Opened) {
    let told = away::changed(opened).and_then(|changed| {
        let is_left = |place: &&Place| opened.metadata(place).is_ok_and(|metadata| !files.has_more(&metadata));
        changed.iter().filter(is_left).try_for_each(|place| away::tell_changed(opened, &place.name))
    });
    if let Err(error) = told {
        tracing::debug!(%error, "files that were changed in failed cannot be looked at");
    }
}
