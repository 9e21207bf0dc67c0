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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::IdentityKind;
    use crate::store::RowAttribute;

    fn row(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Row {
        let attribute = |(name, value): (_, _)| RowAttribute(Into::into(name), Into::into(value), 1, None, None);
        Row { attributes: pairs.into_iter().map(attribute).collect(), read_at: None }
    }

    #[test]
    fn what_is_counted_of_the_rows_is_what_they_take_in_the_file() {
        let rows = [
            ("123456", vec![("lastStore", "Lund"), ("visits", "7")]),
            ("5,6", vec![("visits", "a,b\"c\nd")]),
            ("Malmö C", vec![("visits", "2")]),
        ];
        let mut size = Size::default();
        for (key, pairs) in &rows {
            assert!(size.add(key, &row(pairs.clone())));
        }
        let names: Vec<String> = size.names.iter().cloned().collect();
        let mut file = bulk::head(IdentityKind::ThirdPartyId, &names);
        let head = file.len();
        for (key, pairs) in &rows {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            bulk::append_row(&mut file, &names, key, &pairs);
        }
        assert_eq!(size.row_bytes + size.rows * names.len(), file.len() - head);
        // A name takes at most three bytes for each of its own, and a comma.
        assert_eq!(size.name_bytes, 3 * "lastStore".len() + 3 * "visits".len() + 2);
        assert!(HEAD_BYTES + size.name_bytes >= head);
    }

    #[test]
    fn a_file_stays_below_its_limit_to_the_byte() {
        // The first word, a name, a comma for it and one for each row, and rows of a key, a line's end and a value.
        let one = HEAD_BYTES + 4 + 1 + 2;
        let two = one + 1 + 3;
        let long = |bytes: usize| row([("a", "x".repeat(bytes))]);
        assert!(!is_too_large("k", &long(BATCH_FILE_BYTES_MAX - one - 1)));
        assert!(is_too_large("k", &long(BATCH_FILE_BYTES_MAX - one)));
        let mut size = Size::default();
        assert!(size.add("k", &long(1)));
        assert!(!size.add("k", &long(BATCH_FILE_BYTES_MAX - two)));
        assert!(size.add("k", &long(BATCH_FILE_BYTES_MAX - two - 1)));
    }

    #[test]
    fn a_file_has_at_most_a_thousand_names_and_counts_each_once() {
        let named = |names: std::ops::Range<usize>| row(names.map(|name| (format!("name{name}"), "")));
        let mut size = Size::default();
        assert!(size.add("k", &named(0..600)));
        assert!(!size.add("k", &named(400..BATCH_NAMES_MAX + 1)));
        assert!(size.add("k", &named(400..BATCH_NAMES_MAX)));
        assert!(size.add("k", &named(0..BATCH_NAMES_MAX)));
    }
}
