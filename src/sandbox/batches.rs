//! Batches in the sandbox: reading and processing them. Pure; time is an argument.
//!
//! Source: Target Bulk Profile Update API; where that page is silent, the stricter reading applies.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::faults::{Fault, Naming};
use super::profiles::{Profiles, Write};
use super::wire::{Api, Wrong, check_attribute, decode, wrong};
use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::{BATCH_CALLS_A_MINUTE, BATCH_FILE_BYTES_MAX, BATCH_ROWS_MAX};
use crate::core::timestamp::Timestamp;

/// One row: a profile and the attributes that it sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Identity of the profile.
    pub identity: Identity,
    /// Attributes to set; values may be empty.
    pub attributes: BTreeMap<String, String>,
}

/// Reads the file of a batch.
///
/// # Errors
/// [`Wrong`], for everything that Target's page forbids.
pub fn read(body: &[u8]) -> Result<Vec<Row>, Wrong> {
    if body.len() >= BATCH_FILE_BYTES_MAX {
        return wrong(413, format!("the file has {} bytes; less than {BATCH_FILE_BYTES_MAX} are allowed", body.len()));
    }
    let Ok(text) = std::str::from_utf8(body) else { return wrong(400, "the file is not UTF-8") };
    let mut lines = text.lines();
    let (kind, names) = head(lines.next().unwrap_or_default())?;
    let rows =
        lines.enumerate().map(|(index, line)| row(kind, &names, line, index + 2)).collect::<Result<Vec<_>, _>>()?;
    if rows.is_empty() || rows.len() > BATCH_ROWS_MAX {
        return wrong(400, format!("the file has {} rows, 1 to {BATCH_ROWS_MAX} are allowed", rows.len()));
    }
    if rows.iter().all(|row| row.attributes.values().all(String::is_empty)) {
        return wrong(400, "all values of the batch are empty");
    }
    let mut keys = HashSet::new();
    match rows.iter().find(|row| !keys.insert(&row.identity)) {
        Some(_) => wrong(400, "an identity has two rows"),
        None => Ok(rows),
    }
}

fn head(line: &str) -> Result<(IdentityKind, Vec<String>), Wrong> {
    let mut fields = line.split(',');
    let kind = match fields.next() {
        Some("batch=pcId") => IdentityKind::PcId,
        Some("batch=thirdPartyId") => IdentityKind::ThirdPartyId,
        _ => return wrong(400, "the first line begins with neither batch=pcId nor batch=thirdPartyId"),
    };
    let names = fields.map(decode).collect::<Result<Vec<_>, _>>()?;
    for name in &names {
        check_attribute(name, "")?;
        if name.starts_with("profile.") {
            return wrong(400, "a name in the first line begins with \"profile.\"");
        }
    }
    let mut seen = HashSet::new();
    if names.is_empty() || !names.iter().all(|name| seen.insert(name)) {
        return wrong(400, "the first line names no attribute, or one twice");
    }
    Ok((kind, names))
}

fn row(kind: IdentityKind, names: &[String], line: &str, number: usize) -> Result<Row, Wrong> {
    if line.contains('"') || line.chars().any(char::is_control) {
        return wrong(400, format!("line {number} holds a quote or a control character, which are to be encoded"));
    }
    let mut fields = line.split(',');
    let key = decode(fields.next().unwrap_or_default())?;
    let identity = match Identity::new(kind, key) {
        Ok(identity) => identity,
        Err(error) => return wrong(400, format!("line {number}: {error}")),
    };
    let values = fields.map(decode).collect::<Result<Vec<_>, _>>()?;
    if values.len() > names.len() {
        return wrong(400, format!("line {number} has more fields than the first line"));
    }
    let mut attributes = BTreeMap::new();
    for (name, value) in names.iter().zip(values) {
        check_attribute(name, &value)?;
        attributes.insert(name.clone(), value);
    }
    Ok(Row { identity, attributes })
}

/// One batch with its state.
#[derive(Clone, Debug)]
struct Batch {
    id: String,
    version: Api,
    rows: Vec<Row>,
    /// Rows that were submitted.
    size: usize,
    due_at: Timestamp,
    is_stuck: bool,
    failing: Vec<(Naming, String)>,
    /// Rows at the end that are not consumed.
    short: usize,
    done: Option<Done>,
}

#[derive(Clone, Debug, Default)]
struct Done {
    updated: usize,
    not_found: Vec<String>,
    failed: Vec<(Naming, String)>,
}

/// All batches, and the calls of the last minute.
#[derive(Debug, Default)]
pub struct Batches {
    batches: BTreeMap<String, Batch>,
    calls: VecDeque<Timestamp>,
    submitted: u64,
}

impl Batches {
    /// Counts a call. Returns false if it exceeds the limit of this minute.
    pub fn call(&mut self, now: Timestamp) -> bool {
        let minute_ago = now.minus(Duration::from_secs(60));
        self.calls.retain(|at| *at > minute_ago);
        self.calls.push_back(now);
        self.calls.len() <= BATCH_CALLS_A_MINUTE
    }

    /// Accepts a batch and returns its id.
    pub fn submit(&mut self, client: &str, version: Api, rows: Vec<Row>, faults: &[Fault], now: Timestamp) -> String {
        self.submitted += 1;
        let id = format!("{client}-{}-{}", now.as_millis(), self.submitted);
        let delay = faults.iter().find_map(|fault| match fault {
            Fault::BatchSlow(delay) => Some(*delay),
            _ => None,
        });
        let failing = faults.iter().filter_map(|fault| match fault {
            Fault::BatchFail(naming, key) => Some((*naming, key.clone())),
            _ => None,
        });
        let short = faults.iter().find_map(|fault| match fault {
            Fault::BatchShort(rows) => Some(*rows),
            _ => None,
        });
        let batch = Batch {
            id: id.clone(),
            version,
            size: rows.len(),
            rows,
            due_at: now.plus(delay.unwrap_or_default()),
            is_stuck: faults.contains(&Fault::BatchStuck),
            failing: failing.collect(),
            short: short.unwrap_or_default(),
            done: None,
        };
        self.batches.insert(id.clone(), batch);
        id
    }

    /// Processes the batches that are due.
    pub fn advance(&mut self, profiles: &mut Profiles, now: Timestamp) {
        let is_due = |batch: &&mut Batch| batch.done.is_none() && !batch.is_stuck && batch.due_at <= now;
        for batch in self.batches.values_mut().filter(is_due) {
            batch.process(profiles);
        }
    }

    /// Returns the status document of a batch. Source: Target Bulk Profile Update API, and its release notes of May
    /// 2020: with details, v2 lists only the rows that failed.
    #[must_use]
    pub fn status(&self, id: &str, has_details: bool) -> Option<String> {
        let batch = self.batches.get(id)?;
        let state = match (&batch.done, batch.is_stuck) {
            (Some(_), _) => "complete",
            (None, true) => "stuck",
            (None, false) => "incomplete",
        };
        let mut text = format!(
            "<response><batchId>{}</batchId><status>{state}</status><batchSize>{}</batchSize>",
            batch.id, batch.size
        );
        if let (Some(done), true) = (&batch.done, has_details) {
            batch.details(done, &mut text);
        }
        text.push_str("</response>");
        Some(text)
    }
}

impl Batch {
    fn process(&mut self, profiles: &mut Profiles) {
        let mut done = Done::default();
        let consumed = self.rows.len().saturating_sub(self.short);
        for row in std::mem::take(&mut self.rows).into_iter().take(consumed) {
            let key = row.identity.key().to_owned();
            if let Some((naming, _)) = self.failing.iter().find(|(_, failing)| *failing == key) {
                done.failed.push((*naming, key));
                continue;
            }
            if self.version == Api::BulkV2 {
                profiles.learn(&row.identity);
            }
            if !profiles.knows(&row.identity) {
                done.not_found.push(key);
                continue;
            }
            let write = if self.version == Api::BulkV2 { Write::BatchV2 } else { Write::Update };
            if profiles.write(&row.identity, &row.attributes, write, self.due_at) {
                done.updated += 1;
            } else {
                done.failed.push((Naming::Raw, key));
            }
        }
        self.done = Some(done);
    }

    fn details(&self, done: &Done, text: &mut String) {
        let Done { updated, not_found, failed } = done;
        let consumed = updated + not_found.len() + failed.len();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "<consumedCount>{consumed}</consumedCount><successfulUpdates>{updated}</successfulUpdates>\
             <profilesNotFound>{}</profilesNotFound><failedUpdates>{}</failedUpdates>",
            not_found.len(),
            failed.len()
        );
        let failed = failed.iter().map(|(naming, key)| (*naming, key, "failed"));
        let of_v1 = not_found.iter().filter(|_| self.version == Api::BulkV1);
        for (naming, key, status) in failed.chain(of_v1.map(|key| (Naming::Raw, key, "profileNotFound"))) {
            let id = match naming {
                Naming::Raw => key.replace('&', "&amp;").replace('<', "&lt;"),
                // More than necessary: a decoder decodes all of it.
                Naming::Encoded => utf8_percent_encode(key, NON_ALPHANUMERIC).to_string(),
                Naming::Unnamed => continue,
            };
            let _ = write!(text, "<profile><id>{id}</id><status>{status}</status></profile>");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::faults::Faults;

    fn check(file: &str, problem: &str) {
        let found = read(file.as_bytes()).expect_err(file);
        assert!(found.problem.contains(problem), "{file}: {found:?}");
    }

    #[test]
    fn the_example_of_the_page_is_read() {
        let rows =
            read(b"batch=thirdPartyId,lastStore,visits\n123456,Lund,7\n789,,2\n5,a%2Cb%22c%0Ad\n").expect("valid");
        assert_eq!(rows[0].identity, "third_party_id:123456".parse().expect("valid"));
        assert_eq!(rows[0].attributes["visits"], "7");
        assert_eq!(rows[1].attributes["lastStore"], "");
        assert_eq!(rows[2].attributes["lastStore"], "a,b\"c\nd");
        assert!(!rows[2].attributes.contains_key("visits"));
    }

    #[test]
    fn what_the_page_forbids_is_refused() {
        check("", "first line");
        check("batch=ecid,a\n1,2\n", "first line");
        check("batch=pcId\n1\n", "no attribute");
        check("batch=pcId,a,a\n1,2,3\n", "one twice");
        check("batch=pcId,profile.a\n1,2\n", "profile.");
        check("batch=pcId,a\n", "0 rows");
        check("batch=pcId,a\n1,2,3\n", "more fields");
        check("batch=pcId,a\n,2\n", "empty");
        check("batch=pcId,a\n1,\n", "empty");
        check("batch=pcId,a\n1,\"x\"\n", "quote");
        check("batch=pcId,a\n1,%zz\n", "hexadecimal");
        check("batch=pcId,a\n1,2\n1,3\n", "two rows");
    }

    #[test]
    fn a_minute_has_fifty_calls() {
        let mut batches = Batches::default();
        let now = Timestamp::from_millis(1_800_000_000_000);
        assert!((0..50).all(|_| batches.call(now)));
        assert!(!batches.call(now));
        assert!(batches.call(now.plus(Duration::from_secs(61))));
    }

    /// Returns the details of a batch of three rows, each of which sets `a`, after processing with these faults.
    fn details(faults: &str) -> (String, Profiles) {
        let rows = read(b"batch=thirdPartyId,a\n1%202,x\n3,x\n4,x\n").expect("valid");
        let mut faults: Faults = faults.parse().expect("valid");
        let (mut batches, mut profiles) = (Batches::default(), Profiles::default());
        let now = Timestamp::from_millis(1_800_000_000_000);
        let id = batches.submit("acme", Api::BulkV2, rows, &faults.strike_batch(), now);
        batches.advance(&mut profiles, now);
        (batches.status(&id, true).expect("it is known"), profiles)
    }

    fn check_details(faults: &str, holds: &[&str]) {
        let (status, _) = details(faults);
        let text = holds.iter().find(|text| !status.contains(**text));
        assert_eq!(text, None, "{faults}: {status}");
        let names = status.matches("<profile>").count();
        assert_eq!(names, holds.iter().filter(|text| text.starts_with("<id>")).count(), "{faults}: {status}");
    }

    #[test]
    fn a_row_that_failed_is_named_raw_or_encoded_or_only_counted() {
        let failed = "<failedUpdates>1</failedUpdates>";
        check_details("batch-fail=1 2", &[failed, "<id>1 2</id>"]);
        check_details("batch-fail-encoded=1 2", &[failed, "<id>1%202</id>"]);
        check_details("batch-fail-unnamed=1 2", &[failed, "<consumedCount>3</consumedCount>"]);
    }

    #[test]
    fn rows_that_are_not_consumed_are_neither_applied_nor_failed() {
        let counts = ["<consumedCount>1</consumedCount>", "<successfulUpdates>1</successfulUpdates>"];
        check_details("batch-short=2", &[counts[0], counts[1], "<failedUpdates>0</failedUpdates>"]);
        let (_, profiles) = details("batch-short=2");
        assert_eq!(profiles.all().count(), 1);
        check_details("batch-short=9", &["<consumedCount>0</consumedCount>", "<status>complete</status>"]);
    }
}
