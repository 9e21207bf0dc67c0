//! Computes the size of a batch's file before it is written.

use std::collections::BTreeSet;

use crate::adobe::bulk;
use crate::core::limits::{BATCH_FILE_BYTES_MAX, BATCH_NAMES_MAX};
use crate::forward::judge::Row;

/// Room in a file for its first word. Units: bytes.
const HEAD_BYTES: usize = 32;

/// Returns true if a row is too large for any batch.
pub(super) fn is_too_large(key: &str, row: &Row) -> bool {
    !Size::default().add(key, row)
}

/// The size of a file, never too low.
#[derive(Clone, Debug, Default)]
pub(super) struct Size {
    rows: usize,
    pub(super) names: BTreeSet<String>,
    name_bytes: usize,
    row_bytes: usize,
}

impl Size {
    /// Adds a row if it fits. Returns false if it does not.
    pub(super) fn add(&mut self, key: &str, row: &Row) -> bool {
        let new = || row.attributes.iter().map(|attribute| &attribute.0).filter(|name| !self.names.contains(*name));
        let names = self.names.len() + new().count();
        let name_bytes = self.name_bytes + new().map(|name| 3 * name.len() + 1).sum::<usize>();
        let row_bytes = self.row_bytes + row_bytes(key, row);
        let commas = (self.rows + 1).saturating_mul(names);
        if HEAD_BYTES + name_bytes + commas + row_bytes >= BATCH_FILE_BYTES_MAX || names > BATCH_NAMES_MAX {
            return false;
        }
        let new: Vec<String> = new().cloned().collect();
        self.names.extend(new);
        (self.rows, self.name_bytes, self.row_bytes) = (self.rows + 1, name_bytes, row_bytes);
        true
    }
}

/// Returns the size of a row in the file, without its commas. Units: bytes.
pub(super) fn row_bytes(key: &str, row: &Row) -> usize {
    let values = row.attributes.iter().map(|attribute| bulk::encoded_bytes(&attribute.1)).sum::<usize>();
    bulk::encoded_bytes(key) + 1 + values
}
