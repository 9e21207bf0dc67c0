//! The Single Profile Update API: a claim becomes one or more form bodies. Pure.
//!
//! Source: Target Single Profile Update API.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::core::identity::{Identity, IdentityKind};
use crate::core::limits::UPDATE_BODY_BYTES_MAX;

/// Content type of single updates.
///
/// Source: Target Single Profile Update API.
pub(super) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// Characters to encode: all except those that RFC 3986 calls unreserved.
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns the host of a client code.
#[must_use]
pub fn endpoint(client_code: &str) -> String {
    format!("https://{client_code}.tt.omtrdc.net")
}

/// Returns the path of profile updates.
#[must_use]
pub fn path(client_code: &str) -> String {
    format!("/m2/{client_code}/profile/update")
}

/// Returns the name of the parameter with the identity.
const fn identity_parameter(kind: IdentityKind) -> &'static str {
    match kind {
        IdentityKind::ThirdPartyId => "mbox3rdPartyId",
        IdentityKind::PcId => "mboxPC",
    }
}

/// One request: its body, and the attributes in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Update {
    /// URL-encoded form.
    pub body: String,
    /// Attributes in the body, by the index given by the caller.
    pub attributes: Vec<usize>,
}

impl Update {
    /// Returns true if Target accepts a body of this size; only an update of one attribute can be too large.
    #[must_use]
    pub const fn fits(&self) -> bool {
        self.body.len() <= UPDATE_BODY_BYTES_MAX
    }
}

/// Encodes attributes of one profile, each with its index: one body if they fit, otherwise several.
///
/// Limits: each body has at most [`UPDATE_BODY_BYTES_MAX`] bytes, except for a single attribute that is larger: it gets
/// its own body, which does not [fit](Update::fits).
#[must_use]
pub fn encode<'a>(
    identity: &Identity,
    attributes: impl IntoIterator<Item = (usize, (&'a str, &'a str))>,
) -> Vec<Update> {
    let head = parameter(identity_parameter(identity.kind()), identity.key());
    let mut updates: Vec<Update> = Vec::new();
    for (index, (name, value)) in attributes {
        let pair = format!("&profile.{}", parameter(name, value));
        match updates.last_mut() {
            Some(update) if update.body.len() + pair.len() <= UPDATE_BODY_BYTES_MAX => {
                update.body.push_str(&pair);
                update.attributes.push(index);
            }
            _ => updates.push(Update { body: format!("{head}{pair}"), attributes: vec![index] }),
        }
    }
    updates
}

fn parameter(name: &str, value: &str) -> String {
    format!("{}={}", utf8_percent_encode(name, ENCODED), utf8_percent_encode(value, ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity::new(IdentityKind::ThirdPartyId, "123456").expect("valid")
    }

    fn encode_all(identity: &Identity, attributes: &[(&str, &str)]) -> Vec<Update> {
        encode(identity, attributes.iter().copied().enumerate())
    }

    #[test]
    fn values_are_encoded_as_the_test_vectors_say() {
        let check = |value: &str, encoded: &str| {
            let updates = encode_all(&identity(), &[("a", value)]);
            assert_eq!(updates[0].body, format!("mbox3rdPartyId=123456&profile.a={encoded}"));
        };
        check("Malmö C", "Malm%C3%B6%20C");
        check("a+b", "a%2Bb");
        check("100% & more = x", "100%25%20%26%20more%20%3D%20x");
        check("☕🎁", "%E2%98%95%F0%9F%8E%81");
        check("a,b\"c\nd", "a%2Cb%22c%0Ad");
        check("~.-_", "~.-_");
    }

    #[test]
    fn a_pc_id_has_a_parameter_of_its_own() {
        let identity = Identity::new(IdentityKind::PcId, "1368007744041-575948.01_00").expect("valid");
        assert_eq!(encode_all(&identity, &[("a", "1")])[0].body, "mboxPC=1368007744041-575948.01_00&profile.a=1");
    }

    #[test]
    fn a_body_of_60000_bytes_is_sent_whole_and_one_of_60001_is_split_with_the_identity_in_both() {
        let head = "mbox3rdPartyId=123456&profile.a=&profile.b=".len();
        let bodies = |extra: usize| {
            let long = "x".repeat(UPDATE_BODY_BYTES_MAX - head - 5 + extra);
            encode_all(&identity(), &[("a", "12345"), ("b", long.as_str())])
        };
        let whole = bodies(0);
        assert_eq!(whole.iter().map(|update| update.body.len()).collect::<Vec<_>>(), [UPDATE_BODY_BYTES_MAX]);
        let split = bodies(1);
        assert_eq!(split.iter().map(|update| update.attributes.clone()).collect::<Vec<_>>(), [[0], [1]]);
        assert!(split.iter().all(|update| update.body.starts_with("mbox3rdPartyId=123456&profile.")));
    }

    #[test]
    fn an_attribute_that_alone_is_too_large_is_told() {
        let long = "x".repeat(UPDATE_BODY_BYTES_MAX);
        let updates = encode_all(&identity(), &[("a", "1"), ("b", long.as_str()), ("c", "1")]);
        assert_eq!(updates.iter().map(Update::fits).collect::<Vec<_>>(), [true, false, true]);
    }
}
