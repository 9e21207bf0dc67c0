//! Texts in gzip: documents that the program carries, and bodies on the wire.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// Returns bytes in gzip, packed quickly rather than small.
///
/// # Panics
/// Never: writing to memory does not fail.
#[must_use]
pub fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("writing to memory does not fail")
}

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
