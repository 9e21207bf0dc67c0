//! Profiles as the forwarder takes them: identity, attributes, and what was sent of them.

use std::collections::HashMap;

use deadpool_postgres::Client;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::core::forwarding::existence::Knowledge;
use crate::core::identity::Identity;
use crate::core::operation::Operation;
use crate::core::reason::Reason;
use crate::core::timestamp::Timestamp;
use crate::hub::error::HubError;
use crate::hub::profile_hash::{kind_of, number};
use crate::hub::rows::{Values, existence, items_by_version};
use crate::store::{Basis, ClaimParts, ClaimedAttribute, SendLog, delivered};

/// Reads profiles that are claimed. Those are missing that this program cannot read: a newer one has written them.
pub(super) async fn load(client: &Client, profiles: Vec<Uuid>) -> Result<Vec<(Uuid, ClaimParts)>, HubError> {
    let (heads, attributes) = tokio::try_join!(
        biased;
        client.prepare_cached(
            "SELECT hash, kind, key, existence, existence_ms, missing_since_ms, log
             FROM profile LEFT JOIN sends ON sends.profile = hash WHERE hash = ANY ($1::uuid[])"
        ),
        client.prepare_cached(
            "SELECT profile, name, operation, value, items, time_ms, version, delivered_version, delivered_value, delivered_ms,
                 refused_version, refused_reason
             FROM attribute WHERE profile = ANY ($1::uuid[]) ORDER BY profile, name"
        ),
    )?;
    let of: Values<'_, 1> = [&profiles];
    let (heads, rows) = tokio::try_join!(biased; client.query(&heads, &of), client.query(&attributes, &of))?;
    let mut attributes: HashMap<Uuid, Vec<&Row>> = HashMap::new();
    for row in &rows {
        attributes.entry(row.get("profile")).or_default().push(row);
    }
    let of = |hash| attributes.get(&hash).map_or(&[][..], Vec::as_slice);
    let all = heads.iter().map(|head| {
        let hash: Uuid = head.get("hash");
        Some((hash, parts(head, of(hash))?))
    });
    Ok(all.flatten().collect())
}

/// Returns a profile; none if this program does not know what stands there.
fn parts(head: &Row, rows: &[&Row]) -> Option<ClaimParts> {
    let identity = Identity::new(kind_of(head.get("kind"))?, head.get::<_, &str>("key")).ok()?;
    let at = head.get::<_, Option<i64>>("existence_ms").map(Timestamp::from_millis).unwrap_or_default();
    let knowledge = Knowledge { existence: existence(head.get("existence"))?, at };
    let log = head.get::<_, Option<&str>>("log").map(SendLog::from_json).transpose().ok()?;
    let all: Vec<Attribute> = rows.iter().map(|row| attribute(row)).collect::<Option<_>>()?;
    let attributes = all.iter().filter(|it| it.basis.is_pending).map(claimed).collect();
    let basis = all.into_iter().filter(|it| it.may_be_sent).map(|it| it.basis).collect();
    Some(ClaimParts {
        profile_id: number(head.get("hash")),
        identity,
        knowledge,
        attributes,
        basis,
        sends: log.unwrap_or_default(),
        missing_since: head.get::<_, Option<i64>>("missing_since_ms").map(Timestamp::from_millis),
    })
}

struct Attribute {
    basis: Basis,
    /// True unless it is empty, or was refused.
    may_be_sent: bool,
}

fn attribute(row: &Row) -> Option<Attribute> {
    let operation = Operation::of_number(i64::from(row.get::<_, i16>("operation")))?;
    let (value, version): (String, i64) = (row.get("value"), row.get("version"));
    let (delivered_version, refused_version): (i64, i64) = (row.get("delivered_version"), row.get("refused_version"));
    let is_superseded = row.get::<_, Option<&str>>("refused_reason") == Some(Reason::Superseded.label());
    let may_be_sent = !value.is_empty() && (refused_version < version || is_superseded);
    let items = match row.get::<_, Option<&str>>("items") {
        Some(items) => Some(items_by_version(items)?),
        None => None,
    };
    let basis = Basis {
        name: row.get("name"),
        value,
        version,
        operation,
        // Nobody but Target's other writers can have written it: the hub is one writer for all of its devices.
        is_own: false,
        event_time: Timestamp::from_millis(row.get("time_ms")),
        items,
        is_pending: version > delivered_version.max(refused_version),
        delivered_version,
        delivered: delivered(delivered_version, row.get("delivered_value"), row.get("delivered_ms")),
    };
    Some(Attribute { basis, may_be_sent })
}

fn claimed(attribute: &Attribute) -> ClaimedAttribute {
    let Basis { name, value, version, operation, event_time, delivered_version, .. } = &attribute.basis;
    ClaimedAttribute {
        name: name.clone(),
        value: value.clone(),
        version: *version,
        delivered_version: *delivered_version,
        operation: *operation,
        is_own: false,
        is_urgent: false,
        event_time: *event_time,
        parts: Vec::new(),
        has_all_parts: true,
    }
}
