//! Questions to the device: its status, what it and Target have about a person, what was rejected; and forgetting.
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
