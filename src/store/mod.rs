//! The store: the only home of SQL, and the only place where an event, a value or a delivery becomes durable.
//!
//! [`Store`] is the synchronous core: the only connection that writes, and the numbers kept in memory. Everything is
//! written in a [`Transaction`]. [`Writer`] runs the store on its own thread and commits in groups. [`Reader`]s have
//! their own connections and never wait for it. An attribute is **pending** while its version is newer than the one
//! that Target has or refused; the outbox consists of the profiles with such attributes. Time is an argument; nothing
//! here reads a clock.

mod backup;
mod batches;
mod claim;
mod counters;
mod destination;
mod destination_row;
mod erase;
mod erasures;
mod error;
mod event_keys;
mod file;
mod filling;
mod fingerprint;
mod foreign;
mod group_commit;
mod header;
mod history;
mod identity_key;
mod jobs;
mod journal;
mod kept;
mod keys;
mod opening;
mod outbox;
mod parts;
mod person;
mod place;
mod presence;
mod profile_rows;
mod profiles;
mod purge;
mod quota;
mod reader;
mod readings;
mod rehearsal;
mod rejected;
mod room;
mod row_endings;
mod salvage;
mod schema;
mod seal;
mod sends;
mod settle;
mod stored;
mod transaction;
mod verification;
mod writer;

pub use backup::{BackedUp, BackupError, back_up};
pub use batches::{BatchEntry, BatchHead, BatchRow, BatchState, Ending, PART_ROWS, RowAttribute, SettledRows};
pub use claim::{Claim, ClaimParts, ClaimedAttribute, InFlight, is_shared};
pub use counters::{Counters, Pending, Totals};
pub use destination::{Adopted, Noted};
pub use destination_row::Deliveries;
pub use erase::{ErasedProfile, JournalRow, checkpoint};
pub use erasures::note_erasure;
pub use error::{Full, StoreError};
pub use history::Moment;
pub use journal::{Recorded, Recording};
pub use kept::{KeptStore, Over, delete_kept, kept_stores};
pub use keys::KeyFilter;
pub use opening::{Repeats, Store, StoreLimits};
pub use outbox::{ClaimRules, Claims, Outbox, ReadBacks};
pub use person::{ProfileEvent, WithoutEffect};
pub use profile_rows::{AttributeRow, ProfileRow};
pub use purge::{ProfilePurge, ProfilePurgeStep, PurgeStep};
pub use reader::Reader;
pub use readings::{Basis, Reading, delivered};
pub use rehearsal::Rehearsal;
pub use rejected::{RejectedRow, RejectedSubject};
pub use room::Room;
pub use salvage::Salvage;
pub use schema::VERSION as SCHEMA_VERSION;
pub use seal::{StoreFile, StoreKey};
pub use sends::SendLog;
pub use settle::{Refusal, Settlement};
pub use transaction::Transaction;
pub use verification::{ReadBack, Verified};
pub use writer::{Reply, Writer};

/// Name of the database file in the data directory.
pub const FILE_NAME: &str = "outpost.db";
