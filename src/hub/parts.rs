//! Taking what a device hands over: one transaction for one request.
//!
//! The rows of its profiles are locked first, in the order of their keys, so that no two requests wait for each other; then
//! everything that is known of the attributes is read, joined with what the device says, and written, each with one statement
//! for all rows.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::asked::{Asked, Attributes, Known, Parts, asked, halves};
use super::changes::Changes;
use super::database::Database;
use super::devices::Device;
use super::early::early;
use super::error::HubError;
use super::joining::KnownPart;
use super::present::Present;
use super::rows::{merged, uuid};
use crate::core::fleet::{Handover, PartId, Refused};
use crate::core::timestamp::Timestamp;

/// Largest answer, reckoned with what is around each refusal. Limits: below what devices read. Units: bytes.
const ANSWER_BYTES_MAX: usize = 768 * 1024;

/// Size of what is around the words of a refusal. Units: bytes.
const REFUSED_BYTES: usize = 80;

impl Database {
    /// Takes what a device hands over, and returns the parts that are refused. All others are durable when it returns.
    ///
    /// # Errors
    /// [`HubError`]; then the device does not know whether anything was taken, and hands it over again.
    pub async fn take(&self, device: &Device, handover: &Handover) -> Result<Vec<Refused>, HubError> {
        let mut refused = handover.refused.clone();
        // What the database cannot hold is found by halves, and refused alone: repeating it helps nobody.
        let mut waiting = vec![asked(handover)];
        while let Some(asked) = waiting.pop() {
            match self.take_together(device, handover, &asked).await {
                Ok(more) => refused.extend(more),
                Err(error) if error.is_of_data() && !asked.is_empty() => match halves(asked) {
                    Ok(halves) => waiting.extend(halves),
                    Err(said) => {
                        tracing::warn!(%error, "a part that the database cannot hold is refused");
                        let reason = "the hub's database cannot hold it; nothing of it was taken".into();
                        refused.extend(said.map(|said| said.refuse(&reason)));
                    }
                },
                Err(error) => return Err(error),
            }
        }
        let words = |it: &Refused| REFUSED_BYTES + it.reason.len() + it.attribute.as_ref().map_or(0, String::len);
        if refused.iter().map(words).sum::<usize>() > ANSWER_BYTES_MAX {
            return Err(HubError::TooManyRefused);
        }
        Ok(refused)
    }

    async fn take_together(
        &self,
        device: &Device,
        handover: &Handover,
        asked: &[Asked<'_>],
    ) -> Result<Vec<Refused>, HubError> {
        let work = async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            let present = Present::of(&transaction, device, handover.store).await?;
            let changes = take(&transaction, &present, handover, asked).await?;
            transaction.commit().await?;
            client.done();
            if changes.is_pending() {
                self.outbox_changed.notify_one();
            }
            Ok(changes.refused)
        };
        self.in_time(work).await
    }
}

async fn take(
    transaction: &Transaction<'_>,
    present: &Present,
    handover: &Handover,
    asked: &[Asked<'_>],
) -> Result<Changes, HubError> {
    let mut changes = Changes::default();
    if !asked.is_empty() {
        let versions = lock(transaction, asked, present.now).await?;
        let ((attributes, foreign), parts, early) = tokio::try_join!(
            biased;
            read_attributes(transaction, asked),
            read_parts(transaction, asked),
            early(transaction, present, asked),
        )?;
        changes.join_all(present, asked, &versions, Known { attributes, foreign, parts, early });
        changes.write(transaction, present).await?;
    }
    present.note(transaction, handover).await?;
    Ok(changes)
}

/// Locks the profiles, and makes those that are new. Returns the version that each gets with this request; none for one whose
/// key has the hash of another profile.
async fn lock(
    transaction: &Transaction<'_>,
    asked: &[Asked<'_>],
    now: Timestamp,
) -> Result<HashMap<Uuid, i64>, HubError> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO profile (hash, kind, key, version, changed_ms)
             SELECT hash, kind, key, 1, $4 FROM unnest($1::uuid[], $2::smallint[], $3::text[]) AS asked (hash, kind, key)
             ORDER BY hash
             ON CONFLICT (hash) DO UPDATE SET version = profile.version + 1, changed_ms = excluded.changed_ms
             RETURNING hash, kind, key, version",
        )
        .await?;
    let hashes: Vec<Uuid> = asked.iter().map(|profile| profile.hash).collect();
    let kinds: Vec<i16> = asked.iter().map(|profile| profile.kind).collect();
    let keys: Vec<&str> = asked.iter().map(|profile| profile.key).collect();
    let rows = transaction.query(&statement, &[&hashes, &kinds, &keys, &now.as_millis()]).await?;
    let of: HashMap<Uuid, &Asked<'_>> = asked.iter().map(|profile| (profile.hash, profile)).collect();
    let ours = rows.iter().filter_map(|row| {
        let hash = row.get("hash");
        let is_ours = row.get::<_, i16>("kind") == of[&hash].kind && row.get::<_, &str>("key") == of[&hash].key;
        is_ours.then(|| (hash, row.get("version")))
    });
    Ok(ours.collect())
}

async fn read_attributes(
    transaction: &Transaction<'_>,
    asked: &[Asked<'_>],
) -> Result<(Attributes, HashSet<(Uuid, String)>), HubError> {
    let statement = transaction
        .prepare_cached(
            "SELECT profile, name, operation, value, items, time_ms, device, seq, said_by, event, mapping, version
             FROM attribute JOIN unnest($1::uuid[], $2::text[]) AS asked (profile, name) USING (profile, name)",
        )
        .await?;
    let mut wanted: Vec<(Uuid, &str)> = Vec::new();
    for profile in asked {
        wanted.extend(profile.attributes.iter().map(|said| (profile.hash, said.part.name.as_str())));
    }
    wanted.sort_unstable();
    wanted.dedup();
    let (hashes, names): (Vec<Uuid>, Vec<&str>) = wanted.into_iter().unzip();
    let rows = transaction.query(&statement, &[&hashes, &names]).await?;
    let (mut known, mut foreign) = (Attributes::new(), HashSet::new());
    for row in &rows {
        let key = (row.get("profile"), row.get("name"));
        match merged(row) {
            Some(merged) => drop(known.insert(key, merged)),
            None => drop(foreign.insert(key)),
        }
    }
    Ok((known, foreign))
}

async fn read_parts(transaction: &Transaction<'_>, asked: &[Asked<'_>]) -> Result<Parts, HubError> {
    let mut wanted: Vec<(Uuid, Uuid)> = Vec::new();
    for profile in asked {
        wanted.extend(profile.attributes.iter().filter_map(|said| Some((profile.hash, uuid(said.part.id?)))));
    }
    if wanted.is_empty() {
        return Ok(Parts::new());
    }
    wanted.sort_unstable();
    wanted.dedup();
    let statement = transaction
        .prepare_cached(
            "SELECT profile, id, name, value, version
             FROM part JOIN unnest($1::uuid[], $2::uuid[]) AS asked (profile, id) USING (profile, id)",
        )
        .await?;
    let (hashes, ids): (Vec<Uuid>, Vec<Uuid>) = wanted.into_iter().unzip();
    let rows = transaction.query(&statement, &[&hashes, &ids]).await?;
    let known = rows.iter().map(|row| {
        let id = PartId::of_bits(row.get::<_, Uuid>("id").as_u128());
        let part = KnownPart { name: row.get("name"), value: row.get("value"), version: row.get("version") };
        ((row.get("profile"), id), part)
    });
    Ok(known.collect())
}
