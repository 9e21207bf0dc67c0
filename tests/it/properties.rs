//! Invariants that hold for any input.

use outpost::adobe::single::encode;
use outpost::core::identity::{Identity, IdentityKind};
use outpost::core::limits::UPDATE_BODY_BYTES_MAX;
use outpost::core::operation::{Held, Operation, Stamp};
use outpost::core::timestamp::Timestamp;
use outpost::sandbox::wire;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

/// Applies changes; `(time, seq, operand)`.
fn fold(operation: Operation, changes: &[(i64, i64, String)]) -> Option<String> {
    let mut held: Option<Held> = None;
    for (time, seq, operand) in changes {
        let stamp = Stamp { time: Timestamp::from_millis(*time), seq: *seq };
        held = operation.change(held.as_ref(), operand, stamp).unwrap().or(held);
    }
    held.map(|held| held.value)
}

fn changes() -> impl Strategy<Value = Vec<(i64, i64, String)>> {
    let change = (0_i64..20, -999_i64..999)
        .prop_map(|(time, cents)| (time, format!("{}.{:02}", cents / 100, cents.abs() % 100)));
    proptest::collection::vec(change, 1..40).prop_map(|changes| {
        changes.into_iter().enumerate().map(|(seq, (time, operand))| (time, seq as i64, operand)).collect()
    })
}

proptest! {
    /// A file with last week's events gives the same profile as the events would have given in time.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        operation in select(&Operation::ALL[..]),
        (in_order, shuffled) in changes().prop_flat_map(|changes| (Just(changes.clone()), Just(changes).prop_shuffle())),
    ) {
        prop_assert_eq!(fold(operation, &in_order), fold(operation, &shuffled));
    }

    /// What is encoded is read back by the strict reader, and fits.
    #[test]
    fn what_is_sent_is_what_arrives(
        key in "[^\0]{1,40}",
        attributes in proptest::collection::btree_map("[^\0\u{1}-\u{1f}\u{7f}-\u{9f}]{1,20}", "[^\0]{1,60}", 1..30),
        repeat in 1_usize..80,
    ) {
        let identity = Identity::new(IdentityKind::PcId, key).unwrap();
        let attributes: Vec<(String, String)> =
            attributes.into_iter().map(|(name, value)| (name, value.repeat(repeat))).filter(|(_, value)| value.chars().count() <= 5_000).collect();
        let pairs = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).enumerate();
        let mut arrived = Vec::new();
        for update in encode(&identity, pairs) {
            prop_assert!(update.body.len() <= UPDATE_BODY_BYTES_MAX || update.attributes.len() == 1);
            if !update.fits() {
                continue;
            }
            let request = wire::Request {
                method: "POST",
                query: "",
                content_type: "application/x-www-form-urlencoded",
                body: update.body.as_bytes(),
            };
            let read = wire::read(request).unwrap();
            prop_assert_eq!(&read.identity, &identity);
            prop_assert_eq!(read.attributes.len(), update.attributes.len());
            arrived.extend(read.attributes);
        }
        prop_assert!(arrived.iter().all(|pair| attributes.contains(pair)));
    }

    /// No text makes reading an identity panic, and what is read is written the same, with its kind.
    #[test]
    fn an_identity_is_read_as_it_is_written(text in any::<String>()) {
        if let Ok(identity) = text.parse::<Identity>() {
            let kind = if text.contains(':') { "" } else { "third_party_id:" };
            prop_assert_eq!(format!("{}:{}", identity.kind().name(), identity.key()), format!("{kind}{text}"));
        }
    }
}
