//! Taking what a device hands over: one transaction for one request.
//!
//! The rows of its profiles are locked first, in the order of their keys, so that no two requests wait for each other; then
//! everything that is known of the attributes is read, joined with what the device says, and written, each with one statement
//! for all rows.

use std::collections::{BTreeMap, HashMap};

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::database::Database;
use super::devices::Device;
use super::error::HubError;
use super::joining::{Effect, KnownPart, Merged, add, join, of_device};
use super::profile_hash::{kind_number, profile_hash};
use super::rows::{merged, stored_items};
use crate::core::fleet::{AttributePart, Handover, PartId, Reason, Refused};
use crate::core::timestamp::Timestamp;

/// A profile of a request, by its key in the tables.
struct Asked<'h> {
    hash: Uuid,
    kind: i16,
    key: &'h str,
    attributes: Vec<Said<'h>>,
}

/// A part of a request, with the places of its profile and of itself.
struct Said<'h> {
    profile: usize,
    place: usize,
    part: &'h AttributePart,
}

impl Said<'_> {
    fn refuse(&self, reason: &Reason) -> Refused {
        Refused::part(self.profile, (self.place, Some(self.part.name.as_str())), reason)
    }
}

/// Attributes by profile and name.
type Attributes = HashMap<(Uuid, String), Merged>;

/// Parts of sums by profile and id.
type Parts = HashMap<(Uuid, PartId), KnownPart>;

/// Times that were taken for events ahead of the hub's clock, by time and number of the event.
type Early = HashMap<(i64, i64), i64>;

/// What a request changes.
#[derive(Default)]
struct Changes {
    attributes: BTreeMap<(Uuid, String), Merged>,
    parts: BTreeMap<(Uuid, PartId), KnownPart>,
    /// Profiles with an attribute whose value changed.
    pending: Vec<Uuid>,
    refused: Vec<Refused>,
}

impl Database {
    /// Takes what a device hands over, and returns the parts that are refused. All others are durable when it returns.
    ///
    /// # Errors
    /// [`HubError`]; then the device does not know whether anything was taken, and hands it over again.
    pub async fn take(&self, device: &Device, handover: &Handover) -> Result<Vec<Refused>, HubError> {
        let asked = asked(handover);
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let mut changes = Changes { refused: handover.refused.clone(), ..Changes::default() };
        if !asked.is_empty() {
            let versions = lock(&transaction, &asked, device.now).await?;
            let (attributes, parts, early) = tokio::try_join!(
                biased;
                read_attributes(&transaction, &asked),
                read_parts(&transaction, &asked),
                early(&transaction, device, &asked),
            )?;
            changes.join_all(device, &asked, &versions, (attributes, parts, &early));
            changes.write(&transaction, device).await?;
        }
        contact(&transaction, device, handover).await?;
        transaction.commit().await?;
        Ok(changes.refused)
    }
}

/// Returns the profiles of a request in the order of their keys; what stands twice is joined.
fn asked(handover: &Handover) -> Vec<Asked<'_>> {
    let mut asked: BTreeMap<Uuid, Asked<'_>> = BTreeMap::new();
    for profile in &handover.profiles {
        let hash = profile_hash(&profile.identity);
        let entry = asked.entry(hash).or_insert_with(|| Asked {
            hash,
            kind: kind_number(profile.identity.kind()),
            key: profile.identity.key(),
            attributes: Vec::new(),
        });
        let parts = profile.attributes.iter().zip(handover.places(profile));
        entry.attributes.extend(parts.map(|(part, place)| Said { profile: profile.place, place, part }));
    }
    asked.into_values().collect()
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

async fn read_attributes(transaction: &Transaction<'_>, asked: &[Asked<'_>]) -> Result<Attributes, HubError> {
    let statement = transaction
        .prepare_cached(
            "SELECT profile, name, operation, value, items, time_ms, device, seq, event, mapping, version
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
    let known = rows.iter().filter_map(|row| Some(((row.get("profile"), row.get("name")), merged(row)?)));
    Ok(known.collect())
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

/// Returns the times to take for a device's events that are, or once were, ahead of our clock, and keeps those that are new:
/// when the same event comes again it must have the same time, or it would win over what others did meanwhile.
async fn early(transaction: &Transaction<'_>, device: &Device, asked: &[Asked<'_>]) -> Result<Early, HubError> {
    let now = device.now;
    let attributes = asked.iter().flat_map(|profile| profile.attributes.iter().map(|said| said.part));
    let stamps =
        attributes.flat_map(|it| std::iter::once(&it.part.stamp).chain(it.part.items.iter().map(|it| &it.stamp)));
    let mut stamps: Vec<(i64, i64)> = stamps
        .filter(|stamp| device.has_early || stamp.time > now)
        .map(|stamp| (stamp.time.as_millis(), stamp.seq))
        .collect();
    if stamps.is_empty() {
        return Ok(Early::new());
    }
    stamps.sort_unstable();
    stamps.dedup();
    let ahead: Vec<bool> = stamps.iter().map(|(time, _)| *time > now.as_millis()).collect();
    let (times, seqs): (Vec<i64>, Vec<i64>) = stamps.into_iter().unzip();
    let name: &str = &device.name;
    transaction
        .execute(
            "INSERT INTO early (device, time_ms, seq, taken_ms)
             SELECT $1, time_ms, seq, $5 FROM unnest($2::bigint[], $3::bigint[], $4::boolean[]) AS asked (time_ms, seq, is_ahead)
             WHERE is_ahead ORDER BY time_ms, seq ON CONFLICT DO NOTHING",
            &[&name, &times, &seqs, &ahead, &now.as_millis()],
        )
        .await?;
    let rows = transaction
        .query(
            "SELECT time_ms, seq, taken_ms FROM early
             JOIN unnest($2::bigint[], $3::bigint[]) AS asked (time_ms, seq) USING (time_ms, seq) WHERE device = $1",
            &[&name, &times, &seqs],
        )
        .await?;
    Ok(rows.iter().map(|row| ((row.get("time_ms"), row.get("seq")), row.get("taken_ms"))).collect())
}

impl Changes {
    fn join_all(
        &mut self,
        device: &Device,
        asked: &[Asked<'_>],
        versions: &HashMap<Uuid, i64>,
        (mut attributes, mut parts, early): (Attributes, Parts, &Early),
    ) {
        let taken = |time: Timestamp, seq| {
            early.get(&(time.as_millis(), seq)).map_or(time, |taken| Timestamp::from_millis(*taken))
        };
        for profile in asked {
            let Some(version) = versions.get(&profile.hash) else {
                let reason = "the hub has another profile of the same hash; the identity cannot be used";
                self.refused.extend(profile.attributes.iter().map(|said| said.refuse(&reason.into())));
                continue;
            };
            let mut is_pending = false;
            for at in &profile.attributes {
                let said = at.part;
                let part = of_device(&said.part, &device.name, taken);
                let key = (profile.hash, said.name.as_str().to_owned());
                let held = attributes.get(&key);
                let effect = match said.id {
                    Some(id) => add(held, parts.get(&(profile.hash, id)), said, &part, *version),
                    None => join(held, said, &part, *version),
                };
                let merged = match effect {
                    Err(reason) => {
                        self.refused.push(at.refuse(&reason));
                        continue;
                    }
                    Ok(Effect::None) => continue,
                    Ok(Effect::Noted(merged)) => merged,
                    Ok(Effect::Changed(merged)) => {
                        is_pending = true;
                        merged
                    }
                };
                if let Some(id) = said.id {
                    let known = KnownPart { name: key.1.clone(), value: part.value, version: said.version };
                    parts.insert((profile.hash, id), known.clone());
                    self.parts.insert((profile.hash, id), known);
                }
                attributes.insert(key.clone(), merged.clone());
                self.attributes.insert(key, merged);
            }
            self.pending.extend(is_pending.then_some(profile.hash));
        }
    }

    async fn write(&self, transaction: &Transaction<'_>, device: &Device) -> Result<(), HubError> {
        tokio::try_join!(
            biased;
            self.write_attributes(transaction, device.now),
            self.write_parts(transaction, device),
            self.write_pending(transaction, device.now),
        )?;
        Ok(())
    }

    async fn write_attributes(&self, transaction: &Transaction<'_>, now: Timestamp) -> Result<(), HubError> {
        if self.attributes.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO attribute (profile, name, operation, value, items, time_ms, device, seq, event, mapping, version, changed_ms)
                 SELECT *, $12 FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::bigint[], $7::text[],
                     $8::bigint[], $9::text[], $10::text[], $11::bigint[])
                 ON CONFLICT (profile, name) DO UPDATE SET value = excluded.value, items = excluded.items,
                     time_ms = excluded.time_ms, device = excluded.device, seq = excluded.seq, event = excluded.event,
                     mapping = excluded.mapping, version = excluded.version,
                     changed_ms = CASE WHEN attribute.version = excluded.version THEN attribute.changed_ms ELSE excluded.changed_ms END",
            )
            .await?;
        let rows = || self.attributes.iter();
        let profiles: Vec<Uuid> = rows().map(|((profile, _), _)| *profile).collect();
        let names: Vec<&str> = rows().map(|((_, name), _)| name.as_str()).collect();
        let values = || self.attributes.values();
        let operations: Vec<i16> =
            values().map(|it| i16::try_from(it.operation.number()).expect("a small number")).collect();
        let texts: Vec<&str> = values().map(|it| it.part.value.as_str()).collect();
        let items: Vec<Option<String>> = values().map(stored_items).collect();
        let times: Vec<i64> = values().map(|it| it.part.stamp.time.as_millis()).collect();
        let devices: Vec<&str> = values().map(|it| &*it.part.stamp.device).collect();
        let seqs: Vec<i64> = values().map(|it| it.part.stamp.seq).collect();
        let events: Vec<&str> = values().map(|it| it.event.as_str()).collect();
        let mappings: Vec<&str> = values().map(|it| it.mapping.as_str()).collect();
        let versions: Vec<i64> = values().map(|it| it.version).collect();
        transaction
            .execute(
                &statement,
                &[
                    &profiles,
                    &names,
                    &operations,
                    &texts,
                    &items,
                    &times,
                    &devices,
                    &seqs,
                    &events,
                    &mappings,
                    &versions,
                    &now.as_millis(),
                ],
            )
            .await?;
        Ok(())
    }

    async fn write_parts(&self, transaction: &Transaction<'_>, device: &Device) -> Result<(), HubError> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO part (profile, id, name, value, version, device, changed_ms)
                 SELECT *, $6, $7 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[])
                 ON CONFLICT (profile, id) DO UPDATE SET value = excluded.value, version = excluded.version,
                     changed_ms = excluded.changed_ms, confirmed_ms = NULL",
            )
            .await?;
        let profiles: Vec<Uuid> = self.parts.keys().map(|(profile, _)| *profile).collect();
        let ids: Vec<Uuid> = self.parts.keys().map(|(_, id)| uuid(*id)).collect();
        let names: Vec<&str> = self.parts.values().map(|part| part.name.as_str()).collect();
        let values: Vec<&str> = self.parts.values().map(|part| part.value.as_str()).collect();
        let versions: Vec<i64> = self.parts.values().map(|part| part.version).collect();
        let name: &str = &device.name;
        transaction
            .execute(&statement, &[&profiles, &ids, &names, &values, &versions, &name, &device.now.as_millis()])
            .await?;
        Ok(())
    }

    async fn write_pending(&self, transaction: &Transaction<'_>, now: Timestamp) -> Result<(), HubError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO outbox (profile, pending_ms) SELECT profile, $2 FROM unnest($1::uuid[]) AS asked (profile)
                 ON CONFLICT DO NOTHING",
            )
            .await?;
        transaction.execute(&statement, &[&self.pending, &now.as_millis()]).await?;
        Ok(())
    }
}

/// Notes that the device was there, how it is, and which parts it has confirmed.
async fn contact(transaction: &Transaction<'_>, device: &Device, handover: &Handover) -> Result<(), HubError> {
    let now = device.now.as_millis();
    if !handover.confirmed.is_empty() {
        let statement = transaction
            .prepare_cached(
                "UPDATE part SET confirmed_ms = $3
                 WHERE id = ANY ($1::uuid[]) AND device = $2 AND confirmed_ms IS NULL",
            )
            .await?;
        let ids: Vec<Uuid> = handover.confirmed.iter().map(|id| uuid(*id)).collect();
        let name: &str = &device.name;
        transaction.execute(&statement, &[&ids, &name, &now]).await?;
    }
    let statement = transaction
        .prepare_cached(
            "UPDATE device SET contact_ms = $2, clock_off_ms = $3, state = $4, has_early = has_early OR $6,
                 twins_ms = CASE WHEN process_was = $5 AND process <> $5 THEN $2 ELSE twins_ms END,
                 process_was = CASE WHEN process <> $5 THEN process ELSE process_was END,
                 process = coalesce($5, process)
             WHERE id = $1",
        )
        .await?;
    let off = handover.sent_at.map(|sent_at| sent_at.as_millis().saturating_sub(now));
    let state = serde_json::to_string(&handover.state).expect("texts and numbers are JSON");
    let is_ahead = |it: &AttributePart| {
        it.part.stamp.time > device.now || it.part.items.iter().any(|item| item.stamp.time > device.now)
    };
    let has_early = handover.profiles.iter().any(|profile| profile.attributes.iter().any(is_ahead));
    let process = &handover.state.process;
    transaction.execute(&statement, &[&device.id, &now, &off, &state, process, &has_early]).await?;
    Ok(())
}

fn uuid(id: PartId) -> Uuid {
    Uuid::from_u128(id.bits())
}
