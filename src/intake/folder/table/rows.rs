//! The rows of a table. A broken row does not affect the following ones: reading continues at the next line.

use std::io::{self, Read};

use super::cells::{Cells, Fed, Marks};
use crate::core::words::counted;
use crate::intake::cloudevents::Invalid;
use crate::intake::folder::text_lines::{TextLine, TextLines};

/// Longest row of more than one line; a quote that closes later counts as not closed. Units: bytes.
const ROW_BYTES_MAX: usize = 64 * 1024;

/// One row, or the reason why it cannot be read.
pub(super) struct Row {
    /// Line on which it begins.
    pub(super) number: u64,
    pub(super) cells: Result<Vec<String>, Invalid>,
}

/// Reads the next row that is not blank; `None` at the end. Each row has `width` cells.
///
/// # Errors
/// The system's, if the file cannot be read.
pub(super) fn next(lines: &mut TextLines<'_, impl Read>, marks: Marks, width: usize) -> io::Result<Option<Row>> {
    while let Some(TextLine { number, text }) = lines.next()? {
        let cells = match text {
            Ok(text) => cells(lines, marks, width, &text)?,
            Err(invalid) => Err(invalid),
        };
        let is_blank = cells.as_ref().is_ok_and(|cells| cells.iter().all(String::is_empty));
        if !is_blank {
            return Ok(Some(Row { number, cells: cells.and_then(|cells| of_width(cells, width)) }));
        }
    }
    Ok(None)
}

/// Returns the cells of a row that begins with a line and continues while a quote is open.
fn cells(
    lines: &mut TextLines<'_, impl Read>,
    marks: Marks,
    width: usize,
    first: &str,
) -> io::Result<Result<Vec<String>, Invalid>> {
    let mut row = Cells::new(marks);
    let mut fed = row.feed(first);
    let (mut taken, mut bytes) = (Vec::new(), first.len());
    let mut is_closed_late = false;
    while fed == Fed::Open && bytes <= ROW_BYTES_MAX {
        let Some(line) = lines.next()? else { break };
        if let Ok(text) = &line.text {
            bytes += text.len() + 1;
            // A line with the cells of a row is a row: the quote was not meant to be open.
            is_closed_late = text.split(marks.delimiter).count() >= width;
            fed = if is_closed_late { Fed::Open } else { row.feed(text) };
        }
        let is_over = is_closed_late || line.text.is_err();
        taken.push(line);
        if is_over {
            break;
        }
    }
    if fed == Fed::Whole {
        if row.is_quoted_to_its_end() && goes_on(lines, marks, width)? {
            let words = "the quote of the last cell is closed before it should be: the next line has the rest of it";
            return Ok(Err(Invalid::new(words)));
        }
        return Ok(Ok(row.finish()));
    }
    lines.put_back(taken.into_iter());
    let place = row.place();
    let words = match fed {
        Fed::Wrong => format!(
            "cell {place} has a quote or a control character where none may stand; set quote = \"\" in \
             [intake.folder.csv] if quotes are characters like others"
        ),
        _ if is_closed_late => format!("the quote of cell {place} is not closed before the next row"),
        _ => format!("the quote of cell {place} is not closed"),
    };
    Ok(Err(Invalid::new(words)))
}

/// Returns true if the next lines are not rows, and close a quote.
fn goes_on(lines: &mut TextLines<'_, impl Read>, marks: Marks, width: usize) -> io::Result<bool> {
    let (mut taken, mut bytes, mut goes_on) = (Vec::new(), 0, false);
    while bytes <= ROW_BYTES_MAX {
        let Some(line) = lines.next()? else { break };
        let text = line.text.as_deref().unwrap_or_default();
        let may_be_rest = line.text.is_ok() && text.split(marks.delimiter).count() < width;
        bytes += line.bytes();
        let may_be_rest = may_be_rest && lines.may_repeat(&line);
        goes_on = may_be_rest && text.chars().filter(|next| marks.quote == Some(*next)).count() % 2 == 1;
        taken.push(line);
        if goes_on || !may_be_rest {
            break;
        }
    }
    lines.put_back(taken.into_iter());
    Ok(goes_on)
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
        for piece in ["\"a\"\n", "\"\n", "\"a\n", "\"\"\"\n", "\"", "a;\"b\n\"\"\n", "a\n\"b\"\n"] {
            let bytes = 100 * ROW_BYTES_MAX;
            let text = piece.repeat(bytes / piece.len());
            let owned = text.clone();
            let reopen = move || Ok(Box::new(Cursor::new(owned.clone())) as Box<dyn Read>);
            let decoder = Decoder::new(Encoding::Recognised, Whole { open: &reopen, ends: &[] });
            let mut lines = TextLines::new(text.as_bytes(), &text.as_bytes()[..1_000], decoder);
            let mut broken = 0;
            while let Some(Row { cells, .. }) = next(&mut lines, marks, 2).expect("memory can be read") {
                broken += u64::from(cells.is_err());
            }
            assert!(broken > 0, "{piece:?}");
            assert!(lines.steps() <= 12 * bytes as u64, "{piece:?}: {}", lines.steps());
        }
    }
}
