//! Files of text, as editors of all systems write them.

/// The bytes of a text without the byte order mark that some editors put before UTF-8.
///
/// # Errors
/// A clause for a person: it is UTF-16.
pub fn without_mark(bytes: &[u8]) -> Result<&[u8], &'static str> {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Err("it is UTF-16; it must be saved as UTF-8"),
        bytes => Ok(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)),
    }
}
