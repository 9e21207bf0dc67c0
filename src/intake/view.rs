//! How a way in is doing, shared between what does the work and what shows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
