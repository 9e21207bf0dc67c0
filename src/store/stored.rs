//! States as they stand in the file: each under a number of its own. One that is not known is refused, never read as another.

use std::fmt;

use rusqlite::Row;
use rusqlite::types::Type;

use crate::core::event::EventStatus;
use crate::core::forwarding::existence::Existence;
use crate::core::forwarding::route::Route;
use crate::core::identity::IdentityKind;
use crate::core::operation::{Decision, Operation};
use crate::core::timestamp::Timestamp;

/// A state with a number in the file.
pub(super) trait Stored: Sized + Copy {
    /// Column in which it stands, with its table.
    const COLUMN: &'static str;

    /// Returns the number under which it is stored.
    fn stored(self) -> i64;

    /// Returns the state of a stored number.
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

/// Declares states that know their numbers themselves.
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

/// Returns the number under which the fate of an event stands in the journal. It is not read back.
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

/// Reads a state from the column of that name.
///
/// # Errors
/// The table, the column and the number, where it is not known.
pub(super) fn state<T: Stored>(row: &Row<'_>, name: &str) -> rusqlite::Result<T> {
    known(row.get(name)?)
}

/// As [`state`], where there may be none.
pub(super) fn optional_state<T: Stored>(row: &Row<'_>, name: &str) -> rusqlite::Result<Option<T>> {
    row.get::<_, Option<i64>>(name)?.map(known).transpose()
}

/// Reads a time in milliseconds, where there is one.
pub(super) fn time(row: &Row<'_>, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(name)?.map(Timestamp::from_millis))
}

fn known<T: Stored>(value: i64) -> rusqlite::Result<T> {
    T::of_stored(value).ok_or_else(|| {
        let unknown = Unknown { column: T::COLUMN, value };
        rusqlite::Error::FromSqlConversionFailure(usize::MAX, Type::Integer, Box::new(unknown))
    })
}

/// The rule, in SQL, by which an attribute is pending: its version is newer than what Target has, and than what was refused.
macro_rules! pending {
    () => {
        "version > max(delivered_version, refused_version)"
    };
}
pub(super) use {pending, stored};
