//! Whatever answers in Target's place, it is a delivery only if it is 200 and says true, and its words stay short.
#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use outpost::core::limits::ANSWER_WORDS_CHARS_MAX;
use outpost::adobe::Outcome;
use outpost::adobe::outcome::{Answer, classify};

fuzz_target!(|input: (u16, Option<&str>, Option<&str>, Option<&str>, Option<&str>, &[u8])| {
    let (status, retry_after, date, content_type, location, body) = input;
    let answer = Answer { status: status % 1_000, retry_after, date, content_type, location, body };
    match classify(answer, SystemTime::UNIX_EPOCH) {
        Outcome::Delivered => assert!(answer.status == 200 && body.trim_ascii_start().starts_with(b"true")),
        Outcome::Refused(refused) => {
            let words = refused.to_string();
            assert!(words.chars().count() <= ANSWER_WORDS_CHARS_MAX + 8 && !words.chars().any(char::is_control));
        }
        _ => {}
    }
});
