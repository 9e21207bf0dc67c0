//! Whatever answers in Target's place to a batch, its status, or a profile: nothing panics, and no host is followed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::adobe::BatchOutcome;
use outpost::adobe::bulk::{read_status, read_submission};
use outpost::adobe::{delivery, fetch};

fuzz_target!(|body: &[u8]| {
    if let Some(BatchOutcome::Submitted(path)) = read_submission(body) {
        assert!(path.starts_with('/') && path.contains("batchId="));
    }
    if let Some(status) = read_status(body) {
        assert!(!status.status.is_empty());
    }
    let _ = fetch::read(body);
    let _ = fetch::is_missing(body);
    let _ = delivery::read(body);
});
