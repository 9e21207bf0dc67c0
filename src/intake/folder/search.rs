//! The search for the end of a broken event in a file of JSON. An object within it is no event, even if it looks like one: where
//! nothing shows for sure that the next begins, the rest is not read.

/// The way in which the events of a file are written, as far as sound ones have shown it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layout {
    /// Some event was alone on a line.
    has_lines: bool,
    /// Some event had several lines, or there were several on one line.
    is_mixed: bool,
    /// Some event on one line had a list of objects.
    has_lists: bool,
    /// Line on which the last event ended.
    last: u64,
}

impl Layout {
    /// Notes a sound event with its first and last line, and whether a list of objects is in it.
    pub(super) const fn add(&mut self, first: u64, last: u64, has_list: bool) {
        self.is_mixed |= first != last || first == self.last;
        self.has_lists |= has_list;
        self.has_lines = true;
        self.last = last;
    }

    /// Notes where a broken event was found to end.
    pub(super) const fn ended(&mut self, line: u64) {
        self.last = line;
    }

    /// Returns the layout as it is for an event that begins on a line.
    pub(super) const fn at(mut self, line: u64) -> Self {
        self.is_mixed |= line == self.last;
        self
    }

    /// Returns true if every event so far was alone on a line, and some event was.
    const fn is_of_lines(self) -> bool {
        self.has_lines && !self.is_mixed
    }
}

/// A place where reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The byte begins the next event, or ends the array.
    Before,
    /// The byte ends the broken event.
    Behind,
    /// The byte shows that the end of the broken event cannot be known.
    Nowhere,
}

/// Numbers of brackets that are open.
#[derive(Clone, Copy, Debug, Default)]
struct Brackets {
    all: usize,
    lists: usize,
}

impl Brackets {
    const fn take(&mut self, byte: u8) {
        match byte {
            b'{' => self.all += 1,
            b'[' => (self.all, self.lists) = (self.all + 1, self.lists + 1),
            b'}' => self.all = self.all.saturating_sub(1),
            b']' => (self.all, self.lists) = (self.all.saturating_sub(1), self.lists.saturating_sub(1)),
            _ => {}
        }
    }
}

/// A search from the first byte of a broken event.
pub(super) struct Search {
    layout: Layout,
    /// Bytes before that event on its line.
    margin: usize,
    /// Bytes whose texts are certain, up to where the event is broken. Behind that, quotes mean nothing.
    certain: usize,
    at: usize,
    in_text: bool,
    is_escaped: bool,
    /// Open brackets outside the certain texts, and wherever they stand.
    outside: Brackets,
    anywhere: Brackets,
    /// Open brackets at the end of the first line; `None` on it.
    first: Option<usize>,
    /// Blanks and commas at the beginning of this line; `None` behind them.
    indent: Option<usize>,
    /// The same of the first line that is deeper than the event.
    members: Option<usize>,
    /// True once brackets that close may have closed the event.
    is_closed: bool,
    /// The last byte on this line that is no blank, and the one before it.
    last: [u8; 2],
    /// True if other events may stand between the broken one and the place that was found.
    pub(super) has_more: bool,
}

impl Search {
    pub(super) fn new(layout: Layout, margin: usize, certain: usize) -> Self {
        Self {
            layout,
            margin,
            certain,
            at: 0,
            in_text: false,
            is_escaped: false,
            outside: Brackets::default(),
            anywhere: Brackets::default(),
            first: None,
            indent: None,
            members: None,
            is_closed: false,
            last: [0; 2],
            has_more: false,
        }
    }

    /// Returns a search from within an event whose beginning is missing: that ends on the first line that is indented less.
    pub(super) fn headless(layout: Layout, margin: usize) -> Self {
        Self { first: (margin > 0).then_some(1), ..Self::new(layout, margin.saturating_sub(1), 0) }
    }

    /// Takes a byte. Returns where reading goes on, if it shows that.
    pub(super) fn take(&mut self, byte: u8) -> Option<Found> {
        let is_certain = self.at < self.certain;
        self.at += 1;
        match (byte, self.indent) {
            (b'\n', _) => {
                self.first.get_or_insert(self.outside.all);
                (self.indent, self.last) = (Some(0), [0; 2]);
                return None;
            }
            (b' ' | b'\t' | b'\r' | b',', Some(indent)) => {
                self.indent = Some(indent + 1);
                return None;
            }
            (_, Some(indent)) if indent <= self.margin => return Some(self.found(byte, indent)),
            (_, Some(indent)) => {
                self.has_more |= !self.is_part(byte, indent);
                self.indent = None;
            }
            (_, None) => {}
        }
        if !matches!(byte, b' ' | b'\t' | b'\r') {
            // Brackets in texts may hide where an event ends; a list of objects looks the same.
            let is_of_line = self.first.is_none() && self.layout.is_of_lines() && self.outside.lists > 0;
            let is_behind =
                self.last[1] == b'}' || ((self.last == [b'}', b','] || self.at == self.certain + 1) && !is_of_line);
            let is_next = byte == b'{' && is_behind;
            self.has_more |= is_next || (self.is_closed && !matches!(byte, b',' | b']'));
            self.last = [self.last[1], byte];
        }
        self.anywhere.take(byte);
        if !(is_certain && self.is_text(byte)) {
            self.outside.take(byte);
        }
        self.is_closed |= self.anywhere.all == 0 || self.outside.all == 0;
        None
    }

    /// Returns true if a line that is indented deeper than the event can only be a part of it, by its first byte: all lines of the event
    /// are deeper, and an object on a line of its own is in a list of a member. Any other may be an event that is indented deeper.
    fn is_part(&mut self, byte: u8, indent: usize) -> bool {
        let members = *self.members.get_or_insert(indent);
        self.first == Some(1) && (byte != b'{' || (indent > members && self.outside.lists > 0))
    }

    /// Returns whether a byte belongs to a text, with its quotes.
    const fn is_text(&mut self, byte: u8) -> bool {
        let was_in_text = self.in_text;
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.in_text => self.is_escaped = true,
            b'"' => self.in_text = !self.in_text,
            _ => {}
        }
        was_in_text || self.in_text
    }

    /// Returns what the first byte of a line shows that is not indented deeper than the event.
    fn found(&self, byte: u8, indent: usize) -> Found {
        // Nothing of it is open, or each event is on one line, and lists of objects are as well.
        let is_line = self.layout.is_of_lines() && (self.outside.lists == 0 || self.layout.has_lists);
        let is_behind = self.outside.all == 0 || is_line;
        // All of its lines are deeper, so that what is within it is deeper too.
        let is_indented = self.first == Some(1);
        match byte {
            b'{' if is_behind => Found::Before,
            b']' if is_behind || (is_indented && indent < self.margin) => Found::Before,
            b'}' if is_indented => Found::Behind,
            _ => Found::Nowhere,
        }
    }

    /// Returns the bytes before the event on its line.
    pub(super) const fn margin(&self) -> usize {
        self.margin
    }

    /// Returns the bytes before the place that was found on its line.
    pub(super) fn indent(&self) -> usize {
        self.indent.unwrap_or_default()
    }
}
