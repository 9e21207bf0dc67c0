//! Whatever is posted is read or refused. What is read once is read again from its journal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outpost::intake::cloudevents;

fuzz_target!(|body: &[u8]| {
    let batch = cloudevents::batch(body).unwrap_or_default();
    let headers = [("ce-specversion", &b"1.0"[..]), ("ce-id", b"1"), ("ce-source", b"/"), ("ce-type", b"t")];
    for content_type in [None, Some("application/json"), Some("text/plain"), Some("application/octet-stream")] {
        let _ = cloudevents::binary(headers.into_iter(), content_type, body);
    }
    for event in batch.into_iter().chain(cloudevents::structured(body)) {
        let again = cloudevents::structured(event.json.as_bytes()).expect("what is journalled can be read");
        assert_eq!((again.id, again.source), (event.id, event.source));
    }
});
