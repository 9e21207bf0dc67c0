//! What one asks the device: how it stands, what it holds of a person and what Target does, what was rejected; and that it forget.
//! [`books::Books`] answers, over a running agent or a store at rest; the other modules hold the documents of its answers.

mod unanswered;

pub mod status;

mod numbers;

pub mod verdict;

pub mod history;

pub mod profile;

pub mod rejected;

pub mod verify;

pub mod forget;

pub mod books;

pub use unanswered::Unanswered;
