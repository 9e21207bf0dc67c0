//! States as numbers in the file. An unknown number is refused, never read as another state.

use std::cell::Cell;
use std::fmt;

use rusqlite::types::{FromSql, Type, ValueRef};
use rusqlite::{Row, Statement};

use crate::core::event::{EventStatus, Fate};
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::route::Route;
use crate::core::identity::IdentityKind;
use crate::core::operation::{Decision, Operation};
use crate::core::timestamp::Timestamp;

/// A state with a number in the file.
pub(super) trait Stored: Sized + Copy {
    /// Column that contains it, with its table.
    const COLUMN: &'static str;

    /// Returns the number under which it is stored.
    fn stored(self) -> i64;

    /// Returns the state with a stored number.
    fn of_stored(number: i64) -> Option<Self>;
}

/// Declares the numbers of a state.
macro_rules! stored {
    ($column:literal $state:ty { $($number:literal $variant:ident),* $(,)? }) => {
        impl Stored for $state {
            const COLUMN: &'static str = $column;

            fn stored(self) -> i64 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }

            fn of_stored(number: i64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

stored!("kind" IdentityKind { 0 ThirdPartyId, 1 PcId });
stored!("profile.existence" Existence { 0 Unknown, 1 Yes, 2 No });

/// Declares states that define their numbers themselves.
macro_rules! numbered {
    ($column:literal $state:ty) => {
        impl Stored for $state {
            const COLUMN: &'static str = $column;

            fn stored(self) -> i64 {
                self.number()
            }

            fn of_stored(number: i64) -> Option<Self> {
                Self::of_number(number)
            }
        }
    };
}

numbered!("attribute.operation" Operation);
numbered!("attribute.route" Route);
numbered!("reading.decision" Decision);

stored!("without_effect.fate" Fate { 0 Duplicate, 1 Unmapped, 2 Rejected });

/// Returns the number of an event's status in the journal. It is not read back.
pub(super) const fn stored_status(status: EventStatus) -> i64 {
    match status {
        EventStatus::Recorded | EventStatus::Duplicate | EventStatus::Unconsented => 0,
        EventStatus::Unmapped => 1,
        EventStatus::Rejected => 2,
    }
}

/// A number in the file that this program does not know.
#[derive(Debug)]
struct Unknown {
    column: &'static str,
    value: i64,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, value } = self;
        write!(f, "{column} is {value}, which this program does not know; install the outpost that wrote the store")
    }
}

impl std::error::Error for Unknown {}

/// A row, read by the names of its columns.
///
/// Reading columns in the order of the statement costs one comparison each; otherwise the names are searched from the
/// first.
pub(super) struct Named<'r> {
    row: &'r Row<'r>,
    /// Column that is expected next.
    next: Cell<usize>,
}

impl<'r> Named<'r> {
    /// Wraps a row, starting at its first column.
    pub(super) const fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: Cell::new(0) }
    }

    /// Reads the column with a name.
    ///
    /// # Errors
    /// There is no such column, or it has a value of another kind.
    pub(super) fn get<T: FromSql>(&self, name: &str) -> rusqlite::Result<T> {
        self.row.get(self.place(name)?)
    }

    /// Reads a column as [`Named::get`] does, without a copy.
    pub(super) fn get_ref(&self, name: &str) -> rusqlite::Result<ValueRef<'r>> {
        self.row.get_ref(self.place(name)?)
    }

    fn place(&self, name: &str) -> rusqlite::Result<usize> {
        let statement: &Statement<'_> = self.row.as_ref();
        let next = self.next.get();
        let place = match statement.column_name(next) {
            Ok(expected) if expected == name => next,
            _ => statement.column_index(name)?,
        };
        self.next.set(place + 1);
        Ok(place)
    }
}

/// Lets a function that reads by name read the rows of a query.
pub(super) fn by_name<T>(
    mut read: impl FnMut(&Named<'_>) -> rusqlite::Result<T>,
) -> impl FnMut(&Row<'_>) -> rusqlite::Result<T> {
    move |row| read(&Named::of(row))
}

/// Reads a state from the column with a name.
///
/// # Errors
/// The table, the column and the number, if it is unknown.
pub(super) fn state<T: Stored>(row: &Named<'_>, name: &str) -> rusqlite::Result<T> {
    known(row.get(name)?)
}

/// Reads a state as [`state`] does, where it may be missing.
pub(super) fn optional_state<T: Stored>(row: &Named<'_>, name: &str) -> rusqlite::Result<Option<T>> {
    row.get::<Option<i64>>(name)?.map(known).transpose()
}

/// Reads a time in milliseconds, where it may be missing.
pub(super) fn time(row: &Named<'_>, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<Option<i64>>(name)?.map(Timestamp::from_millis))
}

fn known<T: Stored>(value: i64) -> rusqlite::Result<T> {
    T::of_stored(value).ok_or_else(|| {
        let unknown = Unknown { column: T::COLUMN, value };
        rusqlite::Error::FromSqlConversionFailure(usize::MAX, Type::Integer, Box::new(unknown))
    })
}

/// The SQL rule by which an attribute is pending: its version is newer than those that Target has or refused.
macro_rules! pending {
    () => {
        "version > max(delivered_version, refused_version)"
    };
}
pub(super) use {pending, stored};
