//! The Bulk Profile Update API: lines of the file, and its answers. Pure but for the reader it is given.
//!
//! Source: Target Bulk Profile Update API, and the release notes of May 2020 for the status of a batch.

use std::collections::HashSet;
use std::io::BufRead;

use percent_encoding::{percent_decode_str, utf8_percent_encode};

use super::elements::Elements;
use super::outcome::{Outcome, Refused};
use super::single::ENCODED;
use crate::core::identity::IdentityKind;
use crate::core::limits::BATCH_ROWS_MAX;
use crate::core::short_hash::short_hash;

/// Returns the version of the API for a kind of identity. Source: Target Bulk Profile Update API: a pc id can use
/// version 2 only if the customer does not use ECID.
#[must_use]
pub const fn version(kind: IdentityKind, has_ecid: bool) -> i64 {
    match kind {
        IdentityKind::PcId if has_ecid => 1,
        _ => 2,
    }
}

/// Returns the path of submissions. Version 2 creates profiles, version 1 does not.
#[must_use]
pub fn path(client_code: &str, version: i64) -> String {
    match version {
        1 => format!("/m2/{client_code}/profile/batchUpdate"),
        _ => format!("/m2/{client_code}/v2/profile/batchUpdate"),
    }
}

/// Returns the first line of a file, with its line end.
#[must_use]
pub fn head(kind: IdentityKind, names: &[String]) -> String {
    let mut line = match kind {
        IdentityKind::ThirdPartyId => "batch=thirdPartyId".to_owned(),
        IdentityKind::PcId => "batch=pcId".to_owned(),
    };
    for name in names {
        line.push(',');
        line.extend(utf8_percent_encode(name, ENCODED));
    }
    line.push('\n');
    line
}

/// Appends a row with its line end; `names` are those of the first line, in order. Target ignores empty fields;
/// trailing ones are left out.
pub fn append_row(file: &mut String, names: &[String], key: &str, attributes: &[(String, String)]) {
    file.extend(utf8_percent_encode(key, ENCODED));
    let mut written = 0;
    let mut values: Vec<(usize, &str)> = attributes
        .iter()
        .filter_map(|(name, value)| names.binary_search(name).ok().map(|place| (place, value.as_str())))
        .collect();
    values.sort_unstable_by_key(|(place, _)| *place);
    for (place, value) in values {
        for _ in written..=place {
            file.push(',');
        }
        written = place + 1;
        file.extend(utf8_percent_encode(value, ENCODED));
    }
    file.push('\n');
}

/// Returns the size of a text in a file. Units: bytes.
#[must_use]
pub fn encoded_bytes(text: &str) -> usize {
    utf8_percent_encode(text, ENCODED).map(str::len).sum()
}

/// The result of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Target accepted the batch; its status is at this path and query.
    Submitted(String),
    /// Target has not accepted the batch, or did not say so.
    Failed(Outcome),
}

impl BatchOutcome {
    /// Returns the name used in metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Submitted(_) => "submitted",
            Self::Failed(outcome) => outcome.label(),
        }
    }
}

/// Reads the body of a 200 to a submission; `None` if it is not Target's.
#[must_use]
pub fn read_submission(body: &[u8]) -> Option<BatchOutcome> {
    let mut reader = Elements::new(body);
    let (mut success, mut status, mut message) = (None, None, String::new());
    while let Some((path, text)) = reader.next()? {
        match path.as_str() {
            "response/success" => success = Some(text.trim().eq_ignore_ascii_case("true")),
            "response/batchStatus" => status = Some(text.trim().to_owned()),
            "response/message" => message = text,
            _ => {}
        }
    }
    match (success?, status.as_deref().and_then(status_path)) {
        (true, Some(path)) => Some(BatchOutcome::Submitted(path)),
        (true, None) => None,
        (false, _) => Some(BatchOutcome::Failed(Outcome::Refused(Refused::new(200, message.as_bytes())))),
    }
}

/// Returns the path and query of a status URL. Its host is ignored: it is a different one, without TLS.
fn status_path(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok().filter(|url| url.path().starts_with('/'))?;
    let query = url.query().filter(|query| query.contains("batchId="))?;
    Some(format!("{}?{query}", url.path()))
}

/// The status of a batch as Target reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchStatus {
    /// `complete`, `incomplete` or `stuck`.
    pub status: String,
    /// Rows processed, if Target says so.
    pub consumed: Option<u64>,
    /// Rows applied, if Target says so.
    pub successful: Option<u64>,
    /// Rows that failed or whose profile was not found, by Target's count.
    pub failed_count: u64,
    /// Failed rows that are listed, each counted once.
    pub named: u64,
    /// True if a count cannot be read, or if failed rows are listed that are none of the batch: then it is not known how many
    /// failed.
    pub is_unclear: bool,
    /// Keys of the failed rows as [`short_hash`], both as written and percent-decoded: it is not documented which of
    /// the two Target writes.
    pub failed: HashSet<u64>,
}

impl BatchStatus {
    /// Returns how many of a batch's `rows` rows failed without being named, by the least favourable of Target's
    /// counts. If there are any, none of the rows that are not named is known to be delivered.
    #[must_use]
    pub fn unnamed_failures(&self, rows: u64) -> u64 {
        let missing = |done: Option<u64>| done.map_or(0, |done| rows.saturating_sub(done));
        let failed = self.failed_count.max(missing(self.consumed)).max(missing(self.successful));
        let failed = if self.is_unclear { failed.max(rows) } else { failed };
        failed.saturating_sub(self.named)
    }

    /// Takes that so many of the listed failed rows are in the batch. Others say nothing of it that can be relied on.
    pub fn named_in_batch(&mut self, rows: u64) {
        self.is_unclear |= self.named > rows;
        self.named = self.named.min(rows);
    }

    /// Reads a count. One that is there and no number, or too large, is not the same as none. An empty element is none.
    fn count(&mut self, text: &str) -> Option<u64> {
        let text = text.trim();
        let count = text.parse().ok();
        self.is_unclear |= count.is_none() && !text.is_empty();
        count
    }

    /// Records a failed row; a key that is listed in both forms is one row.
    fn name(&mut self, key: &str) {
        if self.named >= BATCH_ROWS_MAX as u64 {
            // More keys than a batch has: this is not a list of our rows.
            return;
        }
        let mut is_new = self.failed.insert(short_hash(key));
        if let Ok(decoded) = percent_decode_str(key).decode_utf8()
            && decoded != key
        {
            is_new &= self.failed.insert(short_hash(&decoded));
        }
        self.named += u64::from(is_new);
    }
}

/// Reads a status; `None` if it is not Target's. It may be long, because it lists the failed rows.
pub fn read_status(body: impl BufRead) -> Option<BatchStatus> {
    let mut reader = Elements::new(body);
    let mut found = BatchStatus::default();
    let (mut id, mut has_failed) = (None, false);
    while let Some((path, text)) = reader.next()? {
        match path.as_str() {
            "response/status" => {
                // Two that differ are no answer.
                let status = text.trim().to_ascii_lowercase();
                if !found.status.is_empty() && found.status != status {
                    return None;
                }
                found.status = status;
            }
            "response/success" if text.trim().eq_ignore_ascii_case("false") => return None,
            // What it counts is not said; only that it is a count.
            "response/batchSize" => drop(found.count(&text)),
            "response/consumedCount" => found.consumed = found.count(&text),
            "response/successfulUpdates" => found.successful = found.count(&text),
            "response/failedUpdates" | "response/profilesNotFound" => {
                found.failed_count = found.failed_count.saturating_add(found.count(&text).unwrap_or(0));
            }
            _ if path.ends_with("/profile/id") => id = Some(text),
            _ if path.ends_with("/profile/status") => {
                has_failed = !text.trim().to_ascii_lowercase().starts_with("success");
            }
            _ if path.ends_with("/profile") => {
                match (id.take(), std::mem::take(&mut has_failed)) {
                    (Some(id), true) if !id.trim().is_empty() => found.name(id.trim()),
                    // Which row it is, nobody knows.
                    (_, true) => found.is_unclear = true,
                    (_, false) => {}
                }
            }
            _ => {}
        }
    }
    (!found.status.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_the_reference_shows() {
        let names = ["lastStore".to_owned(), "visits".to_owned()];
        let mut file = head(IdentityKind::ThirdPartyId, &names);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        append_row(&mut file, &names, "123456", &[pair("visits", "7"), pair("lastStore", "Lund")]);
        append_row(&mut file, &names, "789", &[pair("visits", "2")]);
        append_row(&mut file, &names, "5,6", &[pair("lastStore", "a,b\"c\nd")]);
        assert_eq!(file, "batch=thirdPartyId,lastStore,visits\n123456,Lund,7\n789,,2\n5%2C6,a%2Cb%22c%0Ad\n");
    }

    #[test]
    fn a_submission_is_read_and_its_host_left_alone() {
        let body = b"<response><success>true</success>
            <batchStatus>http://mboxedge45.tt.omtrdc.net/m2/acme/profile/batchStatus?batchId=acme-1-2</batchStatus>
            <message>Batch submitted for processing</message></response>";
        let path = "/m2/acme/profile/batchStatus?batchId=acme-1-2".to_owned();
        assert_eq!(read_submission(body), Some(BatchOutcome::Submitted(path)));
        let refused = read_submission(b"<response><success>false</success><message>no &amp; no</message></response>");
        assert_eq!(refused, Some(BatchOutcome::Failed(Outcome::Refused(Refused::new(200, b"no & no")))));
        assert_eq!(read_submission(b"<html><body>Welcome</body></html>"), None);
        assert_eq!(read_submission(b"true"), None);
        let elsewhere = b"<response><success>true</success><batchStatus>mailto:x?batchId=1</batchStatus></response>";
        assert_eq!(read_submission(elsewhere), None);
        assert_eq!(read_submission(b"<response><success>true</success>"), None);
    }

    #[test]
    fn a_status_is_read_with_what_failed() {
        let body: &[u8] = b"<response><batchSize>3</batchSize><batchId>a</batchId><unknown><x>1</x></unknown>
            <profile><id>7</id><status>failed</status></profile><profile><id>a&amp;b</id><status>failed</status></profile>
            <profile><id>8</id><status>success</status></profile>
            <failedUpdates>2</failedUpdates><status>complete</status></response>";
        let status = read_status(body).expect("Target's own");
        assert_eq!((status.status.as_str(), status.failed_count), ("complete", 2));
        assert_eq!((status.consumed, status.successful, status.named), (None, None, 2));
        assert_eq!(status.failed, HashSet::from([short_hash("7"), short_hash("a&b")]));
        assert_eq!(read_status(&b"<html>"[..]), None);
    }

    fn status(inner: &str) -> BatchStatus {
        let document = format!("<response>{inner}<status>complete</status></response>");
        read_status(document.as_bytes()).expect("Target's own")
    }

    fn row(id: &str) -> String {
        format!("<profile><id>{id}</id><status>failed</status></profile>")
    }

    #[test]
    fn a_row_that_failed_is_known_whether_its_id_is_raw_or_encoded() {
        let encoded = status(&row("Malm%C3%B6%20C"));
        assert!(encoded.failed.contains(&short_hash("Malmö C")) && encoded.named == 1);
        let raw = status(&row("100% more"));
        assert!(raw.failed.contains(&short_hash("100% more")) && raw.named == 1);
        // Text that looks encoded may be the key itself.
        assert!(encoded.failed.contains(&short_hash("Malm%C3%B6%20C")));
        // The same row twice counts once, in either form.
        assert_eq!(status(&[row("a b"), row("a%20b"), row("a b"), row("c")].concat()).named, 2);
        let in_another_order = "<profile><status>failed</status><id><![CDATA[a&b]]></id></profile>";
        assert!(status(in_another_order).failed.contains(&short_hash("a&b")));
        let succeeded = "<profile><status>success</status><id>7</id></profile><profile><id>8</id></profile>";
        assert_eq!((status(succeeded).named, status(succeeded).failed.len()), (0, 0));
    }

    #[test]
    fn a_status_that_contradicts_itself_or_is_short_of_rows_delivers_nothing() {
        assert_eq!(status("<profile><status>failed</status></profile>").unnamed_failures(3), 3);
        assert_eq!(status("<profile><id> </id><status>failed</status></profile>").unnamed_failures(3), 3);
        assert_eq!(status("<batchSize>-1</batchSize>").unnamed_failures(3), 3);
        assert_eq!(status("<batchSize>3</batchSize>").unnamed_failures(3), 0);
        for wrong in ["<status>stuck</status>", "<success>false</success>"] {
            let document = format!("<response>{wrong}<status>complete</status></response>");
            assert_eq!(read_status(document.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn rows_that_failed_and_are_not_named_are_counted() {
        let check = |inner: &str, rows, expected| {
            assert_eq!(status(inner).unnamed_failures(rows), expected, "{inner} of {rows}");
        };
        let (one, counted) = (row("7"), "<failedUpdates>2</failedUpdates><profilesNotFound>1</profilesNotFound>");
        check("", 10, 0);
        check(counted, 10, 3);
        check(&format!("{counted}{one}"), 10, 2);
        check("<consumedCount>6</consumedCount>", 10, 4);
        check("<consumedCount>10</consumedCount><successfulUpdates>7</successfulUpdates>", 10, 3);
        check(&format!("<successfulUpdates>9</successfulUpdates>{one}"), 10, 0);
        check(&format!("<consumedCount>9</consumedCount><failedUpdates>4</failedUpdates>{one}"), 10, 3);
        // A count above the number of rows is meaningless.
        check("<consumedCount>11</consumedCount><successfulUpdates/>", 10, 0);
        // One that cannot be read is not absent.
        for unreadable in ["many", "-1", "18446744073709551616", "1e1"] {
            check(&format!("<successfulUpdates>{unreadable}</successfulUpdates>"), 10, 10);
            check(&format!("<failedUpdates>{unreadable}</failedUpdates>{one}"), 10, 9);
        }
        let mut foreign = status(&format!("<failedUpdates>1</failedUpdates>{one}"));
        foreign.named_in_batch(0);
        assert_eq!(foreign.unnamed_failures(10), 10, "a failed row that is none of the batch");
        check(&one, 10, 0);
        let most = u64::MAX;
        check(&format!("<failedUpdates>{most}</failedUpdates><profilesNotFound>{most}</profilesNotFound>"), 1, most);
    }
}
