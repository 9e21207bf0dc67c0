//! Documents that the program carries packed, since they are rarely shown.

use std::io::Read as _;

use flate2::read::GzDecoder;

/// Returns one of the program's own documents.
///
/// # Panics
/// If it is not one that was packed with the program.
#[must_use]
pub fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("it was packed from a text with this program");
    text
}
