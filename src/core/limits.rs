//! Bounds that several parts of the agent share: what each limits, in which unit, and where the number comes from.
//!
//! Nothing here does anything. Numbers of one file alone, such as a default of the configuration or an interval between two
//! looks, stand at the top of that file.

use std::time::Duration;

/// Longest key of an identity.
///
/// Units: characters. Source: Target limits page, `mbox3rdPartyId`.
pub const IDENTITY_CHARS_MAX: usize = 256;

/// Length of an identity above which Target's Delivery API would refuse it, so that `preview` warns.
///
/// Units: characters. Source: Target Delivery API model, `thirdPartyId`.
pub const IDENTITY_CHARS_WARN: usize = 128;

/// Longest name of a profile attribute.
///
/// Units: characters. Source: Target Delivery API model, parameter names.
pub const ATTRIBUTE_NAME_CHARS_MAX: usize = 128;

/// Longest value of a profile attribute.
///
/// Units: characters. Source: Target Delivery API model, parameter values.
pub const ATTRIBUTE_VALUE_CHARS_MAX: usize = 5_000;

/// Length of a value above which Target may cut it, so that `preview` warns.
///
/// Units: characters. Source: Target limits page, in-mbox attributes.
pub const ATTRIBUTE_VALUE_CHARS_WARN: usize = 256;

/// Items that an `append` attribute keeps; the oldest by event time go first.
///
/// Limits: ours, so that a list stays well below [`ATTRIBUTE_VALUE_CHARS_MAX`].
pub const APPEND_ITEMS_MAX: usize = 50;

/// Largest body that a single profile update may have.
///
/// Units: bytes after URL encoding. Limits: the page says 60 kB without saying which; the smaller reading is safe.
/// Source: Target Single Profile Update API, notes.
pub const UPDATE_BODY_BYTES_MAX: usize = 60_000;

/// Largest query that a single profile update by GET may have; only the sandbox needs it.
///
/// Units: bytes after URL encoding. Source: Target Single Profile Update API, notes.
pub const UPDATE_QUERY_BYTES_MAX: usize = 8_000;

/// A file of Bulk Profile Update has fewer bytes than this.
///
/// Units: bytes. Limits: the page says "under 50 MB". Source: Target Bulk Profile Update API.
pub const BATCH_FILE_BYTES_MAX: usize = 50_000_000;

/// Most rows of such a file. Source: Target Bulk Profile Update API.
pub const BATCH_ROWS_MAX: usize = 500_000;

/// Calls of that API in a minute, beyond which it answers 503. Source: Target Bulk Profile Update API.
pub const BATCH_CALLS_A_MINUTE: usize = 50;

/// Rows of all batches in 24 hours.
///
/// Limits: the page says both that and "no limit"; the smaller reading is safe. Source: Target Bulk Profile Update API.
pub const BATCH_ROWS_A_DAY: u64 = 1_000_000;

/// Attributes that the first line of a batch may name.
///
/// Limits: ours; each costs every row a comma.
pub const BATCH_NAMES_MAX: usize = 1_000;

/// Least time that a profile that Target has is kept after it was last touched, however little room there is.
///
/// Limits: a write may take a day to show at Target, and until then our own note of it decides. Source: Target's page
/// of a batch's status has it processed within a day; an hour more for clocks.
pub const PROFILE_UNTOUCHED_MIN: Duration = Duration::from_secs(25 * 60 * 60);

/// Profiles that are untouched for so long go first when room is needed; then those of half of it, and so on.
pub const PROFILE_UNTOUCHED_FIRST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Shortest time between two batches, unless the backlog is large. Source: ours, so that a quiet shop sends few.
pub const BATCH_INTERVAL: Duration = Duration::from_secs(60);

/// After how long an incomplete batch is given up. Source: Target's status page of a batch has it processed within a
/// day.
pub const BATCH_INCOMPLETE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Number of times that a row may fail in batches before it is rejected.
pub const BATCH_ROW_FAILURES_MAX: i64 = 3;

/// Part of a batch's status that is read: its failed rows are listed there.
///
/// Units: bytes. Limits: every row of a full batch with a long key.
pub const BATCH_STATUS_BYTES_MAX: usize = 256 << 20;

/// Most parameters in one call of the Delivery API. Source: Target Delivery API model.
pub const DELIVERY_PARAMETERS_MAX: usize = 50;

/// Longest identity, request id and session id of the Delivery API. Units: characters. Source: its model.
pub const DELIVERY_ID_CHARS_MAX: usize = 128;

/// Time that a profile is known to exist after its last delivery.
///
/// Limits: Target keeps a profile for 14 days after its last activity; a day is left for clocks and queues.
/// Source: Target, lifetime of profiles; contract, section 5.
pub const EXISTENCE_TIME: Duration = Duration::from_secs(13 * 24 * 60 * 60);

/// This device's share of them unless told otherwise: a busy till a whole day long.
pub const READS_PER_DAY: u64 = 100_000;

/// Calls of the Fetch API that a client may make in 24 hours. Source: Target Fetch profile API.
pub const READS_PER_DAY_MAX: u64 = 1_000_000;

/// Part of a profile that is read.
///
/// Units: bytes. Limits: Target holds 64 KB of values for a profile; the rest is JSON around them.
pub const PROFILE_BYTES_MAX: usize = 1024 * 1024;

/// Part of an answer of Target that is read.
///
/// Units: bytes. Limits: a success is 33 bytes; a portal page needs no more to be told apart.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Part of Target's words that is kept with a refusal.
///
/// Units: characters.
pub const ANSWER_WORDS_CHARS_MAX: usize = 200;

/// Largest body of a request to the intake.
///
/// Units: bytes. Limits: ours; some 2,000 events of the usual size.
pub const INTAKE_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Most events in one batch.
///
/// Limits: ours; bounds the time that one request holds the writer.
pub const BATCH_EVENTS_MAX: usize = 2_000;

/// Longest `id` and longest `source` of an event.
///
/// Units: bytes. Limits: ours; both are kept per event.
pub const EVENT_KEY_BYTES_MAX: usize = 1_024;

/// Longest `type` of an event.
///
/// Units: bytes. Limits: ours.
pub const EVENT_TYPE_BYTES_MAX: usize = 256;

/// Longest `subject` of an event.
///
/// Units: bytes. Limits: ours.
pub const EVENT_SUBJECT_BYTES_MAX: usize = 1_024;

/// How far the time of an event may be ahead of the device before it is taken as now.
///
/// Source: contract, section 3.
pub const EVENT_TIME_AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// Connections of the intake that have shown that they may call and are served at once, per listener; the next waits for a
/// place.
pub const INTAKE_CONNECTIONS_MAX: usize = 256;

/// Connections of the intake that have not shown that they may call, per listener: when another comes, the one that came first
/// goes.
///
/// Limits: with two listeners and all known connections below the 1,024 files that a process may usually have open; and enough
/// that who sends its request at once is read before a flood of others has sent it away.
pub const INTAKE_STRANGERS_MAX: usize = 64;

/// Time that a client of the intake may take from one request to the headers of the next.
///
/// Limits: long enough for a till that keeps its connection between two customers.
pub const INTAKE_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Time that a client of the intake may take to send the body of a request.
pub const INTAKE_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A request with a larger body is let in only as long as those that are there take less than
/// [`INTAKE_LARGE_BYTES_MAX`] together.
///
/// Units: bytes. Limits: the usual event is 300 bytes; all connections with smaller ones take 16 MiB.
pub const INTAKE_SMALL_BYTES_MAX: usize = 32 * 1024;

/// Larger bodies that are there at a time, from their first byte to their answer; more are answered 503.
///
/// Units: bytes.
pub const INTAKE_LARGE_BYTES_MAX: usize = 16 * INTAKE_BODY_BYTES_MAX;

/// Events of one request above which it waits for those of others that have fewer.
pub const SMALL_EVENTS_MAX: usize = 64;

/// Longest line of a file in the folder, and longest event in it.
///
/// Units: bytes. Limits: as for a request to the intake.
pub const FOLDER_LINE_BYTES_MAX: usize = INTAKE_BODY_BYTES_MAX;

/// Brackets that may be open in one event of a file.
///
/// Limits: no more are read by what reads the event. Source: serde_json, its recursion limit.
pub const FOLDER_EVENT_DEPTH_MAX: usize = 128;

/// Times that the bytes of a file may be read again, on average, to find what is good behind what is broken.
///
/// Limits: a whole file that is broken takes some ten times as long as a good one, and not the square of its length.
pub const FOLDER_READ_AGAIN_MAX: u64 = 8;

/// Events of a file that are recorded in one commit.
///
/// Limits: as many as one commit takes anyway; fewer would wait for the disk more often.
pub const FOLDER_BATCH_EVENTS: usize = 1_000;

/// Lines of a file that are named when they could not be recorded; more are counted.
pub const FOLDER_ERRORS_MAX: usize = 1_000;

/// Longest line of a device.
///
/// Units: bytes. Limits: a track of a magnetic card has 79 characters, a two-dimensional bar code up to 4,296.
pub const LINE_BYTES_MAX: usize = 4_296;

/// Lines of one device that are remembered, so that the same one is not taken twice.
pub const LINE_REPEATS_MAX: usize = 64;

/// Lines of one device that wait while the store is full.
pub const LINES_WAITING_MAX: usize = 1_000;

/// Instructions that one expression of a mapping may cost.
///
/// Units: fuel of the expression engine, about one per operation.
pub const EXPRESSION_FUEL: u64 = 10_000;

/// Longest text of one expression in the configuration.
///
/// Units: bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4_096;

/// Most digits of a number with which an expression computes.
///
/// Limits: ours; bounds the time that a product takes, far beyond any sum of money.
pub const NUMBER_DIGITS_MAX: usize = 100;

/// Most decimal places between a number's digits and its point.
///
/// Limits: beyond it, the number is longer than [`ATTRIBUTE_VALUE_CHARS_MAX`] when it is written out.
pub const NUMBER_EXPONENT_MAX: i64 = 5_000;

/// Most events in one transaction of the store.
///
/// Limits: keeps the oldest waiting client's answer within some tens of milliseconds.
pub const GROUP_EVENTS_MAX: usize = 1_024;

/// Filters over the keys of recorded events that are held in memory.
///
/// Limits: 210 KiB each; together they cover the newest 8 million events, and older ones are asked on disk.
pub const KEY_FILTERS_MAX: usize = 64;

/// Most profiles that the forwarder claims at a time.
pub const OUTBOX_PAGE_PROFILES: usize = 512;

/// Profiles that step aside at once because their update alone keeps failing.
///
/// Limits: when more than these fail alone it is not the update but Target, and the link goes offline.
pub const ASIDE_PROFILES_MAX: usize = 1_000;

/// Failures in a row, with no success between, after which the link counts as offline.
pub const FAILURES_OFFLINE: u32 = 3;

/// An outage that lasted as long as this is known to many devices, so that they come back gently.
pub const OUTAGE_MIN: Duration = Duration::from_secs(60);

/// Over how long the first requests of devices are spread that start with a backlog.
///
/// Limits: 10,000 devices make 167 requests a second.
pub const OUTAGE_SPREAD: Duration = Duration::from_secs(60);

/// Shortest time between two probes that a change of the network brings forward.
pub const NETWORK_CHANGE_MIN: Duration = Duration::from_secs(60);

/// Most requests that one delivery may make, when a large profile is split.
pub const DELIVERY_REQUESTS_MAX: u64 = 16;

/// Shortest and longest wait of the exponential backoff.
///
/// Source: the range that the roadmap promises to operators.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// See [`BACKOFF_MIN`].
pub const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);

/// Rejected events and updates in one list; the next follow after the last.
pub const REJECTED_LISTED_MAX: usize = 1_000;

/// Longest `Retry-After` that is obeyed.
///
/// Source: our reading of an undocumented answer; a mistaken date must not silence a device for a year.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// Time for which a damaged store is kept after what could be read of it was saved.
///
/// Source: ours; long enough for somebody to look, and no longer than the journal keeps events unless told otherwise.
pub const DAMAGED_STORE_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Time that a graceful stop may take.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The window of Target's quota.
///
/// Source: Target Single Profile Update API, "any rolling 24 hours".
pub const QUOTA_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// Requests that the sandbox keeps in its log unless told otherwise.
pub const SANDBOX_REQUESTS_KEPT: usize = 1_000;

/// Age from which on a reading is not relied on: the profile is read again before it is sent.
///
/// Limits: ours; others may write meanwhile, and a full batch takes minutes to fill.
pub const READING_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// Shortest and longest time until a profile is looked for again that Target does not have and that only the web site
/// can make.
pub const MISSING_LOOK_MIN: Duration = Duration::from_secs(60 * 60);

/// See [`MISSING_LOOK_MIN`].
pub const MISSING_LOOK_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Time that a profile is waited for that Target does not have.
pub const MISSING_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Time after a lost answer until a profile is read back, for the first time and for the last.
///
/// Limits: a request may be worked off an hour later, and a write shows within another.
pub const READ_BACK_FIRST: Duration = Duration::from_secs(70 * 60);

/// See [`READ_BACK_FIRST`].
pub const READ_BACK_LAST: Duration = Duration::from_secs(150 * 60);
