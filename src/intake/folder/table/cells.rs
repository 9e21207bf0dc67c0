//! The cells of a row. A misplaced quote is an error: it is unclear what it closes or opens.

use crate::intake::folder::text_lines::MARKS;

/// The characters between and around cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) delimiter: char,
    /// `None` if a quote is an ordinary character.
    pub(super) quote: Option<char>,
}

/// The cells of a row, as far as its lines were read.
pub(super) struct Cells {
    marks: Marks,
    cells: Vec<String>,
    cell: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a cell.
    Start,
    /// In a cell without quotes.
    Plain,
    /// Between the quotes of a cell.
    Quoted,
    /// After a quote in a quoted cell: its end, or the first of two.
    Behind,
    /// After the closing quote.
    Closed,
}

/// The effect of a line on a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// The row is complete.
    Whole,
    /// A quote is still open.
    Open,
    /// A quote is misplaced.
    Wrong,
}

impl Cells {
    pub(super) const fn new(marks: Marks) -> Self {
        Self { marks, cells: Vec::new(), cell: String::new(), state: State::Start }
    }

    /// Returns a row that begins within the quotes of a cell.
    pub(super) fn within_quotes(marks: Marks) -> Self {
        Self { state: State::Quoted, ..Self::new(marks) }
    }

    /// Returns the cells of a row of one line; `None` if it is not complete.
    pub(super) fn of_line(marks: Marks, text: &str) -> Option<Vec<String>> {
        let mut cells = Self::new(marks);
        (cells.feed(text) == Fed::Whole).then(|| cells.finish())
    }

    /// Takes the next line of the row.
    pub(super) fn feed(&mut self, text: &str) -> Fed {
        for next in text.chars() {
            if !self.take(next) {
                return Fed::Wrong;
            }
        }
        if self.state == State::Quoted {
            self.cell.push('\n');
            return Fed::Open;
        }
        self.end_cell();
        Fed::Whole
    }

    /// Returns the number of the present cell, from 1.
    pub(super) fn place(&self) -> usize {
        self.cells.len() + 1
    }

    /// Returns true if the present cell is a quoted one.
    pub(super) const fn is_in_quotes(&self) -> bool {
        matches!(self.state, State::Quoted | State::Behind | State::Closed)
    }

    pub(super) fn finish(self) -> Vec<String> {
        self.cells
    }

    /// Takes a character. Returns true if it is allowed there.
    fn take(&mut self, next: char) -> bool {
        let is_quote = self.marks.quote == Some(next);
        let is_delimiter = self.marks.delimiter == next;
        // Others come from a damaged file, or from one that is not a table.
        let is_control = next.is_control() && next != '\t';
        match self.state {
            State::Start if is_quote => {
                self.cell.clear();
                self.state = State::Quoted;
            }
            State::Quoted if is_quote => self.state = State::Behind,
            State::Behind if is_quote => {
                self.cell.push(next);
                self.state = State::Quoted;
            }
            State::Quoted if !is_control || next == '\r' => self.cell.push(next),
            _ if is_delimiter && self.state != State::Quoted => self.end_cell(),
            State::Start if next == ' ' => {}
            State::Start | State::Plain if !is_quote && !is_control => {
                self.cell.push(next);
                self.state = State::Plain;
            }
            State::Behind | State::Closed if next == ' ' => self.state = State::Closed,
            _ => return false,
        }
        true
    }

    fn end_cell(&mut self) {
        self.cells.push(self.cell.trim_matches(is_blank).to_owned());
        self.cell.clear();
        self.state = State::Start;
    }
}

/// Returns true for a character that is invisible at the edge of a cell.
fn is_blank(next: char) -> bool {
    next.is_whitespace() || MARKS.contains(&next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&[&str]>) {
        let marks = Marks { delimiter: ';', quote: Some('"') };
        let found = Cells::of_line(marks, line);
        assert_eq!(found, expected.map(|cells| cells.iter().map(|cell| (*cell).to_owned()).collect()), "{line}");
    }

    #[test]
    fn a_quote_stands_around_a_cell_or_the_row_is_wrong() {
        check("1; x ;", Some(&["1", "x", ""]));
        check("1;\"a; \"\"b\"\"\";2", Some(&["1", "a; \"b\"", "2"]));
        check("1; \"x\" ;2", Some(&["1", "x", "2"]));
        check("'s-Hertogenbosch;5", Some(&["'s-Hertogenbosch", "5"]));
        check("", Some(&[""]));
        check("1;5\" inch", None);
        check("1;\"5\" inch", None);
        check("1;\"5 inch", None);
        check("\u{200b}1\u{feff};\u{200b}", Some(&["1", ""]));
        check("1;\u{7}", None);
        let plain = Marks { delimiter: ';', quote: None };
        assert_eq!(Cells::of_line(plain, "5\" inch;x"), Some(vec!["5\" inch".to_owned(), "x".to_owned()]));
    }
}
