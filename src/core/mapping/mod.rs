//! The meaning of an event: the profiles that it changes, and the changes. Pure; the live path, `check`, `preview` and
//! the examples all call [`Mappings::map`].

mod arithmetic;
mod consent;
mod equality;
mod event_view;
pub mod expression;
pub mod fields;
mod filter_error;
mod filters;
pub mod hash;
mod meaning;
mod rewrite;
mod rule;
mod syntax;
mod texts;
mod uses;
pub mod values;

pub use consent::{NoConsent, PrivacyRules};
pub use meaning::{Mappings, Meaning};
pub use rule::{ChangeRule, Mapping, MappingError, ProfileChanges, TextRule};
pub use uses::Use;
