//! An answer as it came, and what it says.

use std::time::SystemTime;

use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};

use crate::adobe::bulk::{self, BatchOutcome};
use crate::adobe::fetch::{self, Reply};
use crate::adobe::outcome::{Answer, Outcome, classify_with};
use crate::core::limits::PROFILE_BYTES_MAX;
use crate::core::timestamp::Timestamp;
use crate::device::clock::timestamp;

/// An answer, with the time of Target's clock.
#[derive(Clone, Debug)]
pub struct Exchange<T> {
    /// The answer.
    pub answer: T,
    /// The `Date` of the answer, where there was one.
    pub date: Option<Timestamp>,
}

impl<T> Exchange<T> {
    /// Returns an exchange without an answer; `answer` says why.
    pub(super) const fn unanswered(answer: T) -> Self {
        Self { answer, date: None }
    }
}

/// The head of an answer, and as much of its body as is needed.
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Received {
    fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            retry_after: self.header(RETRY_AFTER),
            date: self.header(DATE),
            content_type: self.header(CONTENT_TYPE),
            location: self.header(LOCATION),
            body: &self.body,
        }
    }

    fn date(&self) -> Option<Timestamp> {
        date(&self.headers)
    }
}

/// Returns the time in `Date`, if it can be read.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok().map(timestamp)
}

/// An answer, or why there is none.
pub(super) fn told<T>(
    received: Result<Received, Outcome>,
    answer: impl FnOnce(&Received) -> T,
    failed: impl FnOnce(Outcome) -> T,
) -> Exchange<T> {
    match received {
        Ok(received) => Exchange { answer: answer(&received), date: received.date() },
        Err(outcome) => Exchange::unanswered(failed(outcome)),
    }
}

pub(super) fn fetched(received: &Received) -> Reply {
    match received.status {
        200 | 404 if fetch::is_missing(&received.body) => return Reply::Missing,
        200 => {
            if let Some(profile) = fetch::read(&received.body) {
                return Reply::Found(profile);
            }
        }
        _ => {}
    }
    if received.status == 200 && received.body.len() >= PROFILE_BYTES_MAX && received.body.starts_with(b"{") {
        // Cut off, so that nobody can read it; Target's own nevertheless.
        return Reply::Unreadable("the profile is larger than Target's limits allow".to_owned());
    }
    // Its words are not kept: they may say whose profile it is.
    let reason = format!("Target answered {} to reading a profile", received.status);
    Reply::without_profile(classify_with(received.answer(), SystemTime::now(), |_| None), reason)
}

pub(super) fn submitted(received: &Received) -> BatchOutcome {
    if received.status == 200
        && let Some(outcome) = bulk::read_submission(&received.body)
    {
        return outcome;
    }
    BatchOutcome::Failed(classify_with(received.answer(), SystemTime::now(), |_| None))
}

/// Reads an answer as far as it is needed.
pub(super) async fn receive(mut response: Response, bytes_max: usize) -> Result<Received, reqwest::Error> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() >= bytes_max {
            break;
        }
    }
    Ok(Received { status, headers, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_to_reading_a_profile() {
        let check = |status, body: &str, label: &str| {
            let received = Received { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() };
            assert_eq!(fetched(&received).label(), label, "{status} {body}");
        };
        // Only the body is documented: it may come with either status.
        let missing = r#"{"status":404,"message":"No profile found for client acme with third party id=123456"}"#;
        check(404, missing, "missing");
        check(200, missing, "missing");
        check(500, missing, "failing");
        check(200, r#"{"client":"acme","profileAttributes":{}}"#, "found");
        check(200, "<html>Welcome</html>", "foreign");
        check(404, "<html>Not Found</html>", "foreign");
        check(404, "Not Found", "unreadable");
        check(400, "no", "unreadable");
        check(414, "", "unreadable");
        check(403, "", "denied");
        check(502, "", "failing");
        check(200, &format!("{{{}", " ".repeat(PROFILE_BYTES_MAX)), "unreadable");
    }
}
