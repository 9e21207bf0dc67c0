//! The Bulk Profile Update API: the lines of a file, and the words of its answers. Pure but for the reader it is given.
//!
//! Source: Target Bulk Profile Update API, and the release notes of May 2020 for the status of a batch.

use std::collections::HashSet;
use std::io::BufRead;

use percent_encoding::utf8_percent_encode;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::outcome::{Outcome, Refused};
use super::single::ENCODED;
use crate::identity::IdentityKind;
use crate::store::key_hash;

/// The path of submissions; version 2 creates profiles, version 1 does not.
#[must_use]
pub fn path(client_code: &str, version: i64) -> String {
    match version {
        1 => format!("/m2/{client_code}/profile/batchUpdate"),
        _ => format!("/m2/{client_code}/v2/profile/batchUpdate"),
    }
}

/// The first line of a file, with its end.
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

/// Appends a row with its end; `names` are those of the first line, in order. Empty fields are ignored by Target, and those at
/// the end left out.
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

/// Bytes that a text takes in a file.
#[must_use]
pub fn encoded_bytes(text: &str) -> usize {
    utf8_percent_encode(text, ENCODED).map(str::len).sum()
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Target took it; its status is asked for under this path and query.
    Submitted(String),
    /// Target has not taken it, or did not say so.
    Failed(Outcome),
}

impl BatchOutcome {
    /// The name in metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Submitted(_) => "submitted",
            Self::Failed(outcome) => outcome.label(),
        }
    }
}

/// Reads the body of a 200 to a submission; none if it is not Target's.
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

/// The path and query of a status URL, whose host is not followed: it is another one, and without TLS.
fn status_path(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok().filter(|url| url.path().starts_with('/'))?;
    let query = url.query().filter(|query| query.contains("batchId="))?;
    Some(format!("{}?{query}", url.path()))
}

/// How Target says that a batch stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchStatus {
    /// `complete`, `incomplete` or `stuck`.
    pub status: String,
    /// Rows that failed, or whose profile was not found, as Target counts them.
    pub failed_count: u64,
    /// Their keys, as far as they are listed, by [`key_hash`].
    pub failed: HashSet<u64>,
}

/// Reads a status; none if it is not Target's. It may be long: rows that failed are listed.
pub fn read_status(body: impl BufRead) -> Option<BatchStatus> {
    let mut reader = Elements::new(body);
    let mut found = BatchStatus::default();
    let mut id = None;
    while let Some((path, text)) = reader.next()? {
        match path.as_str() {
            "response/status" => found.status = text.trim().to_ascii_lowercase(),
            "response/failedUpdates" | "response/profilesNotFound" => {
                found.failed_count += text.trim().parse::<u64>().unwrap_or(0);
            }
            _ if path.ends_with("profile/id") => id = Some(key_hash(text.trim())),
            _ if path.ends_with("profile/status") => {
                let has_failed = !text.trim().to_ascii_lowercase().starts_with("success");
                found.failed.extend(id.take().filter(|_| has_failed));
            }
            _ => {}
        }
    }
    (!found.status.is_empty()).then_some(found)
}

/// The elements of a document that hold a text, by their path.
struct Elements<R: BufRead> {
    reader: Reader<R>,
    buffer: Vec<u8>,
    path: Vec<String>,
    text: String,
}

impl<R: BufRead> Elements<R> {
    fn new(body: R) -> Self {
        Self { reader: Reader::from_reader(body), buffer: Vec::new(), path: Vec::new(), text: String::new() }
    }

    /// The next one; the inner none is the end, the outer one says that this is no such document.
    #[allow(clippy::option_option, clippy::should_implement_trait)]
    fn next(&mut self) -> Option<Option<(String, String)>> {
        loop {
            self.buffer.clear();
            match self.reader.read_event_into(&mut self.buffer).ok()? {
                Event::Start(start) => {
                    self.path.push(start.name().as_ref().to_owned());
                    self.text.clear();
                }
                Event::Text(text) => self.text.push_str(&text),
                // Only the five that XML brings along, and characters by number: nothing grows by expansion.
                Event::GeneralRef(entity) => match entity.resolve_char_ref() {
                    Ok(Some(character)) => self.text.push(character),
                    _ => self.text.push_str(quick_xml::escape::resolve_predefined_entity(&entity)?),
                },
                Event::End(_) => {
                    let path = self.path.join("/");
                    self.path.pop();
                    return Some(Some((path, std::mem::take(&mut self.text))));
                }
                Event::Eof if self.path.is_empty() => return Some(None),
                Event::Eof => return None,
                _ => {}
            }
        }
    }
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
        assert_eq!(status.failed, HashSet::from([key_hash("7"), key_hash("a&b")]));
        assert_eq!(read_status(&b"<html>"[..]), None);
    }
}
