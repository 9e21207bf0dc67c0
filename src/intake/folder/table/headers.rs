//! The header of a table, and further headers in a file joined from several: one with the same names gives the order of
//! the columns below it.

use crate::intake::cloudevents::Invalid;

/// The meaning of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A row of the table.
    Row,
    /// Its header again, in this order or another.
    Header,
    /// A different header: the rows below it cannot be read.
    Other,
}

/// The positions of the columns at the present row.
pub(super) struct Headers<'h> {
    /// Names in the first header; empty if the table has none.
    names: &'h [String],
    /// Present position of each of its columns.
    order: Vec<usize>,
    /// Line of a different header, if that was the last.
    other: Option<u64>,
}

impl<'h> Headers<'h> {
    pub(super) fn new(names: &'h [String], width: usize) -> Self {
        Self { names, order: (0..width.max(names.len())).collect(), other: None }
    }

    /// Takes the next row. Returns its cells in the order of the first header, or the reason why that is unknown;
    /// `None` for a header.
    pub(super) fn take(&mut self, number: u64, cells: Vec<String>) -> Option<Result<Vec<String>, Invalid>> {
        match self.see(&cells) {
            Seen::Header => {
                (self.order, self.other) = (order(self.names, &cells), None);
                return None;
            }
            Seen::Other => {
                self.other = Some(number);
                let words = "it is a header and not the first one, and the rows below it are not recorded; drop them, with this line, as a file of their own. If its cells are values, set skip = 1, header = false and columns by their positions in [intake.folder.csv]";
                return Some(Err(Invalid::new(words)));
            }
            Seen::Row => {}
        }
        if let Some(other) = self.other {
            return Some(Err(Invalid::new(format!("it is below the header of line {other}, which has other columns"))));
        }
        if self.order.iter().enumerate().all(|(at, place)| at == *place) {
            return Some(Ok(cells));
        }
        let cell = |place: &usize| cells.get(*place).cloned().unwrap_or_default();
        Some(Ok(self.order.iter().map(cell).collect()))
    }

    fn see(&self, cells: &[String]) -> Seen {
        let is_name = |cell: &&String| self.names.iter().any(|name| name.eq_ignore_ascii_case(cell));
        let filled = cells.iter().filter(|cell| !cell.is_empty()).count();
        let named = cells.iter().filter(|cell| !cell.is_empty()).filter(is_name).count();
        // No value is the name of its own column, so that it is a header of other columns, or a mistake.
        let mut own = self.names.iter().zip(&self.order);
        let has_own = own.any(|(name, at)| !name.is_empty() && cells.get(*at) == Some(name));
        let row = if has_own { Seen::Other } else { Seen::Row };
        if named == 0 || named * 2 <= filled {
            return row;
        }
        let names = self.names.iter().filter(|name| !name.is_empty()).count();
        let is_whole =
            order(self.names, cells).iter().zip(self.names).all(|(at, name)| name.is_empty() || *at < cells.len());
        match is_whole && names == filled {
            true if self.is_sure(cells, names) => Seen::Header,
            _ if named > 1 => Seen::Other,
            _ => row,
        }
    }

    /// Returns whether a row of all names is a header for sure, and no row whose values are names: it has them in their order,
    /// or as they are written and more than two.
    fn is_sure(&self, cells: &[String], names: usize) -> bool {
        let is_same = |(name, cell): (&String, &String)| name == cell || (names > 1 && name.eq_ignore_ascii_case(cell));
        let is_in_order = self.names.iter().zip(cells).all(is_same);
        is_in_order || (names > 2 && cells.iter().all(|cell| cell.is_empty() || self.names.contains(cell)))
    }
}

/// Returns the position of each name in another header; past its end if it is missing there.
fn order(names: &[String], cells: &[String]) -> Vec<usize> {
    let mut is_taken = vec![false; cells.len()];
    let mut place = |name: &String| {
        let free =
            (0..cells.len()).find(|at| !is_taken[*at] && !name.is_empty() && cells[*at].eq_ignore_ascii_case(name));
        free.inspect(|at| is_taken[*at] = true).unwrap_or(usize::MAX)
    };
    names.iter().map(&mut place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(cells: &str) -> Vec<String> {
        cells.split(';').map(str::to_owned).collect()
    }

    #[test]
    fn a_header_is_known_again_in_any_order() {
        let names = texts("card;store;total;");
        let headers = Headers::new(&names, 4);
        for (cells, expected) in [
            ("4711;Lund;5;", Seen::Row),
            ("card;store;total;", Seen::Header),
            ("total;card;;store", Seen::Header),
            ("CARD;Store;total", Seen::Header),
            ("Total;CARD;;store", Seen::Other),
            ("card;store;total;x", Seen::Other),
            ("card;total;x;", Seen::Other),
            ("card;store;;", Seen::Other),
            ("card;Lund;5;", Seen::Other),
            ("card;;;", Seen::Other),
            ("card;amount;kind;till", Seen::Other),
            ("Lund;card;5;", Seen::Row),
            ("Card;Lund;5;", Seen::Row),
        ] {
            assert_eq!(headers.see(&texts(cells)), expected, "{cells}");
        }
        let one = texts("card");
        assert_eq!(Headers::new(&one, 1).see(&texts("card")), Seen::Header);
        assert_eq!(Headers::new(&one, 1).see(&texts("CARD")), Seen::Row);
        // A survey of channels.
        let two = texts("email;sms");
        assert_eq!(Headers::new(&two, 2).see(&texts("email;sms")), Seen::Header);
        assert_eq!(Headers::new(&two, 2).see(&texts("sms;email")), Seen::Other);
        assert_eq!(Headers::new(&[], 2).see(&texts("a;b")), Seen::Row);
    }
}
