//! Limits that several parts of the agent share, each with its unit and the source of its number.
//!
//! A number that only one file uses, such as a default of the configuration or a polling interval, is at the top of
//! that file.

use std::time::Duration;

/// Longest key of an identity.
///
/// Units: characters. Source: Target limits page, `mbox3rdPartyId`.
pub const IDENTITY_CHARS_MAX: usize = 256;

/// Length of an identity above which Target's Delivery API refuses it and `preview` warns.
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

/// Length of a value above which Target may cut it and `preview` warns.
///
/// Units: characters. Source: Target limits page, in-mbox attributes.
pub const ATTRIBUTE_VALUE_CHARS_WARN: usize = 256;

/// Items that an `append` attribute keeps; the oldest by event time are dropped first.
///
/// Limits: our choice; keeps a list well below [`ATTRIBUTE_VALUE_CHARS_MAX`].
pub const APPEND_ITEMS_MAX: usize = 50;

/// Largest body that a single profile update may have.
///
/// Units: bytes after URL encoding. Limits: the page says 60 kB without saying which; we take the smaller one.
/// Source: Target Single Profile Update API, notes.
pub const UPDATE_BODY_BYTES_MAX: usize = 60_000;

/// Largest query that a single profile update by GET may have; only the sandbox needs it.
///
/// Units: bytes after URL encoding. Source: Target Single Profile Update API, notes.
pub const UPDATE_QUERY_BYTES_MAX: usize = 8_000;

/// Size that a file of the Bulk Profile Update API must stay below.
///
/// Units: bytes. Limits: the page says "under 50 MB". Source: Target Bulk Profile Update API.
pub const BATCH_FILE_BYTES_MAX: usize = 50_000_000;

/// Most rows of a batch file. Source: Target Bulk Profile Update API.
pub const BATCH_ROWS_MAX: usize = 500_000;

/// Calls of the Bulk Profile Update API per minute above which it answers 503. Source: its page.
pub const BATCH_CALLS_A_MINUTE: usize = 50;

/// Rows of all batches in 24 hours.
///
/// Limits: the page says both this and "no limit"; we take the smaller one. Source: Target Bulk Profile Update API.
pub const BATCH_ROWS_A_DAY: u64 = 1_000_000;

/// Attributes that the first line of a batch may name.
///
/// Limits: our choice; each name costs every row a comma.
pub const BATCH_NAMES_MAX: usize = 1_000;

/// Shortest time for which a profile that Target has is kept after its last change or delivery, however little room
/// there is.
///
/// Limits: a write may take a day to show at Target, and until then our own record of it decides; an hour more for
/// clock differences. Source: Target's batch status page says that a batch is processed within a day.
pub const PROFILE_UNTOUCHED_MIN: Duration = Duration::from_secs(25 * 60 * 60);

/// Time since its last change or delivery after which a profile is removed first when room is needed; the time is then
/// halved again and again.
pub const PROFILE_UNTOUCHED_FIRST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Shortest time between two batches, unless the backlog is large. Source: our choice, so that a quiet shop sends few.
pub const BATCH_INTERVAL: Duration = Duration::from_secs(60);

/// Age at which an incomplete batch is abandoned. Source: Target's batch status page says that a batch is processed
/// within a day.
pub const BATCH_INCOMPLETE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Number of failures in batches after which a row is rejected.
pub const BATCH_ROW_FAILURES_MAX: i64 = 3;

/// Largest part of a batch's status that is read; it lists the failed rows.
///
/// Units: bytes. Limits: room for every row of a full batch with a long key.
pub const BATCH_STATUS_BYTES_MAX: usize = 256 << 20;

/// Most parameters in one call of the Delivery API. Source: Target Delivery API model.
pub const DELIVERY_PARAMETERS_MAX: usize = 50;

/// Longest identity, request id and session id of the Delivery API. Units: characters. Source: its model.
pub const DELIVERY_ID_CHARS_MAX: usize = 128;

/// Time for which a profile is known to exist after its last delivery.
///
/// Limits: Target keeps a profile for 14 days after its last activity; a day is left for clock differences and queues.
/// Source: Target, lifetime of profiles.
pub const EXISTENCE_TIME: Duration = Duration::from_secs(13 * 24 * 60 * 60);

/// Default share of those calls for this device: enough for a busy till all day.
pub const READS_PER_DAY: u64 = 100_000;

/// Calls of the Fetch API that a client may make in 24 hours. Source: Target Fetch profile API.
pub const READS_PER_DAY_MAX: u64 = 1_000_000;

/// Largest part of a profile document that is read.
///
/// Units: bytes. Limits: Target keeps 64 KB of values for a profile; the rest is JSON around them.
pub const PROFILE_BYTES_MAX: usize = 1024 * 1024;

/// Default time between two signs of life to a hub. Also in `agent.toml.example`.
pub const HUB_EVERY: Duration = Duration::from_secs(5 * 60);

/// Longest time for which what is pending goes to Target before a device turns to a hub.
pub const HUB_DRAIN_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Largest answer of a hub that is read: every part of a request may be refused with words. Units: bytes.
pub const HUB_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Largest part of one of Target's answers that is read.
///
/// Units: bytes. Limits: a success has 33 bytes, and a portal page can be recognised from its beginning.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Longest part of Target's message that is kept with a refusal.
///
/// Units: characters.
pub const ANSWER_WORDS_CHARS_MAX: usize = 200;

/// Largest body of a request to the intake.
///
/// Units: bytes. Limits: our choice; some 2,000 events of the usual size.
pub const INTAKE_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Most events in one batch.
///
/// Limits: our choice; bounds the time that one request occupies the writer.
pub const BATCH_EVENTS_MAX: usize = 2_000;

/// Longest `id` and longest `source` of an event.
///
/// Units: bytes. Limits: our choice; both are kept per event.
pub const EVENT_KEY_BYTES_MAX: usize = 1_024;

/// Longest `type` of an event.
///
/// Units: bytes. Limits: our choice.
pub const EVENT_TYPE_BYTES_MAX: usize = 256;

/// Longest `subject` of an event.
///
/// Units: bytes. Limits: our choice.
pub const EVENT_SUBJECT_BYTES_MAX: usize = 1_024;

/// Largest lead of an event's time over the device's clock; an event further ahead is recorded with the present time.
///
/// Source: our choice; more than clocks that are set over the network differ.
pub const EVENT_TIME_AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// Most connections per listener of callers that have authenticated; a further one takes the place of the one that has been
/// idle longest.
pub const INTAKE_CONNECTIONS_MAX: usize = 256;

/// Connections per listener of callers that have not authenticated that may stay; when another comes, the oldest is closed once it
/// has had [`INTAKE_GRACE`], or, where three times as many are open, once what has arrived of it is read.
///
/// Limits: with two listeners and all authenticated connections it stays below the usual 1,024 open files of a process,
/// and a client that sends its request at once is read before a flood of others pushes it out.
pub const INTAKE_STRANGERS_MAX: usize = 64;

/// Time in which a new connection may send its first request, even where places are short.
///
/// Limits: longer than a till takes from connecting to sending; so short that silent connections soon give their places.
pub const INTAKE_GRACE: Duration = Duration::from_secs(1);

/// Longest time that a client of the intake may take from one request to the headers of the next.
///
/// Limits: long enough for a till that keeps its connection between two customers.
pub const INTAKE_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time that a client of the intake may take to send the body of a request.
pub const INTAKE_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Time after which a client of the intake that takes nothing of its answer gives its place where places are short.
///
/// Limits: a program on this device that reads at all, reads sooner.
pub const INTAKE_STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Size above which a body counts as large, so that [`INTAKE_LARGE_BYTES_MAX`] applies.
///
/// Units: bytes. Limits: the usual event has 300 bytes; smaller bodies on all connections together take 16 MiB.
pub const INTAKE_SMALL_BYTES_MAX: usize = 32 * 1024;

/// Most bytes of large bodies in memory at the same time, from their first byte to their answer; more are answered 503.
///
/// Units: bytes.
pub const INTAKE_LARGE_BYTES_MAX: usize = 16 * INTAKE_BODY_BYTES_MAX;

/// Number of events in a request above which it waits for the requests of others with fewer.
pub const SMALL_EVENTS_MAX: usize = 64;

/// Longest line of a file in the folder, and longest event in such a file.
///
/// Units: bytes. Limits: the same as for a request to the intake.
pub const FOLDER_LINE_BYTES_MAX: usize = INTAKE_BODY_BYTES_MAX;

/// Largest file of the folder. Units: bytes.
///
/// Limits: minutes of reading on a small device, in which other large files wait; one without data, of any size, takes no room on a disk.
pub const FOLDER_FILE_BYTES_MAX: u64 = 8 << 30;

/// Deepest nesting of brackets in one event of a file.
///
/// Limits: the parser of events reads no deeper. Source: serde_json, its recursion limit.
pub const FOLDER_EVENT_DEPTH_MAX: usize = 128;

/// Average number of times that the bytes of a file may be read again to find good events after a broken one.
///
/// Limits: a completely broken file takes some ten times as long as a good one, and not the square of its length.
pub const FOLDER_READ_AGAIN_MAX: u64 = 8;

/// Events of a file recorded in one commit.
///
/// Limits: as many as one commit takes anyway; fewer would wait for the disk more often.
pub const FOLDER_BATCH_EVENTS: usize = 1_000;

/// Lines of a file that are reported individually when they cannot be recorded; the rest are counted.
pub const FOLDER_ERRORS_MAX: usize = 1_000;

/// Longest line from a device.
///
/// Units: bytes. Limits: a track of a magnetic card has 79 characters, a two-dimensional bar code up to 4,296.
pub const LINE_BYTES_MAX: usize = 4_296;

/// Recent lines of one device that are remembered, to recognise a repeated one.
pub const LINE_REPEATS_MAX: usize = 64;

/// Lines of one device that wait while the store is full.
pub const LINES_WAITING_MAX: usize = 1_000;

/// Work that one expression of a mapping may do.
///
/// Units: fuel of the expression engine, about one per operation.
pub const EXPRESSION_FUEL: u64 = 10_000;

/// Longest expression in the configuration.
///
/// Units: bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4_096;

/// Most digits of a number in an expression.
///
/// Limits: our choice; bounds the time of a multiplication, and is far beyond any sum of money.
pub const NUMBER_DIGITS_MAX: usize = 100;

/// Most decimal places between a number's digits and its point.
///
/// Limits: a number beyond it would be longer than [`ATTRIBUTE_VALUE_CHARS_MAX`] when written out.
pub const NUMBER_EXPONENT_MAX: i64 = 5_000;

/// Most events in one transaction of the store.
///
/// Limits: keeps the longest wait for an answer within some tens of milliseconds.
pub const GROUP_EVENTS_MAX: usize = 1_024;

/// Filters over the keys of recorded events that are kept in memory.
///
/// Limits: 210 KiB each; together they cover the newest 8 million events. Older keys are looked up on disk.
pub const KEY_FILTERS_MAX: usize = 64;

/// Most profiles that the forwarder claims at once.
pub const OUTBOX_PAGE_PROFILES: usize = 512;

/// Most profiles set aside at the same time because only their own update fails.
///
/// Limits: if more fail, the cause is Target rather than the updates, and the link goes offline.
pub const ASIDE_PROFILES_MAX: usize = 1_000;

/// Failures in a row after which the link counts as offline.
pub const FAILURES_OFFLINE: u32 = 3;

/// Shortest outage after which sending starts slowly, since many devices will have noticed it.
pub const OUTAGE_MIN: Duration = Duration::from_secs(60);

/// Time over which the first requests of devices that start with a backlog are spread.
///
/// Limits: 10,000 devices make 167 requests a second.
pub const OUTAGE_SPREAD: Duration = Duration::from_secs(60);

/// Shortest time between two probes caused by a change of the network.
pub const NETWORK_CHANGE_MIN: Duration = Duration::from_secs(60);

/// Most requests of one delivery, when a large profile is split.
pub const DELIVERY_REQUESTS_MAX: u64 = 16;

/// Shortest wait of the exponential backoff; [`BACKOFF_MAX`] is the longest.
///
/// Source: our choice; it keeps the promise in docs/promises.md of at most 15 requests in ten minutes of outage.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// Longest wait of the exponential backoff.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);

/// Most rejected events and updates in one list; the next list continues after the last.
pub const REJECTED_LISTED_MAX: usize = 1_000;

/// Longest `Retry-After` that is followed.
///
/// Source: our reading of an undocumented answer; a mistaken date must not silence a device for a year.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// Time for which a damaged store is kept after its readable part was saved.
///
/// Source: our choice; time enough for somebody to look, and no longer than the journal keeps events by default.
pub const DAMAGED_STORE_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Damaged stores that are kept at most; then the oldest goes. Source: ours; a flash card that fails makes one after the other.
pub const DAMAGED_STORES_MAX: usize = 3;

/// Named tokens at most. Limits: all of them are read at once, and looked through for each request.
pub const TOKENS_MAX: usize = 1_000;

/// Longest duration of a graceful stop.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Window of Target's quota.
///
/// Source: Target Single Profile Update API, "any rolling 24 hours".
pub const QUOTA_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// Requests that the sandbox keeps in its log by default.
pub const SANDBOX_REQUESTS_KEPT: usize = 1_000;

/// Age at which a reading is too old to rely on, so that the profile is read again before it is sent.
///
/// Limits: our choice; others may write meanwhile, and a full batch takes minutes to fill.
pub const READING_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// Shortest time until the next look for a profile that Target does not have and only the web site can create;
/// [`MISSING_LOOK_MAX`] is the longest.
pub const MISSING_LOOK_MIN: Duration = Duration::from_secs(60 * 60);

/// Longest time until the next look for such a profile.
pub const MISSING_LOOK_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Time after which an update for a profile that Target does not have is rejected.
pub const MISSING_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Time after a lost answer at which the profile is first read back; [`READ_BACK_LAST`] is the last time.
///
/// Limits: a request may be processed an hour later, and a write shows within another hour.
pub const READ_BACK_FIRST: Duration = Duration::from_secs(70 * 60);

/// Time after a lost answer at which the profile is last read back.
pub const READ_BACK_LAST: Duration = Duration::from_secs(150 * 60);

/// Notes of events that changed nothing, by whom they are about: the newest are kept.
///
/// Limits: some 100 bytes each.
pub const WITHOUT_EFFECT_KEPT: i64 = 50_000;

/// Notes of who was forgotten: the newest are kept.
///
/// Limits: some 30 bytes each.
pub const FORGOTTEN_KEPT: i64 = 100_000;

/// Identities that one request may have forgotten.
///
/// Limits: some 270 kB of JSON where each has its most characters.
pub const FORGET_TOGETHER_MAX: usize = 1_000;
