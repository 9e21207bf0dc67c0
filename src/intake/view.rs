//! The state of one kind of intake, shared between its work and its display.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::core::words::capitalised;

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
    Waits(String),
    /// Somebody should act; the second text says how, in sentences.
    Needs(String, &'static str),
}

/// A figure of the status page, with text below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Name of the figure.
    pub name: &'static str,
    /// Number, or a word.
    pub figure: String,
    /// Text in sentences.
    pub words: String,
    /// Progress: the part done, and the whole.
    pub part: Option<(u64, u64)>,
}

/// Returns a problem as a sentence with a space before it; empty if there is none.
pub(super) fn sentence(problem: Option<&str>) -> String {
    match problem {
        Some(problem) if !problem.is_empty() => format!(" {}.", capitalised(problem)),
        _ => String::new(),
    }
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
