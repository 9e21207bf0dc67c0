//! The state of one kind of intake, shared between its work and its display.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::core::words::{SENTENCE, Said, Text};

/// The display of a view.
pub trait Shown {
    /// Returns the line for `outpost status`.
    fn line(&self) -> String;

    /// Returns the figure for the status page.
    fn figure(&self) -> Figure;

    /// Returns the problem, if there is one.
    fn trouble(&self) -> Option<Trouble>;
}

/// A problem of an intake, as clauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Something waits, and will continue by itself.
    Waits(Said),
    /// Somebody should act; the second text says how, in sentences.
    Needs(Said, Text),
}

/// A figure of the status page, with text below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Name of the figure.
    pub name: Text,
    /// Number, or a word.
    pub figure: Said,
    /// Text in sentences.
    pub words: Vec<Said>,
    /// Progress: the part done, and the whole.
    pub part: Option<(u64, u64)>,
}

/// Returns a sentence that says what is in the way, if something is.
pub(super) fn sentence(problem: Option<&str>) -> Option<Said> {
    problem.filter(|problem| !problem.is_empty()).map(|problem| SENTENCE.with([problem.into()]))
}

/// A view that one part changes and others show. Cheap to clone.
#[derive(Debug, Default)]
pub struct SharedView<T>(Arc<Mutex<T>>);

impl<T> Clone for SharedView<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> SharedView<T> {
    /// Returns a view with an initial state.
    pub fn new(view: T) -> Self {
        Self(Arc::new(Mutex::new(view)))
    }

    /// Returns the present state.
    #[must_use]
    pub fn now(&self) -> T {
        self.lock().clone()
    }

    /// Locks the state to change it.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        // The state is consistent even if a holder panicked: each change is of one number or text.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
