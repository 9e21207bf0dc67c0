//! Consent to keeping an event at all: given only where `consent` is true, and by no value that might count as true.

use super::event_view::view;
use super::expression::Expression;
use crate::core::event::Event;

/// The reason why an event must not be kept, without any data of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoConsent {
    /// Clause that says it.
    pub why: String,
    /// True if `consent` could not be computed, so that nobody knows what the person wants.
    pub is_failure: bool,
}

impl PrivacyRules {
    /// Returns why an event must not be kept. If consent cannot be computed, there is none.
    pub(super) fn unconsented(&self, event: &Event) -> Option<NoConsent> {
        let (why, is_failure) = match self.consent.as_ref()?.is_consent(&view(event)) {
            Ok(true) => return None,
            Ok(false) => ("consent of [privacy] is not true of it".to_owned(), false),
            Err(problem) => {
                (format!("consent of [privacy] cannot be computed for it, so there is none: {problem}"), true)
            }
        };
        Some(NoConsent { why, is_failure })
    }
}

/// The rules for which events are kept, and how much of them.
#[derive(Debug, Default)]
pub struct PrivacyRules {
    /// True if an event is kept as received, false if only the fields used by mappings are kept.
    pub keeps_all: bool,
    /// Condition for an event to be kept at all.
    pub consent: Option<Expression>,
}
