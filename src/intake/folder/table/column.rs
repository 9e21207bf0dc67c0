//! The rules of a table: its columns and where their values go.

use jiff::tz::TimeZone;

/// The settings of tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableRules {
    /// Character between two cells.
    pub delimiter: Option<u8>,
    /// Character around a cell that contains a delimiter, if configured; the inner `None` means no quoting.
    pub quote: Option<Option<char>>,
    /// True if a quoted cell may have several lines; if not configured, lines that may be rows are errors.
    pub multiline: Option<bool>,
    /// True if a row names the columns.
    pub has_header: Option<bool>,
    /// Lines to skip before the table.
    pub skip: usize,
    /// Columns of each field of an event, joined by a space; empty for all columns under their own names.
    pub columns: Vec<(Field, Vec<Column>)>,
    /// Fields that are numbers.
    pub numbers: Vec<Field>,
    /// Fields that mappings take as numbers, whether or not `numbers` names them.
    pub counted: Vec<Field>,
    /// Character before the decimals of a number, if not a point.
    pub decimal: Option<char>,
    /// Format of a time, in the syntax of `strftime`; by default RFC 3339, or a date and a time of day.
    pub time_format: Option<String>,
    /// Time zone of times without one; by default the device's.
    pub time_zone: Option<TimeZone>,
}

/// A field of an event: `time`, or names within `data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(pub(super) Vec<String>);

impl Field {
    /// Reads a field such as `time` or `data.card`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let path: Vec<String> = text.split('.').map(str::to_owned).collect();
        let is_member = path.len() == 1 && MEMBERS.contains(&text);
        let is_data = path.len() > 1 && path[0] == "data" && path.iter().all(|name| !name.is_empty());
        (is_member || is_data).then_some(Self(path))
    }

    /// Returns the field of a column that is not configured: a member of its name, or one of the data.
    pub(super) fn of_name(name: &str) -> Self {
        match MEMBERS.into_iter().find(|member| *member == name) {
            Some(member) => Self(vec![member.to_owned()]),
            None => Self(vec!["data".to_owned(), name.to_owned()]),
        }
    }

    pub(super) fn is_time(&self) -> bool {
        self.0 == ["time"]
    }

    /// Returns true if a column without settings may be it: such a column is no field within another.
    #[must_use]
    pub fn is_of_header(&self) -> bool {
        self.0.len() <= 2
    }

    /// Returns true if it is part of another field, as `data.card.number` is of `data.card`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    /// Returns the field as it is written in the configuration.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.join(".")
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By its name in the first row.
    Named(String),
    /// By its position, from 1.
    At(usize),
}

/// Members of an event that a column may fill.
const MEMBERS: [&str; 5] = ["id", "source", "type", "subject", "time"];
