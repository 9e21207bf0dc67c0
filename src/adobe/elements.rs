//! The elements of an XML document, read piece by piece. Memory is bounded and time linear, whatever the document.

use std::io::{self, BufRead};

use quick_xml::Reader;
use quick_xml::events::Event;

/// Deepest nesting of elements, above what Target's documents have. A deeper document is not Target's.
const DEPTH_MAX: usize = 8;

/// Longest part of an element's text that is kept. Units: bytes. Limits: an encoded key has at most 3,072.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// Longest part of an element's name that is kept. Units: bytes. Limits: the longest relevant name has 17.
const NAME_BYTES_MAX: usize = 64;

/// Longest tag or text in a document of Target's; each is buffered as a whole. Units: bytes.
const PIECE_BYTES_MAX: usize = 256 * 1024;

/// The elements with text in a document, by their path.
pub(super) struct Elements<R: BufRead> {
    reader: Reader<Pieces<R>>,
    buffer: Vec<u8>,
    /// Names of the open elements, joined by slashes.
    path: String,
    /// Position in the path where the name of each open element begins.
    open: Vec<usize>,
    text: String,
}

impl<R: BufRead> Elements<R> {
    pub(super) fn new(body: R) -> Self {
        let reader = Reader::from_reader(Pieces { body, left: 0 });
        Self { reader, buffer: Vec::new(), path: String::new(), open: Vec::new(), text: String::new() }
    }

    /// Returns the next element. `Some(None)` is the end; `None` means that this is not such a document.
    #[allow(clippy::option_option, clippy::should_implement_trait)]
    pub(super) fn next(&mut self) -> Option<Option<(String, String)>> {
        loop {
            self.buffer.clear();
            self.reader.get_mut().left = PIECE_BYTES_MAX;
            match self.reader.read_event_into(&mut self.buffer).ok()? {
                Event::Start(start) if self.open.len() < DEPTH_MAX => {
                    self.open.push(self.path.len());
                    if self.open.len() > 1 {
                        self.path.push('/');
                    }
                    push_within(&mut self.path, start.name().as_ref(), NAME_BYTES_MAX);
                    self.text.clear();
                }
                Event::Start(_) => return None,
                Event::Text(text) => push_text(&mut self.text, &text),
                Event::CData(text) => push_text(&mut self.text, &text),
                // Only the five entities that XML defines, and characters by number: nothing grows by expansion.
                Event::GeneralRef(entity) => match entity.resolve_char_ref() {
                    Ok(Some(character)) => push_text(&mut self.text, character.encode_utf8(&mut [0; 4])),
                    _ => push_text(&mut self.text, quick_xml::escape::resolve_predefined_entity(&entity)?),
                },
                Event::End(_) => {
                    let path = self.path.clone();
                    self.path.truncate(self.open.pop()?);
                    return Some(Some((path, std::mem::take(&mut self.text))));
                }
                Event::Eof if self.open.is_empty() => return Some(None),
                Event::Eof => return None,
                _ => {}
            }
        }
    }
}

/// Appends to the text of an element, up to the part that is kept.
fn push_text(text: &mut String, more: &str) {
    push_within(text, more, TEXT_BYTES_MAX.saturating_sub(text.len()));
}

/// Appends whole characters of a text, up to `bytes_max` bytes.
fn push_within(text: &mut String, more: &str, bytes_max: usize) {
    text.push_str(&more[..more.floor_char_boundary(bytes_max)]);
}

/// A body that fails if a single piece is longer than the limit. Reset before each piece.
struct Pieces<R> {
    body: R,
    left: usize,
}

impl<R: BufRead> BufRead for Pieces<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let buffer = self.body.fill_buf()?;
        if self.left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("a piece of the document is too long"));
        }
        Ok(&buffer[..buffer.len().min(self.left)])
    }

    fn consume(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.body.consume(bytes);
    }
}

impl<R: BufRead> io::Read for Pieces<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.fill_buf()?[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the elements of a document up to the first error; returns true if it reached the end.
    fn read(document: &str) -> (Vec<(String, String)>, bool) {
        let mut elements = Elements::new(document.as_bytes());
        let mut found = Vec::new();
        loop {
            match elements.next() {
                Some(Some(element)) => found.push(element),
                end => return (found, end.is_some()),
            }
        }
    }

    fn check(document: &str, count: usize, is_whole: bool) {
        let (found, whole) = read(document);
        assert_eq!((found.len(), whole), (count, is_whole), "{}", &document[..document.len().min(80)]);
    }

    #[test]
    fn elements_come_by_path_with_their_text() {
        let (found, _) = read("<r><a>1 &amp; &#50;</a><b><c><![CDATA[<3>]]></c></b></r>");
        let found: Vec<(&str, &str)> = found.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(found, [("r/a", "1 & 2"), ("r/b/c", "<3>"), ("r/b", ""), ("r", "")]);
        check("<r><a></r>", 0, false);
        check("<r>&unknown;</r>", 0, false);
        check("text alone", 0, true);
    }

    #[test]
    fn a_document_that_is_deep_or_huge_costs_little() {
        let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        check(&deep(DEPTH_MAX), DEPTH_MAX, true);
        check(&deep(1_000_000), 0, false);
        // A long name is cut, and not copied whole for each element in it.
        let name = "n".repeat(100_000);
        let (found, is_whole) = read(&format!("<{name}>{}</{name}>", "<a>1</a>".repeat(100_000)));
        assert!(is_whole && found.len() == 100_001 && found[0].0.len() == NAME_BYTES_MAX + "/a".len());
        let (found, _) = read(&format!("<a>{}</a>", "ö&amp;".repeat(10_000)));
        assert!(found[0].1.len() <= TEXT_BYTES_MAX && found[0].1.starts_with("ö&ö&"));
        check(&format!("<r>{}</r>", "y".repeat(PIECE_BYTES_MAX - 5)), 1, true);
        check(&format!("<r>{}</r>", "y".repeat(PIECE_BYTES_MAX + 1)), 0, false);
    }
}
