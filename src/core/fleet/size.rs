//! Size of parts on the wire, so that a request is within its bound before it is written.

use super::wire::{AttributePart, ProfileParts};

/// Bytes of a part beside its texts: names of members, numbers, a time, an id.
const PART_BYTES: usize = 300;

/// Bytes of an entry of a list beside its item.
const ITEM_BYTES: usize = 48;

/// Bytes of a profile beside its parts and its key.
const PROFILE_BYTES: usize = 64;

impl ProfileParts {
    /// Returns at least as many bytes as it takes without its attributes.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        PROFILE_BYTES + escaped(self.identity.key())
    }
}

impl AttributePart {
    /// Returns at least as many bytes as it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let items = self.part.items.iter().map(|it| ITEM_BYTES + it.item.as_deref().map_or(0, escaped));
        let texts = [self.name.as_str(), &self.part.value, &self.event, &self.mapping];
        PART_BYTES + texts.into_iter().map(escaped).sum::<usize>() + items.sum::<usize>()
    }
}

/// Returns at least as many bytes as a text takes in JSON.
fn escaped(text: &str) -> usize {
    let bytes = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use crate::core::fleet::Handover;

    #[test]
    fn no_part_is_larger_than_was_reckoned() {
        let attribute = r#""version":9223372036854775807,"time":"2026-11-27T07:00:00.123Z","seq":9223372036854775807"#;
        let items: Vec<String> =
            (0..50).map(|n| format!("[1795763123456,9223372036854775{n:03},\"a\\u0001é\"]")).collect();
        let body = format!(
            r#"{{"protocol":1,"sent_at":"2026-11-27T08:00:00Z","profiles":[{{"third_party_id":"a\"\u0002","attributes":[
                {{{attribute},"name":"n\"\u0001","operation":"append","value":"a\u0001é","items":[{}],"event":"e\\","mapping":"m"}},
                {{{attribute},"name":"total","operation":"add","value":"1","part":"00000000000000000000000000000001"}}]}}]}}"#,
            items.join(",")
        );
        let read = Handover::read(body.as_bytes()).expect("valid");
        let empty = Handover { profiles: Vec::new(), state: read.state.clone(), ..Handover::default() }.write().len();
        let profile = &read.profiles[0];
        let reckoned = profile.head_bytes() + profile.attributes.iter().map(super::AttributePart::bytes).sum::<usize>();
        assert!(read.write().len() - empty <= reckoned, "{reckoned}");
    }
}
