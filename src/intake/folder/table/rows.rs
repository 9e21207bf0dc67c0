//! The rows of a table. A broken row does not affect the following ones: reading continues at the next line. Lines that may be within a
//! cell, or rows of their own, are neither.

use std::io::{self, Read};

use super::cells::{Cells, Fed, Marks};
use crate::core::words::counted;
use crate::intake::cloudevents::Invalid;
use crate::intake::folder::text_lines::{TextLine, TextLines};

/// Longest row of more than one line; a quote that closes later counts as not closed. Units: bytes.
pub(super) const ROW_BYTES_MAX: usize = 64 * 1024;

/// Most lines behind a broken row that may be the rest of a cell in it. Limits: a longer text in a cell is rare, and each of these lines
/// may be a sound row.
const REST_LINES_MAX: usize = 100;

/// The notation of the rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) marks: Marks,
    /// Cells in each row.
    pub(super) width: usize,
    /// True if each row begins with a quote, so that a line that does not is within a cell.
    pub(super) begins_with_quote: bool,
    /// True if a cell may have several lines; none if that is not configured.
    pub(super) multiline: Option<bool>,
}

/// One row, or the reason why it cannot be read.
pub(super) struct Row {
    /// Line on which it begins.
    pub(super) number: u64,
    pub(super) cells: Result<Vec<String>, Invalid>,
}

/// Lines that may be within a cell of an earlier one, or rows.
#[derive(Clone, Copy)]
struct Doubt {
    /// Line on which that cell would begin.
    of: u64,
    last: u64,
}

/// Meaning of a line in a quoted cell that began before it.
enum Inside {
    /// A part of it.
    Part,
    /// Its end.
    End,
    /// It cannot be in one.
    No,
}

/// The rows of a table, one after another.
pub(super) struct Rows {
    grid: Grid,
    doubt: Option<Doubt>,
}

impl Rows {
    pub(super) const fn new(grid: Grid) -> Self {
        Self { grid, doubt: None }
    }

    /// Reads the next row that is not blank; `None` at the end. Each row has the same number of cells.
    ///
    /// # Errors
    /// The system's, if the file cannot be read.
    pub(super) fn next(&mut self, lines: &mut TextLines<'_, impl Read>) -> io::Result<Option<Row>> {
        while let Some(line) = lines.next()? {
            let number = line.number;
            let doubt = self.doubt.filter(|doubt| number <= doubt.last && !line.is_blank());
            let cells = match (line.text, doubt) {
                (Ok(_), Some(doubt)) => Err(self.in_doubt(doubt)),
                (Ok(text), None) => self.row(lines, number, &text)?,
                (Err(invalid), None) => {
                    self.see_rest(lines, number, 0)?;
                    Err(invalid)
                }
                (Err(invalid), Some(_)) => Err(invalid),
            };
            let is_blank = cells.as_ref().is_ok_and(|cells| cells.iter().all(String::is_empty));
            if !is_blank {
                return Ok(Some(Row { number, cells: cells.and_then(|cells| of_width(cells, self.grid.width)) }));
            }
        }
        Ok(None)
    }

    /// Returns the cells of a row that begins with a line and continues while a quote is open.
    fn row(
        &mut self,
        lines: &mut TextLines<'_, impl Read>,
        number: u64,
        first: &str,
    ) -> io::Result<Result<Vec<String>, Invalid>> {
        let mut row = Cells::new(self.grid.marks);
        match row.feed(first) {
            Fed::Whole => self.unless_it_goes_on(lines, row.finish()),
            Fed::Wrong => {
                let has_quote = first.contains(|next| self.grid.marks.quote == Some(next));
                // A row that has all its cells and a quote in one of them is no part of another.
                if row.is_in_quotes() || !has_quote || self.cells_of(first) < self.grid.width {
                    self.see_rest(lines, number, 0)?;
                }
                Ok(Err(Invalid::new(format!(
                    "cell {} has a quote or a control character where none may stand; set quote = \"\" in \
                     [intake.folder.csv] if quotes are characters like others",
                    row.place()
                ))))
            }
            Fed::Open if self.grid.multiline == Some(false) => Ok(Err(not_closed(row.place(), " on its line"))),
            Fed::Open => {
                let place = row.place();
                match self.rest(lines, 0, row)? {
                    Ok((count, _)) if self.may_be_rows(lines, first, count)? => {
                        let last = number + count as u64;
                        self.doubt = Some(Doubt { of: number, last });
                        let words = format!(
                            "the quote of cell {place} is closed in line {last}: these lines are one row, or several of which the \
                             first has a quote too many; set multiline in [intake.folder.csv]"
                        );
                        Ok(Err(Invalid::new(words)))
                    }
                    Ok((count, cells)) => {
                        for _ in 0..count {
                            lines.next()?;
                        }
                        self.unless_it_goes_on(lines, cells)
                    }
                    Err(count) => {
                        self.see_rest(lines, number, count)?;
                        Ok(Err(not_closed(place, "")))
                    }
                }
            }
        }
    }

    /// Looks for the lines that complete a row, from some place ahead. Returns their number and its cells; or the number of those that
    /// were looked at in vain.
    fn rest(
        &self,
        lines: &mut TextLines<'_, impl Read>,
        from: usize,
        mut row: Cells,
    ) -> io::Result<Result<(usize, Vec<String>), usize>> {
        let (mut count, mut bytes) = (0, 0);
        while bytes <= ROW_BYTES_MAX {
            let Some(TextLine { text: Ok(text), .. }) = lines.ahead(from + count)? else { return Ok(Err(count)) };
            let (fed, length) = (row.feed(text), text.len() + 1);
            (count, bytes) = (count + 1, bytes + length);
            match fed {
                Fed::Whole => {
                    return Ok(of_width(row.finish(), self.grid.width).map(|cells| (count, cells)).map_err(|_| count));
                }
                Fed::Wrong => return Ok(Err(count)),
                Fed::Open if !lines.may_look_again(length) => break,
                Fed::Open => {}
            }
        }
        // Without an end in sight, what follows is no rest.
        Ok(Err(count))
    }

    /// Returns true if one of the lines that would complete a row may be a row of its own.
    fn may_be_rows(&self, lines: &mut TextLines<'_, impl Read>, first: &str, count: usize) -> io::Result<bool> {
        let Grid { marks, width, begins_with_quote, multiline } = self.grid;
        if multiline.is_some() {
            return Ok(false);
        }
        for at in 0..count {
            let Some(TextLine { text: Ok(text), .. }) = lines.ahead(at)? else { return Ok(true) };
            let begins = text.trim_start().chars().next().is_some_and(|next| marks.quote == Some(next));
            let is_row = || Cells::of_line(marks, text).is_some_and(|cells| is_row(cells, width));
            // Rows with a quote too many each.
            let are_rows = || self.cells_of(first) >= width && self.cells_of(text) >= width;
            if (begins || !begins_with_quote) && (is_row() || (!begins_with_quote && are_rows())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the cells of a row, unless the next lines are no rows and end a quoted cell, which can only be one of this row.
    fn unless_it_goes_on(
        &self,
        lines: &mut TextLines<'_, impl Read>,
        cells: Vec<String>,
    ) -> io::Result<Result<Vec<String>, Invalid>> {
        let (mut bytes, mut at) = (0, 0);
        while self.grid.has_cells_of_lines() && bytes <= ROW_BYTES_MAX {
            let Some(TextLine { text: Ok(text), .. }) = lines.ahead(at)? else { break };
            if self.cells_of(text) >= self.grid.width {
                break;
            }
            let (inside, length) = (self.inside(text), text.len() + 1);
            let mut row = Cells::new(self.grid.marks);
            let is_open = row.feed(text) == Fed::Open;
            (bytes, at) = (bytes + length, at + 1);
            // The next row may have a cell of several lines itself.
            if is_open && self.rest(lines, at, row)?.is_ok() {
                break;
            }
            match inside {
                Inside::End => {
                    let words =
                        "a quote of it is closed or missing before it should be: the next lines have the rest of it";
                    return Ok(Err(Invalid::new(words)));
                }
                Inside::Part if lines.may_look_again(length) => {}
                Inside::Part | Inside::No => break,
            }
        }
        Ok(Ok(cells))
    }

    /// Puts the lines behind a broken one in doubt, if one of them ends a quoted cell that may have begun there. The first of them that
    /// may be that end follows behind some others.
    fn see_rest(&mut self, lines: &mut TextLines<'_, impl Read>, number: u64, from: usize) -> io::Result<()> {
        if !self.grid.has_cells_of_lines() {
            return Ok(());
        }
        for at in from..from.saturating_add(REST_LINES_MAX) {
            let Some(TextLine { number: last, text: Ok(text) }) = lines.ahead(at)? else { break };
            let (inside, last, length) = (self.inside(text), *last, text.len() + 1);
            match inside {
                Inside::End => {
                    self.doubt = Some(Doubt { of: number, last });
                    break;
                }
                Inside::Part if lines.may_look_again(length) => {}
                Inside::Part | Inside::No => break,
            }
        }
        Ok(())
    }

    fn inside(&self, text: &str) -> Inside {
        let mut row = Cells::within_quotes(self.grid.marks);
        match row.feed(text) {
            Fed::Wrong => Inside::No,
            Fed::Open if row.place() == 1 => Inside::Part,
            Fed::Whole | Fed::Open => Inside::End,
        }
    }

    /// Returns the number of parts between delimiters, wherever quotes stand.
    fn cells_of(&self, text: &str) -> usize {
        text.split(self.grid.marks.delimiter).count()
    }

    fn in_doubt(&self, Doubt { of, .. }: Doubt) -> Invalid {
        let advice = match self.grid.multiline {
            None => "; set multiline in [intake.folder.csv]",
            Some(_) => "",
        };
        Invalid::new(format!(
            "it may be a row, or a line within a cell of the row of line {of}, which is broken{advice}"
        ))
    }
}

impl Grid {
    /// Returns true if a cell may have several lines.
    fn has_cells_of_lines(&self) -> bool {
        self.marks.quote.is_some() && self.multiline != Some(false)
    }
}

fn not_closed(place: usize, place_words: &str) -> Invalid {
    Invalid::new(format!("the quote of cell {place} is not closed{place_words}"))
}

fn is_row(cells: Vec<String>, width: usize) -> bool {
    cells.iter().any(|cell| !cell.is_empty()) && of_width(cells, width).is_ok()
}

/// Returns a row with the right number of cells, dropping empty ones beyond it.
fn of_width(mut cells: Vec<String>, width: usize) -> Result<Vec<String>, Invalid> {
    while cells.len() > width && cells.last().is_some_and(String::is_empty) {
        cells.pop();
    }
    if cells.len() == width {
        return Ok(cells);
    }
    Err(Invalid::new(format!("the row has {}, and must have {width}", counted(cells.len(), "cell"))))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::intake::folder::encoding::{Decoder, Encoding, Whole};

    #[test]
    fn what_is_broken_throughout_is_named_and_takes_no_square_of_its_length() {
        let marks = Marks { delimiter: ';', quote: Some('"') };
        let grid = Grid { marks, width: 2, begins_with_quote: false, multiline: None };
        for piece in ["\"a\"\n", "\"\n", "\"a\n", "\"\"\"\n", "\"", "a;\"b\n\"\"\n", "a\n\"b\"\n"] {
            let bytes = 100 * ROW_BYTES_MAX;
            let text = piece.repeat(bytes / piece.len());
            let owned = text.clone();
            let reopen = move || Ok(Box::new(Cursor::new(owned.clone())) as Box<dyn Read>);
            let decoder = Decoder::new(Encoding::Recognised, Whole { open: &reopen, ends: &[] });
            let mut lines = TextLines::new(text.as_bytes(), &text.as_bytes()[..1_000], decoder);
            let (mut rows, mut broken) = (Rows::new(grid), 0);
            while let Some(Row { cells, .. }) = rows.next(&mut lines).expect("memory can be read") {
                broken += u64::from(cells.is_err());
            }
            assert!(broken > 0, "{piece:?}");
            assert!(lines.steps() <= 12 * bytes as u64, "{piece:?}: {}", lines.steps());
        }
    }
}
