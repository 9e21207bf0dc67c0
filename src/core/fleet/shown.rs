//! Texts that are only shown.

/// Longest text that is only shown; longer ones are cut. Units: characters.
const SHOWN_CHARS_MAX: usize = 300;

/// Returns as much of a text as is shown, and as a database takes it.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|next| *next != '\0').take(SHOWN_CHARS_MAX).collect()
}
