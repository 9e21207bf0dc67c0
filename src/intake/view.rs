//! How a way in is doing, shared between what does the work and what shows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::core::words::capitalised;

/// What people see of a view.
pub trait Shown {
    /// The line of `outpost status`.
    fn line(&self) -> String;

    /// The number of the status page.
    fn figure(&self) -> Figure;

    /// What is the matter, if anything is.
    fn trouble(&self) -> Option<Trouble>;
}

/// What is the matter with a way in, as clauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Something waits, and goes on by itself.
    Waits(String),
    /// Somebody should do something; what, in sentences.
    Needs(String, &'static str),
}

/// A number of the status page, with words below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What it is of.
    pub name: &'static str,
    /// The number, or a word.
    pub figure: String,
    /// Sentences.
    pub words: String,
    /// How much is done, and of how much.
    pub part: Option<(u64, u64)>,
}

/// A sentence that says what is in the way, with a space before it; empty where nothing is.
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
    /// A view that begins so.
    pub fn new(view: T) -> Self {
        Self(Arc::new(Mutex::new(view)))
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> T {
        self.lock().clone()
    }

    /// The view, to be changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        // It is whole even if a holder panicked: each change is of one number or text.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
